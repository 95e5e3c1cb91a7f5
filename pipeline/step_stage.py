"""Steps and ramps of the watched nodes: whitened power, thresholds from the budget, baselines."""

from __future__ import annotations

from typing import Any

import numpy as np

from operators import budget, extremes, steps, whitening
from operators._arrays import in_order, narrow
from operators.kernels import Kernels, StepPlan
from pipeline.detect import DetectSettings
from pipeline.history import Ticks, later, newest, recent
from pipeline.layout import SiteLayout, above
from pipeline.step_state import (
    BASE_LAG_S,
    BLOCK_S,
    BLOCKS,
    FIT_S,
    FITS,
    ORDER,
    StepTrack,
    Triggers,
    pushed,
    start,
)
from schemas.units import NS_PER_S

__all__ = ["RING_S", "StepStage"]

RING_S = 40
BUSY_S = 60
"""A node alarmed for longer than this is taken as it is: no event lasts for ever."""
SETTLED = 4.0
"""Two seconds whose means differ by no more than so many usual differences are a level."""
PRIOR_BLOCKS = 6.0
GAUSSIAN = (
    (3.33, 0.91, 2.95),
    (3.52, 0.975, 3.45),
    (3.35, 1.025, 3.5),
    (2.68, 1.065, 3.15),
    (1.85, 1.035, 2.3),
)
"""Block maxima of G^2/2 in white Gaussian noise, 100 samples a block, by group of windows: location
and scale as an hour shows them, and the location from which the tail falls with scale 1. Measured
over 115,000 blocks (`docs/operators.md`)."""
CLIP = 3.5
"""Innovations of a node with heavy tails count at most so many standard deviations: it takes three
or more samples to open anything."""
SHORT_GROUPS = 2
"""Groups of windows (up to 3 samples) whose tail is always fitted by moments: there spikes are."""
SPIKE, SPIKY_SHARE, KNOWN_BLOCKS = 12.5, 0.02, 30
"""Tails are heavy where more than this share of blocks holds a single sample of 5 sigma (once in
16,000 in Gaussian noise), and until so many blocks are known."""
LONE = 2.0
"""Errors of a scale that say nothing of a node without peers; the scale of several is known."""
YOUNG = 1.0
"""Errors of a young whitener's gain, over those of a full one, that widen its thresholds."""
LEAST_NOISE = 1e-5
"""Share of the site's power below which no noise is believed."""
DAY_S = 86_400


