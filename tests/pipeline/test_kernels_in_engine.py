"""Compiled kernels in the engine against the operators themselves: the same events and windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pipeline.align_state import Block
from pipeline.detect import DetectSettings
from pipeline.device import CPU, Device
from pipeline.engine import Engine
from replay.suite.sites import layout_of
from schemas.units import NS_PER_S

REFERENCE = Device("reference", "device: reference", np, lambda x: x, lambda x: x)
NEAR_NS = 10_000
"""An onset is reckoned from statistics, which are float32."""
T0_NS, SECONDS, POI_HZ = 1_772_546_400 * NS_PER_S, 240, 30


def blocks(racks: int, block_s: int) -> Iterator[Block]:
    """A swing from second 90 to 150, a step at 190, gaps everywhere, a meter lost for a while."""
    rng = np.random.default_rng(racks)
    t_s, poi_t_s = np.arange(SECONDS * 10) / 10, np.arange(SECONDS * POI_HZ) / POI_HZ
    rack_w = 4e4 + rng.normal(0, 150, (racks, len(t_s)))
    poi_w = 4e4 * racks + rng.normal(0, 300, (1, len(poi_t_s)))
    some = racks // 2
    for at_s, x, each in ((t_s, rack_w[:some], 1), (poi_t_s, poi_w, some)):
        swing_w = np.where((at_s > 90) & (at_s < 150), np.sin(2 * np.pi * 0.7 * at_s), 0)
        np.add(x, each * (2000 * swing_w - np.where(at_s > 190, 6000, 0)), out=x)
    known = rng.random(rack_w.shape) > 0.01
    known[3, 1000:1600] = False
    for s in range(0, SECONDS, block_s):
        ticks, fine = slice(s * 10, (s + block_s) * 10), slice(s * POI_HZ, (s + block_s) * POI_HZ)
        power_w = {"rack": rack_w[:, ticks], "substation": poi_w[:, fine]}
        valid = {"rack": known[:, ticks], "substation": np.ones((1, block_s * POI_HZ), bool)}
        resets = {"rack": np.arange(racks) == 3} if s == 120 else {}
        t0_ns = T0_NS + s * NS_PER_S
        yield Block(t0_ns, block_s * 10, power_w, valid, resets, restart=False)


def run(racks: int, device: Device, block_s: int) -> tuple[list[Any], list[Any]]:
    """Events and windows of all of it."""
    engine = Engine(layout_of(racks, POI_HZ), DetectSettings(), device)
    state, events, windows = engine.start(), [], []
    for block in blocks(racks, block_s):
        state, outcome = engine.step(state, block)
        events += outcome.events
        windows += outcome.windows
    return events + engine.finish(state, "end_of_stream")[1].events, windows


def numbers(records: list[Any]) -> list[dict[str, float]]:
    """What is a float in each."""
    return [
        {n: getattr(r, n) for n in r.__struct_fields__ if isinstance(getattr(r, n), float)}
        for r in records
    ]


@pytest.mark.parametrize("racks", [40, 120])
def test_the_same_events(racks: int) -> None:
    """Of a site with full spectra of every channel and of one without; seconds together, singly."""
    found, windows = run(racks, CPU, 60)
    expected, theirs = run(racks, REFERENCE, 1)
    assert {event.kind for event in found} >= {"oscillation"}
    assert any("ramp" in event.kind for event in found)
    for name in ("event_id", "kind", "state", "node_id", "opened_ns", "closed_ns"):
        assert [getattr(e, name) for e in found] == [getattr(e, name) for e in expected], name
    onsets = [(a.onset_ns, b.onset_ns) for a, b in zip(found, expected, strict=True)]
    assert max(abs(a - b) for a, b in onsets) < NEAR_NS
    for a, b in zip(numbers(found), numbers(expected), strict=True):
        assert a == pytest.approx(b, rel=1e-6, abs=1e-6)
    for ours, other in zip(windows, theirs, strict=True):
        for name, values in ours.items():
            if np.asarray(values).dtype.kind == "f":
                np.testing.assert_allclose(values, other[name], 1e-5, 1e-2, err_msg=name)


@pytest.mark.parametrize("block_s", [1, 10])
def test_the_cut_does_not_show(block_s: int) -> None:
    """Blocks of a second, of ten and of a minute: every bit of every event."""
    assert run(40, CPU, block_s)[0] == run(40, CPU, 60)[0]
