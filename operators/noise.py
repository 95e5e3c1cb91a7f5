"""Noise scale: what a channel's differences usually reach within a second."""

from typing import Any, NamedTuple

from array_api_compat import array_namespace, device

from . import _arrays, _check

__all__ = ["NoiseState", "noise_scale", "start"]


class NoiseState(NamedTuple):
    """What `noise_scale` must remember between seconds."""

    peaks_w: Any
    """The last ``memory_s`` kept peaks, newest last; (channel, memory_s), W."""

    warm_s: Any
    """How many of them are filled (from the right), at most memory_s; (channel,), int64."""


def start(peak_w: Any, *, memory_s: int = 60) -> NoiseState:
    """Return the state before the first second: no peak known."""
    _check.frame(peak_w, name="peak_w")
    _check.positive(memory_s, name="memory_s")
    xp = array_namespace(peak_w)
    n_channel = peak_w.shape[0]
    return NoiseState(
        xp.zeros((n_channel, memory_s), dtype=peak_w.dtype, device=device(peak_w)),
        xp.zeros((n_channel,), dtype=xp.int64, device=device(peak_w)),
    )


def _median(peaks_w: Any, warm_s: Any) -> Any:
    xp = array_namespace(peaks_w)
    place = xp.arange(peaks_w.shape[-1], dtype=xp.int64, device=device(peaks_w))
    filled = place[None, :] >= peaks_w.shape[-1] - warm_s[:, None]
    return _arrays.masked_quantiles(peaks_w, filled, (0.5,))


def noise_scale(peak_w: Any, keep: Any, state: NoiseState) -> tuple[Any, NoiseState]:
    """
    Median of each channel's kept one-second peaks, the present second left out.

    Parameters
    ----------
    peak_w : array, shape (channel, time)
        Largest ``|difference|`` within each second (one time step is one second), in W.
    keep : array of bool, shape (channel, time)
        False where the second must not teach: nothing was measured, or an event is open.
    state : NoiseState
        From `start` or from the previous call.

    Returns
    -------
    scale_w : array, shape (channel, time)
        Median of the last ``memory_s`` kept peaks BEFORE this second, in W, so that an
        event never raises its own threshold. Zero until one second was kept.
    state : NoiseState
        ``state.warm_s`` counts the seconds it rests on; ask for 10 or more before use.

    Notes
    -----
    A median over a finite memory, not a recursive tracker: up to half of the minute may be
    anything, a quiet hour cannot drive it to zero for long, and a new regime is learned in
    half the memory. Exact, hence the same however the stream is cut.
    """
    _check.frame(peak_w, name="peak_w")
    _check.match(keep, peak_w.shape, name="keep")
    xp = array_namespace(peak_w)
    peaks_w, warm_s = state
    memory_s = peaks_w.shape[-1]
    scale = []
    for second in range(peak_w.shape[-1]):
        scale.append(_median(peaks_w, warm_s))
        now, kept = peak_w[:, second : second + 1], keep[:, second : second + 1]
        pushed = xp.concat([peaks_w[:, 1:], now], axis=-1)
        peaks_w = xp.where(kept, pushed, peaks_w)
        grown = warm_s + xp.astype(kept[:, 0], xp.int64)
        warm_s = xp.where(grown > memory_s, xp.full_like(grown, memory_s), grown)
    scale_w = xp.concat(scale, axis=-1) if scale else peak_w
    return scale_w, NoiseState(peaks_w, warm_s)
