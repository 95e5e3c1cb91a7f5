"""What is remembered of the watched nodes' power: whiteners, baselines, thresholds."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from operators.steps import GROUPS, TAIL
from pipeline.history import Ticks, newest

__all__ = [
    "BLOCKS",
    "BLOCK_S",
    "FITS",
    "FIT_S",
    "ORDER",
    "StepTrack",
    "Triggers",
    "pushed",
    "start",
]

# Spans are for ten ticks a second and more; slower sites take them ``layout.pace`` times as long.

ORDER = 8
"""Of the whitening autoregression."""
BLOCK_S, BLOCKS = 10, 360
"""Maxima of blocks of this length teach the thresholds; the last hour of them counts."""
FIT_S, FITS = 20, 30
"""Autocovariances are taken over stretches of this length; the last ten minutes of them count."""
BASE_LAG_S, BASE_S = 26, 90
"""The baseline is the mean of 90 s that ended this long ago (the longest window)."""
MEANS_S = BASE_LAG_S + BASE_S


@dataclasses.dataclass
class StepTrack:
    """Arrays are (watched, …)."""

    path: list[Ticks]
    """Each node's way, masked differences added up, float64; the newest seconds."""
    innovations_w: Any
    """The newest `TAIL`, about the baseline."""
    since: Any
    """Samples since the past counts."""
    coefficients: Any
    sigma_w: Any
    fits_w2: Any
    """Autocovariance sums of past stretches, newest last; (watched, fit, lag)."""
    fit_samples: Any
    """(watched, fit)"""
    means_w: Any
    """One-second means of the path, newest last; (watched, second)."""
    usable: Any
    base_w: Any
    """Mean of the path that innovations are taken about."""
    base_samples: Any
    maxima: Any
    """Greatest G^2/2 of past blocks, newest last; (watched, group, block) float32."""
    blocks: Any
    """How many of them count; (watched,)."""
    block: Any
    """Greatest G^2/2 of the present block; (watched, group)."""
    waiting: Any
    """That of the block before, which counts if nothing comes of it; (watched, group)."""
    waits: Any
    """(watched,) bool"""
    calm: Any
    """Undisturbed blocks in a row; (watched,)."""
    disturbed: Any
    """The present block must not teach; (watched,) bool."""
    limits: Any
    """Thresholds of \\|G\\|; (watched, group)."""
    held: bool
    """Something swings: no two seconds are a level."""
    heavy: Any
    """Innovations are clipped; (watched,) bool."""
    up: Any
    down: Any
    alarmed_s: Any
    """Seconds since the node's past stopped to count, 0: it is quiet."""


@dataclasses.dataclass(frozen=True)
class Triggers:
    """What the watched nodes did in some ticks; (watched, time), direction 0 up and 1 down."""

    active: Any
    """(direction, watched, time) bool"""
    ratio: Any
    """|G| over its threshold; (direction, watched, time)."""
    window: Any
    """Place in `steps.WINDOWS` of the one that says so; (direction, watched, time)."""
    path: list[Ticks]
    """Each node's way."""
    reach: int
    """Ticks of it that may be asked for."""
    track: StepTrack
    """What the nodes are judged by."""

    @functools.cached_property
    def path_w(self) -> Any:
        """Each node's way, the ring of the past first; (watched, ring + time)."""
        return newest(self.path, self.reach).tail_w


def start(watched: int, ring: int, pace: int) -> StepTrack:
    """Nothing known: every node warming."""
    groups = len(GROUPS)
    means_s = MEANS_S * pace
    return StepTrack(
        path=[Ticks(np.zeros((watched, ring)), np.zeros((watched, ring), bool))],
        innovations_w=np.zeros((watched, TAIL)),
        since=np.zeros(watched, np.int64),
        coefficients=np.zeros((watched, ORDER)),
        sigma_w=np.zeros(watched),
        fits_w2=np.zeros((watched, FITS, ORDER + 1)),
        fit_samples=np.zeros((watched, FITS), np.int32),
        means_w=np.zeros((watched, means_s)),
        usable=np.zeros((watched, means_s), bool),
        base_w=np.zeros(watched),
        base_samples=np.zeros(watched),
        maxima=np.zeros((watched, groups, BLOCKS), np.float32),
        blocks=np.zeros(watched, np.int64),
        block=np.zeros((watched, groups)),
        waiting=np.zeros((watched, groups)),
        waits=np.zeros(watched, bool),
        calm=np.zeros(watched, np.int64),
        disturbed=np.zeros(watched, bool),
        limits=np.full((watched, groups), np.inf),
        held=False,
        heavy=np.ones(watched, bool),
        up=np.zeros(watched, bool),
        down=np.zeros(watched, bool),
        alarmed_s=np.zeros(watched, np.int64),
    )


def pushed(values: Any, newest: Any, rows: Any, *, axis: int) -> Any:
    """The oldest of some rows gone, their newest behind; other rows as they were."""
    if not rows.any():
        return values
    later = (slice(None),) * axis + (slice(1, None),)
    moved = np.concatenate([values[later], newest], axis=axis)
    if not rows.all():
        moved[~rows] = values[~rows]
    return moved
