"""Gateways that fall silent, and recomputations that obey what is on record about them."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.commit_files import Idle
from schemas.units import NS_PER_S
from tests.pipeline.site import T0_NS
from tests.pipeline.tiny import Bench, Gate, count, flat, tiny

TWO = {"a": Gate(), "b": Gate("substation", "10", 1)}


def silent(bench: Bench, *, back_s: float | None = None) -> None:
    """Gateway b falls silent after 3.25 s while its partition is read as it comes; a goes on."""
    for k in range(30):
        at = k / 2
        if at < 3 or (back_s is not None and at >= back_s):
            bench.push("b", at, count(5, 5 * k))
        bench.send("a", at, count(5, 5 * k))
        bench.close({"b"} if back_s is None or at < back_s else ())


def test_a_silent_gateway_that_is_behind_goes_idle():
    """More than 5 s behind the site's newest, and nothing comes: it holds nobody up."""
    bench = Bench(tiny(TWO))
    silent(bench)
    assert bench.aligner.silent_gateways() == ["b"]
    assert bench.closed_s == pytest.approx(15.0)
    (idle,) = bench.state.idle
    assert (idle.gateway_id, idle.from_ns, idle.to_ns) == ("b", T0_NS + 3 * NS_PER_S, None)
    assert bench.valid("substation").sum() == 30


def test_a_gateway_behind_holds_up_while_nobody_knows_that_it_is_silent():
    """What it sent may still have to be read: the site waits."""
    bench = Bench(tiny(TWO))
    bench.send("b", 0.0, count(10))
    for k in range(30):
        bench.send("a", k, count(10))
        bench.close({"a"})
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


def test_what_came_too_late_makes_nobody_wait_for_more_of_it():
    """A gateway that sends what it had stored stays idle until it has come to what is open."""
    bench = Bench(tiny(TWO))
    silent(bench)
    for k in range(6, 15):
        bench.send("b", k / 2, count(5, 5 * k))
        bench.send("a", 15 + (k - 6) / 2, count(5, 5 * k))
    assert bench.closed_s == pytest.approx(19.5)
    assert bench.aligner.silent_gateways() == ["b"]
    bench.send("b", 19.5, count(5))
    assert bench.aligner.silent_gateways() == []
    bench.send("a", 19.5, count(10))
    assert bench.closed_s == pytest.approx(20.0)
    assert bench.valid("substation")[0].sum() == 30 + 5


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
        bench.close({"b"} if gate == "a" and low <= at < high else ())


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


def test_every_gateway_that_is_idle_stays_on_record():
    """However many: a whole site was cut off, and one after the other comes back."""
    names = [f"b{k:02d}" for k in range(40)]
    bench = Bench(tiny({"a": Gate()} | dict.fromkeys(names, Gate(channels=1))))
    for gate in ("a", *names):
        bench.push(gate, 0.0, count(10))
    for k in range(1, 10):
        bench.push("a", k, count(10))
        bench.close(names)
    for k, name in enumerate(names, 10):
        assert [i.gateway_id for i in bench.state.idle if i.to_ns is None] == names[k - 10 :]
        bench.push(name, k, count(10))
        bench.send("a", k, count(10))
    assert [i.gateway_id for i in bench.state.idle] == names


def test_what_was_idle_an_hour_ago_is_forgotten():
    """Of one that comes and goes the newest spans are enough: nothing recomputes further back."""
    bench, hour_ns = Bench(tiny(TWO)), 3600 * NS_PER_S
    silent(bench)
    old = Idle("tiny", "a", T0_NS - 2 * hour_ns, T0_NS - hour_ns)
    new = [Idle("tiny", "a", T0_NS - k, T0_NS - k + 1) for k in range(50, 0, -1)]
    bench.state.idle = [old, *new, *bench.state.idle]
    bench.send("b", 15.0, count(5))
    assert bench.state.idle[:-1] == new[-32:]
    assert bench.state.idle[-1].to_ns == bench.state.closed_ns


def test_a_gateway_that_never_spoke_goes_idle_and_says_so():
    """A gateway without one sample holds up the start until it is idle, from 0 on record."""
    bench = Bench(tiny(TWO))
    for k in range(10):
        bench.push("a", k, count(10, 10 * k))
        bench.close({"b"})
    assert bench.closed_s == pytest.approx(10.0)
    (idle,) = bench.state.idle
    assert (idle.gateway_id, idle.from_ns, idle.to_ns) == ("b", 0, None)
    again = Bench(tiny(TWO))
    again.aligner.obey(bench.state.idle, bench.state.closed_ns)
    for k in range(10):
        again.send("a", k, count(10, 10 * k))
    assert flat(again.blocks) == flat(bench.blocks)


def test_a_gateway_that_returns_early_in_a_recomputation_was_idle_until_its_end():
    """Idle on record to the end of what is archived: what it sends for that time stays unused."""
    bench = Bench(tiny(TWO))
    until_ns = T0_NS + 10 * NS_PER_S
    bench.aligner.obey([Idle("tiny", "b", T0_NS + 3 * NS_PER_S, None)], until_ns)
    for at, n in ((0.0, 30), (9.0, 5), (10.0, 20)):
        bench.push("b", at, count(n, 10 * at))
    bench.close()
    for k in range(12):
        bench.send("a", k, count(10, 10 * k))
    assert bench.closed_s == pytest.approx(12.0)
    there = np.flatnonzero(bench.valid("substation")[0]).tolist()
    assert there == [*range(30), *range(100, 120)]
    assert [(i.from_ns, i.to_ns) for i in bench.state.idle] == [(T0_NS + 3 * NS_PER_S, until_ns)]


def test_an_idle_gateway_does_not_keep_the_stream_from_ending():
    """The others ended and one is idle: what is in hand closes, and the site has ended."""
    bench = Bench(tiny(TWO))
    silent(bench)
    assert not bench.aligner.ended
    bench.send("a", 15.0, count(3))
    bench.end("a")
    bench.close({"b"})
    assert bench.aligner.ended
    assert bench.closed_s == pytest.approx(16.0)
