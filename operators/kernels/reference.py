"""The kernels made of the operators: the oracle, and what runs where a device has no others."""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace, device

from operators import (
    decimation,
    diversity,
    extremes,
    noise,
    oscillations,
    ramps,
    seconds,
    segments,
    steps,
    synchrony,
    trigger,
    whitening,
)
from operators._arrays import widen
from operators.oscillations import OscillationState

from . import Found, Frame, FramePlan, Kernels, Scan, StepPlan, Told

__all__ = ["KERNELS", "frame", "periodogram", "scan", "strongest", "up_the_tree"]

EVERYTHING = Told()


def up_the_tree(x: Any, levels: tuple[segments.Segments, ...]) -> Any:
    """Channel rows (…, channel, time) to node rows, level by level, float64."""
    xp, channels = array_namespace(x), x.shape[-2]
    for level in levels:
        x = xp.concat([x, segments.segment_sums(x, level)], axis=-2)
    return x[..., channels:, :]


def frame(mean_w: Any, ok: Any, past: ramps.RampState, threshold_w: Any, plan: FramePlan) -> Frame:
    """Node power, masked differences, peaks and votes of one frame."""
    xp, levels, mean_w = array_namespace(mean_w), plan.levels, widen(mean_w)
    diff_w, both, _ = ramps.differences(mean_w, ok, past, lags=(1, plan.per_s))
    up = up_the_tree(diff_w, levels)
    some = up_the_tree(xp.astype(both[0, ...], xp.float64), levels) > 0
    leaf = (slice(1, 2), slice(*plan.leaves))
    leaf_w, leaf_ok = diff_w[*leaf, :][0, ...], both[*leaf, :][0, ...]
    return Frame(
        up_the_tree(mean_w, levels),
        up_the_tree(xp.astype(ok, xp.float64), levels) / plan.counts[:, None],
        xp.take(up[0, ...], plan.watched, axis=0),
        xp.take(some, plan.watched, axis=0),
        up[1, ...],
        _together(leaf_w, leaf_ok, threshold_w, plan, mean_w.shape[0]),
        _peaks(xp.where(leaf_ok, xp.abs(leaf_w), -xp.ones_like(leaf_w)), plan.per_s),
    )


