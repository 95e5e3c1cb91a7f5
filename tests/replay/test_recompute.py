"""An event's statistic, computed again: right where the engine is, wrong where it is not."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest

from pipeline.detect import DetectSettings
from pipeline.device import CPU
from pipeline.spectra import Spectra
from replay.injections import Move
from replay.suite.backgrounds import Noise, Serving
from replay.suite.drive import Run, drive, lockstep
from replay.suite.recompute import ratios, recomputed_rows, shift_ratios, shift_rows
from replay.suite.recompute_tones import sum_ratios, tone_ratios, tone_rows
from replay.suite.scene import Scene, nodes_named
from replay.suite.sinusoids import Tone


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


def test_an_oscillation_is_what_the_waveform_says() -> None:
    """The amplitude that opened it, from the node's power by other code; red where it is not."""
    rng = np.random.default_rng(3)
    scene = Scene(Noise(80, 4000.0, rng), 80, 10, rng)
    scene.injections.append(Tone(np.arange(80), 60e3, 1.3, 0.5, 400.0, 480.0))
    run, nodes = drive(scene, 480, lockstep(scene.layout, DetectSettings(), ())), nodes_named(80)
    found = tone_ratios(run, nodes)
    opened = next(event for event in run.states if event.tone_test is not None)
    assert found == [pytest.approx(opened.statistic / opened.threshold, rel=1e-6)]
    assert all(row.ok for row in tone_rows("a", found, []))
    flat = np.random.default_rng(2).normal(run.node_w.mean(), 4000.0, run.node_w.shape)
    assert not tone_rows("a", tone_ratios(dataclasses.replace(run, node_w=flat), nodes), [])[0].ok


@pytest.mark.parametrize(("poi_hz", "freq_hz", "swing_w"), [(10, 2.13, 18e3), (30, 3.1, 14e3)])
def test_a_sum_over_time_is_what_the_waveform_says(
    poi_hz: int, freq_hz: float, swing_w: float
) -> None:
    """Weak sinusoids that no single window shows, by the plain operators; red in noise alone."""
    rng, detect = np.random.default_rng(3), DetectSettings()
    scene = Scene(Noise(80, 4000.0, rng), 80, poi_hz, rng)
    for start_s in (700.0, 860.0):
        tone = Tone(np.arange(80), swing_w, freq_hz, 0.5, start_s, start_s + 100.0)
        scene.injections.append(tone)
    run, nodes = drive(scene, 960, lockstep(scene.layout, detect, ())), nodes_named(80)
    spectra = Spectra(scene.layout, detect, CPU)
    found = sum_ratios(run, nodes, spectra)
    told = [e for e in run.opened if e.tone_test is not None and e.tone_test.summed]
    assert [e.tone_test.rate_hz for e in told if e.tone_test is not None] == [poi_hz, poi_hz]
    assert found == [pytest.approx(e.statistic / e.threshold, rel=0.01) for e in told]
    (row,) = tone_rows("a", [], found)
    assert row.ok
    node_w, meter_w = (
        np.random.default_rng(2).normal(np.mean(x), 4000.0, x.shape)
        for x in (run.node_w, run.meter_w)
    )
    noise = dataclasses.replace(run, node_w=node_w, meter_w=meter_w)
    assert not tone_rows("a", [], sum_ratios(noise, nodes, spectra))[0].ok


def test_a_shift_beside_an_oscillation_is_what_the_waveform_says() -> None:
    """A pause beside a slow swing: by the means of its periods; red in noise alone."""
    rng, nodes = np.random.default_rng(3), nodes_named(80)
    scene = Scene(Noise(80, 400.0, rng), 80, 10, rng)
    racks = np.arange(80)
    scene.injections.append(Tone(racks, 200e3, 0.2, 0.5, 400.0, 520.0))
    scene.injections.append(Move(racks, 480.0, 0.01, -6e3, 0.01, np.full(80, 480.0), True))
    run = drive(scene, 540, lockstep(scene.layout, DetectSettings(), ()))
    found = shift_ratios(run, nodes)
    assert found
    assert all(row.ok for row in shift_rows("a", found))
    flat = np.random.default_rng(2).normal(run.node_w.mean(), 4000.0, run.node_w.shape)
    assert not shift_rows("a", shift_ratios(dataclasses.replace(run, node_w=flat), nodes))[0].ok
