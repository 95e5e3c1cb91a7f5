"""Which grid time closes when: rates, ends, holes and idle gateways (design section 3)."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.units import NS_PER_S
from tests.pipeline.site import T0_NS
from tests.pipeline.tiny import ONE, Bench, Gate, count, flat, tiny

# ---- which time closes


def test_grid_time_closes_when_every_gateway_has_passed_it_by_its_lateness():
    """The slowest gateway, less its lateness, holds everyone up; levels close together."""
    gates = {"a": Gate(), "s": Gate("substation", "50", 1, 0.0)}
    bench = Bench(tiny(gates))
    bench.send("a", 0.0, count(10))
    assert bench.blocks == []  # s has not spoken
    bench.send("s", 0.0, count(30))
    assert bench.closed_s == pytest.approx(0.6)
    bench.send("s", 0.6, count(40))
    assert bench.closed_s == pytest.approx(1.0)
    assert bench.power("substation").shape[1] == 5 * bench.power("rack").shape[1] == 50
    late = Bench(tiny({"a": Gate(lateness_s=0.3)}))
    late.send("a", 0.0, count(10))
    assert late.closed_s == pytest.approx(0.7)


RATES = {
    "slow": {"g": Gate(rate="1/4")},
    "third": {"g": Gate(rate="3")},
    "odd": {"g": Gate(rate="11")},
    "thirty": {"g": Gate(rate="30")},
    "mixed": {"g": Gate(rate="3"), "p": Gate("pdu", "30", 1), "s": Gate("substation", "1000", 1)},
    "with a slow level": {"g": Gate(rate="1/4"), "s": Gate("substation", "11", 1)},
    "one and a thousand": {"g": Gate(rate="1"), "s": Gate("substation", "1000", 1)},
    "seven and ten": {"g": Gate(rate="7"), "s": Gate("substation", "10", 1)},
}


def stream(bench: Bench, seconds: int, piece_s: float) -> None:
    """Send a count on every gateway for so long, in pieces of about this length."""
    for at in range(round(seconds / piece_s)):
        for name, gateway in bench.site.gateway_by_id.items():
            hz = gateway.rate.hz
            first, last = (-(-round(k * piece_s * hz * 1e6) // 10**6) for k in (at, at + 1))
            if last > first:
                bench.push(name, first / hz, count(last - first, first))
        bench.close()


@pytest.mark.parametrize("gates", RATES.values(), ids=RATES)
@pytest.mark.parametrize("piece_s", [0.1, 0.25, 1.0])
def test_blocks_never_cross_a_second_and_lose_no_sample(gates, piece_s):
    """At any rate and piece length: whole ticks within one second, every sample in its slot."""
    bench = Bench(tiny(gates))
    stream(bench, 24, piece_s)
    bench.end()
    bench.close()
    layout, t_ns = bench.aligner.layout, T0_NS
    for block in bench.blocks:
        assert block.t0_ns == t_ns
        end_ns = block.t0_ns + block.ticks * layout.tick_ns
        assert (end_ns - 1) // NS_PER_S == block.t0_ns // NS_PER_S
        t_ns = -(-end_ns // NS_PER_S) * NS_PER_S if -end_ns % NS_PER_S < 1000 else end_ns
        for grid in layout.grids:
            assert block.power_w[grid.level].shape[1] == block.ticks * grid.per_tick
    for grid in layout.grids:
        assert bench.valid(grid.level).all()  # a slow level holds each sample until the next
        held = bench.power(grid.level)[0].reshape(-1, grid.stride)
        np.testing.assert_array_equal(held, np.repeat(held[:, :1], grid.stride, axis=1))
        np.testing.assert_array_equal(held[:, 0], count(len(held)))
        assert len(held) == 24 * grid.rate // grid.stride
    assert bench.state.late_samples == bench.state.resets == 0


@pytest.mark.parametrize("gates", RATES.values(), ids=RATES)
def test_the_piece_length_changes_no_sample(gates):
    """Cut into 0.1 s, 0.25 s or 1 s: the same samples, masks and resets, bit for bit."""
    found = []
    for piece_s in (0.1, 0.25, 1.0):
        bench = Bench(tiny(gates))
        stream(bench, 12, piece_s)
        bench.end()
        bench.close()
        found.append(flat(bench.blocks))
    assert found[0] == found[1] == found[2]


def test_gateways_below_1_hz_do_not_vote():
    """A level slower than 1 Hz gives windows and state, no votes."""
    layout = Bench(tiny(RATES["with a slow level"])).aligner.layout
    assert [grid.votes for grid in layout.grids] == [False, True]


# ---- ends and holes


def test_the_end_of_stream_closes_the_partial_second():
    """Every gateway ended: the second in hand closes, what is missing in it is masked."""
    bench = Bench(tiny(ONE))
    bench.send("g", 0.0, count(14))
    assert bench.closed_s == pytest.approx(1.4)
    assert not bench.aligner.ended
    bench.end()
    bench.close()
    assert bench.aligner.ended
    assert bench.closed_s == pytest.approx(2.0)
    assert bench.valid("rack")[0].tolist() == [True] * 14 + [False] * 6


def test_a_gateway_that_ended_holds_nobody_up_and_may_come_back():
    """After its end the others go on; its next sample is used from the next unclosed frame."""
    bench = Bench(tiny({"a": Gate(), "b": Gate()}))
    bench.push("a", 0.0, count(10))
    bench.send("b", 0.0, count(10))
    bench.end("b")
    bench.send("a", 1.0, count(10, 10))
    assert bench.closed_s == pytest.approx(2.0)
    bench.push("b", 2.0, count(10, 20))
    bench.send("a", 2.0, count(10, 20))
    assert bench.closed_s == pytest.approx(3.0)
    assert bench.valid("rack")[2:].sum(axis=1).tolist() == [20, 20]


def test_a_hole_of_more_than_an_hour_starts_anew():
    """Nothing is computed across it: the next block says restart and begins at its own second."""
    bench = Bench(tiny(ONE))
    bench.send("g", 0.0, count(10))
    for k in range(3):
        bench.send("g", 4000.5 + k, count(10, 100 + 10 * k))
    assert [b.restart for b in bench.blocks].count(True) == 1
    first = next(b for b in bench.blocks if b.restart)
    assert (first.t0_ns - T0_NS) / NS_PER_S == 4000.0
    assert len(bench.blocks) < 20
    assert not first.power_w["rack"][:, :5].any()


def test_a_hole_of_less_than_an_hour_is_a_gap():
    """59 minutes of nothing are closed as masked frames, with one reset and no restart."""
    bench = Bench(tiny(ONE))
    bench.send("g", 0.0, count(10))
    for k in range(3):
        bench.send("g", 3500.0 + k, count(10))
    assert not any(b.restart for b in bench.blocks)
    assert bench.state.resets == 2
    assert bench.power("rack").shape[1] == 35030


def test_a_lost_channel_keeps_its_last_value_for_an_hour():
    """In a sum a lost meter is never a step: held and masked, then zero after an hour."""
    bench = Bench(tiny({"g": Gate(rate="1")}))
    values = np.full((2, 1), 7.0)
    bench.send("g", 0.0, values)
    values[0] = np.nan
    for k in range(1, 3700):
        bench.push("g", k, values)
    bench.close()
    assert bench.power("rack")[0].tolist() == [7.0] * 3601 + [0.0] * 99
    assert bench.valid("rack").sum(axis=1).tolist() == [1, 3700]
    assert sum(bool(b.resets) for b in bench.blocks) == 1
