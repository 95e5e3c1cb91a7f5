"""Diversity: how far the peaks of the channels fall together."""

from typing import Any, NamedTuple

from array_api_compat import array_namespace, device

from . import _arrays, _check

__all__ = ["DiversityState", "coincidence_factor", "start"]


class DiversityState(NamedTuple):
    """What `coincidence_factor` must remember between seconds."""

    tail_w: Any
    """The last ``window - 1`` seconds, zero where not valid; (channel, window - 1), W."""


def start(x_w: Any, *, window: int) -> DiversityState:
    """Return the state before the first second: nothing known counts as zero."""
    _check.frame(x_w, name="x_w")
    _check.positive(window, name="window")
    xp = array_namespace(x_w)
    shape = (x_w.shape[0], window - 1)
    return DiversityState(xp.zeros(shape, dtype=x_w.dtype, device=device(x_w)))


def _trailing_max(y: Any, window: int) -> Any:
    """Greatest of the last ``window`` values; (..., time) -> (..., time - window + 1)."""
    xp = array_namespace(y)
    span = 1
    while span < window:
        step = min(span, window - span)
        y = xp.maximum(y[..., step:], y[..., : y.shape[-1] - step])
        span += step
    return y


def coincidence_factor(x_w: Any, valid: Any, state: DiversityState) -> tuple[Any, DiversityState]:
    """
    Peak of the sum over sum of the peaks, in the trailing window.

    Parameters
    ----------
    x_w : array, shape (channel, time)
        Power of the members of one node; one time step is one second. In W.
    valid : array of bool, shape (channel, time)
        Seconds that were measured; others count as zero.
    state : DiversityState
        From `start` or from the previous call.

    Returns
    -------
    coincidence : array, shape (1, time)
        ``max_t sum_i P_i / sum_i max_t P_i`` over the last ``window`` seconds: 1 when all
        peak together; the diversity factor is its inverse. Each maximum is at least zero;
        0 where no channel drew power.
    state : DiversityState

    Notes
    -----
    Source: the utility definition (coincidence factor = 1 / diversity factor). Seconds
    before the first count as zero, so the answer means little before ``window`` seconds.
    """
    _check.frame(x_w, name="x_w")
    _check.match(valid, x_w.shape, name="valid")
    xp = array_namespace(x_w)
    used_w = xp.where(valid, x_w, xp.zeros_like(x_w))
    joined = xp.concat([state.tail_w, used_w], axis=-1)
    window = state.tail_w.shape[-1] + 1
    none = xp.zeros((1, x_w.shape[-1]), dtype=x_w.dtype, device=device(x_w))
    together = xp.maximum(_trailing_max(_arrays.fold_sum(joined, axis=-2)[None, :], window), none)
    apart = xp.maximum(_trailing_max(joined, window), none)
    peaks = _arrays.fold_sum(apart, axis=-2)[None, :]
    some = peaks > 0
    share = together / xp.where(some, peaks, xp.ones_like(peaks))
    tail_w = joined[:, x_w.shape[-1] :]
    return xp.where(some, share, none), DiversityState(tail_w)
