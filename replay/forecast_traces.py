"""Day-long POI series to score forecasts on: training with jitter, real inference, hints."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from replay.inference import Library, load_library
from replay.plan import Job
from replay.workload import Change, Training
from schemas.events import WorkloadHint
from schemas.units import NS_PER_S

__all__ = ["FAMILIES", "T0_NS", "TICK_HZ", "Announced", "Family", "Series", "make"]

TICK_HZ, OVER = 10, 3
T0_NS = 1_772_496_000 * NS_PER_S
"""2026-03-03T00:00:00Z."""
GROUPS, SERVERS = 6, 128
CHUNK_S = 3600
LEAD_S = (30.0, 900.0)
"""How long ahead the scheduler speaks."""
LATE_S, WRONG, WRONG_SHARE = 1.0, 0.08, 0.08
"""Error of its times (1 sigma), relative error of its powers, share of events also told wrongly."""


class Family(NamedTuple):
    """One kind of site: ``period_s`` 0 is inference alone."""

    name: str
    period_s: float = 0.0
    jitter: float = 0.0
    hinted: bool = False
    training_w: float = 3.6e6
    serving_w: float = 1.2e6


class Announced(NamedTuple):
    """A true event and when it was told of: ``end_s`` is none for a change that lasts."""

    told_s: float
    onset_s: float
    end_s: float | None
    depth_w: float


class Series(NamedTuple):
    """A POI's tick means ``power_w`` (time,), what was hinted, and what was true of it."""

    family: Family
    power_w: Any
    hints: tuple[WorkloadHint, ...]
    announced: tuple[Announced, ...]


FAMILIES = (
    Family("train_2s_0.5pct", 1.9, 0.005),
    Family("train_2s_2pct", 1.9, 0.02),
    Family("train_2s_5pct", 1.9, 0.05),
    Family("train_6s_2pct", 6.1, 0.02),
    Family("train_2s_2pct_hinted", 1.9, 0.02, hinted=True),
    Family("train_6s_5pct_hinted", 6.1, 0.05, hinted=True),
    Family("inference"),
    Family("inference_small", serving_w=1.2e5),
)


