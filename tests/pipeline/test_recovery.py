"""States that cannot be used, and what becomes of events that a predecessor left open."""

from __future__ import annotations

import pytest

from pipeline import recovery
from pipeline.commits import newest_commit
from pipeline.detect import DetectSettings
from pipeline.device import choose
from pipeline.publish import tables
from pipeline.rows import as_table
from replay.plan import Fault, Oscillation, Plan, Ramp, Site
from replay.runner import Runner
from replay.simulate import simulate
from replay.source import open_trace
from schemas.units import NS_PER_S
from tests.pipeline import site as sites
from tests.pipeline.lanes import cut, event_rows, span_end_ns
from tests.pipeline.site import T0_NS, open_lane

NAME = "live-p0of1"


def interrupted(root, site, stream, until_s=20, **more):
    """Feed until one event is open, the ramp or later the oscillation; stop with a snapshot."""
    lane = open_lane(root, site, **more)
    lane.feed([m for m in stream if span_end_ns(m) <= T0_NS + until_s * NS_PER_S])
    cut(lane, snapshot=True, final=True)
    newest = {row["event_id"]: row["state"] for row in event_rows(root)}
    (event_id,) = [id_ for id_, state in newest.items() if state != "closed"]
    return event_id


def closes_with_state_lost(root, lane, stream, event_id, until_s=20):
    """Go on with what comes later; the open event must close, once, as lost."""
    lane.feed([m for m in stream if span_end_ns(m) > T0_NS + (until_s - 2) * NS_PER_S])
    cut(lane, final=True)
    rows = [row for row in event_rows(root) if row["event_id"] == event_id]
    states = [row["state"] for row in rows]
    assert [state for state in states if state != "update"] == ["open", "closed"]
    assert states[-1] == "closed"
    assert rows[-1]["quality"] == "state_lost"
    assert rows[-1]["closed_ns"] == rows[-1]["updated_ns"] > rows[0]["updated_ns"]
    keys = [(row["event_id"], row["updated_ns"]) for row in event_rows(root)]
    assert len(keys) == len(set(keys))


def test_another_origin_voids_offsets_and_state(site, stream, tmp_path):
    """Offsets of another cluster or topic mean nothing here: read from the beginning."""
    event_id = interrupted(tmp_path, site, stream, origin={"cluster": "a"})
    assert open_lane(tmp_path, site, origin={"cluster": "a"}).start_offsets != {}
    lane = open_lane(tmp_path, site, origin={"cluster": "b"})
    assert lane.start_offsets == {}
    closes_with_state_lost(tmp_path, lane, stream, event_id)


def test_other_settings_mean_a_cold_start(site, stream, tmp_path, monkeypatch):
    """A state made with other thresholds is not used; offsets stay; what was open is closed."""
    event_id = interrupted(tmp_path, site, stream)
    other = DetectSettings(false_alarms_per_day=5.0)
    monkeypatch.setattr(sites, "DetectSettings", lambda **_: other)
    lane = open_lane(tmp_path, site)
    record = newest_commit(tmp_path, NAME)
    assert record is not None
    assert lane.start_offsets == record.offsets
    closes_with_state_lost(tmp_path, lane, stream, event_id)


@pytest.mark.parametrize("until_s", [20, 45])
def test_another_topology_means_a_cold_start(site, stream, tmp_path, until_s):
    """A state made for another site file is not used; what was open is closed, ramp or swing."""
    event_id = interrupted(tmp_path, site, stream, until_s)
    text = site.dumps().replace("50000.0", "60000.0")
    changed = type(site).parse(text)
    assert changed.dumps() != site.dumps()
    lane = open_lane(tmp_path, changed)
    closes_with_state_lost(tmp_path, lane, stream, event_id, until_s)


def test_what_was_left_open_is_closed_also_by_a_second_heir(site, stream, tmp_path):
    """The first began cold, and was killed after its first commit, before its first frame."""
    event_id = interrupted(tmp_path, site, stream)
    changed = type(site).parse(site.dumps().replace("50000.0", "60000.0"))
    lane = open_lane(tmp_path, changed)
    lane.feed([m for m in stream if span_end_ns(m) > T0_NS + 18 * NS_PER_S][:1])
    cut(lane, snapshot=True, final=True)
    lane = open_lane(tmp_path, changed)
    closes_with_state_lost(tmp_path, lane, stream, event_id)


def test_a_cold_start_says_warming(site, stream, tmp_path):
    """After a cold start states say that nothing is known yet, then that all is good."""
    lane = open_lane(tmp_path, site)
    lane.feed(stream)
    batch = lane.take(final=True)
    assert batch is not None
    qualities = [row["quality"] for row in batch.tables["states"]]
    assert qualities[:9] == ["warming"] * 9
    assert qualities[-1] == "good"


def test_every_event_comes_back_from_its_row(tmp_path):
    """Steps, swings and losses, open, followed and closed: the record that was archived."""
    fault = Fault(onset_s=60.0, residual_pu=0.4, depth=0.3, reconnects_s=10.0)
    swing = Oscillation(onset_s=85.0, duration_s=25.0, freq_hz=1.3, amplitude=0.03)
    ramp = Ramp(onset_s=40.0, depth=-0.15, recovers_s=48.0)
    site = Site(id="s", nominal_v=138e3, ramp=(ramp,), fault=(fault,), oscillation=(swing,))
    simulate(tmp_path / "t", Plan(site=(site,), duration_s=120), 1)
    runner = Runner(open_trace(tmp_path / "t"), tmp_path / "a", choose("cpu"), DetectSettings())
    events = []
    runner.on_event = events.append
    runner.run()
    for event in events:
        ((_, rows),) = tables([(event, event.updated_ns)]).items()
        (row,) = as_table("events", rows).to_pylist()
        assert recovery.as_event(row) == event
    assert {event.kind for event in events} >= {"load_loss", "oscillation", "synchronized_ramp"}
    assert all(any(getattr(e, name) for e in events) for name in ("dips", "tone_test", "step_test"))
