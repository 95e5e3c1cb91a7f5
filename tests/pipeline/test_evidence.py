"""Raw samples around events: the right ones, each once, however the stream was cut."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline import archive
from pipeline.align_state import Block
from pipeline.evidence import BLOCK_S, Evidence
from pipeline.evidence_state import EvidenceSettings
from pipeline.layout import SiteLayout
from schemas.events import Contributor, SiteEvent
from schemas.tables import TABLES
from schemas.topology import Topology
from schemas.units import NS_PER_S
from tests.pipeline import site as sites
from tests.pipeline.lanes import cut, eventful

T0_S = 1_767_225_600
SAMPLES = "SELECT t_ns, power_w FROM samples WHERE channel_id = '{channel}' ORDER BY t_ns"
LARGE = """
[site]
id = "large"
[[node]]
id = "poi"
level = "substation"
[[node]]
id = "p{n}"
level = "pdu"
parent = "poi"
count = 2
[[node]]
id = "a{n}"
level = "rack"
parent = "p1"
count = 40
[[node]]
id = "b{n}"
level = "rack"
parent = "p2"
count = 40
[[channel]]
id = "ca{n}"
node_id = "a{n}"
count = 40
[[channel]]
id = "cb{n}"
node_id = "b{n}"
count = 40
[[channel]]
id = "cp{n}"
node_id = "p{n}"
count = 2
[[channel]]
id = "cs"
node_id = "poi"
[[gateway]]
id = "gr"
level = "rack"
rate_hz = 10
[[gateway]]
id = "gp"
level = "pdu"
rate_hz = 10
[[gateway]]
id = "gs"
level = "substation"
rate_hz = 20
"""


def event(onset_s, node="p1", closed_s=None, **more):
    """An event of the large site, in whole seconds after `T0_S`."""
    fields = {
        "event_id": "e",
        "kind": "ramp",
        "site_id": "large",
        "node_id": node,
        "level": "pdu",
        "state": "open" if closed_s is None else "closed",
        "onset_ns": (T0_S + onset_s) * NS_PER_S,
        "opened_ns": (T0_S + onset_s) * NS_PER_S,
        "updated_ns": (T0_S + (closed_s or onset_s)) * NS_PER_S,
        "closed_ns": None if closed_s is None else (T0_S + closed_s) * NS_PER_S,
        "quality": "good",
    }
    return SiteEvent(**(fields | more))


def block(layout, second, whole=True):
    """One second in which every sample says when and where it was taken."""
    power_w = {
        grid.level: second + np.arange(grid.channels)[:, None] * 1000.0
        + np.arange(grid.rate)[None, :] / 100
        for grid in layout.grids
    }  # fmt: skip
    valid = {level: np.ones(x.shape, bool) for level, x in power_w.items()}
    t0_ns = (T0_S + second) * NS_PER_S
    return Block(t0_ns, layout.ticks_per_s, power_w, valid, {}, restart=False)


def run(told, length_s, settings=None, gone=()):
    """Seconds of the large site with events told at some of them; rows that came out."""
    layout = SiteLayout(Topology.parse(LARGE))
    evidence = Evidence(layout, settings or EvidenceSettings())
    rows = []
    for second in range(length_s):
        if second in gone:
            continue
        end_ns = (T0_S + second + 1) * NS_PER_S
        batch = evidence.step(block(layout, second), told.get(second, []), end_ns)
        rows += batch.to_pylist() if batch else []
    return rows, evidence


def seconds(rows, channel):
    """Seconds after `T0_S` that a channel's rows cover, in order."""
    mine = [r for r in rows if r["channel_id"] == channel]
    return [
        s
        for r in sorted(mine, key=lambda r: r["t0_ns"])
        for s in range(r["t0_ns"] // NS_PER_S - T0_S, r["end_ns"] // NS_PER_S - T0_S)
    ]


def test_an_event_keeps_what_came_before_and_after_it():
    """From 10 s before the onset to 10 s after the close: its node, above and below, no more."""
    rows, _ = run({45: [event(40)], 52: [event(40, closed_s=52)]}, 90)
    assert seconds(rows, "cp1") == seconds(rows, "cs") == seconds(rows, "ca7") == [*range(30, 62)]
    assert seconds(rows, "cp2") == seconds(rows, "cb1") == []
    assert max(r["n"] for r in rows if r["channel_id"] == "cs") == BLOCK_S * 20
    assert {r["t0_ns"] // NS_PER_S - T0_S for r in rows} == {30, 40, 50, 60}
    [row] = [r for r in rows if (r["channel_id"], r["t0_ns"]) == ("ca2", (T0_S + 40) * NS_PER_S)]
    got = row["offset_w"] + row["scale_w"] * np.array(row["codes"])
    assert np.allclose(got.reshape(10, 10)[3], 1000.0 + 43 + np.arange(10) / 100)
    assert (row["node_id"], row["level"], row["rate_hz"], row["n"]) == ("a2", "rack", "10", 100)


def test_two_events_that_overlap_keep_each_second_once():
    """The second event's pre-trigger reaches into blocks that are handed out already."""
    second = {"event_id": "f", "node_id": "p1"}
    told = {
        22: [event(21)], 30: [event(21, closed_s=24)],
        55: [event(50, **second)], 58: [event(50, closed_s=57, **second)],
    }  # fmt: skip
    rows, _ = run(told, 90)
    assert seconds(rows, "cp1") == [*range(11, 34), *range(40, 67)]
    keys = [(r["channel_id"], r["t0_ns"]) for r in rows]
    assert len(keys) == len(set(keys))


def test_a_long_event_keeps_its_beginning_and_its_end():
    """`most_s` from the onset, and what surrounds the close."""
    told = {20: [event(20)], 200: [event(20, closed_s=200)]}
    rows, _ = run(told, 230, EvidenceSettings(most_s=30))
    assert seconds(rows, "cs") == [*range(10, 50), *range(190, 210)]


def test_who_took_part_is_kept_up_to_the_limit():
    """Contributors come before what lies below; the limit is of channels in all."""
    parts = (Contributor("cb3", 1.0, 0.0),)
    rows, _ = run({30: [event(30, contributors=parts)]}, 50, EvidenceSettings(channels=4))
    assert {r["channel_id"] for r in rows} == {"cp1", "cs", "cb3", "ca1"}


def test_memory_is_bounded_and_what_does_not_fit_has_no_past():
    """The ring keeps what was allowed; a level that does not fit begins when the event opens."""
    settings = EvidenceSettings(ring_max_bytes=50_000)
    rows, evidence = run({65: [event(60)]}, 80, settings)
    held = sum(x.nbytes for kept in evidence.state.ring for x in kept.samples_w.values())
    assert 20_000 < held <= 50_000
    assert seconds(rows, "cs")[0] == 50
    assert 50 < seconds(rows, "ca1")[0] <= 65
    assert run({65: [event(60)]}, 80, EvidenceSettings(channels=0))[0] == []


def test_a_hole_in_time_breaks_a_block():
    """No row speaks of seconds that nobody has seen."""
    rows, _ = run({22: [event(20)], 41: [event(20, closed_s=41)]}, 60, gone=range(33, 36))
    assert seconds(rows, "cs") == [*range(10, 33), *range(36, 51)]


def test_what_was_not_measured_is_null_and_a_dead_channel_has_no_row():
    """Held samples are no measurement."""
    layout = SiteLayout(Topology.parse(LARGE))
    evidence = Evidence(layout, EvidenceSettings())
    for second in range(10):
        one = block(layout, second)
        one.valid["pdu"][0, 3:5] = False
        one.valid["rack"][0] = False
        batch = evidence.step(one, [event(5)] if second == 5 else [], one.t0_ns + NS_PER_S)
    rows = {r["channel_id"]: r for r in batch.to_pylist()}
    assert [c is None for c in rows["cp1"]["codes"][:10]] == [k in (3, 4) for k in range(10)]
    assert "ca1" not in rows
    assert "ca2" in rows


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """The usual 50 s of a small site, replayed into an archive, and its samples."""
    root = tmp_path_factory.mktemp("evidence")
    site, parts = sites.topology(), eventful()
    lane = sites.open_lane(root, site, writer="replay-t1", resume=False)
    lane.feed(sites.as_messages(sites.site_slices(site, parts, 1.0)))
    cut(lane, final=True)
    return root, parts


def test_the_archive_gives_back_every_sample_around_an_event(replayed):
    """On a small site of every channel, bit for bit, at its own rate, also in a plain query."""
    root, parts = replayed
    for channel, power_w, rate in (("cs", parts["gs"][0], 50), ("ca02", parts["ga"][1], 10)):
        _, rows = archive.query(root, SAMPLES.format(channel=channel))
        t_ns, got_w = (np.array(column) for column in zip(*rows, strict=True))
        slots = np.rint((t_ns - sites.T0_NS) * rate / NS_PER_S).astype(int)
        assert len(slots) == len(set(slots)) > 30 * rate
        assert np.array_equal(got_w.astype(np.float32), power_w[slots])


def test_an_event_finds_its_evidence(replayed):
    """The view joins each event with the blocks that overlap it and its margins, and no others."""
    root, _ = replayed
    sql = """
        SELECT e.event_id, count(*), min(v.t0_ns) <= max(e.onset_ns),
               bool_and(v.end_ns > e.onset_ns - 10000000000)
        FROM events e JOIN evidence v USING (event_id) GROUP BY ALL
    """
    _, found = archive.query(root, sql)
    _, events = archive.query(root, "SELECT event_id FROM events WHERE merged_into IS NULL")
    assert sorted(row[0] for row in found) == sorted(row[0] for row in events)
    assert all(row[1] > 0 and row[2] and row[3] for row in found)


def test_a_row_explains_itself(replayed):
    """Site file, nodes, channels and the rules in force stand beside the rows."""
    root, _ = replayed
    _, rows = archive.query(
        root, "SELECT site_file, digest, len(nodes), len(channels) FROM topologies"
    )
    layout = SiteLayout(sites.topology())
    assert rows == [(layout.topology.dumps(), layout.digest, 11, 11)]
    _, rows = archive.query(root, "SELECT settings, pre_s, post_s FROM rules")
    assert rows[0][1:] == (10.0, 10.0)
    assert '"false_alarms_per_day":1.0' in rows[0][0]


def test_a_kill_changes_no_row_of_evidence(replayed, tmp_path):
    """Ring, spans and what was explained are in the snapshot: live, killed and replayed agree."""
    root, parts = replayed
    site = sites.topology()
    messages = sites.as_messages(sites.site_slices(site, parts))
    lane = sites.open_lane(tmp_path, site)
    for start in range(0, len(messages) // 2, 10):
        lane.feed(messages[start : start + 10])
        cut(lane, snapshot=start > len(messages) // 3)
    lane = sites.open_lane(tmp_path, site)  # whoever had it was killed
    assert lane.start_offsets["telemetry.rack.v1"] > 0
    rest = [m for m in messages if m.offset >= lane.start_offsets[m.topic]]
    for start in range(0, len(rest), 7):
        lane.feed(rest[start : start + 7])
        cut(lane)
    cut(lane, final=True)
    for table in ("waveforms", "topologies", "rules"):
        columns = ", ".join(f.name for f in TABLES[table])
        sql = f"SELECT {columns} FROM {table} ORDER BY ALL"  # noqa: S608
        assert archive.query(tmp_path, sql) == archive.query(root, sql)
