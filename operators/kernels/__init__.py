"""
The hot path behind one signature: what every device must be able to compute, and its state.

`reference` is made of the operators, for any array library; `cpu` is compiled by Numba. A device
brings its own (`pipeline/device.py` chooses, once); nobody asks afterwards which it is. Arrays in,
arrays and state out; the given state is not written to. All are C-contiguous, time comes last.
Power is float64 but where it is remembered (float32, ADR 0021). ``scan`` to ``block_moments`` get
host arrays on every device: few rows, whose thresholds the host decides. Sums go in an order that
depends on their members alone, so that the cut of the stream does not change a bit. How near
kernels are to the reference: `tolerances`.

==============  ==============================================================================
``frame``       tick means -> sums up the tree, masked differences, peaks of leaves, votes
``scan``        ways of the watched nodes -> innovations and the largest likelihood ratios
``innovations`` the first of these by themselves
``two_threshold`` on and off (`trigger.two_threshold`)
``autocovariance`` of the watched nodes' ways (`whitening.autocovariance`)
``block_moments`` of what thresholds are fitted to (`extremes.moments`)
``spectral_plan`` the tables of a design, where they are needed
``periodogram`` newest samples -> what stands out of each window's spectrum, hop by hop
``newest``      a slower series (`decimation.newest`)
``remember``    peaks of some seconds into the noise memory (`noise.remember`)
``noise_scale`` their medians (`noise.noise_scale`)
``second_stats`` mean, least, greatest, count of each second (`seconds.second_stats`)
``frame_means`` mean of each frame (`seconds.frame_means`)
``together``    how leaves peak and move together (`diversity.together`)
``snapshots``   phases of the leaves while something swings (`unison.snapshots`)
``leading``     their coherence (`unison.leading`)
==============  ==============================================================================
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from operators import unison
from operators.segments import Segments

__all__ = [
    "Found", "Frame", "FramePlan", "Kernels", "Scan", "StepPlan", "Told", "Tree", "tree",
]  # fmt: skip


class Tree(NamedTuple):
    """
    Which rows each node adds up: channels first, then the nodes before it.

    Member k of node n is row ``index[first[n] + k]``, ``first[n] <= first[n] + k < first[n + 1]``:
    a channel below ``n_channels``, else node ``row - n_channels``, which comes before n. Members
    are added as a tree of neighbouring pairs (`segments.segment_sums`: the same bits).
    """

    first: Any
    """(node + 1,) int64"""
    index: Any
    """(member,) int64"""
    level: Any
    """First node of each level, and the number of nodes: nodes of a level do not need each other;
    (level + 1,) int64."""
    alone: Any
    """Nodes with one channel and nothing else that another node adds up; (node,) bool."""
    stray: Any
    """Channels that no node adds up; (channel,) bool."""
    behind: Any
    """Channels behind each node; (node,) float64."""


def tree(levels: tuple[Segments, ...]) -> Tree:
    """The tables of some plans that build on one another, on the host."""
    members = [row[row < plan.n_channels] for plan in levels for row in np.asarray(plan.index)]
    first = np.cumsum([0, *(len(row) for row in members)], dtype=np.int64)
    level = np.cumsum([0, *(len(plan.index) for plan in levels)], dtype=np.int64)
    index = np.concatenate([*members, np.zeros(0, np.int64)])
    channels, sizes = (levels[0].n_channels if levels else 0), np.diff(first)
    added = np.zeros(channels + len(sizes), bool)
    added[index] = True
    single = np.flatnonzero(added[channels:] & (sizes == 1))
    alone = np.zeros(len(sizes), bool)
    alone[single] = index[first[single]] < channels
    behind = np.ones(len(added))
    for begin, end in itertools.pairwise(level):
        owner = np.repeat(np.arange(end - begin), sizes[begin:end])
        some = behind[index[first[begin] : first[end]]]
        behind[channels + begin : channels + end] = np.bincount(owner, some, end - begin)
    return Tree(first, index, level, alone, ~added[:channels], behind[channels:])


class FramePlan(NamedTuple):
    """What of a site `Kernels.frame` needs; tables beside the arrays they are for."""

    tree: Tree
    """A node's own channels where it has any, else its children."""
    levels: tuple[Any, ...]
    """The same as `segments.Segments`, level by level."""
    leaf_tree: Tree
    """What the leaves add up to, whether or not a node is metered itself."""
    leaf_levels: tuple[Any, ...]
    counts: Any
    """Channels behind each node, at least 1; (node,) float64."""
    watched: Any
    """Nodes whose changes from tick to tick are asked for; (watched,) int64."""
    leaves: tuple[int, int]
    """First leaf among the channels, and past the last; host numbers."""
    per_s: int
    """Ticks of a second."""
    least: float
    """Leaves that must have moved for synchrony to mean anything."""


class Frame(NamedTuple):
    """What `Kernels.frame` says of some ticks."""

    node_w: Any
    """Sum of the tick means; (node, time) float64."""
    share: Any
    """Share of the channels behind it that were measured; (node, time) float64."""
    moved_w: Any
    """Sum of the masked changes from the tick before; (watched, time) float64."""
    moved_ok: Any
    """Some channel was measured at both ends; (watched, time) bool."""
    second_w: Any
    """Sum of the masked changes over one second; (node, time) float64."""
    synchrony: Any
    """max(up, down) / (up + down) of the leaves that moved by their threshold within a second; 0
    where fewer than ``least`` did; (node, time) float64."""
    peak_w: Any
    """Largest absolute change over one second of each leaf within each second of the frame, -1
    where none is known; (leaf, second) float64. A frame is part of one second or some whole."""


