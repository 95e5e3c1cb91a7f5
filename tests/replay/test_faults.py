"""A simulated fault through files, telemetry and archive: voltage reaches detectors and events."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest

from pipeline.device import choose
from replay.errors import PlanError
from replay.plan import Fault, Plan, Site
from replay.runner import replay
from replay.score import scored
from replay.simulate import simulate
from replay.source import Trace, open_trace
from schemas.units import NS_PER_S

LOST = {"depth": 0.08, "racks": 0.3}
FAULTS = (
    Fault(onset_s=70.01, residual_pu=0.4, duration_s=0.1, **LOST, reconnects_s=30),
    Fault(onset_s=80.5, residual_pu=0.7, duration_s=0.2),
    Fault(onset_s=90.2, residual_pu=0.3, duration_s=0.1, **LOST, reconnects_s=10),
)


def made(folder: Path, **site: object) -> Trace:
    """Two and a half minutes of a small site with three dips, two of them with loss."""
    fields = {"pdus": 2, "racks_per_pdu": 20, "substation_hz": 200, "nominal_v": 230e3}
    simulate(folder, Plan(site=(Site(**{**fields, "fault": FAULTS, **site}),), duration_s=150), 5)
    return open_trace(folder)


def test_from_a_trace_to_the_archive(tmp_path: Path) -> None:
    """One event found for one truth, dips and feeders in the archive as in the event."""
    trace = made(tmp_path / "trace")
    assert [t.kind for t in trace.truth or ()] == ["load_loss"]
    result = replay(trace, tmp_path / "archive", choose("cpu"))
    (event,) = result.events
    found = scored(trace, result.events)
    assert found is not None
    assert (found.hits, found.misses, found.false_alarms) == (1, 0, 0)
    assert [d.verdict for d in event.dips or ()] == ["recovered", "rode_through", "violation"]
    with duckdb.connect(str(tmp_path / "archive" / "archive.duckdb"), read_only=True) as archive:
        row = archive.sql(
            "SELECT depth_w, lost_share, cause, len(dips), dips[3].lost_w FROM events"
        )
        assert row.fetchall() == [
            (event.depth_w, event.lost_share, "fault", 3, (event.dips or ())[2].lost_w)
        ]


def test_voltage_is_in_the_trace_and_nowhere_else(tmp_path: Path) -> None:
    """Per sample at the substation, 1 pu but in a dip; no rack has one; no nominal one, none."""
    volts = {}
    for piece in made(tmp_path / "a").slices():
        if piece.level == "substation" and piece.voltage_v is not None:
            volts[(piece.t0_ns // NS_PER_S) % 86_400 % 3600] = piece.voltage_v[0] / 230e3
        assert piece.level == "substation" or piece.voltage_v is None
    assert np.mean(volts[60]) == pytest.approx(1.0, abs=0.001)
    low = np.flatnonzero(volts[70] < 0.9)
    assert (low[0], len(low)) == (2, 20)
    assert volts[70][low] == pytest.approx(0.4, abs=0.02)
    dumb = made(tmp_path / "b", nominal_v=None, fault=())
    assert all(piece.voltage_v is None for piece in dumb.slices())


def test_a_rack_that_is_out_cannot_leave_again(tmp_path: Path) -> None:
    """The racks of one dip are still out at the next, which takes others; too much is refused."""
    (one,) = made(tmp_path / "a").truth or ()
    assert len(one.channels) == 12 + 8
    whole = tuple(Fault(onset_s=t, depth=0.3, racks=1.0) for t in (60.0, 70.0))
    with pytest.raises(PlanError, match=r"the event at 70.0 s moves .* take more racks"):
        made(tmp_path / "b", fault=whole)
