"""What scheduler and grid say acts from the next unclosed frame, and the commit says which."""

from __future__ import annotations

import json

import msgspec
import pytest

from pipeline.commits import newest_commit
from pipeline.detect import DetectSettings
from pipeline.device import choose
from pipeline.lane import LaneConfig, Message
from pipeline.layout import SiteLayout
from pipeline.site_work import SiteWork
from replay.plan import Job, Plan, Site
from replay.runner import Runner
from replay.simulate import simulate
from replay.source import open_trace
from schemas.events import GridSignal, WorkloadHint
from schemas.units import NS_PER_S
from tests.pipeline import site as sites
from tests.pipeline.lanes import contents, cut, drive, eventful, span_end_ns
from tests.pipeline.scenes import table
from tests.pipeline.site import T0_NS, open_lane

HINTS, SIGNALS = "workload.hint.v1", "grid.signal.v1"
START_NS = T0_NS + 45 * NS_PER_S


def said(offset=0, topic=HINTS, site_id=None, **more):
    """A hint or a signal as Kafka hands it over."""
    site_id = site_id or sites.topology().site.id
    if topic == SIGNALS:
        record = GridSignal(
            site_id=site_id, t_ns=T0_NS, signal="set_point", value=1.0, unit="W", **more
        )
    else:
        record = WorkloadHint(
            site_id=site_id,
            t_ns=T0_NS,
            hint="job_stop",
            start_ns=START_NS,
            power_change_w=-4e4,
            **more,
        )
    return Message(topic, 0, offset, msgspec.json.encode(record), "application/json")


@pytest.fixture(scope="module")
def stream():
    """The usual site's 50 s as messages."""
    return sites.as_messages(sites.site_slices(sites.topology(), eventful()))


def with_hint(stream, at):
    """The stream with a hint after ``at`` messages."""
    return [*stream[:at], said(), *stream[at:]]