def make(family: Family, hours: float, seed: int, library: Library | None = None) -> Series:
    """
    Draw one day (or ``hours``) of a family; the same seed gives the same series.

    Training racks come and go as jobs of half an hour to four hours with checkpoints; the rest
    serves inference from real traces, each server drawing trace and place anew whenever one
    ends, so that nothing ever comes round again.
    """
    rng = np.random.default_rng([seed, *family.name.encode()])
    seconds = round(hours * 3600)
    racks = max(int(family.serving_w // 80e3), 1)
    servers = min(SERVERS, 8 * racks)
    power_w = family.serving_w * _serving(library or load_library(), servers, seconds, rng)
    jobs = _jobs(family, seconds, rng)
    changes: list[tuple[Change, float, Job]] = []
    for job in jobs:
        training = Training(job, seconds, rng)
        scale = family.training_w / (GROUPS * job.compute_w)
        power_w += scale * _training(training, seconds)
        active_w = scale * GROUPS * (training.mean_w - job.idle_w)
        changes += [(c, active_w, job) for c in training.changes() if c.onset_s < seconds]
    power_w += 2e3 * rng.standard_normal(len(power_w))
    if not family.hinted:
        return Series(family, power_w, (), ())
    hints, announced = _hints(changes, rng)
    return Series(family, power_w, tuple(hints), tuple(announced))


def _serving(library: Library, servers: int, seconds: int, rng: np.random.Generator) -> Any:
    """Mean over servers of real power over its mean, (time,), at the tick rate."""
    count = seconds * TICK_HZ
    total = np.zeros(count)
    for _ in range(servers):
        at = 0
        while at < count:
            trace = int(rng.integers(len(library.lengths)))
            first = int(rng.integers(library.lengths[trace])) if at == 0 else 0
            length = min(int(library.lengths[trace]) - first, count - at)
            start = int(library.starts[trace]) + first
            total[at : at + length] += library.relative[start : start + length]
            at += length
    return total / servers


def _jobs(family: Family, seconds: int, rng: np.random.Generator) -> list[Job]:
    """One job after another on the same racks, the first one already running."""
    jobs, at_s = [], 0.0
    while family.period_s and at_s < seconds - 900:
        length_s = float(rng.uniform(1800, 14400))
        jobs.append(
            Job(
                racks=GROUPS,
                start_s=at_s,
                stop_s=min(at_s + length_s, seconds + 60.0),
                period_s=family.period_s * float(rng.uniform(0.9, 1.1)),
                jitter=family.jitter,
                communicate_share=float(rng.uniform(0.2, 0.35)),
                checkpoint_every_s=float(rng.uniform(600, 1500)),
                checkpoint_s=float(rng.uniform(8, 30)),
            )
        )
        at_s += length_s + float(rng.uniform(120, 600))
    return jobs


def _training(training: Training, seconds: int) -> Any:
    """Sum over the job's racks as tick means, (time,), W, zero where it has never run."""
    parts = []
    for start in range(0, seconds, CHUNK_S):
        length = min(CHUNK_S, seconds - start)
        fine_s = start + (np.arange(length * TICK_HZ * OVER) + 0.5) / (TICK_HZ * OVER)
        if fine_s[-1] < training.job.start_s - 1 or fine_s[0] > (training.job.stop_s or 1e9) + 2:
            parts.append(np.zeros(length * TICK_HZ))
            continue
        busy_w = training.power_w(fine_s).sum(axis=0) - GROUPS * training.job.idle_w
        parts.append(busy_w.reshape(-1, OVER).mean(axis=1))
    return np.concatenate(parts)


def _hints(
    changes: list[tuple[Change, float, Job]], rng: np.random.Generator
) -> tuple[list[WorkloadHint], list[Announced]]:
    """What a scheduler would have said: ahead, a little wrong, and now and then of nothing."""
    said, announced = [], []
    for change, active_w, job in changes:
        depth_w = (change.after - change.before) * active_w
        if 0 < change.before < 1:  # the end of a dip was said with its beginning
            continue
        dip = 0 < change.after < 1
        kind = "checkpoint" if dip else ("job_start" if depth_w > 0 else "job_stop")
        length_s = job.checkpoint_s if dip else None
        hint = _hint(kind, change.onset_s, depth_w, length_s, rng)
        said.append(hint)
        end_s = None if length_s is None else change.onset_s + length_s
        told_s = (hint.t_ns - T0_NS) / NS_PER_S
        announced.append(Announced(told_s, change.onset_s, end_s, depth_w))
        if rng.uniform() < WRONG_SHARE:  # a start that slipped, a checkpoint that was left out
            other_s = change.onset_s - float(rng.uniform(80, 240))
            said.append(_hint(kind, other_s, depth_w, length_s, rng))
    return sorted(said, key=lambda hint: hint.t_ns), announced


def _hint(
    kind: str, onset_s: float, depth_w: float, dip_s: float | None, rng: np.random.Generator
) -> WorkloadHint:
    start_s = onset_s + LATE_S * rng.standard_normal()
    told_s = onset_s - rng.uniform(*LEAD_S)
    end_s = None if dip_s is None else start_s + dip_s + LATE_S * rng.standard_normal()
    return WorkloadHint(
        site_id="scored",
        t_ns=T0_NS + round(max(told_s, 0.0) * NS_PER_S),
        hint=kind,  # type: ignore[arg-type]
        start_ns=T0_NS + round(start_s * NS_PER_S),
        end_ns=None if end_s is None else T0_NS + round(end_s * NS_PER_S),
        power_change_w=round(depth_w * (1 + WRONG * rng.standard_normal()), 1),
    )