class StepStage:
    """The step detector of one site, on the host: PDUs and above, all nodes of a small site."""

    def __init__(self, layout: SiteLayout, detect: DetectSettings, kernels: Kernels) -> None:
        self._kernels = kernels
        self._per_s = layout.ticks_per_s
        self._watched = len(layout.watched)
        self._pace, self._block_s = layout.pace, BLOCK_S * layout.pace
        self._ring = RING_S * self._pace * self._per_s
        groups = len(steps.GROUPS)
        tests = self._watched * groups * DAY_S / self._block_s
        self.exceed = budget.share(detect.false_alarms_per_day, "step") / tests
        shift = np.log(self._per_s * self._block_s / 100)
        self._gaussian = [(place + shift, scale, far - place) for place, scale, far in GAUSSIAN]
        levels = np.array([layout.nodes[row].level for row in layout.watched])
        self._peers = [levels == level for level in sorted(set(levels.tolist()))]
        self._doubt = np.where(sum(rows * (rows.sum() > 2) for rows in self._peers), 0.0, LONE)
        place = {row: k for k, row in enumerate(layout.watched)}
        pairs = [
            (place[over], k)
            for row, k in place.items()
            for over in above(layout.nodes, row)
            if over in place
        ]
        self._over, self._under = np.array(pairs, np.int64).reshape(-1, 2).T

    def start(self) -> StepTrack:
        """The memory before the first tick."""
        return start(self._watched, self._ring, self._pace)

    def quiet(self, track: StepTrack) -> bool:
        """No node is alarmed."""
        return not track.alarmed_s.any()

    def frame(self, track: StepTrack, moved_w: Any, ok: Any) -> Triggers:
        """Take some ticks' masked changes of the watched nodes, (watched, time), into ``track``."""
        n_time = moved_w.shape[1]
        path = [*track.path, Ticks(_ways(track.path[-1].x_w[:, -1], moved_w), ok)]
        way = newest(path, n_time + ORDER)
        view = self._kernels.scan(*way, track.innovations_w, track.since, _plan(track))
        track.block = np.maximum(track.block, view.greatest**2 / 2)
        active, alarmed = self._switched(track, view.ratio)
        track.alarmed_s = track.alarmed_s + (alarmed & (track.alarmed_s == 0))
        depth = self._ring + self._per_s  # a second more: see `recent`
        track.path = recent(later(track.path, path[-1], self._per_s), self._per_s, depth)
        track.innovations_w, track.since = view.innovations_w, track.since + n_time
        return Triggers(active, view.ratio, view.window, path, self._ring + n_time, track)

    def _switched(self, track: StepTrack, ratio: Any) -> tuple[Any, Any]:
        """Which nodes are active (direction, watched, time), which are at any time; (watched,)."""
        rows = ratio.reshape(-1, ratio.shape[2])
        states = np.concatenate([track.up, track.down])
        active, states = self._kernels.two_threshold(
            rows, states, threshold_on=1.0, threshold_off=0.5
        )
        track.up, track.down = np.split(states, 2)
        active = active.reshape(ratio.shape)
        return active, active.any(axis=(0, 2))

    def seconds(self, track: StepTrack, whole: int) -> None:
        """Means of the newest grid seconds, whether alarmed nodes have settled by the last.

        ``whole`` is 1 while any node is alarmed.
        """
        shape = (self._watched, whole, self._per_s)
        path_w, ok = (np.reshape(a, shape) for a in newest(track.path, whole * self._per_s))
        count = ok.sum(axis=2)
        enough = 2 * count >= self._per_s
        mean_w = in_order(np.where(ok, path_w, 0.0)) / np.maximum(count, 1)
        before_w = track.means_w[:, -1]
        track.means_w = np.concatenate([track.means_w[:, whole:], mean_w], axis=1)
        alarmed = track.alarmed_s > 0
        usable = enough & ~alarmed[:, None]
        track.usable = np.concatenate([track.usable[:, whole:], usable], axis=1)
        if alarmed.any():
            moves = alarmed & (track.alarmed_s <= BUSY_S * self._pace)
            track.disturbed = track.disturbed | moves | self._below(moves)
            self._settle(track, alarmed, np.abs(mean_w[:, 0] - before_w), enough[:, 0])

    def close(self, track: StepTrack, end_ns: int, ahead: int, reference_w: float) -> None:
        """
        Close a grid second: every so many of them, what is learned.

        ``ahead`` ticks of later seconds are in ``track`` already; no noise is taken to be smaller
        than a small share of the site's power ``reference_w``.
        """
        track.held = False
        if end_ns // NS_PER_S % self._block_s == 0:
            path = track.path[: len(track.path) - ahead // self._per_s]
            self._learn(track, end_ns, path, LEAST_NOISE * reference_w)

    def disturb(self, track: StepTrack) -> None:
        """An oscillation goes on: the block teaches nothing, the next second is no level."""
        track.disturbed, track.held = track.disturbed | True, True

    def _below(self, rows: Any) -> Any:
        """Nodes under any of ``rows``; (watched,) bool."""
        below = np.zeros(self._watched, bool)
        below[self._under[rows[self._over]]] = True
        return below

    def _settle(self, track: StepTrack, alarmed: Any, moved_w: Any, enough: Any) -> None:
        """Alarmed nodes whose last two seconds are a level take it as their baseline."""
        both = track.usable[:, 1:] & track.usable[:, :-1]
        steps_w = np.abs(track.means_w[:, 1:] - track.means_w[:, :-1])
        spread_w = np.zeros(len(alarmed))
        for row in np.flatnonzero(alarmed):
            known_w = steps_w[row, both[row]]
            spread_w[row] = np.median(known_w) / 0.6745 if len(known_w) else 0.0
        level = enough & (track.alarmed_s >= 2) & (moved_w <= SETTLED * spread_w)
        level &= not track.held
        done = alarmed & (level | (track.alarmed_s > BUSY_S * self._pace))
        done |= self._below(done) & enough & ~alarmed  # what moved them too little to be seen
        track.alarmed_s = np.where(done, 0, track.alarmed_s + alarmed)
        track.up, track.down = track.up & ~done, track.down & ~done
        track.since = np.where(done, 0, track.since)
        held = track.usable & ~done[:, None]
        held[done, -2:] = True
        track.usable = held
        self._rebase(track, done)

    def _rebase(self, track: StepTrack, rows: Any) -> None:
        """Baseline: 90 s that ended before the longest window, or what there is since."""
        old = track.usable[:, : -BASE_LAG_S * self._pace]
        aged = (old.sum(axis=1) >= 10)[:, None]
        use = track.usable & (~aged | (np.arange(track.usable.shape[1]) < old.shape[1]))
        count = use.sum(axis=1)
        mean_w = in_order(np.where(use, track.means_w, 0.0)) / np.maximum(count, 1)
        track.base_w = np.where(rows, mean_w, track.base_w)
        track.base_samples = np.where(rows, count * float(self._per_s), track.base_samples)

    def _learn(self, track: StepTrack, end_ns: int, path: list[Ticks], least_w: float) -> None:
        """Every ten seconds: thresholds from block maxima, whiteners, baselines."""
        teaches = (
            ~track.disturbed & (track.sigma_w > 0) & (track.since >= self._block_s * self._per_s)
        )
        track.calm = np.where(track.disturbed, 0, np.minimum(track.calm + 1, FIT_S // BLOCK_S))
        calm = track.waits & ~track.disturbed
        track.maxima = pushed(track.maxima, narrow(track.waiting)[:, :, None], calm, axis=2)
        track.blocks = np.minimum(track.blocks + calm, BLOCKS)
        track.waiting, track.waits = track.block, teaches
        settled = ~track.disturbed
        track.block, track.disturbed = np.zeros_like(track.block), track.alarmed_s > 0
        spiky = np.count_nonzero(track.maxima[:, 0, :] > SPIKE, axis=1)
        track.heavy = (track.blocks < KNOWN_BLOCKS) | (spiky > SPIKY_SHARE * track.blocks)
        young = track.fit_samples.sum(axis=1) == 0
        whole = end_ns // NS_PER_S % (FIT_S * self._pace) == 0
        if whole or young.any():
            rested = track.calm >= FIT_S // BLOCK_S
            self._fit(track, (rested & whole) | (settled & young), path, least_w)
        track.limits = self._limits(track)
        self._rebase(track, track.alarmed_s == 0)
        way = newest(path, steps.TAIL + ORDER)
        track.innovations_w = self._kernels.innovations(*way, _plan(track))

    def _fit(self, track: StepTrack, teaches: Any, path: list[Ticks], least_w: float) -> None:
        path_w, ok = newest(path, FIT_S * self._pace * self._per_s)
        sums = self._kernels.autocovariance(path_w, ok, order=ORDER)
        count = ok.sum(axis=1)
        teaches = teaches & (2 * count >= self._block_s * self._per_s)
        track.fits_w2 = pushed(track.fits_w2, sums[:, None, :], teaches, axis=1)
        track.fit_samples = pushed(
            track.fit_samples, count[:, None].astype(np.int32), teaches, axis=1
        )
        total = np.moveaxis(track.fits_w2, 1, 2)
        found = whitening.levinson(in_order(total), track.fit_samples.sum(axis=1))
        track.since = np.where(track.sigma_w > 0, track.since, 0)
        track.coefficients = found.coefficients
        track.sigma_w = np.where(
            track.fit_samples.any(axis=1), np.maximum(found.sigma_w, least_w), 0.0
        )

    def _limits(self, track: StepTrack) -> Any:
        """Thresholds of all groups at once, as (node, group)."""
        groups, shape = len(self._gaussian), track.limits.shape
        place, scale, on = (np.array(one) for one in zip(*self._gaussian, strict=True))
        short = track.heavy[:, None] | (np.arange(groups) < SHORT_GROUPS)
        prior = (np.tile(place, self._watched), np.tile(scale, self._watched), PRIOR_BLOCKS)
        maxima = track.maxima.reshape(-1, BLOCKS)
        found = self._kernels.block_moments(maxima, np.repeat(track.blocks, groups))
        law = extremes.fitted(found, short.ravel(), prior=prior)
        wide = self._pooled(law.scale.reshape(shape) / scale, track.heavy)
        law = law._replace(location=law.location + np.tile(on, self._watched), scale=wide.ravel())
        heavy = np.repeat(track.heavy, groups)
        doubt = np.repeat(self._doubt, groups)
        level = extremes.level(law, heavy, exceed=self.exceed, least=1.0, doubt=doubt)
        young = np.sqrt(ORDER / np.maximum(track.fit_samples.sum(axis=1), 1))
        young = np.maximum(young - np.sqrt(ORDER / (FITS * FIT_S * self._pace * self._per_s)), 0.0)
        return np.sqrt(2 * level.reshape(shape)) * (1 + YOUNG * young[:, None])

    def _pooled(self, scale: Any, heavy: Any) -> Any:
        """No node's tail is believed to be shorter than that of its level's nodes on average."""
        for rows in self._peers:
            known = rows & ~heavy
            if known.sum() > 1:
                usual = in_order(np.where(known, scale.T, 0.0)) / known.sum()
                scale = np.where(known[:, None], np.maximum(scale, usual), scale)
        return scale


def _plan(track: StepTrack) -> StepPlan:
    """What the nodes are judged by now; innovations are bounded where tails are heavy."""
    gain = 1 - in_order(track.coefficients)
    bound_w = np.where(track.heavy, CLIP * track.sigma_w, np.inf)
    return StepPlan(
        track.coefficients, gain * track.base_w, track.sigma_w, bound_w,
        track.base_samples, track.limits,
    )  # fmt: skip


def _ways(before_w: Any, moved_w: Any) -> Any:
    """Each node's way, its changes added up in their order; (watched, time)."""
    way_w = np.empty(moved_w.shape)
    for k in range(moved_w.shape[1]):
        np.add(way_w[:, k - 1] if k else before_w, moved_w[:, k], out=way_w[:, k])
    return way_w
