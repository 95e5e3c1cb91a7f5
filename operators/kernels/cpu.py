"""The kernels compiled by Numba: the CPU's hot path."""

from __future__ import annotations

from typing import Any

import numpy as np

from operators import decimation, diversity, ramps
from operators import steps as _reference_steps
from operators.noise import NoiseState

from . import Frame, FramePlan, Kernels, Scan, StepPlan
from ._periodogram import periodogram, plan
from ._seconds import lagged, means, medians, pushed, stats
from ._steps import ratios, switched
from ._sums import leaf_sums, node_sums

__all__ = ["KERNELS", "frame", "periodogram", "plan", "scan", "two_threshold"]

_GROUPS = np.array(_reference_steps.GROUPS, np.int64)


def _parts() -> Any:
    """Of each box: places of the newer and the older one, the newer's length, its own."""
    windows, rows = _reference_steps.WINDOWS, [(0, 0, 0, 1)]
    for window in windows[1:]:
        half = 1 << (window.bit_length() - 1)
        newer = half // 2 if half == window else half
        rows.append((windows.index(newer), windows.index(window - newer), newer, window))
    return np.array(rows, np.int64)


_PARTS = _parts()


def frame(mean_w: Any, ok: Any, past: ramps.RampState, threshold_w: Any, plan: FramePlan) -> Frame:
    """As `reference.frame`."""
    nodes, ticks = len(plan.counts), mean_w.shape[1]
    new = (np.ascontiguousarray(mean_w), np.ascontiguousarray(ok))
    old = (past.tail_w, past.tail_valid)
    sums = np.empty((nodes, 5, ticks))
    node_sums(new, old, (plan.tree.first, plan.tree.index), plan.per_s, sums)
    votes = np.empty((nodes, 3, ticks))
    start, stop = plan.leaves
    peaks = np.full((stop - start, max(ticks // plan.per_s, 1)), -1.0)
    tree = (plan.leaf_tree.first, plan.leaf_tree.index)
    leaf_sums(new, old, tree, (plan.per_s, start, stop, threshold_w), votes, peaks)
    watched, total = plan.watched, votes[:, 0] + votes[:, 1]
    together = np.maximum(votes[:, 0], votes[:, 1]) / np.where(total > 0, total, 1.0)
    return Frame(
        np.ascontiguousarray(sums[:, 0]),
        sums[:, 3] / plan.counts[:, None],
        sums[watched, 1],
        sums[watched, 4] > 0,
        np.ascontiguousarray(sums[:, 2]),
        np.where(votes[:, 2] >= plan.least, together, 0.0),
        peaks,
    )


def scan(path_w: Any, path_ok: Any, past_z_w: Any, since: Any, plan: StepPlan) -> Scan:
    """As `reference.scan`."""
    rows, ticks = path_w.shape[0], path_w.shape[1] - plan.coefficients.shape[1]
    best, place = np.zeros((2, rows, ticks)), np.zeros((2, rows, ticks), np.int64)
    greatest = np.zeros((rows, len(_GROUPS)))
    z_w = np.concatenate([past_z_w, np.empty((rows, ticks))], axis=1)
    path = (np.ascontiguousarray(path_w), np.ascontiguousarray(path_ok), since)
    windows, out = (_PARTS, _GROUPS), (greatest, z_w)
    ratios(path, tuple(plan), windows, (best[0], best[1]), (place[0], place[1]), out)
    return Scan(best[0], best[1], place[0], place[1], greatest, z_w)


def two_threshold(
    statistic: Any, state: Any, *, threshold_on: float, threshold_off: float
) -> tuple[Any, Any]:
    """As `trigger.two_threshold`."""
    active, state = np.empty(statistic.shape, bool), state.copy()
    switched(statistic, state, threshold_on, threshold_off, active)
    return active, state


def frame_means(x_w: Any, valid: Any, *, samples_per_frame: int) -> tuple[Any, Any]:
    """As `seconds.frame_means`."""
    if samples_per_frame == 1:
        return x_w, valid
    shape = (x_w.shape[0], x_w.shape[1] // samples_per_frame)
    mean_w, some = np.empty(shape), np.empty(shape, bool)
    x_w, valid = np.ascontiguousarray(x_w), np.ascontiguousarray(valid)
    means(x_w, valid, samples_per_frame, mean_w, some)
    return mean_w, some


def second_stats(x_w: Any, valid: Any, *, samples_per_second: int) -> tuple[Any, Any, Any, Any]:
    """As `seconds.second_stats`."""
    shape = (x_w.shape[0], x_w.shape[1] // samples_per_second)
    out, counts = np.empty((3, *shape)), np.empty(shape, np.int64)
    x_w, valid = np.ascontiguousarray(x_w), np.ascontiguousarray(valid)
    stats(x_w, valid, samples_per_second, out, counts)
    return out[0], out[1], out[2], counts


def remember(peak_w: Any, keep: Any, state: NoiseState) -> NoiseState:
    """As `noise.remember`."""
    peaks_w, warm_s = state.peaks_w.copy(), state.warm_s.copy()
    pushed(np.ascontiguousarray(peak_w), np.ascontiguousarray(keep), peaks_w, warm_s)
    return NoiseState(peaks_w, warm_s)


def noise_scale(state: NoiseState) -> Any:
    """As `noise.noise_scale`."""
    out = np.empty(len(state.warm_s))
    medians(state.peaks_w, state.warm_s, out)
    return out


def autocovariance(x_w: Any, valid: Any, *, order: int) -> Any:
    """As `whitening.autocovariance`."""
    out = np.empty((x_w.shape[0], order + 1))
    lagged(np.ascontiguousarray(x_w), np.ascontiguousarray(valid), out)
    return out


def _warm() -> None:
    """Compiled or loaded with this module's import: the signatures are stated."""


KERNELS = Kernels(
    "numba",
    frame,
    scan,
    two_threshold,
    autocovariance,
    plan,
    periodogram,
    decimation.newest,
    remember,
    noise_scale,
    second_stats,
    frame_means,
    diversity.movement,
    diversity.coincidence_factor,
    _warm,
)
