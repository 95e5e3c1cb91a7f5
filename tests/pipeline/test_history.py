"""The newest seconds of tick means: bounded, the same however they came, whole seconds of it."""

from typing import Any

import numpy as np
import pytest

from operators import ramps
from pipeline import snapshot
from pipeline.align_state import Block
from pipeline.detect import DetectSettings
from pipeline.device import choose
from pipeline.engine import Engine
from pipeline.engine_state import EngineState
from pipeline.history import Ticks, forget, later, newest, recent, whole_seconds
from replay.suite.sites import layout_of
from schemas.events import SiteEvent
from schemas.units import NS_PER_S
from tests.pipeline.site import T0_NS

PER_S, START, DEPTH, CHANNELS, SECONDS = 10, 120, 200, 3, 47


def ticks() -> tuple[Any, Any]:
    """Power of every tick, and what was measured of it."""
    rng = np.random.default_rng(3)
    x = rng.normal(8e4, 50, (CHANNELS, SECONDS * PER_S)).astype(np.float32)
    return x, rng.random(x.shape) > 0.1


def run(cuts: tuple[int, ...]) -> list[list[Ticks]]:
    """The history after every whole second, ``cuts`` ticks at a time."""
    x, ok = ticks()
    history = [Ticks(*ramps.start(np.zeros((CHANNELS, 1), np.float32), tail=START))]
    found, at = [], 0
    while at < x.shape[1]:
        cut = cuts[at % PER_S % len(cuts)] if cuts[0] < PER_S else cuts[0]
        stop = min(at + cut, x.shape[1])
        if cut < PER_S:
            stop = min(stop, (at // PER_S + 1) * PER_S)
        history = recent(later(history, Ticks(x[:, at:stop], ok[:, at:stop]), PER_S), PER_S, DEPTH)
        if stop % PER_S == 0:
            found.append(history)
        at = stop
    return found


@pytest.mark.parametrize("cuts", [(10,), (1,), (3, 4), (7,)])
def test_it_is_bounded_and_holds_the_newest(cuts: tuple[int, ...]) -> None:
    """Never more than 20 s, from the first second on; never less than an event may ask for."""
    x, ok = ticks()
    for second, history in enumerate(run(cuts), 1):
        have = sum(part.x_w.shape[1] for part in history)
        assert START <= have <= DEPTH
        past = newest(history, min(second * PER_S, START))
        last = slice(max(second * PER_S - START, 0), second * PER_S)
        np.testing.assert_array_equal(past.tail_w, x[:, last])
        np.testing.assert_array_equal(past.tail_valid, ok[:, last])


@pytest.mark.parametrize("cuts", [(1,), (3, 4), (7,), (20,), (40,)])
def test_it_does_not_depend_on_the_cut(cuts: tuple[int, ...]) -> None:
    """The same parts in the same order, at every second at which there is a state."""
    whole, found = run((10,)), run(cuts)
    for k, history in enumerate(found):
        second = k if cuts[0] < PER_S else min((k + 1) * cuts[0] // PER_S, SECONDS) - 1
        shapes = [part.x_w.shape for part in history]
        assert shapes == [part.x_w.shape for part in whole[second]]
        for a, b in zip(history, whole[second], strict=True):
            np.testing.assert_array_equal(a.x_w, b.x_w)
            np.testing.assert_array_equal(a.ok, b.ok)


@pytest.mark.parametrize("ahead", [0, 4])
def test_whole_seconds_are_those_that_came(ahead: int) -> None:
    """Nothing of before the first tick, nothing of the last ``ahead``, 20 at most."""
    x, _ = ticks()
    for second, history in enumerate(run((10,)), 1):
        parts = whole_seconds(history, PER_S, 20, ahead)
        first, last = max(second - DEPTH // PER_S, 0), max(second - ahead, 0)
        joined = np.concatenate([np.zeros((CHANNELS, 0)), *(p.x_w for p in parts)], axis=1)
        np.testing.assert_array_equal(joined, x[:, first * PER_S : last * PER_S])


def test_after_a_reset_nothing_is_measured() -> None:
    """Power stays, as a level to hold; its mask does not."""
    history = run((10,))[-1]
    kept = np.array([[True], [False], [True]])
    after = forget(history, kept)
    assert not any(part.ok[1].any() for part in after)
    for a, b in zip(after, history, strict=True):
        np.testing.assert_array_equal(a.x_w, b.x_w)
        np.testing.assert_array_equal(a.ok[[0, 2]], b.ok[[0, 2]])


def swinging(cut_s: int) -> tuple[list[SiteEvent], EngineState]:
    """80 racks, which no feed watches, ten of them swinging too little for a step, in blocks."""
    racks, length, rng = 80, 360, np.random.default_rng(4)
    t = np.arange(length * 10) / 10
    swing_w = np.where(t >= 300, 300.0, 0.0) * np.sin(2 * np.pi * 0.7 * t)
    x = 8e4 + rng.normal(0, 100, (racks, len(t))) + swing_w * (np.arange(racks) < 10)[:, None]
    x = x.astype(np.float32).astype(float)
    top = np.repeat(x.sum(axis=0), 3)[None, :].astype(np.float32).astype(float)
    engine = Engine(layout_of(racks, 30), DetectSettings(), choose("cpu", 1))
    state, events = engine.start(), []
    for s in range(0, length, cut_s):
        spans = (slice(s * 10, (s + cut_s) * 10), slice(s * 30, (s + cut_s) * 30))
        power_w = {"rack": x[:, spans[0]], "substation": top[:, spans[1]]}
        valid = {level: np.ones(part.shape, bool) for level, part in power_w.items()}
        block = Block(T0_NS + s * NS_PER_S, 10 * cut_s, power_w, valid, {}, restart=False)
        state, outcome = engine.step(state, block)
        events += outcome.events
    return events, state


def test_who_swings_is_asked_of_the_history() -> None:
    """Contributors among racks that no feed watches, and the same of blocks of ten seconds."""
    events, state = swinging(1)
    assert {event.kind for event in events} == {"oscillation"}
    assert max(len(event.contributors or ()) for event in events) >= 8
    assert state.tone_track.leaves == []
    others, other = swinging(10)
    assert others == events
    assert snapshot.difference(other, state) is None
