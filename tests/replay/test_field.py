"""What is found in recordings: the field oscillation, the shipped demo, servers at work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.detect import DetectSettings
from pipeline.device import choose
from replay.cli import DEMO
from replay.runner import Runner
from replay.score import scored
from replay.source import Trace, open_trace
from schemas.events import SiteEvent
from schemas.units import NS_PER_S

TRACES = DEMO.parent


def _found(trace: Trace, folder: Path) -> list[SiteEvent]:
    return Runner(trace, folder / "archive", choose("cpu"), DetectSettings()).run().events


def test_the_field_oscillation_is_one_event(tmp_path: Path) -> None:
    """
    ISO-NE case 3: one event and nothing else.

    Opened after 38 s and by 48 s, 1.13 +- 0.01 Hz, 63 MW +- 5 % on S2_L2, closed within 20 s of
    its end at 125 s.
    """
    trace = open_trace(TRACES / "isone_case3" / "isone_case3_P_MW_30Hz.csv.gz")
    (event,) = _found(trace, tmp_path)
    assert (event.kind, event.state) == ("oscillation", "closed")
    assert event.freq_hz == pytest.approx(1.13, abs=0.01)
    assert 38 <= (event.opened_ns - trace.t0_ns) / NS_PER_S <= 48
    parts = {part.channel_id: part.amplitude_w for part in event.contributors or ()}
    assert parts["P_MW|S2_L2"] == pytest.approx(63e6, rel=0.05)
    assert event.amplitude_w == pytest.approx(63e6, rel=0.05)
    assert abs((event.closed_ns or 0) - trace.t0_ns - 125 * NS_PER_S) <= 20 * NS_PER_S


def test_the_demo_trace_is_found_whole(tmp_path: Path) -> None:
    """Every truth event of the shipped trace, and nothing else; the first is after 120 s."""
    trace = open_trace(DEMO)
    events = _found(trace, tmp_path)
    marks = scored(trace, events)
    assert marks is not None
    assert (marks.hits, marks.misses, marks.false_alarms) == (4, 0, 0)
    kinds = sorted(event.kind for event in events if event.merged_into is None)
    assert kinds == ["oscillation", "ramp", "synchronized_ramp", "synchronized_ramp"]
    assert min(truth.onset_ns for truth in trace.truth or ()) > trace.t0_ns + 120 * NS_PER_S


def test_serving_alone_swings_nothing(tmp_path: Path) -> None:
    """A single inference server, ten minutes and more of real power: no oscillation."""
    name = "Llama-3.1-70B_num_gpus_4_max_num_seqs_8.csv.gz"
    events = _found(open_trace(TRACES / "inference" / name), tmp_path)
    assert [event.kind for event in events if event.kind == "oscillation"] == []


def test_json_is_one_object_and_nothing_else(tmp_path: Path) -> None:
    """``replay run --json``: standard output is one object with the promised keys."""
    command = [sys.executable, "-m", "replay", "run", str(DEMO), "--archive", str(tmp_path)]
    told, twice = (
        json.loads(
            subprocess.run(
                [*command, "--json"], capture_output=True, check=True, cwd=DEMO.parents[2]
            ).stdout
        )
        for _ in range(2)
    )
    promised = (
        "trace t0_ns sites channels samples duration_s wall_s device windows archived "
        "deadletters archive stages_s events"
    )
    assert set(promised.split()) <= set(told)
    assert (told["windows"], told["archived"]) == (2940, 2940)
    assert (twice["windows"], twice["archived"]) == (2940, 0)
    assert twice["events"] == told["events"]


def test_a_flat_meter_is_warm_too(tmp_path: Path) -> None:
    """Power that never moves teaches a noise of zero: the step after it is still found."""
    lines = [f"{k / 10},{100 if k < 300 else 130},100" for k in range(600)]
    (tmp_path / "flat.csv").write_text("\n".join(["t_s,a_kW,b_kW", *lines, ""]))
    (event,) = _found(open_trace(tmp_path / "flat.csv"), tmp_path)
    assert (event.kind, event.node_id, event.depth_w) == ("ramp", "a_kW", 30e3)
    assert event.onset_ns == 30 * NS_PER_S