def _peaks(size_w: Any, per_s: int) -> Any:
    """Greatest of each second, or of the part of one."""
    xp, ticks = array_namespace(size_w), size_w.shape[-1]
    seconds_n = max(ticks // per_s, 1)
    return xp.max(xp.reshape(size_w, (size_w.shape[0], seconds_n, ticks // seconds_n)), axis=-1)


def _together(leaf_w: Any, ok: Any, threshold_w: Any, plan: FramePlan, channels: int) -> Any:
    """Synchrony of every node from the leaves that moved within a second."""
    xp, ticks = array_namespace(leaf_w), leaf_w.shape[-1]
    up_w, down_w, up_n, down_n = synchrony.moved(leaf_w, ok, threshold_w)
    like = {"dtype": leaf_w.dtype, "device": device(leaf_w)}
    before = xp.zeros((plan.leaves[0], ticks), **like)
    after = xp.zeros((channels - plan.leaves[1], ticks), **like)
    nodes_up_w, nodes_down_w, count = (
        up_the_tree(xp.concat([before, moved, after], axis=0), plan.leaf_levels)
        for moved in (up_w, down_w, up_n + down_n)
    )
    together = synchrony.synchrony(nodes_up_w, nodes_down_w)
    return xp.where(count >= plan.least, together, xp.zeros_like(together))


def _whitened(path_w: Any, path_ok: Any, plan: StepPlan) -> tuple[Any, Any]:
    """Bounded innovations of the newest ticks; the largest of each node before it was bounded."""
    xp, order = array_namespace(path_w), plan.coefficients.shape[-1]
    tail = (path_w[:, :order], path_ok[:, :order])
    new_w, known = whitening.innovations(
        path_w[:, order:], path_ok[:, order:], tail, plan.coefficients
    )
    new_w = xp.where(known, new_w - plan.offset_w[:, None], xp.zeros_like(new_w))
    bound_w, alone_w = plan.bound_w[:, None], xp.max(xp.abs(new_w), axis=1)
    return xp.minimum(xp.maximum(new_w, -bound_w), bound_w), alone_w


def innovations(path_w: Any, path_ok: Any, plan: StepPlan) -> Any:
    """Bounded innovations of the newest ticks about the baseline."""
    return _whitened(path_w, path_ok, plan)[0]


def scan(path_w: Any, path_ok: Any, past_z_w: Any, since: Any, plan: StepPlan) -> Scan:
    """Innovations of the newest ticks about the baseline, and what their windows say."""
    xp, (new_w, alone_w) = array_namespace(path_w), _whitened(path_w, path_ok, plan)
    spread_w = xp.where(plan.sigma_w > 0, plan.sigma_w, xp.full_like(plan.sigma_w, xp.inf))
    alone = alone_w / spread_w
    z_w = xp.concat([past_z_w, new_w], axis=1)
    ticks = xp.arange(1, new_w.shape[1] + 1, dtype=since.dtype, device=device(since))
    view = steps.likelihood_ratio(
        z_w, plan.sigma_w, since[:, None] + ticks, plan.baseline, plan.limits
    )
    greatest = xp.max(view.greatest, axis=2)
    first = xp.maximum(greatest[:, :1], alone[:, None])
    greatest = xp.concat([first, greatest[:, 1:]], axis=1)
    ratio, window = xp.stack([view.up, view.down]), xp.stack([view.up_window, view.down_window])
    return Scan(ratio, window, greatest, z_w[:, -steps.TAIL :])


def block_moments(maxima: Any, count: Any) -> extremes.Moments:
    """`extremes.moments` of maxima as they are remembered, the newest ``count`` of each row."""
    xp, blocks = array_namespace(maxima), maxima.shape[1]
    age = xp.arange(blocks, 0, -1, dtype=count.dtype, device=device(count))
    return extremes.moments(xp.astype(maxima, xp.float64), age <= count[:, None])


def periodogram(
    x_w: Any,
    valid: Any,
    state: OscillationState,
    *,
    plan: Any,
    told: Told = EVERYTHING,
) -> tuple[Found, OscillationState]:
    """`oscillations.periodogram`, the greatest of bands, and of each row; tells bins always."""
    xp = array_namespace(x_w)
    *found, state = oscillations.periodogram(x_w, valid, state, plan=plan)
    found = [xp.permute_dims(y, (2, 0, 1)) for y in found]
    most = xp.stack([xp.max(y, axis=-1) for y in found[:3]])
    return Found._make([*found, strongest(found[3], told), most]), state


def strongest(amplitude_w: Any, told: Told) -> Any:
    """Greatest of each band of bins, 0 where it has none; (hop, channel, bin) -> (…, band)."""
    xp, (hops, channels, _) = array_namespace(amplitude_w), amplitude_w.shape
    like = {"dtype": amplitude_w.dtype, "device": device(amplitude_w)}
    if told.weight is not None:
        amplitude_w = amplitude_w * xp.asarray(told.weight, **like)
    if not len(told.bands):
        return xp.zeros((hops, channels, 0), **like)
    parts = [amplitude_w[:, :, first:last] for first, last in told.bands.tolist()]
    none = xp.zeros((hops, channels), **like)
    return xp.stack([xp.max(y, axis=-1) if y.shape[2] else none for y in parts], axis=-1)


def second_stats(x_w: Any, valid: Any, *, samples_per_second: int) -> Any:
    """`seconds.second_stats`, computed as float64 whatever comes."""
    return seconds.second_stats(widen(x_w), valid, samples_per_second=samples_per_second)


def frame_means(x_w: Any, valid: Any, *, samples_per_frame: int) -> Any:
    """`seconds.frame_means`, computed as float64 whatever comes."""
    return seconds.frame_means(widen(x_w), valid, samples_per_frame=samples_per_frame)


def _nothing() -> None:
    """There is nothing to compile."""


KERNELS = Kernels(
    "reference",
    frame,
    scan,
    innovations,
    trigger.two_threshold,
    whitening.autocovariance,
    block_moments,
    oscillations.to_namespace,
    periodogram,
    decimation.newest,
    noise.remember,
    noise.noise_scale,
    second_stats,
    frame_means,
    diversity.together,
    _nothing,
)
