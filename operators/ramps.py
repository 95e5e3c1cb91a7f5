"""Power ramps: how far each channel moved over several spans at once."""

from typing import Any, NamedTuple

from array_api_compat import array_namespace, device

from . import _check

__all__ = ["RampState", "differences", "start", "start_sustained", "sustained"]


class RampState(NamedTuple):
    """What `differences` must remember between frames."""

    tail_w: Any
    """The last ``max(lags)`` samples; (channel, max lag), W."""

    tail_valid: Any
    """Whether each was measured; (channel, max lag), bool."""


def _lags(lags: tuple[int, ...]) -> None:
    if not lags or any(lag < 1 for lag in lags):
        msg = f"lags must be at least 1 sample each, got {lags}"
        raise ValueError(msg)


def start(x_w: Any, *, lags: tuple[int, ...]) -> RampState:
    """Return the state before the first sample (or after a reset): nothing known."""
    _check.frame(x_w, name="x_w")
    _lags(lags)
    xp = array_namespace(x_w)
    shape = (x_w.shape[0], max(lags))
    return RampState(
        xp.zeros(shape, dtype=x_w.dtype, device=device(x_w)),
        xp.zeros(shape, dtype=xp.bool, device=device(x_w)),
    )


def differences(
    x_w: Any, valid: Any, state: RampState, *, lags: tuple[int, ...]
) -> tuple[Any, Any, RampState]:
    """
    Change of every channel over each lag: ``x[t] - x[t - lag]``.

    Parameters
    ----------
    x_w : array, shape (channel, time)
        Power of one frame, in W. Finite; missing cells hold the last value.
    valid : array of bool, shape (channel, time)
        Cells that were measured.
    state : RampState
        From `start` or from the previous call.
    lags : tuple of int
        In samples, the same in every call.

    Returns
    -------
    diff_w : array, shape (lag, channel, time)
        In W; zero where not ``ok``.
    ok : array of bool, shape (lag, channel, time)
        Both ends were measured. A difference with a masked end takes no part in anything,
        so that a lost meter is a gap and never a step.
    state : RampState
        Pass it to the next call. The input state is not changed.

    Notes
    -----
    Adds no latency: a step between samples ``t-1`` and ``t`` shows at ``t`` for every lag.
    """
    _check.frame(x_w, name="x_w")
    _check.match(valid, x_w.shape, name="valid")
    _lags(lags)
    xp = array_namespace(x_w)
    depth, n_time = max(lags), x_w.shape[-1]
    _check.match(state.tail_w, (x_w.shape[0], depth), name="state.tail_w")
    joined = xp.concat([state.tail_w, x_w], axis=-1)
    known = xp.concat([state.tail_valid, valid], axis=-1)
    diff, ok = [], []
    for lag in lags:
        both = known[:, depth - lag : depth - lag + n_time] & valid
        moved = x_w - joined[:, depth - lag : depth - lag + n_time]
        diff.append(xp.where(both, moved, xp.zeros_like(moved)))
        ok.append(both)
    return xp.stack(diff), xp.stack(ok), RampState(joined[:, n_time:], known[:, n_time:])


def start_sustained(diff_w: Any, *, ticks: int) -> Any:
    """Return the state before the first sample: nothing moved; (channel, ticks - 1), W."""
    _check.frame(diff_w, name="diff_w")
    _check.positive(ticks, name="ticks")
    xp = array_namespace(diff_w)
    return xp.zeros((diff_w.shape[0], ticks - 1), dtype=diff_w.dtype, device=device(diff_w))


def sustained(diff_w: Any, state: Any, *, ticks: int) -> tuple[Any, Any, Any]:
    """
    What of each difference has lasted for ``ticks`` samples, upwards and downwards.

    Parameters
    ----------
    diff_w : array, shape (channel, time)
        One lag of `differences` a row; zero where not ok. In W.
    state : array, shape (channel, ticks - 1)
        From `start_sustained` or from the previous call.
    ticks : int
        Samples, the same in every call; 1 lasts at once.

    Returns
    -------
    up_w : array, shape (channel, time)
        Least of the last ``ticks`` differences, at least zero, in W.
    down_w : array, shape (channel, time)
        Greatest of them, at most zero, in W.
    state : array
        Pass it to the next call.

    Notes
    -----
    A spike or dip shorter than ``ticks`` samples is in no lag's difference for that long, so it
    gives nothing, neither its edge nor its way back. Costs ``ticks - 1`` samples of delay.
    """
    _check.frame(diff_w, name="diff_w")
    _check.match(state, (diff_w.shape[0], ticks - 1), name="state")
    xp = array_namespace(diff_w)
    joined = xp.concat([state, diff_w], axis=-1)
    n_time = diff_w.shape[-1]
    zero = xp.zeros_like(diff_w)
    up_w, down_w = xp.maximum(diff_w, zero), xp.minimum(diff_w, zero)
    for back in range(ticks - 1):
        older_w = joined[:, back : back + n_time]
        up_w, down_w = xp.minimum(up_w, older_w), xp.maximum(down_w, older_w)
    return xp.maximum(up_w, zero), xp.minimum(down_w, zero), joined[:, n_time:]
