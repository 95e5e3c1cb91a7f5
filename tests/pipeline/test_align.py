"""Late, gap, reset, clock, repeat, end: what design section 3 says of samples, one test a rule."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.align_state import HELD
from schemas.units import NS_PER_S
from tests.pipeline.site import T0_NS
from tests.pipeline.tiny import Bench, Gate, flat, tiny

ONE = {"g": Gate()}


def count(n: int, start: float = 0.0) -> np.ndarray:
    """Samples that tell their own number."""
    return np.arange(n, dtype=np.float32) + np.float32(start)


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
    np.testing.assert_array_equal(power_w[0, long], [7.0 + 11] * slots + [0.0])
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
        valid = bench.valid(grid.level)
        there = np.arange(valid.shape[1]) % grid.stride == 0
        np.testing.assert_array_equal(valid, np.broadcast_to(there, valid.shape))
        seen = bench.power(grid.level)[0][valid[0]]
        np.testing.assert_array_equal(seen, count(len(seen)))
        assert len(seen) == 24 * grid.rate // grid.stride
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


# ---- idle


TWO = {"a": Gate(), "b": Gate("substation", "10", 1)}


def silent(bench: Bench, *, back_s: float | None = None) -> None:
    """Gateway b falls silent after 3.25 s while its partition has nothing to read; a goes on."""
    for k in range(30):
        at = k / 2
        if at < 3:
            bench.push("b", at, count(5, 5 * k))
        elif back_s is not None and at >= back_s:
            bench.push("b", at, count(5, 5 * k))
        bench.send("a", at, count(5, 5 * k))
        bench.close({"substation"} if back_s is None or at < back_s else ())


def test_a_gateway_behind_with_nothing_left_to_read_goes_idle():
    """More than 5 s behind the site's newest with its partition at its end: it holds nobody up."""
    bench = Bench(tiny(TWO))
    silent(bench)
    assert bench.aligner.silent_gateways() == ["b"]
    assert bench.closed_s == pytest.approx(15.0)
    (idle,) = bench.state.idle
    assert (idle.gateway_id, idle.from_ns, idle.to_ns) == ("b", T0_NS + 3 * NS_PER_S, None)
    assert bench.valid("substation").sum() == 30


def test_a_gateway_behind_holds_up_while_its_partition_can_be_read():
    """Unless its partition is read to its end nobody knows that it is silent: the site waits."""
    bench = Bench(tiny(TWO))
    bench.send("b", 0.0, count(10))
    for k in range(30):
        bench.send("a", k, count(10))
        bench.close({"rack"})
    assert bench.closed_s == pytest.approx(1.0)
    assert bench.state.idle == []


def test_an_idle_gateway_comes_back_at_the_next_unclosed_frame():
    """From which frame to which it was idle is on record; from then on it holds up again."""
    bench = Bench(tiny(TWO))
    silent(bench, back_s=12.0)
    (idle,) = bench.state.idle
    assert idle.from_ns == T0_NS + 3 * NS_PER_S
    assert idle.to_ns == T0_NS + 12 * NS_PER_S
    bench.send("a", 15.0, count(20))
    assert bench.closed_s == pytest.approx(15.0)
    assert bench.valid("substation")[0].sum() == 30 + 30


def messages(*, back_s: float | None, late: bool = False) -> list[tuple[str, float]]:
    """Gateway and start of half-second pieces; b falls silent at 3.25 s, inside a tick."""
    times = [("b", k / 2) for k in range(6)] + [("b", 3.0)]
    if back_s is not None:
        times += [("b", t / 2) for t in range(round(2 * back_s), 60)]
    if late:
        times += [("b", 3.5)]
    return times + [("a", t / 2) for t in range(60)]


def play(bench: Bench, order: list[tuple[str, float]], *, quiet_s: tuple[float, float]) -> None:
    """Send pieces in this order, saying that b's partition is at its end while a is in a span."""
    for gate, at in order:
        hz = 50 if gate == "b" else 10
        n = round(0.25 * hz) if (gate, at) == ("b", 3.0) else hz // 2
        bench.push(gate, at, count(n, at * hz), seq=round(2 * at))
        low, high = quiet_s
        bench.close({"substation"} if gate == "a" and low <= at < high else ())


FINE = {"a": Gate(), "b": Gate("substation", "50", 1, 1.0)}


@pytest.mark.parametrize("back_s", [12.0, 14.5, None])
@pytest.mark.parametrize("known", ["all of it", "until 20 s", "until 8 s", "nothing"])
def test_a_recomputation_obeys_the_recorded_idle_spans(back_s, known):
    """Whatever the order of topics, quiet or not: `obey` gives the same samples, bit for bit."""
    first = Bench(tiny(FINE))
    order = sorted(messages(back_s=back_s), key=lambda m: (m[1], m[0]))
    stop = {"all of it": 99.0, "until 20 s": 20.0, "until 8 s": 10.0, "nothing": -1.0}[known]
    until = [m for m in order if m[1] < stop]
    play(first, until, quiet_s=(0.0, back_s or 99.0))
    plan, until_ns = list(first.state.idle), first.state.closed_ns
    rest = [m for m in order if m[1] >= stop]
    play(first, rest, quiet_s=(0.0, back_s or 99.0))
    again = Bench(tiny(FINE))
    again.aligner.obey(plan, until_ns)
    one_topic_first = sorted(messages(back_s=back_s), key=lambda m: (m[1] >= stop, m[0] == "a"))
    if known == "all of it":
        play(again, one_topic_first, quiet_s=(0.0, 0.0))
    else:  # what is not on record is decided anew, from the same order of messages
        play(again, sorted(until, key=lambda m: m[0] == "a"), quiet_s=(0.0, 0.0))
        play(again, rest, quiet_s=(0.0, back_s or 99.0))
    assert flat(again.blocks) == flat(first.blocks)
    assert again.state.idle == first.state.idle
    assert again.aligner.silent_gateways() == first.aligner.silent_gateways()
    assert again.state.closed_ns >= T0_NS + 29 * NS_PER_S


def test_a_record_of_idle_spans_survives_two_recomputations():
    """What is obeyed stays on record, so that a second kill recomputes the same again."""
    first, order = Bench(tiny(FINE)), sorted(messages(back_s=12.0), key=lambda m: (m[1], m[0]))
    play(first, order, quiet_s=(0.0, 12.0))
    found = [flat(first.blocks)]
    bench = first
    for _ in range(2):
        plan, until_ns = list(bench.state.idle), bench.state.closed_ns
        bench = Bench(tiny(FINE))
        bench.aligner.obey(plan, until_ns)
        play(bench, messages(back_s=12.0), quiet_s=(0.0, 0.0))
        found.append(flat(bench.blocks))
        assert bench.state.idle == plan
    assert found[0] == found[1] == found[2]


def test_a_gateway_that_never_spoke_goes_idle_and_says_so():
    """A gateway without one sample holds up the start until it is idle, from 0 on record."""
    bench = Bench(tiny(TWO))
    for k in range(10):
        bench.push("a", k, count(10, 10 * k))
        bench.close({"substation"})
    assert bench.closed_s == pytest.approx(10.0)
    (idle,) = bench.state.idle
    assert (idle.gateway_id, idle.from_ns, idle.to_ns) == ("b", 0, None)
    again = Bench(tiny(TWO))
    again.aligner.obey(bench.state.idle, bench.state.closed_ns)
    for k in range(10):
        again.send("a", k, count(10, 10 * k))
    assert flat(again.blocks) == flat(bench.blocks)
