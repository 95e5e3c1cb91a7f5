"""Training jobs: racks that compute and communicate in step, checkpoint, fail, start and stop."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from replay.plan import Job
from schemas.events import Cause

__all__ = ["Change", "Training"]

SETTLE_S = 0.5
"""How long a rack takes to start, stop, or go into and out of a checkpoint."""


class Change(NamedTuple):
    """One change of the whole job: when, from what to what share of its active power, and why."""

    onset_s: float
    before: float
    after: float
    cause: Cause


class Training:
    """
    One job's power, a pure function of time.

    Parameters
    ----------
    job : Job
        What runs.
    duration_s : float
        How far its iterations must reach.
    rng : numpy Generator
        Draws the iterations' lengths, the racks' lags and gains.
    """

    def __init__(self, job: Job, duration_s: float, rng: np.random.Generator) -> None:
        self.job = job
        count = math.ceil((duration_s - job.start_s) / job.period_s * 1.2) + 10
        lengths = job.period_s * (1 + job.jitter * rng.standard_normal(count)).clip(0.5, 1.5)
        self._begin_s = job.start_s - job.period_s + np.concatenate([[0.0], np.cumsum(lengths)])
        self._lag_s = np.abs(rng.standard_normal(job.racks)) * job.spread_s
        self._gain = 1 + 0.01 * rng.standard_normal(job.racks)
        self._times_s, self._shares = self._envelope()

    @property
    def mean_w(self) -> float:
        """Mean power of one active rack, W."""
        share = self.job.communicate_share
        return (1 - share) * self.job.compute_w + share * self.job.communicate_w

    @property
    def amplitude_w(self) -> float:
        """Fundamental of one rack's iteration, zero to peak, W."""
        job = self.job
        swing_w = abs(job.compute_w - job.communicate_w)
        softened = float(np.sinc(job.edge_s / job.period_s))
        return 2 * swing_w / math.pi * math.sin(math.pi * job.communicate_share) * softened

    def changes(self) -> list[Change]:
        """Starts, stops, checkpoints and faults in order; 1 is active, 0 idle."""
        job = self.job
        ends_s = [job.stop_s, job.fault_at_s if job.fault_s is None else None]
        stop_s = min([t for t in ends_s if t is not None], default=math.inf)
        found = [Change(job.start_s, 0.0, 1.0, "job_start")] if job.start_s > 0 else []
        taken: list[tuple[float, float]] = [(-math.inf, job.start_s + SETTLE_S)]
        for onset_s, length_s, low, why in self._dips(min(stop_s, float(self._begin_s[-1]))):
            end_s = onset_s + length_s
            if end_s > stop_s or any(onset_s < b + SETTLE_S and a < end_s for a, b in taken):
                continue
            taken.append((onset_s, end_s + SETTLE_S))
            back: Cause = "restart" if why == "fault" else why
            found += [Change(onset_s, 1.0, low, why), Change(end_s, low, 1.0, back)]
        ends: Cause = "job_end" if stop_s == job.stop_s else "fault"
        found += [Change(stop_s, 1.0, 0.0, ends)] if math.isfinite(stop_s) else []
        return sorted(found)

    def _dips(self, until_s: float) -> list[tuple[float, float, float, Cause]]:
        """Onset, length and depth of the fault and the checkpoints: a fault goes first."""
        job = self.job
        dips: list[tuple[float, float, float, Cause]] = []
        if job.fault_at_s is not None and job.fault_s is not None:
            dips.append((job.fault_at_s, job.fault_s, 0.0, "fault"))
        if job.checkpoint_every_s:
            low = (job.checkpoint_w - job.idle_w) / (self.mean_w - job.idle_w)
            times = np.arange(job.start_s, until_s, job.checkpoint_every_s)[1:].tolist()
            dips += [(t, job.checkpoint_s, low, "checkpoint") for t in times]
        return dips

    def _envelope(self) -> tuple[Any, Any]:
        times, shares = [-1.0], [0.0 if self.job.start_s > 0 else 1.0]
        for change in self.changes():
            times += [change.onset_s, change.onset_s + SETTLE_S]
            shares += [change.before, change.after]
        return np.array(times), np.array(shares)

    def power_w(self, t_s: Any) -> Any:
        """Power of each rack at ``t_s`` (time,), s since the trace's start; (rack, time), W."""
        job = self.job
        u = t_s - self._lag_s[:, None]
        k = (np.searchsorted(self._begin_s, u, side="right") - 1).clip(0, len(self._begin_s) - 2)
        since_s = u - self._begin_s[k]
        wait_s = (self._begin_s[k + 1] - self._begin_s[k]) * (1 - job.communicate_share)
        falling = ((since_s - wait_s) / job.edge_s).clip(0, 1)
        rising = 1 - (since_s / job.edge_s).clip(0, 1)
        wave_w = job.compute_w + (job.communicate_w - job.compute_w) * np.maximum(falling, rising)
        share = np.interp(u, self._times_s, self._shares)
        return self._gain[:, None] * (job.idle_w + share * (wave_w - job.idle_w))
