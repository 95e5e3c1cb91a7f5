"""What a site's saved state costs: bytes a rack of the real snapshot, second after second."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pipeline import snapshot
from pipeline.align_state import Block
from pipeline.detect import DetectSettings
from pipeline.device import choose
from pipeline.engine import Engine
from pipeline.engine_state import EngineState
from replay.suite.sites import layout_of
from schemas.units import NS_PER_S
from tests.pipeline.site import T0_NS

RACKS, HZ, POI_HZ, SECONDS = 1000, 10, 30, 31
HOURS_S = 7200 + 60
"""Until forecasts know two hours of seconds; longer ago they know means, a hundredth of that."""
MOST_BYTES = 4000
"""A rack, of everything: its share of 50 PDUs and of the site too."""


def blocks(cut_s: int, first_s: int, until_s: int) -> Iterator[Block]:
    """Racks at 10 Hz in 50 PDUs, a meter at the top at 30 Hz, nothing wrong."""
    rng = np.random.default_rng(6 + first_s)
    for s in range(first_s, until_s, cut_s):
        shapes = {"rack": (RACKS, HZ * cut_s), "substation": (1, POI_HZ * cut_s)}
        power_w = {
            level: rng.normal(8e4, 50, shape).astype(np.float32).astype(float)
            for level, shape in shapes.items()
        }
        valid = {level: np.ones(shape, bool) for level, shape in shapes.items()}
        yield Block(T0_NS + s * NS_PER_S, HZ * cut_s, power_w, valid, {}, restart=False)


@pytest.fixture(scope="module")
def saved() -> list[tuple[Any, bytes]]:
    """The state after every second, at the begin and after hours, and what is saved of it."""
    engine = Engine(layout_of(RACKS, POI_HZ), DetectSettings(), choose("cpu", 1))
    state, found = engine.start(), []
    spans = ((1, 0, SECONDS - 1), (30, SECONDS - 1, HOURS_S), (1, HOURS_S, HOURS_S + SECONDS))
    for cut_s, first_s, until_s in spans:
        for block in blocks(cut_s, first_s, until_s):
            state, _ = engine.step(state, block)
            if cut_s == 1:
                found.append((state, snapshot.encode(engine.to_host(state), layout="of a test")))
    return found


def test_four_kilobytes_a_rack(saved: list[tuple[Any, bytes]]) -> None:
    """At the begin and after hours, while windows of ten seconds fill and when they are told."""
    most = max(len(data) for _, data in saved)
    assert most <= MOST_BYTES * RACKS, f"{most / RACKS:.0f} bytes a rack"


def test_it_comes_back_with_every_byte(saved: list[tuple[Any, bytes]]) -> None:
    """Read and saved once more it is the same; so is a window of racks that is half full."""
    for state, data in saved[-4:]:
        back = snapshot.decode(data, EngineState, layout="of a test")
        assert snapshot.difference(back, state) is None
        assert snapshot.encode(back, layout="of a test") == data
    assert saved[-1][0].windows.racks is not None
