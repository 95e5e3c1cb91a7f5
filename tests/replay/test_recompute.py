"""An event's statistic, computed again: right where the engine is, wrong where it is not."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest

from pipeline.detect import DetectSettings
from replay.injections import Move
from replay.suite.backgrounds import Serving
from replay.suite.drive import Run, drive, lockstep
from replay.suite.recompute import ratios, recomputed_rows
from replay.suite.scene import Scene, nodes_named


@pytest.fixture(scope="module")
def run() -> Run:
    """Ten minutes of 80 racks with one step of 2 % at the end."""
    rng = np.random.default_rng(1)
    scene = Scene(Serving(80, rng), 80, 10, rng)
    racks, start_s = np.arange(80), np.full(80, 500.0)
    scene.injections.append(Move(racks, 500.0, 0.01, 800.0, 0.01, start_s, True))
    return drive(scene, 600, lockstep(scene.layout, DetectSettings(), ()))


def test_what_the_engine_says_is_what_the_waveform_says(run: Run) -> None:
    """Every event passes its own threshold again, by its own test and by another whitener."""
    found = ratios(run, nodes_named(80))
    assert found
    opened = next(event for event in run.states if event.step_test is not None)
    assert found[0].told == pytest.approx(opened.statistic / opened.threshold, rel=1e-6)
    assert min(again.told for again in found) >= 1 - 1e-6
    assert found[0].own == pytest.approx(found[0].told, rel=0.3)
    assert all(row.ok for row in recomputed_rows("a", found))


def test_a_claim_that_is_not_true_is_seen(run: Run) -> None:
    """A threshold the waveform does not reach, or another waveform: the row is red."""
    nodes = nodes_named(80)
    raised = [
        msgspec.structs.replace(event, threshold=5 * event.threshold)
        if event.threshold is not None
        else event
        for event in run.states
    ]
    flat = np.full_like(run.node_w, 1.0) * run.node_w.mean(axis=1, keepdims=True)
    for wrong in (
        dataclasses.replace(run, states=raised),
        dataclasses.replace(run, node_w=flat + np.random.default_rng(2).normal(size=flat.shape)),
    ):
        row, *_rest = recomputed_rows("a", ratios(wrong, nodes))
        assert not row.ok
