"""Noise scale: what a channel's differences usually reach within a second."""

from typing import Any, NamedTuple

from array_api_compat import array_namespace, device

from . import _arrays, _check

__all__ = ["NoiseState", "noise_scale", "remember", "start"]


class NoiseState(NamedTuple):
    """The peaks of the last seconds that count."""

    peaks_w: Any
    """The last ``memory_s`` kept peaks, newest last; (channel, memory_s) float32, W."""

    warm_s: Any
    """How many of them are filled (from the right), at most memory_s; (channel,), int64."""


def start(peak_w: Any, *, memory_s: int = 60) -> NoiseState:
    """Return the state before the first second: no peak known."""
    _check.frame(peak_w, name="peak_w")
    _check.positive(memory_s, name="memory_s")
    xp = array_namespace(peak_w)
    n_channel = peak_w.shape[0]
    return NoiseState(
        xp.zeros((n_channel, memory_s), dtype=xp.float32, device=device(peak_w)),
        xp.zeros((n_channel,), dtype=xp.int64, device=device(peak_w)),
    )


def remember(peak_w: Any, keep: Any, state: NoiseState) -> NoiseState:
    """
    Take seconds into the memory.

    Parameters
    ----------
    peak_w : array, shape (channel, time)
        Largest ``|difference|`` within each second (one time step is one second), in W.
    keep : array of bool, shape (channel, time)
        False where the second must not teach: nothing was measured.
    state : NoiseState
        From `start` or from the previous call.
    """
    _check.frame(peak_w, name="peak_w")
    _check.match(keep, peak_w.shape, name="keep")
    xp, peak_w = array_namespace(peak_w), _arrays.narrow(peak_w)
    peaks_w, warm_s = state
    memory_s = peaks_w.shape[-1]
    for second in range(peak_w.shape[-1]):
        now, kept = peak_w[:, second : second + 1], keep[:, second : second + 1]
        pushed = xp.concat([peaks_w[:, 1:], now], axis=-1)
        peaks_w = xp.where(kept, pushed, peaks_w)
        grown = warm_s + xp.astype(kept[:, 0], xp.int64)
        warm_s = xp.where(grown > memory_s, xp.full_like(grown, memory_s), grown)
    return NoiseState(peaks_w, warm_s)


def noise_scale(state: NoiseState) -> Any:
    """
    Median of each channel's remembered one-second peaks, in W; zero until one was kept.

    Notes
    -----
    (channel,) float64. A median over a finite memory, not a recursive tracker: up to half of the
    minute may be anything, a quiet hour cannot drive it to zero for long, and a new regime is
    learned in half the memory. ``state.warm_s`` counts the seconds it rests on; ask for 10 or more
    before use.
    """
    xp = array_namespace(state.peaks_w)
    memory_s = state.peaks_w.shape[-1]
    place = xp.arange(memory_s, dtype=xp.int64, device=device(state.peaks_w))
    filled = place[None, :] >= memory_s - state.warm_s[:, None]
    peaks_w = xp.astype(state.peaks_w, xp.float64)
    return _arrays.masked_quantiles(peaks_w, filled, (0.5,))[:, 0]