def test_a_hint_reaches_the_forecast_and_the_commit(stream, tmp_path):
    """From the frame it acts from the forecasts are others; until then the same, bit for bit."""
    site = sites.topology()
    drive(open_lane(tmp_path / "plain", site), stream)
    drive(open_lane(tmp_path / "told", site), with_hint(stream, len(stream) // 2))
    record = newest_commit(tmp_path / "told", "live-p0of1")
    [told] = record.told
    assert (told.topic, told.offset, told.hint.hint) == (HINTS, 0, "job_stop")
    assert T0_NS + 10 * NS_PER_S < told.from_ns < T0_NS + 40 * NS_PER_S
    plain, other = (table(tmp_path / name, "forecasts") for name in ("plain", "told"))
    early = [[r for r in rows if r["issued_ns"] <= told.from_ns] for rows in (plain, other)]
    assert early[0] == early[1] != []
    late = [
        {(r["issued_ns"], r["start_ns"]): r["q50_w"] for r in rows if r["issued_ns"] > told.from_ns}
        for rows in (plain, other)
    ]
    behind = [key for key in late[0] if key[1] > START_NS + 5 * NS_PER_S]
    assert behind
    assert all(late[1][key] < late[0][key] for key in behind)


@pytest.mark.parametrize("later", [0, 1000])
def test_after_a_kill_it_acts_from_where_it_acted(stream, tmp_path, later):
    """
    Read again elsewhere in the stream, a hint still acts from the frame the commit recorded.

    The snapshot is older than the hint; the next owner gets the hint before or after all else.
    """
    site, half = sites.topology(), len(stream) // 2
    for name in ("once", "killed"):
        lane = open_lane(tmp_path / name, site)
        lane.feed(stream[: half - 40])
        cut(lane, snapshot=True)
        lane.feed([*stream[half - 40 : half], said(), *stream[half : half + 60]])
        assert cut(lane) is not None
        rest = stream[half + 60 :]
        if name == "killed":
            lane = open_lane(tmp_path / name, site)
            assert lane.start_offsets.get(HINTS, 0) == 0
            rest = [m for m in stream if m.offset >= lane.start_offsets.get(m.topic, 0)]
            rest.insert(later, said())
        drive(lane, rest)
    assert contents(tmp_path / "killed") == contents(tmp_path / "once")


@pytest.mark.parametrize("later", [0, 10_000])
def test_a_site_that_began_after_the_snapshot_obeys_as_well(tmp_path, later):
    """
    The snapshot knows one site of two; the other's hint acts from the frame on record all the same.

    Its first message came later, so that all it ever sent is read again.
    """
    first, second = sites.topology("t1"), sites.topology("t2")
    pieces, others = (sites.site_slices(site, eventful()) for site in (first, second))
    stream, begun = sites.as_messages([*pieces, *others]), len(pieces) // 2
    half = len(stream) * 3 // 4
    hint = said(site_id="t2")
    for name in ("once", "killed"):
        lane = open_lane(tmp_path / name, first, second)
        lane.feed(stream[:begun])
        cut(lane, snapshot=True)
        lane.feed([*stream[begun:half], hint, *stream[half : half + 60]])
        assert cut(lane) is not None
        rest = stream[half + 60 :]
        if name == "killed":
            lane = open_lane(tmp_path / name, first, second)
            lane.feed(stream[begun : 2 * begun])
            cut(lane, final=True)  # killed again, before the other site was seen
            lane = open_lane(tmp_path / name, first, second)
            rest = [m for m in stream if m.offset >= lane.start_offsets.get(m.topic, 0)]
            rest.insert(later, hint)
        drive(lane, rest)
    assert contents(tmp_path / "killed") == contents(tmp_path / "once")


def test_a_cold_start_remembers_what_was_said(stream, tmp_path):
    """The topology has changed: the site begins anew, but a hint that was acknowledged counts."""
    site, found = sites.topology(), {}
    changed = type(site).parse(site.dumps().replace("50000.0", "60000.0"))
    early = [m for m in stream if span_end_ns(m) <= T0_NS + 20 * NS_PER_S]
    for name, messages in (("told", [*early, said()]), ("untold", early)):
        lane = open_lane(tmp_path / name, site)
        lane.feed(messages)
        cut(lane, final=True)
        lane = open_lane(tmp_path / name, changed)
        assert name == "untold" or lane.start_offsets[HINTS] == 1
        drive(lane, [m for m in stream if m.offset >= lane.start_offsets.get(m.topic, 0)])
        rows = table(tmp_path / name, "forecasts")
        late = [r for r in rows if T0_NS + 20 * NS_PER_S < r["issued_ns"] < START_NS]
        late = [r for r in late if r["start_ns"] > START_NS + 5 * NS_PER_S]
        found[name] = {(r["issued_ns"], r["start_ns"]): r["q50_w"] for r in late}
    assert [one.offset for one in newest_commit(tmp_path / "told", "live-p0of1").told] == [0]
    both = [(w, found["told"][key]) for key, w in found["untold"].items()]
    assert both
    assert all(told_w < w for w, told_w in both)


def test_another_clusters_hints_count_and_hide_none_of_this(stream, tmp_path):
    """Offsets begin anew: what was said there acts on, what is said here is not taken for it."""
    lane = open_lane(tmp_path, sites.topology(), origin={"cluster": "a"})
    lane.feed([*stream[:200], said()])
    cut(lane, final=True)
    lane = open_lane(tmp_path, sites.topology(), origin={"cluster": "b"})
    lane.feed([*stream[200:400], said()])
    batch = lane.take(final=True)
    assert [one.offset for one in batch.told] == [-1, 0]


def test_what_is_ahead_or_in_force_stays_on_record(tmp_path):
    """After two hours: a job that starts in a third, a timer, the newest set point; no more."""
    hour_ns, layout = 3600 * NS_PER_S, SiteLayout(sites.topology())
    config = LaneConfig(tmp_path, "live-p0of1", {}, DetectSettings(), choose("cpu"))
    work = SiteWork(layout, config, None)
    work.aligner.state.closed_ns = T0_NS
    usual = {"site_id": "t1", "t_ns": T0_NS}
    hints = [
        WorkloadHint(hint="job_start", start_ns=T0_NS + 3 * hour_ns, **usual),
        WorkloadHint(hint="job_stop", start_ns=T0_NS + hour_ns // 2, **usual),
        WorkloadHint(hint="checkpoint", period_s=1800.0, **usual),
    ]
    signals = [
        GridSignal(signal="set_point", value=w, unit="W", until_ns=until_ns, **usual)
        for w, until_ns in ((1.0, None), (2.0, None))
    ]
    signals.append(GridSignal(signal="price", value=1.0, unit="per_MWh", until_ns=T0_NS, **usual))
    for offset, record in enumerate([*hints, *signals]):
        work.hear(record, ("of a test", offset), 0)
    work.aligner.state.closed_ns = T0_NS + 2 * hour_ns
    work.hear(hints[0], ("of a test", 9), 0)
    assert [one.offset for one in work.aligner.state.told] == [0, 2, 4, 9]


def test_without_the_record_it_would_act_elsewhere(stream, tmp_path):
    """The test above can fail: a hint heard 40 messages later makes other forecasts."""
    site, half = sites.topology(), len(stream) // 2
    for name, at in (("one", half), ("two", half + 160)):
        drive(open_lane(tmp_path / name, site), with_hint(stream, at))
    assert contents(tmp_path / "one") != contents(tmp_path / "two")


def test_a_signal_is_heard_once_and_bad_ones_are_dead_letters(stream, tmp_path):
    """Another site, bytes that are no hint: one dead letter each; the stream goes on."""
    lane = open_lane(tmp_path, sites.topology())
    odd = [
        said(0, site_id="nowhere"),
        Message(HINTS, 0, 1, b"{not json", "application/json"),
        said(0, SIGNALS),
        said(0, SIGNALS),
    ]
    lane.feed([*stream[:200], *odd, *stream[200:]])
    batch = lane.take(final=True)
    letters = [json.loads(m.value) for m in batch.outgoing if "deadletter" in m.topic]
    assert [letter["reason"] for letter in letters] == ["site", "unreadable"]
    assert [letter["topic"] for letter in letters] == [HINTS, HINTS]
    assert lane.counters.values["said"] == 1
    assert lane.counters.values["skipped_offsets"] == 1
    assert [told.signal.signal for told in batch.told] == ["set_point"]
    assert len(batch.tables["states"]) == 50
    newest = [m for m in batch.outgoing if m.topic == "grid.forecast.v1"][-1]
    assert json.loads(newest.value)["data"]["set_point_w"] == 1.0


def test_hints_beside_a_trace_act_in_replay(tmp_path):
    """``hints.jsonl`` makes other forecasts from its time on, whatever the pieces."""
    job = Job(racks=24, stop_s=85.0)
    plan = Plan(site=(Site(id="s", pdus=2, racks_per_pdu=24, job=(job,)),), duration_s=120)
    simulate(tmp_path / "t", plan, 1)
    detect = DetectSettings(forecast_consent=True)

    def rows(name):
        trace = open_trace(tmp_path / "t")
        Runner(trace, tmp_path / name, choose("cpu"), detect).run()
        return table(tmp_path / name, "forecasts")

    before = rows("without")
    hint = WorkloadHint(
        site_id="s",
        t_ns=plan.t0_ns + 60 * NS_PER_S,
        hint="job_stop",
        start_ns=plan.t0_ns + 85 * NS_PER_S,
        power_change_w=-1.2e6,
    )
    (tmp_path / "t" / "hints.jsonl").write_bytes(msgspec.json.encode(hint) + b"\n")
    after = rows("with")
    changed = [a for a, b in zip(before, after, strict=True) if a != b]
    assert changed
    assert min(row["issued_ns"] for row in changed) > hint.t_ns
