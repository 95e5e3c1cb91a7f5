"""Late, gap, reset, clock, repeat, end: what design section 3 says of samples, one test a rule."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.align_state import HELD
from schemas.telemetry import Slice
from schemas.units import NS_PER_S
from tests.pipeline.site import T0_NS
from tests.pipeline.tiny import ONE, Bench, Gate, count, flat, tiny


def test_a_sample_older_than_the_lateness_is_late_told_once_and_counted():
    """Beyond the lateness: not used, one cause for the message, every sample of it counted."""
    bench = Bench(tiny({"g": Gate(lateness_s=0.5)}))
    bench.send("g", 0.0, count(16))
    bench.send("g", 1.8, count(2, 18))  # newest is now 1.9 s; 1.5 s is the oldest still wanted
    number = bench.send("g", 1.3, np.full(5, 99.0))
    verdict = bench.verdicts[number]
    assert verdict.cause is not None
    assert (verdict.cause.reason, verdict.cause.samples) == ("late", 2 * 2)
    assert bench.state.late_samples == 4
    bench.end()
    bench.close()
    np.testing.assert_array_equal(bench.power("rack")[0, 10:20], [*range(10, 16), 99, 99, 18, 19])


def test_without_lateness_the_first_value_of_a_slot_wins():
    """A second message for slots that are filled changes nothing and is late as a whole."""
    bench = Bench(tiny(ONE))
    bench.send("g", 0.0, count(10))
    number = bench.send("g", 0.5, np.full(5, 99.0))
    assert bench.reason(number) == "late"
    assert bench.verdicts[number].until_ns == 0
    bench.send("g", 1.0, count(10, 10))
    np.testing.assert_array_equal(bench.power("rack")[1], count(20))


def test_a_message_half_late_is_used_where_it_is_not():
    """The late half is counted and told; the rest fills its slots."""
    bench = Bench(tiny(ONE))
    bench.send("g", 0.0, count(10))
    number = bench.send("g", 0.5, count(10, 5))
    assert bench.reason(number) == "late"
    assert bench.verdicts[number].until_ns == T0_NS + 1_500_000_000
    assert bench.state.late_samples == 5 * 2
    np.testing.assert_array_equal(bench.power("rack")[0], count(15))


def test_missing_samples_that_come_late_are_no_samples():
    """A late message without one measured value is neither counted nor told."""
    bench = Bench(tiny(ONE))
    bench.send("g", 0.0, count(10))
    number = bench.send("g", 0.5, np.full(5, np.nan))
    assert bench.reason(number) is None
    assert bench.state.late_samples == 0


@pytest.mark.parametrize(
    ("rate", "slots"), [("1", 5), ("3", 5), ("10", 5), ("11", 6), ("30", 15), ("100", 50)]
)
def test_a_gap_of_half_a_second_or_five_samples_is_held_and_masked(rate, slots):
    """Up to max(500 ms, 5 samples): the last value, masked, no reset; one more: a reset."""
    bench = Bench(tiny({"g": Gate(rate=rate)}))
    n = int(rate)
    for k in range(20):
        values = np.full((2, n), 7.0 + k)
        for i in range(n):
            slot = k * n + i
            if 3 * n <= slot < 3 * n + slots or 12 * n <= slot < 12 * n + slots + 1:
                values[0, i] = np.nan
        bench.send("g", k, values)
    power_w, valid = bench.power("rack"), bench.valid("rack")
    short, long = slice(3 * n, 3 * n + slots), slice(12 * n, 12 * n + slots + 1)
    assert not valid[0, short].any()
    assert not valid[0, long].any()
    assert valid[1].all()
    assert valid[0].sum() == power_w.shape[1] - 2 * slots - 1
    np.testing.assert_array_equal(power_w[0, short], np.full(slots, 7.0 + 2))
    np.testing.assert_array_equal(power_w[0, long], [7.0 + 11] * (slots + 1))
    assert bench.state.gap_cells == 2 * slots
    resets = [(b.t0_ns, b.resets["rack"].tolist()) for b in bench.blocks if b.resets]
    assert len(resets) == 1
    assert resets[0][1] == [True, False]
    reset_s = (resets[0][0] - T0_NS) / NS_PER_S
    assert reset_s <= 12 + slots / n < reset_s + max(0.2, 1.01 * bench.aligner.layout.tick_ns / 1e9)


def test_power_is_finite_whatever_is_missing():
    """A channel that has not spoken yet is zero and masked; no NaN leaves the aligner."""
    bench = Bench(tiny(ONE))
    values = np.full((2, 10), 5.0)
    values[0] = np.nan
    bench.send("g", 0.0, values)
    assert np.isfinite(bench.power("rack")).all()
    assert bench.valid("rack").sum(axis=1).tolist() == [0, 10]


# ---- repeat, restart, clock


def test_a_repeat_is_dropped_and_counted_and_told_nobody():
    """A ``seq`` seen before with no newer time is dropped; a dead letter is not due."""
    bench = Bench(tiny(ONE))
    for k in range(4):
        bench.send("g", k, count(10, 10 * k), seq=k)
    before = flat(bench.blocks)
    for k in (1, 3):
        number = bench.send("g", k, np.full(10, 99.0), seq=k)
        assert bench.verdicts[number].cause is None
        assert bench.verdicts[number].until_ns == 0
    assert bench.state.repeats == 2
    assert bench.state.late_samples == 0
    assert flat(bench.blocks) == before


def test_a_lower_seq_with_newer_time_is_a_restarted_gateway():
    """Counting from 0 again is fine as long as time goes on, also with a number seen before."""
    bench = Bench(tiny(ONE))
    for k, seq in enumerate((0, 1, 2, 0, 1)):
        bench.send("g", k, count(10, 10 * k), seq=seq)
    assert bench.state.repeats == 0
    np.testing.assert_array_equal(bench.power("rack")[0], count(50))


def test_a_message_far_ahead_is_held_and_then_a_clock_error():
    """More than 60 s ahead and not continued: dead letter ``clock``; the good ones are used."""
    bench = Bench(tiny(ONE))
    bench.send("g", 0.0, count(10))
    number = bench.send("g", 3601.0, count(10, 500))
    assert bench.verdicts[number].until_ns == HELD
    assert bench.closed_s == pytest.approx(1.0)
    bench.send("g", 1.0, count(10, 10))
    assert bench.reason(number) == "clock"
    assert bench.verdicts[number].until_ns == 0
    np.testing.assert_array_equal(bench.power("rack")[0], count(20))


def test_three_in_a_row_far_ahead_are_a_gap():
    """Held until the third continues the first two; then all three are used, none told."""
    bench = Bench(tiny(ONE))
    bench.send("g", 0.0, count(10))
    numbers = [bench.send("g", 100.0 + k, count(10, 50 + 10 * k), seq=50 + k) for k in range(3)]
    assert [bench.reason(n) for n in numbers] == [None] * 3
    assert bench.closed_s == pytest.approx(103.0)
    assert bench.state.resets == 2
    np.testing.assert_array_equal(bench.power("rack")[0, 1000:], count(30, 50))
    assert not bench.valid("rack")[:, 10:1000].any()
    bench.send("g", 101.0, count(10, 60), seq=51)
    assert (bench.state.repeats, bench.state.late_samples) == (1, 0)


def test_far_ahead_ones_that_do_not_continue_each_other_are_given_up():
    """The same wrong time again and again never adds up to three in a row."""
    bench = Bench(tiny(ONE))
    bench.send("g", 0.0, count(10))
    numbers = [bench.send("g", 3600.0, count(10), seq=70 + k) for k in range(5)]
    assert [bench.reason(n) for n in numbers] == ["clock"] * 4 + [None]
    assert bench.verdicts[numbers[-1]].until_ns == HELD
    bench.end()
    assert bench.reason(numbers[-1]) == "clock"


def test_a_minute_ahead_is_a_gap_at_once():
    """60 s is not yet too far: the message is used where it says."""
    bench = Bench(tiny(ONE))
    bench.send("g", 0.0, count(10))
    number = bench.send("g", 61.0, count(10))
    assert bench.reason(number) is None
    assert bench.closed_s == pytest.approx(62.0)


def test_an_hour_behind_is_late():
    """A clock that is an hour behind gives late samples and moves nothing."""
    bench = Bench(tiny(ONE))
    bench.send("g", 3600.0, count(10))
    number = bench.send("g", 0.0, count(10))
    assert bench.reason(number) == "late"
    assert bench.closed_s == pytest.approx(3601.0)


def test_voltage_follows_its_samples():
    """Slot by slot; the first value wins; NaN in a gap, None where nothing was measured."""
    gates = {"g": Gate(), "s": Gate("substation", "20")}
    bench = Bench(tiny(gates, nominal_v=100.0))
    names, gateway = bench.names("s"), bench.site.gateway_by_id["s"]
    volts = np.array([[80.0, 90.0, np.nan, 70.0]], np.float32)

    def send(seq, t_s, volts):
        t0_ns = T0_NS + round(t_s * NS_PER_S)
        rows = np.ones_like(volts)
        bench.push_slice(
            Slice("tiny", "substation", "s", seq, t0_ns, gateway.rate, names, rows, voltage_v=volts)
        )

    send(1, 0.0, volts)
    send(2, 0.3, volts[:, :2] * 0.5)
    bench.send("g", 0.0, count(4))
    (block,) = bench.blocks
    found = [0.8, 0.9, np.nan, 0.7, np.nan, np.nan, 0.4, 0.45]
    np.testing.assert_allclose(block.voltage_pu, found, rtol=1e-6)
    send(3, 0.4, np.full((1, 2), np.nan, np.float32))
    bench.send("g", 0.4, count(1))
    assert bench.blocks[-1].voltage_pu is None
