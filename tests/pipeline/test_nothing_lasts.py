"""What is remembered is of the recent past alone: bad input is forgotten, a month adds no error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pipeline.align_state import Block
from pipeline.detect import DetectSettings
from pipeline.device import CPU
from pipeline.engine import Engine
from pipeline.engine_state import EngineState
from pipeline.layout import SiteLayout
from schemas.topology import Topology
from schemas.units import NS_PER_S
from tests.pipeline.site import T0_NS
from tests.pipeline.tiny import Bench, Gate, tiny

HOUR_S, DAY_S, BLOCK_S = 3600, 86_400, 600
FAULT_S, END_S = 1800, 9600
CHANNELS = 3
COUNTS = ("steps.since", "reference_w")
"""How long it goes on, and the largest second ever: these are of the whole past on purpose."""
NOT_MEASURED = ("diversity.tail_w",)
"""NaN says so: events alone do not ask for it."""
FROM_THE_START = re.compile(r"steps\.(path\.\d+\.x_w|means_w|base_w)")
"""Relative to where the way began: only its differences are used."""


def site(rate: int) -> Any:
    """Three racks of 60 kW under one PDU, metered so often."""
    text = tiny({"g": Gate(rate=str(rate), channels=CHANNELS)}).dumps()
    return Topology.parse(text.replace('parent = "p"\n', 'parent = "p"\nrating_w = 6e4\n'))


def power_w(begin_s: int, seconds: int, rate: int) -> Any:
    """The noise of a span that begins with a block, (channel, time) W."""
    noise_w = np.random.default_rng(begin_s).normal(0, 150, (CHANNELS, seconds * rate))
    return (4e4 + noise_w).astype(np.float32)


def quiet(rate: int, begin_s: int, end_s: int) -> Iterator[Block]:
    """Blocks in which nothing is wrong."""
    for s in range(begin_s, end_s, BLOCK_S):
        x = power_w(s, BLOCK_S, rate).astype(float)
        t0_ns = T0_NS + s * NS_PER_S
        yield Block(t0_ns, BLOCK_S * rate, {"rack": x}, {"rack": np.ones(x.shape, bool)}, {}, False)


def bad(rate: int, begin_s: int, fault: str) -> Iterator[Block]:
    """One block's time through the aligner, with a fault in its first minute."""
    bench = Bench(site(rate))
    x = power_w(begin_s, BLOCK_S, rate)
    for s in range(BLOCK_S):
        piece = x[:, s * rate : (s + 1) * rate].copy()
        if fault == "one NaN" and s == 20:
            piece[1, 3] = np.nan
        elif fault == "Inf, then absurd power" and 20 <= s < 22:
            piece[1, 3] = np.inf if s == 20 else 3e38
        elif fault == "a lost channel" and 20 <= s < 50:
            piece[1] = np.nan
        elif fault == "all lost" and 20 <= s < 50:
            continue
        bench.push("g", begin_s + s, piece)
    bench.end()
    yield from bench.close()


def run(rate: int, blocks: Iterator[Block]) -> tuple[EngineState, list[Any]]:
    """The engine's state after the blocks, and its events."""
    engine, events = Engine(SiteLayout(site(rate)), DetectSettings(), CPU, report=False), []
    state = engine.start()
    for block in blocks:
        state, outcome = engine.step(state, block)
        events += outcome.events
    return state, events


def numbers(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every number of a state by its name."""
    if isinstance(value, np.ndarray):
        yield name[1:], value
    elif isinstance(value, bool | int | float):
        yield name[1:], np.array(value)
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from numbers(one, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for key, one in zip(getattr(value, "_fields", range(len(value))), value, strict=True):
            yield from numbers(one, f"{name}.{key}")
    elif hasattr(value, "__dict__"):
        for key, one in vars(value).items():
            yield from numbers(one, f"{name}.{key}")


def comparable(state: EngineState) -> dict[str, Any]:
    """All numbers but those that are of the whole past; ways as seen from their newest tick."""
    found = {name: x.astype(float) for name, x in numbers(state) if name not in COUNTS}
    here = state.steps.path[-1].x_w[:, -1]
    for name in filter(FROM_THE_START.fullmatch, found):
        x = found[name]
        found[name] = x - (here[:, None] if x.ndim == 2 else here)
    return found


def same(found: EngineState, expected: EngineState, *, slow: float) -> int:
    """Compare all numbers; ``slow`` is how much of the past averages of looks may still hold."""
    ours, theirs = comparable(found), comparable(expected)
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        rtol, atol = 1e-9, 1e-6
        if name.endswith(
            ("background_w2", "sums")
        ):  # short looks fade in ten minutes by a factor e
            rtol, atol = (1e-4, 1e-4) if ":1." in name else (slow, 8 * slow)
        np.testing.assert_allclose(values, theirs[name], rtol=rtol, atol=atol, err_msg=name)
    return len(ours)


@pytest.fixture(scope="module")
def clean() -> tuple[EngineState, list[Any]]:
    """What a run without a fault leaves."""
    return run(10, quiet(10, 0, END_S))


@pytest.mark.parametrize(
    "fault", ["one NaN", "Inf, then absurd power", "a lost channel", "all lost"]
)
def test_a_fault_is_forgotten(clean: Any, fault: str) -> None:
    """Two hours later every number of the state is what it is where there was none."""

    def hurt() -> Iterator[Block]:
        yield from quiet(10, 0, FAULT_S)
        yield from bad(10, FAULT_S, fault)
        yield from quiet(10, FAULT_S + BLOCK_S, END_S)

    state, events = run(10, hurt())
    assert clean[1] == events == []
    assert same(state, clean[0], slow=0.5) > 50
    for name, values in numbers(state):
        assert np.isfinite(values).all() or name in NOT_MEASURED, name


def test_what_is_remembered_is_what_the_last_hours_teach() -> None:
    """A state of six hours against one that began three before the end."""
    old, none = run(10, quiet(10, 0, 6 * HOUR_S))
    fresh, events = run(10, quiet(10, 3 * HOUR_S, 6 * HOUR_S))
    assert none == events == []
    same(old, fresh, slow=0.5)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_thirty_days_leave_no_error() -> None:
    """After 2.6 million seconds every number is what the last day alone would have taught."""
    old, none = run(2, quiet(2, 0, 30 * DAY_S))
    fresh, events = run(2, quiet(2, 29 * DAY_S, 30 * DAY_S))
    assert none == events == []
    same(old, fresh, slow=0.02)
