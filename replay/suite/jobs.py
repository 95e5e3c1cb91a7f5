"""A training job for an hour: one oscillation a stretch of training, one ramp an edge."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from replay.plan import Job
from replay.suite import intervals
from replay.suite.backgrounds import Serving
from replay.suite.case import Case, Setup
from replay.suite.drive import drive
from replay.suite.recompute import shift_ratios, shift_rows
from replay.suite.rows import Goal, Row, counts_of, share_row
from replay.suite.scene import T0_NS, Scene, nodes_named
from replay.suite.sites import grouping
from replay.truth import Truth
from replay.workload import Training
from schemas.events import SiteEvent, family
from schemas.units import NS_PER_S

__all__ = ["Jobs"]

_HOUR_S = 3600
_LAST_S = 60
_PAUSE_W = 14e3
"""A rack while a checkpoint is written: flat, no iterations."""
_EDGE_S = 2.0
_FREQ_SHARE = 0.05


class Running(NamedTuple):
    """A job as an injection: what it draws above idle."""

    racks: Any
    training: Training

    def added_w(self, t_s: Any) -> Any:
        """Power added to each of ``racks``; (rack, time) W, or 0 before the job."""
        if t_s[-1] <= self.training.job.start_s:
            return 0.0
        return self.training.power_w(t_s) - self.training.job.idle_w


class Jobs(Case, frozen=True, tag="jobs"):
    """
    Square-ish iterations of 2 to 10 s with ``jitter``, a checkpoint every few minutes.

    A stretch of training counts as found by exactly one oscillation event with its frequency;
    an edge by exactly one event of the ramp family, its onset within 2 s or one iteration.
    """

    racks: int = 200
    job_racks: int = 80
    poi_hz: int = 30
    hours: int = 8
    warm_s: int = 900
    period_s: tuple[float, float] = (2.0, 10.0)
    jitter: float = 0.05
    checkpoint_every_s: tuple[float, float] = (180.0, 300.0)
    checkpoint_s: tuple[float, float] = (20.0, 40.0)
    least: float | None = 0.95
    most_others: float | None = 1.0

    def pieces(self) -> int:
        """One an hour, each with a period of its own."""
        return self.hours

    def _seconds(self) -> int:
        return -(-(self.warm_s + _HOUR_S) // 60) * 60

    def weight(self) -> float:
        """Samples of a piece."""
        return self._seconds() * (self.racks * 10.0 + self.poi_hz)

    def work(self, setup: Setup, rng: np.random.Generator) -> Any:
        """One job for one hour."""
        period_s = math.exp(rng.uniform(*np.log(self.period_s)))
        job = Job(
            racks=self.job_racks,
            start_s=float(self.warm_s),
            period_s=period_s,
            jitter=self.jitter,
            edge_s=min(0.3, period_s / 10),
            compute_w=40e3,
            communicate_w=24e3,
            idle_w=_PAUSE_W,
            checkpoint_w=_PAUSE_W,
            checkpoint_every_s=float(rng.uniform(*self.checkpoint_every_s)),
            checkpoint_s=float(rng.uniform(*self.checkpoint_s)),
        )
        training = Training(job, float(self._seconds()), rng)
        scene = Scene(Serving(self.racks, rng), self.racks, self.poi_hz, rng)
        scene.injections.append(Running(np.arange(self.job_racks), training))
        edges, stretches = self._truth(training)
        truth = [self._told(scene.site_id, t, t, "synchronized_ramp") for t in edges]
        truth += [self._told(scene.site_id, *s, "oscillation", 1 / period_s) for s in stretches]
        run = drive(scene, self._seconds(), setup.maker(scene.layout, setup.detect, truth))
        late_ns = T0_NS + round(self._late_s(training) * NS_PER_S)
        events = [event for event in run.events if event.opened_ns < late_ns]
        marks = _marks(events, edges, stretches, period_s)
        return {**marks, "shifts": shift_ratios(run, nodes_named(self.racks))}

    def _late_s(self, training: Training) -> float:
        """The first edge of the last minute: it and what follows count neither way."""
        edges_s = (change.onset_s for change in training.changes())
        end_s = float(self._seconds())
        return min((t for t in edges_s if t >= end_s - _LAST_S), default=end_s)

    def _truth(self, training: Training) -> tuple[list[float], list[tuple[float, float]]]:
        """Instants of the edges; stretches of training between them that ended in time."""
        changes = [c for c in training.changes() if c.onset_s < self._seconds() - _LAST_S]
        edges = [round(change.onset_s, 6) for change in changes]
        ends = [*edges[1:], float(self._seconds())]
        return edges, [
            (edge, end) for edge, c, end in zip(edges, changes, ends, strict=True) if c.after == 1.0
        ]

    def _told(
        self, site_id: str, from_s: float, until_s: float, kind: Any, freq_hz: float | None = None
    ) -> Truth:
        at_ns = [T0_NS + round(t * NS_PER_S) for t in (from_s, until_s)]
        names = grouping(self.racks).names[: self.job_racks]
        return Truth(
            kind=kind, site_id=site_id, node_id="poi", onset_ns=at_ns[0], end_ns=at_ns[1],
            freq_hz=freq_hz, channels=names,
        )  # fmt: skip

    def rows(self, done: list[Any]) -> list[Row]:
        """Stretches and edges with one event each; how many other events an hour."""
        rows = []
        for key, what in (
            ("stretches", "stretches of training with one oscillation event"),
            ("edges", "checkpoint edges with one ramp event"),
        ):
            events = [n for one in done for n in one[key]]
            flags = [n == 1 for n in events]
            late_s = [x for one in done for x in one[f"{key} late"]]
            note = f"without any {events.count(0)}, with several {sum(n > 1 for n in events)}"
            rows.append(
                share_row(
                    self.name,
                    what,
                    (sum(flags), len(flags)),
                    self.least,
                    note=note,
                    counts=counts_of(flags, late_s, 0, len(done) / 24),
                )
            )
        again = shift_rows(self.name, [x for one in done for x in one["shifts"]])
        return [*rows, self._others(done), *again]

    def _others(self, done: list[Any]) -> Row:
        """Events that are for no edge and no stretch, an hour."""
        counts = [len(one["others"]) for one in done]
        low, high = intervals.rate(sum(counts), len(done))
        worst = max(done, key=lambda one: len(one["others"]))
        return Row(
            case=self.name,
            what="other events per hour of training",
            figure=sum(counts) / len(done),
            trials=len(done),
            low=low,
            high=high,
            goal=None if self.most_others is None else Goal(self.most_others),
            note=f"most {max(counts)}, at a period of {worst['period_s']:.1f} s",
            counts=counts_of([], [], sum(counts), len(done) / 24),
        )


def _marks(
    events: list[SiteEvent],
    edges: list[float],
    stretches: list[tuple[float, float]],
    period_s: float,
) -> dict[str, Any]:
    """How many events each edge and each stretch has; the rest."""
    reach_s = max(_EDGE_S, period_s)
    ramps, lines = [0] * len(edges), [0] * len(stretches)
    late: dict[str, list[float]] = {"edges": [], "stretches": []}
    others = []
    for event in events:
        onset_s, opened_s = (
            round((t - T0_NS) / NS_PER_S, 6) for t in (event.onset_ns, event.opened_ns)
        )
        if family(event.kind) == "ramp":
            k = int(np.argmin(np.abs(np.array(edges) - onset_s)))
            fits, counted, begin_s = abs(edges[k] - onset_s) <= reach_s, ramps, edges[k]
        else:
            k = int(np.searchsorted([s[0] for s in stretches], opened_s, side="right"))
            k = max(k - 1, 0)
            begin_s, end_s = stretches[k]
            near = abs((event.freq_hz or 0.0) * period_s - 1) <= _FREQ_SHARE
            fits, counted = near and begin_s <= opened_s <= end_s, lines
        if fits:
            counted[k] += 1
            late["edges" if counted is ramps else "stretches"].append(opened_s - begin_s)
        else:
            others.append((event.kind, round(opened_s, 1), event.freq_hz))
    return {
        "edges": ramps, "stretches": lines, "others": others, "period_s": period_s,
        "edges late": late["edges"], "stretches late": late["stretches"],
    }  # fmt: skip
