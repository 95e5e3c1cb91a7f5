"""Why power moved: said on a ground, with how often that is right, and not said without one."""

from __future__ import annotations

import functools

import msgspec
import pytest

from pipeline.align_state import Block, Said
from pipeline.cause_state import CONFIDENCE
from pipeline.publish import grid_event
from replay.plan import Job, Ramp, Site
from replay.suite.drive import standing
from replay.suite.reasons import Reasons
from schemas.events import SiteEvent, WorkloadHint
from schemas.units import NS_PER_S
from tests.pipeline.campuses import Simulated, run
from tests.pipeline.test_load_loss import joined, ticks

JOB = Job(
    racks=12, start_s=130.0, stop_s=330.0, period_s=1.3,
    checkpoint_every_s=60.0, checkpoint_s=7.0,
)  # fmt: skip
PDU_W = 10 * 80e3
SITE = Site(
    pdus=4, racks_per_pdu=10, substation_hz=200, nominal_v=230e3, job=(JOB,),
    ramp=(
        Ramp(onset_s=80.0, depth=-0.05, racks=0.5, recovers_s=95.0),
        Ramp(onset_s=360.0, depth=-0.15, racks=1.0, pdu=4, duration_s=0.1, recovers_s=420.0),
    ),
)  # fmt: skip


@functools.cache
def campus() -> tuple[Simulated, tuple[Block, ...]]:
    """Demand at 80 s, a job from 130 to 330 s with three checkpoints, a PDU off at 360 s."""
    one = Simulated(SITE, 450)
    return one, tuple(one.seconds())


def ramps(hints: tuple[WorkloadHint, ...] = ()) -> list[SiteEvent]:
    """The ramps of the campus, by onset, with what the scheduler says at their ``t_ns``."""
    one, blocks = campus()
    return sorted(
        (e for e in standing(run(one.layout, told(blocks, hints))) if e.kind != "oscillation"),
        key=lambda e: e.onset_ns,
    )


def told(blocks: tuple[Block, ...], hints: tuple[WorkloadHint, ...]) -> tuple[Block, ...]:
    """The blocks, each with what is said when it begins."""
    return tuple(
        b._replace(
            said=tuple(Said(h.t_ns, hint=h) for h in hints if 0 <= h.t_ns - b.t0_ns < length)
        )
        for b in blocks
        for length in [b.ticks * NS_PER_S // 10]
    )


def near(events: list[SiteEvent], at_s: float) -> SiteEvent:
    """The event that began within 4 s of an instant."""
    (event,) = [e for e in events if abs(e.onset_ns / NS_PER_S - at_s) <= 4]
    return event


def hint(kind: str, at_s: float, **more: object) -> WorkloadHint:
    """Said a minute ahead, at a whole second."""
    at_ns = round(at_s * NS_PER_S)
    fields = {"site_id": "campus", "t_ns": at_ns - 60 * NS_PER_S, "hint": kind, "start_ns": at_ns}
    return msgspec.convert({**fields, **more}, WorkloadHint)


def test_shapes_alone() -> None:
    """Demand has no cause; a job's start, its pauses, its end and a PDU that trips have theirs."""
    events = ramps()
    for at_s in (80, 95):
        assert (near(events, at_s).cause, near(events, at_s).cause_confidence) == ("unknown", None)
    said = {at_s: near(events, at_s).cause for at_s in (130, 190, 197, 250, 257, 310, 317)}
    assert said == {130: "job_start", **dict.fromkeys((190, 197, 250, 257, 310, 317), "checkpoint")}
    assert (near(events, 360).cause, near(events, 420).cause) == ("fault", "restart")
    grounds = {round(e.cause_confidence or 0, 3) for e in events if e.cause != "unknown"}
    assert grounds <= set(CONFIDENCE.values())


def test_a_fall_is_corrected_when_its_rise_comes() -> None:
    """The first pause is told as unknown, then as a checkpoint, in the same event."""
    one, blocks = campus()
    told_of = run(one.layout, blocks)
    fall = near(standing(told_of), 190)
    causes = [e.cause for e in told_of if e.event_id == fall.event_id]
    assert causes[0] == "unknown"
    assert causes[-1] == "checkpoint"
    keys = [(e.event_id, e.updated_ns) for e in told_of]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("more", "ground"),
    [
        ({}, "hint"),
        ({"cohort_id": "job-1"}, "hint of its racks"),
        ({"cohort_id": "job-2"}, None),
        ({"power_change_w": 9e5}, None),
    ],
)
def test_hints(more: dict[str, object], ground: str | None) -> None:
    """In time, direction and racks a hint says why; of other racks, or the other way, not."""
    event = near(ramps((hint("job_stop", 335.0, **more),)), 330)
    if ground is None:
        assert event.cause_confidence not in (CONFIDENCE["hint"], CONFIDENCE["hint of its racks"])
    else:
        assert (event.cause, event.cause_confidence) == ("job_end", CONFIDENCE[ground])


def test_a_timer_says_every_pause() -> None:
    """A checkpoint with a period fits each of its rounds, down and up."""
    timer = hint("checkpoint", 190.0, end_ns=197 * NS_PER_S, period_s=60.0, cohort_id="job-1")
    events = ramps((timer,))
    for at_s in (190, 197, 250, 257, 310, 317):
        event = near(events, at_s)
        assert (event.cause, event.cause_confidence) == (
            "checkpoint",
            CONFIDENCE["hint of its racks"],
        )


@pytest.mark.parametrize("cut", ["odd", "minute"])
def test_the_cut_changes_nothing(cut: str) -> None:
    """In odd pieces or by the half minute, what is said too late stays too late."""
    one, blocks = campus()
    timer = hint("checkpoint", 190.0, end_ns=197 * NS_PER_S, cohort_id="job-1")
    late = hint("job_stop", 330.0, t_ns=345 * NS_PER_S)
    whole = run(one.layout, told(blocks, (timer, late)))
    assert near(standing(whole), 330).cause != "job_end"
    pieces = ticks(blocks, [3, 1, 4]) if cut == "odd" else joined(blocks, 30)
    assert run(one.layout, told(tuple(pieces), (timer, late))) == whole


def test_the_grid_is_told_the_cause_and_no_job() -> None:
    """The cause leaves the house, the cohort does not."""
    event = near(ramps((hint("job_stop", 335.0, cohort_id="job-1"),)), 330)
    sent = grid_event(event, "poi")
    assert sent.cause == "job_end"
    assert b"job-1" not in msgspec.json.encode(sent)


def test_confidence_is_held_to_both_sides() -> None:
    """Right more often or less often than said: a row of the suite's case goes red."""
    case = Reasons(name="causes")

    def reds(right: int) -> list[str]:
        hits = [("fault", 0.8, "fault")] * right + [("fault", 0.8, "job_end")] * (100 - right)
        return [row.what for row in case.rows([hits]) if not row.widened().ok]

    assert reds(80) == []
    assert reds(50) == ["right where said with 0.8, not too sure"]
    assert reds(99) == ["right where said with 0.8, not too timid"]
