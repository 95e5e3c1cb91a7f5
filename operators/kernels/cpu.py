"""The kernels compiled by Numba: the CPU's hot path."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np

from operators import decimation, ramps
from operators._arrays import narrow
from operators.diversity import DiversityState, Together
from operators.extremes import MIDDLE, Moments
from operators.noise import NoiseState

from . import Frame, FramePlan, Kernels, Scan, StepPlan
from ._compiled import alone
from ._diversity import LEAVES, MEASURES
from ._diversity import together as fallen
from ._frame import folded
from ._lanes import LANES
from ._periodogram import periodogram, plan
from ._seconds import lagged, means, medians, middles, pushed, slowed, stats
from ._steps import BOXES, GROUPS, ratios, switched, whitened
from ._sums import counted
from ._votes import moved_together

__all__ = ["KERNELS", "frame", "kernels", "periodogram", "plan", "scan", "two_threshold"]

_LEVELS = np.array(MIDDLE)
_AT_ONCE = 1024
_SHARED = (
    "frame", "scan", "innovations", "block_moments", "periodogram", "remember", "noise_scale",
    "second_stats", "frame_means", "together",
)  # fmt: skip


def frame(
    mean_w: Any,
    ok: Any,
    past: ramps.RampState,
    threshold_w: Any,
    plan: FramePlan,
    *,
    share: Any = alone,
) -> Frame:
    """As `reference.frame`; nodes of a level, and seconds, are shared."""
    ticks, nodes = mean_w.shape[1], len(plan.counts)
    new = np.ascontiguousarray(narrow(mean_w)), np.ascontiguousarray(ok)
    old = np.ascontiguousarray(narrow(past.tail_w)), np.ascontiguousarray(past.tail_valid)
    tree, asked = (plan.tree.first, plan.tree.index), np.zeros(nodes, bool)
    asked[plan.watched] = True
    node_w, node_moved_w, second_w = (np.empty((nodes, ticks)) for _ in range(3))
    peak_w = np.empty((plan.leaves[1] - plan.leaves[0], max(ticks // plan.per_s, 1)))
    measured = bool(new[1].all() and old[1][:, -plan.per_s :].all())
    tables = (*tree, asked, plan.tree.alone, plan.tree.stray, plan.leaves, plan.per_s, measured)
    out = (node_w, node_moved_w, second_w)
    for first, last in itertools.pairwise(plan.tree.level):
        if last == nodes or not plan.tree.alone[first:last].all():
            _level(share, (new, old, tables, out, peak_w), int(first), int(last))
    counts = pairs = plan.tree.behind[:, None]
    if not measured:
        counts, pairs = (_counts(a, tree, nodes) for a in (new[1], _both(new[1], old[1])))
    return Frame(
        node_w,
        np.broadcast_to(counts / plan.counts[:, None], (nodes, ticks)),
        node_moved_w[plan.watched],
        np.broadcast_to(pairs[plan.watched] > 0, (len(plan.watched), ticks)),
        second_w,
        _together(new, old, (peak_w, threshold_w), plan, share),
        peak_w,
    )


def _level(share: Any, what: Any, first: int, last: int) -> None:
    """The nodes of one level."""
    (starts, *_), ticks = what[2], what[0][0].shape[1]
    members = int(starts[last] - starts[first])

    def some(begin: int, end: int) -> None:
        folded(*what, (first + begin, first + end))

    share(some, last - first, len(what[3]) * members * ticks)


def _counts(flags: Any, tree: tuple[Any, Any], nodes: int) -> Any:
    """How many channels of each node are marked."""
    out = np.empty((nodes, flags.shape[1]))
    counted(np.ascontiguousarray(flags), tree, out)
    return out


def _both(ok: Any, tail_ok: Any) -> Any:
    """What was measured, and the tick before as well."""
    return ok & np.concatenate([tail_ok[:, -1:], ok[:, :-1]], axis=1)


def _together(
    new: tuple[Any, Any], old: tuple[Any, Any], moves: tuple[Any, Any], plan: FramePlan, share: Any
) -> Any:
    """Synchrony of every node; nothing is added up while no leaf has moved; seconds are shared."""
    shape, (peak_w, threshold_w) = (len(plan.counts), new[0].shape[1]), moves
    if not any((peak_w[:, k] >= threshold_w).any() for k in range(peak_w.shape[1])):
        return np.broadcast_to(0.0, shape)
    tables = (plan.leaf_tree.first, plan.leaf_tree.index, plan.leaves, plan.per_s, plan.least)
    out = np.empty(shape)
    share(
        lambda *span: moved_together(new, old, moves, tables, out, span), peak_w.shape[1], out.size
    )
    return out


def scan(
    path_w: Any, path_ok: Any, past_z_w: Any, since: Any, plan: StepPlan, *, share: Any = alone
) -> Scan:
    """As `reference.scan`; nodes are shared."""
    rows, ticks = path_w.shape[0], path_w.shape[1] - plan.coefficients.shape[1]
    best, place = np.empty((2, rows, ticks)), np.empty((2, rows, ticks), np.int64)
    out = np.empty((rows, len(GROUPS))), np.empty(past_z_w.shape)
    way = [np.ascontiguousarray(a) for a in (path_w, path_ok, past_z_w)]
    path = (way[0], way[1], since, way[2])

    def some(*tiles: int) -> None:
        ratios(path, tuple(plan), (BOXES, GROUPS, tiles), best, place, out)

    share(some, -(-rows // LANES), rows * (past_z_w.shape[1] + ticks))
    return Scan(best, place, *out)


def innovations(path_w: Any, path_ok: Any, plan: StepPlan, *, share: Any = alone) -> Any:
    """As `reference.innovations`; nodes are shared."""
    rows, order = plan.coefficients.shape
    out = np.empty((rows, path_w.shape[1] - order))
    path = (np.ascontiguousarray(path_w), np.ascontiguousarray(path_ok))
    judged = tuple(plan)
    share(lambda *tiles: whitened(path, judged, tiles, out), -(-rows // LANES), out.size)
    return out


def two_threshold(
    statistic: Any, state: Any, *, threshold_on: float, threshold_off: float
) -> tuple[Any, Any]:
    """As `trigger.two_threshold`."""
    active, state = np.empty(statistic.shape, bool), state.copy()
    switched(statistic, state, threshold_on, threshold_off, active)
    return active, state


def _of(rows: tuple[int, ...], *arrays: Any) -> list[Any]:
    """The same rows of each."""
    return [a[rows[0] : rows[1]] for a in arrays]


def frame_means(
    x_w: Any, valid: Any, *, samples_per_frame: int, share: Any = alone
) -> tuple[Any, Any]:
    """As `seconds.frame_means`; rows are shared."""
    shape = (x_w.shape[0], x_w.shape[1] // samples_per_frame)
    out = np.empty(shape), np.empty(shape, bool)
    given = np.ascontiguousarray(x_w), np.ascontiguousarray(valid)

    def some(*rows: int) -> None:
        means(*_of(rows, *given), samples_per_frame, *_of(rows, *out))

    share(some, len(x_w), x_w.size)
    return out


def newest(tail_w: Any, valid: Any, taps: Any, *, factor: int, count: int) -> tuple[Any, Any]:
    """As `decimation.newest`."""
    if factor == 1:
        return decimation.newest(tail_w, valid, taps, factor=1, count=count)
    shape = (tail_w.shape[0], count)
    out = np.empty(shape), np.empty(shape, bool)
    first = tail_w.shape[1] - len(taps) - factor * (count - 1)
    tail_w, valid = np.ascontiguousarray(narrow(tail_w)), np.ascontiguousarray(valid)
    slowed(tail_w, valid, taps, (first, factor), out)
    return out


def second_stats(
    x_w: Any, valid: Any, *, samples_per_second: int, share: Any = alone
) -> tuple[Any, Any, Any, Any]:
    """As `seconds.second_stats`; in memory a second's channels lie side by side; shared."""
    shape = (x_w.shape[1] // samples_per_second, x_w.shape[0])
    out, counts = np.empty((3, *shape)), np.empty(shape, np.int64)
    given = np.ascontiguousarray(x_w), np.ascontiguousarray(valid)

    def some(*tiles: int) -> None:
        stats(given, samples_per_second, (out, counts), tiles)

    share(some, -(-len(x_w) // LANES), x_w.size)
    return out[0].T, out[1].T, out[2].T, counts.T


def remember(peak_w: Any, keep: Any, state: NoiseState, *, share: Any = alone) -> NoiseState:
    """As `noise.remember`; rows are shared."""
    new = np.empty_like(state.peaks_w), np.empty_like(state.warm_s)
    given = np.ascontiguousarray(narrow(peak_w)), np.ascontiguousarray(keep)

    def some(*rows: int) -> None:
        pushed(*_of(rows, *given), tuple(_of(rows, *state)), tuple(_of(rows, *new)))

    share(some, len(peak_w), state.peaks_w.size)
    return NoiseState(*new)


def noise_scale(state: NoiseState, *, share: Any = alone) -> Any:
    """As `noise.noise_scale`; rows are shared."""
    out = np.empty(len(state.warm_s))
    share(lambda *rows: medians(*_of(rows, *state, out)), len(out), state.peaks_w.size)
    return out


def autocovariance(x_w: Any, valid: Any, *, order: int) -> Any:
    """As `whitening.autocovariance`."""
    out = np.empty((x_w.shape[0], order + 1))
    lagged(np.ascontiguousarray(x_w), np.ascontiguousarray(valid), out)
    return out


def together(
    x_w: Any, valid: Any, state: DiversityState, *, share: Any = alone
) -> tuple[Together, DiversityState]:
    """As `diversity.together`; leaves are shared."""
    (leaves, ticks), tail_w = x_w.shape, np.ascontiguousarray(state.tail_w)
    width, groups = -(-(tail_w.shape[1] + 1) // LANES) * LANES, -(-leaves // LEAVES)
    later_w = np.empty(tail_w.shape, np.float32)
    sums = np.empty((groups, ticks, 2 * width + MEASURES))
    new = np.ascontiguousarray(narrow(x_w)), np.ascontiguousarray(valid)
    share(lambda *some: fallen(tail_w, new, later_w, sums, some), groups, leaves * ticks * width)
    total = sum(sums[1:], sums[0])
    found = [_fallen(*np.split(each, [width, 2 * width])) for each in total]
    return Together(*np.array(found).T[:, None, :]), DiversityState(later_w)


def _fallen(sum_w: Any, moved_w: Any, of_leaves: Any) -> tuple[float, ...]:
    """One second's `Together` of what `_diversity.together` adds up."""
    peaks_w, tops_w, squares_w2, sizes_w, squared_w2, count = of_leaves.tolist()
    peak_w, top_w = max(float(sum_w.max()), 0.0), float(np.abs(moved_w).max())
    apart_w2 = float((moved_w * moved_w).sum())
    effective = count * squares_w2 / apart_w2 if apart_w2 > 0 else 0.0
    return (
        peak_w / peaks_w if peaks_w > 0 else 0.0,
        top_w / tops_w if tops_w > 0 else 0.0,
        min(effective, count),
        squared_w2 / (sizes_w * sizes_w) if sizes_w > 0 else 0.0,
    )


def block_moments(maxima: Any, count: Any, *, share: Any = alone) -> Moments:
    """As `reference.block_moments`; so many rows at a time that the caches hold them, shared."""
    out = np.empty((maxima.shape[0], 3 + len(_LEVELS)))
    given = np.ascontiguousarray(maxima), np.ascontiguousarray(count)

    def some(begin: int, end: int) -> None:
        for first in range(_AT_ONCE * begin, min(_AT_ONCE * end, len(out)), _AT_ONCE):
            part, known, said = _of((first, first + _AT_ONCE), *given, out)
            most, least = int(known.max()), int(known.min())
            ordered = part[:, part.shape[1] - most :]
            if most > least:
                here = np.arange(most) >= most - known[:, None]
                ordered = np.where(here, ordered, np.float32(np.inf))
            middles(part, known, np.sort(ordered, axis=-1), _LEVELS, said)

    share(some, -(-len(out) // _AT_ONCE), maxima.size)
    return Moments(out[:, 0], out[:, 1], out[:, 2], out[:, 3:])


def _warm() -> None:
    """Compiled or loaded with this module's import: the signatures are stated."""


def kernels(share: Any) -> Kernels:
    """The same, with rows shared: ``share(job, count, numbers)`` calls ``job(first, last)``."""
    shared: dict[str, Any] = {
        name: functools.partial(getattr(KERNELS, name), share=share) for name in _SHARED
    }
    return KERNELS._replace(**shared)


KERNELS = Kernels(
    "numba",
    frame,
    scan,
    innovations,
    two_threshold,
    autocovariance,
    block_moments,
    plan,
    periodogram,
    newest,
    remember,
    noise_scale,
    second_stats,
    frame_means,
    together,
    _warm,
)
