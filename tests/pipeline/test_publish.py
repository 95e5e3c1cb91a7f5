"""What leaves for the topics and the archive, and what the grid must not learn."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from pipeline.publish import grid_event, messages, tables, window_batch
from schemas.events import Band, Contributor, DeadLetter, Ramp, SiteEvent, SiteState
from schemas.tables import WINDOWS
from tests.pipeline import site as sites
from tests.pipeline.lanes import eventful

SECRETS = ("rack-7", "pdu-3", "channel-9")


def event(count=3, **changes):
    """A synchronized ramp of so many channels."""
    fields = {
        "event_id": "s:ramp:5:0", "kind": "synchronized_ramp", "site_id": "s", "node_id": "rack-7",
        "level": "rack", "state": "open", "onset_ns": 1, "opened_ns": 5, "updated_ns": 5,
        "quality": "good", "depth_w": -5e6, "synchrony": 0.9,
        "channels": tuple(f"channel-{k}" for k in range(count)),
    }  # fmt: skip
    return SiteEvent(**{**fields, **changes})


@pytest.mark.parametrize(("count", "told"), [(3, None), (49, None), (50, 50), (99, 50), (730, 500)])
def test_the_grid_learns_the_poi_and_a_rounded_count(count, told):
    """No rack, PDU or channel by name; the count rounded down, absent below 50."""
    seen = grid_event(event(count), "poi-1")
    assert (seen.poi_id, seen.channels) == ("poi-1", told)
    (out,) = [m for m in messages(event(count), "poi-1") if m.topic == "grid.event.v1"]
    text = out.value.decode()
    assert not any(name in text for name in (*SECRETS, "channel-"))
    assert "node_id" not in text
    assert "level" not in text


def test_contributors_of_an_oscillation_stay_at_home():
    """The grid sees frequency and amplitude, not who swings."""
    parts = tuple(Contributor("channel-9", 1.0, 0.1) for _ in range(60))
    swing = event(kind="oscillation", channels=None, contributors=parts, freq_hz=1.3)
    site, grid = (json.loads(m.value)["data"] for m in messages(swing, "poi-1"))
    assert len(site["contributors"]) == 60
    assert "contributors" not in grid
    assert (grid["freq_hz"], grid["channels"]) == (1.3, 50)


def test_an_event_goes_to_both_topics_with_one_id_and_the_sites_key():
    """CloudEvents id is event and update, the same on both topics and every time it is sent."""
    twice = [list(messages(event(), "poi-1")) for _ in range(2)]
    assert twice[0] == twice[1]
    assert [m.topic for m in twice[0]] == ["site.event.v1", "grid.event.v1"]
    assert {m.key for m in twice[0]} == {b"s"}
    assert {json.loads(m.value)["id"] for m in twice[0]} == {"s:ramp:5:0:5"}
    updated = list(messages(event(updated_ns=9), "poi-1"))
    assert {json.loads(m.value)["id"] for m in updated} == {"s:ramp:5:0:9"}


def test_a_dead_letter_is_keyed_by_where_it_stood():
    """Topic, partition and offset: a repeat replaces what it repeats."""
    letter = DeadLetter(
        reason="unit", detail="", topic="t", partition=2, offset=9, size=0, head=b""
    )
    (out,) = messages(letter, "")
    assert (out.topic, out.key) == ("telemetry.deadletter.v1", b"t-2-9")
    assert "rows" not in json.loads(out.value)


def test_a_field_that_is_not_known_is_absent():
    """Not zero and not null: left out of the message."""
    (out, _) = messages(event(), "poi-1")
    data = json.loads(out.value)["data"]
    assert "freq_hz" not in data
    assert "closed_ns" not in data
    assert None not in data.values()


def test_a_state_becomes_one_row_with_its_bands_and_ramps():
    """Ramps and bands are columns named after their span; an unobservable band is null."""
    state = SiteState(
        site_id="s", poi_id="p", t_ns=9, power_w=1.0, reference_w=2.0, valid_share=1.0,
        quality="good", ramp_envelope=(Ramp(5, 3.0, 4.0),),
        bands=(Band(0.15, 1.0, True, 7.0), Band(15.0, 55.0, False)),
    )  # fmt: skip
    found = tables([(state, 11)])
    assert list(found) == ["states"]
    (row,) = found["states"]
    assert (row["ramp_up_5s_w"], row["ramp_down_5s_w"]) == (3.0, 4.0)
    assert (row["band_0p15_1_w"], row["band_15_55_w"]) == (7.0, None)
    assert row["produced_ns"] == 11
    assert {"poi_id", "bands", "ramp_envelope"} & set(row) == set()


def test_window_columns_become_one_batch():
    """Single values fill their column, NaN is null, the schema is the archive's."""
    columns = {
        "site_id": "s", "node_id": np.array(["a", "b"], object), "t0_ns": 5, "duration_ns": 10,
        "level": np.array(["rack", "rack"], object), "mean_w": np.array([1.0, np.nan]),
        "min_w": np.zeros(2), "max_w": np.zeros(2), "ramp_up_w_per_s": np.zeros(2),
        "ramp_down_w_per_s": np.zeros(2), "valid_share": np.array([1.0, 0.0]), "produced_ns": 15,
    }  # fmt: skip
    batch = window_batch(columns)
    assert isinstance(batch, pa.RecordBatch)
    assert batch.schema.names == [name for name in WINDOWS.names if name in columns]
    assert batch.column("mean_w").to_pylist() == [1.0, None]
    assert batch.column("site_id").to_pylist() == ["s", "s"]


def test_a_run_says_the_same_on_topics_and_in_the_archive(tmp_path):
    """Every event and state row has its message; nothing grid-facing names a rack."""
    site = sites.topology()
    lane = sites.open_lane(tmp_path, site)
    lane.feed(sites.as_messages(sites.site_slices(site, eventful())))
    batch = lane.take(final=True)
    assert batch is not None
    by_topic: dict[str, list[dict]] = {}
    for out in batch.outgoing:
        by_topic.setdefault(out.topic, []).append(json.loads(out.value))
    rows = [(row["event_id"], row["updated_ns"]) for row in batch.tables["events"]]
    for topic in ("site.event.v1", "grid.event.v1"):
        told = [m["data"] for m in by_topic[topic]]
        assert [(d["event_id"], d["updated_ns"]) for d in told] == rows
    assert len(by_topic["grid.state.v1"]) == len(batch.tables["states"])
    told = {
        (m["data"]["issued_ns"], i["start_ns"], i["duration_ns"], i["q50_w"])
        for m in by_topic["grid.forecast.v1"]
        for i in m["data"]["intervals"]
    }
    kept = batch.tables["forecasts"]
    assert {(r["issued_ns"], r["start_ns"], r["duration_ns"], r["q50_w"]) for r in kept} <= told
    assert len(kept) > 50
    names = [n.id for n in site.nodes if n.id != "poi"] + list(site.channel_gateway)
    grid = [m.value.decode() for m in batch.outgoing if m.topic.startswith("grid.")]
    assert not any(f'"{name}"' in text for text in grid for name in names)
