"""Why power moved: how often a cause said with some confidence is right, on drawn campuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pipeline.align_state import Block, Said
from pipeline.layout import SiteLayout
from replay.campus import Campus
from replay.campus_file import topology, truth
from replay.inference import load_library
from replay.plan import Fault, Job, Plan, Ramp, Site
from replay.suite import intervals
from replay.suite.case import EVENTFUL, Case, Setup
from replay.suite.drive import standing, through
from replay.suite.faults import NOMINAL_V, seconds
from replay.suite.rows import Goal, Row
from replay.truth import Truth
from schemas.events import SiteEvent, WorkloadHint, family
from schemas.units import NS_PER_S

__all__ = ["Reasons"]

_END_S, _BEGIN_S = 1800, 240.0
_PDUS, _RACKS = 8, 10
_NEAR_NS = 5 * NS_PER_S
_PDU_W = _RACKS * 80e3
"""A PDU of inference racks."""


class Reasons(Case, frozen=True, tag="reasons"):
    """
    Half an hour of two jobs, demand, PDUs that trip and voltage dips; every other job announced.

    ``off``: how far the share of right causes may be from the confidence they were said with.
    """

    trials: int = 60
    off: float = 0.1
    fewest: int = 20
    """Confidences said less often are told, not judged."""

    def pieces(self) -> int:
        """One campus each."""
        return self.trials

    def weight(self) -> float:
        """Samples of a piece, as those of a quiet site."""
        return EVENTFUL * _END_S * (_PDUS * _RACKS * 10.0 + 30)

    def work(self, setup: Setup, rng: np.random.Generator) -> Any:
        """One campus: each cause said, with its confidence, and the true one."""
        site = _site(rng)
        plan = Plan(site=(site,), duration_s=_END_S, t0="1970-01-01T00:00:00Z", truth_share=0.004)
        campus = Campus(
            plan, site, "campus", library=load_library(), seed=[int(rng.integers(1 << 31))]
        )
        layout, truths = SiteLayout(topology(campus)), truth(campus)
        engine = setup.maker(layout, setup.detect, truths)
        hints = _hints(campus, rng)
        told = through(engine, (_hearing(block, hints) for block in seconds(campus, layout)))
        return [
            (event.cause, event.cause_confidence, _true(event, truths))
            for event in standing(told)
            if family(event.kind) == "ramp"
        ]

    def rows(self, done: list[Any]) -> list[Row]:
        """Two rows a confidence, one for each side; how many causes are left unknown."""
        said = [tuple(one) for piece in done for one in piece]
        known = [(p, cause == true) for cause, p, true in said if p is not None]
        rows = []
        for confidence in sorted({p for p, _ in known}, reverse=True):
            right = [hit for p, hit in known if p == confidence]
            rows += self._sides(confidence, sum(right), len(right))
        named = [cause != "unknown" for cause, _p, true in said if true is not None]
        low, high = intervals.share(sum(named), len(named))
        rows.append(
            Row(
                case=self.name, what="causes said where there was one",
                figure=sum(named) / max(len(named), 1), trials=len(named), low=low, high=high,
            )
        )  # fmt: skip
        return rows

    def _sides(self, confidence: float, right: int, count: int) -> list[Row]:
        low, high = intervals.share(right, count)
        goals = (
            ("not too sure", Goal(confidence - self.off, "at least")),
            ("not too timid", Goal(confidence + self.off)),
        )
        return [
            Row(
                case=self.name, what=f"right where said with {confidence:g}, {side}",
                figure=right / count, trials=count, low=low, high=high,
                goal=goal if count >= self.fewest else None,
            )
            for side, goal in goals
        ]  # fmt: skip


def _hearing(block: Block, hints: list[WorkloadHint]) -> Block:
    """The second, with what was said in it."""
    end_ns = block.t0_ns + NS_PER_S
    now = tuple(Said(h.t_ns, hint=h) for h in hints if block.t0_ns <= h.t_ns < end_ns)
    return block._replace(said=now)


def _site(rng: np.random.Generator) -> Site:
    jobs = (_job(rng), _job(rng))
    demand = [
        Ramp(onset_s=at, depth=d, racks=0.4, duration_s=0.8, recovers_s=at + float(length))
        for at, d, length in (
            (600 + float(rng.uniform(0, 60)), 0.04, rng.uniform(10, 90)),
            (1300 + float(rng.uniform(0, 60)), -0.05, rng.uniform(10, 90)),
        )
    ]
    site_w = 60 * 80e3 + 20 * 92e3
    trip_s, part_s = float(rng.uniform(800, 900)), float(rng.uniform(1500, 1560))
    demand.append(
        Ramp(
            onset_s=trip_s, depth=-0.6 * _PDU_W / site_w, duration_s=0.1, racks=1.0, pdu=_PDUS,
            recovers_s=trip_s + float(rng.uniform(40, 200)), cause="fault",
        )
    )  # fmt: skip
    part_w, racks = 0.25 * _PDU_W, float(rng.choice([0.5, 1.0]))
    demand.append(
        Ramp(
            onset_s=part_s, depth=-part_w / site_w, duration_s=0.5, racks=racks, pdu=_PDUS - 1,
            recovers_s=part_s + 50,
        )
    )  # fmt: skip
    dip_s = float(rng.uniform(1150, 1200))
    dips = (Fault(onset_s=dip_s, depth=0.08, racks=0.3, reconnects_s=30.0),)
    return Site(
        pdus=_PDUS, racks_per_pdu=_RACKS, nominal_v=NOMINAL_V, job=jobs, ramp=tuple(demand),
        fault=dips,
    )  # fmt: skip


def _job(rng: np.random.Generator) -> Job:
    """A job with or without checkpoints, a start, an end, a fault that is mended or not."""
    log = lambda low, high: math.exp(rng.uniform(math.log(low), math.log(high)))  # noqa: E731
    starts, stops, faults, mended = rng.random(4) < (0.6, 0.5, 0.4, 0.7)
    return Job(
        racks=10,
        start_s=float(rng.uniform(_BEGIN_S, 500)) if starts else 0.0,
        stop_s=float(rng.uniform(1400, 1700)) if stops else None,
        period_s=log(1.0, 4.0),
        checkpoint_every_s=log(120, 400) if rng.random() < 0.7 else None,
        checkpoint_s=log(6, 40),
        fault_at_s=float(rng.uniform(950, 1100)) if faults else None,
        fault_s=log(25, 250) if mended else None,
    )


def _hints(campus: Campus, rng: np.random.Generator) -> list[WorkloadHint]:
    """What a scheduler says of every other job: some seconds off, now and then what never comes."""
    said = []
    for number, training in enumerate(campus.jobs):
        if rng.random() < 0.5:
            continue
        named = f"job-{number + 1}" if rng.random() < 0.5 else None
        for change in training.changes():
            hint = {"job_start": "job_start", "job_end": "job_stop", "checkpoint": "checkpoint"}
            kind = hint.get(change.cause)
            if kind is None or (kind == "checkpoint" and change.after == 1.0):
                continue
            at_s = change.onset_s + float(rng.normal(0, 3))
            end_s = at_s + training.job.checkpoint_s if kind == "checkpoint" else None
            said.append(_hint(kind, at_s, end_s, named))
        for _ in range(2):
            kind = str(rng.choice(["job_start", "job_stop"]))
            said.append(_hint(kind, float(rng.uniform(300, 1700)), None, named))
    return sorted(said, key=lambda hint: hint.t_ns)


def _hint(kind: Any, at_s: float, end_s: float | None, cohort: str | None) -> WorkloadHint:
    at_ns = round(at_s * NS_PER_S)
    return WorkloadHint(
        site_id="campus", t_ns=max(at_ns - 30 * NS_PER_S, 0), hint=kind, cohort_id=cohort,
        start_ns=at_ns, end_ns=None if end_s is None else round(end_s * NS_PER_S),
    )  # fmt: skip


def _true(event: SiteEvent, truths: list[Truth]) -> str | None:
    """The cause of the nearest true motion in the event's direction; None: it has none."""
    near = [
        one
        for one in truths
        if one.depth_w
        and (one.depth_w > 0) == ((event.depth_w or 0.0) > 0)
        and abs(one.onset_ns - event.onset_ns) <= _NEAR_NS
    ]
    near.sort(key=lambda one: abs(one.onset_ns - event.onset_ns))
    return near[0].cause if near else None