class StepPlan(NamedTuple):
    """What nodes are judged by: the arrays of `steps.likelihood_ratio` and of the whitener."""

    coefficients: Any
    """(watched, order) float64"""
    offset_w: Any
    """``(1 - sum of coefficients) * baseline``; (watched,) float64, W."""
    sigma_w: Any
    """(watched,) float64"""
    bound_w: Any
    """Innovations count no more than this, may be infinite; (watched,) float64."""
    baseline: Any
    """Samples behind the baseline, 0: says nothing; (watched,) float64."""
    limits: Any
    """Threshold of each group of windows; (watched, group) float64."""


class Scan(NamedTuple):
    """What `Kernels.scan` says; direction 0 is up and 1 is down."""

    ratio: Any
    """Largest ``|G|`` over its threshold; (direction, watched, time)."""
    window: Any
    """Place in `steps.WINDOWS` of the one that says so; (direction, watched, time) int64."""
    greatest: Any
    """Largest ``|G|`` of each group over all ticks of the frame; (watched, group). The first is no
    less than the largest innovation over its spread before it was bounded."""
    innovations_w: Any
    """The newest, bounded; (watched, TAIL)."""


class Told(NamedTuple):
    """What is asked of `Kernels.periodogram`; without bins it is half the work."""

    bins: bool = True
    bands: Any = np.zeros((0, 2), np.int64)
    """First bin and past the last of each band; (band, 2) int64, on the host."""
    weight: Any = None
    """Factor on the amplitudes that bands are told of; (bin,), on the host; None: 1."""


class Found(NamedTuple):
    """
    What `Kernels.periodogram` says; (hop, channel, bin), of `oscillations.periodogram`.

    What was not asked for is None, or there all the same.
    """

    now: Any
    lasting: Any
    votes: Any
    amplitude_w: Any
    strongest_w: Any
    """Greatest weighted amplitude of each band, 0 where it has no bins; (hop, channel, band)."""
    most: Any
    """Greatest of now, lasting and votes over the bins; (3, hop, channel)."""


class Kernels(NamedTuple):
    """One implementation of all of it."""

    name: str
    """``reference``, ``numba`` or ``cuda``."""
    frame: Callable[..., Any]
    """
    ``frame(mean_w, ok, past, threshold_w, plan) -> Frame``

    ``mean_w`` (channel, time) float32 finite, ``ok`` (channel, time) bool: one frame, at most a
    second long or whole seconds. ``past`` (`ramps.RampState`): tail_w, tail_valid (channel, depth)
    float32 of the ticks before, depth >= per_s, newest last. ``threshold_w`` (leaf,) float64 > 0,
    may be infinite. ``plan`` `FramePlan`. The state is moved on by the caller.
    """
    scan: Callable[..., Any]
    """
    ``scan(path_w, path_ok, past_z_w, since, plan) -> Scan``

    ``path_w``, ``path_ok`` (watched, order + time): the way of each node and what was measured,
    ``order`` ticks of the past first. ``past_z_w`` (watched, TAIL) float64. ``since`` (watched,)
    int64: samples since the past counts, before this frame. ``plan`` `StepPlan`.
    """
    innovations: Callable[..., Any]
    """``innovations(path_w, path_ok, plan) -> (watched, time)``: those of `scan`, W."""
    two_threshold: Callable[..., Any]
    """``two_threshold(statistic, state, *, threshold_on, threshold_off) -> (active, state)``"""
    autocovariance: Callable[..., Any]
    """``autocovariance(x_w, valid, *, order) -> (watched, order + 1)``"""
    block_moments: Callable[..., Any]
    """
    ``block_moments(maxima, count) -> extremes.Moments``

    ``maxima`` (watched * group, block) float32, newest last; ``count`` of them count, (watched *
    group,) int64.
    """
    spectral_plan: Callable[..., Any]
    """``spectral_plan(design, like) -> plan``: an `oscillations.design` as this one's `periodogram`
    reads it; ``plan.design`` is the design."""
    periodogram: Callable[..., Any]
    """
    ``periodogram(x_w, valid, state, *, plan, told=Told()) -> (Found, OscillationState)``

    As `oscillations.periodogram`, any number of hops in one call: ``x_w`` (channel, time) float32.
    State: tail_w (channel, window + 1) float32, tail_valid bool, background_w2 and sums (channel,
    bin) float32, learned (channel, window) int64, until_hop a host number.
    """
    newest: Callable[..., Any]
    """``newest(tail_w, valid, taps, *, factor, count) -> (x_w, valid)``"""
    remember: Callable[..., Any]
    """``remember(peak_w, keep, state) -> NoiseState``; peak_w, keep (leaf, second)."""
    noise_scale: Callable[..., Any]
    """``noise_scale(state) -> (leaf,)``; peaks_w (leaf, memory_s) float32, warm_s (leaf,) int64."""
    second_stats: Callable[..., Any]
    """
    ``second_stats(x_w, valid, *, samples_per_second) -> (mean_w, min_w, max_w, valid_n)``

    ``x_w`` float32 or float64, here and in `frame_means`; answers are float64.
    """
    frame_means: Callable[..., Any]
    """``frame_means(x_w, valid, *, samples_per_frame) -> (mean_w, valid)``"""
    together: Callable[..., Any]
    """``together(x_w, valid, state) -> (Together, DiversityState)``; x_w, valid (leaf, second)."""
    warm: Callable[[], None]
    """Returns when nothing is left to compile or to load: before a process says it is ready."""
    snapshots: Callable[..., Any] = unison.snapshots
    """``snapshots(window_w, freq_hz, *, rate_hz, count) -> (channel, count, 2)``"""
    leading: Callable[..., Any] = unison.leading
    """``leading(z) -> (value, weight, phase_rad)``"""
