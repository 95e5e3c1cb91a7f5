"""Power ramps: how far each channel moved over several spans at once."""

from typing import Any, NamedTuple

from array_api_compat import array_namespace, device

from . import _check

__all__ = ["RampState", "differences", "start"]


class RampState(NamedTuple):
    """What `differences` must remember between frames."""

    tail_w: Any
    """The last samples, ``max(lags)`` of them or more; (channel, tail), W."""

    tail_valid: Any
    """Whether each was measured; (channel, tail), bool."""


def _lags(lags: tuple[int, ...]) -> None:
    if not lags or any(lag < 1 for lag in lags):
        msg = f"lags must be at least 1 sample each, got {lags}"
        raise ValueError(msg)


def start(x_w: Any, *, tail: int) -> RampState:
    """Return the state before the first sample (or after a reset): nothing known."""
    _check.frame(x_w, name="x_w")
    _check.positive(tail, name="tail")
    xp = array_namespace(x_w)
    shape = (x_w.shape[0], tail)
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
        In samples, the same in every call; none longer than the state's tail.

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
    depth, n_time = state.tail_w.shape[-1], x_w.shape[-1]
    if max(lags) > depth:
        msg = f"lags reach back {max(lags)} samples; the state holds {depth}"
        raise ValueError(msg)
    joined = xp.concat([xp.astype(state.tail_w, x_w.dtype), x_w], axis=-1)
    known = xp.concat([state.tail_valid, valid], axis=-1)
    diff, ok = [], []
    for lag in lags:
        both = known[:, depth - lag : depth - lag + n_time] & valid
        moved = x_w - joined[:, depth - lag : depth - lag + n_time]
        diff.append(xp.where(both, moved, xp.zeros_like(moved)))
        ok.append(both)
    return xp.stack(diff), xp.stack(ok), RampState(joined[:, n_time:], known[:, n_time:])
