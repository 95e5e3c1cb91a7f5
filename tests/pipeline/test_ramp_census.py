"""Who took part in a ramp, and whether so many may have moved by chance."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.detect import DetectSettings
from pipeline.ramp_census import Census
from pipeline.ramp_state import Moved, OpenRamp
from replay.suite.sites import layout_of

RACKS, PER_S, ONSET = 80, 10, 5
LAYOUT = layout_of(RACKS, PER_S)
STEP_W, LEAST_W = 20e3, 5e3


def asked(stepped, by_chance, against=0):
    """The ramp after its first census: racks that stepped, and those that move in any second."""
    rng = np.random.default_rng(4)

    def moved(first, onset, tick):
        leaf_w = np.zeros(RACKS)
        some = rng.permutation(RACKS)
        leaf_w[some[:by_chance]], leaf_w[some[by_chance : 2 * by_chance]] = LEAST_W, -LEAST_W
        if tick >= ONSET:
            leaf_w = np.zeros(RACKS)
            leaf_w[: stepped + by_chance] = STEP_W
            leaf_w[RACKS - against :] = -LEAST_W
        way_w = np.zeros((RACKS, tick + 1 - first)) + leaf_w[:, None]
        way_w[:, : onset - first] = 0
        node_w = np.zeros(len(LAYOUT.nodes))
        node_w[LAYOUT.top] = leaf_w.sum()
        return Moved(node_w, leaf_w, np.zeros(RACKS), way_w, onset - first)

    ramp = OpenRamp(
        event_id="", direction=0, watched=LAYOUT.watched.index(LAYOUT.top), node=LAYOUT.top,
        onset_ns=0, opened_ns=0, onset_tick=PER_S, path_w=[0.0], statistic=9.0, threshold=6.0,
        test=None, quality="good", depth_w=(stepped + by_chance) * STEP_W,
    )  # fmt: skip
    end_ns = np.arange(1, 11) * LAYOUT.tick_ns - ONSET * LAYOUT.tick_ns
    view = SimpleNamespace(tick_end_ns=end_ns, moved=moved, leaf_scale_w=np.full(RACKS, LEAST_W))
    Census(LAYOUT, DetectSettings()).take(ramp, view, 9)  # type: ignore[arg-type]
    return ramp


@pytest.mark.parametrize(
    ("stepped", "by_chance", "against", "kind"),
    [
        (3, 0, 0, "synchronized_ramp"),
        (3, 4, 0, "ramp"),
        (12, 4, 0, "synchronized_ramp"),
        (12, 4, 10, "ramp"),
        (2, 0, 0, "ramp"),
    ],
)
def test_more_racks_than_chance_moves_make_a_ramp_synchronized(stepped, by_chance, against, kind):
    """By what moved in the seconds before, and by what moves the other way now."""
    ramp = asked(stepped, by_chance, against)
    assert ramp.usual == (by_chance,) * 16
    assert len(ramp.channels) == stepped + by_chance
    assert ramp.kind == kind
