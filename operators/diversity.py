"""Diversity: how far the peaks, and the moves, of the channels fall together."""

from typing import Any, NamedTuple

from array_api_compat import array_namespace, device

from . import _arrays, _check

__all__ = ["DiversityState", "Movement", "coincidence_factor", "movement", "start"]


class DiversityState(NamedTuple):
    """What `coincidence_factor` must remember between seconds."""

    tail_w: Any
    """The last ``window - 1`` seconds, zero where not valid; (channel, window - 1), W."""
    tail_valid: Any
    """Which of them were measured; (channel, window - 1), bool."""


class Movement(NamedTuple):
    """How the second-to-second moves of the trailing window fall together; (1, time) each."""

    coincidence: Any
    """Greatest move of the sum over the sum of the greatest moves: 1 when all move at once."""
    effective: Any
    """How many channels that moved independently would make as smooth a sum."""
    concentration: Any
    """Herfindahl-Hirschman index of the channels' moves: 1 when one channel moves alone."""


def start(x_w: Any, *, window: int) -> DiversityState:
    """Return the state before the first second: nothing known counts as zero."""
    _check.frame(x_w, name="x_w")
    _check.positive(window, name="window")
    xp = array_namespace(x_w)
    shape = (x_w.shape[0], window - 1)
    return DiversityState(
        xp.zeros(shape, dtype=x_w.dtype, device=device(x_w)),
        xp.zeros(shape, dtype=xp.bool, device=device(x_w)),
    )


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
    known = xp.concat([state.tail_valid, valid], axis=-1)
    n_time = x_w.shape[-1]
    return xp.where(some, share, none), DiversityState(joined[:, n_time:], known[:, n_time:])


def _over(above: Any, below: Any) -> Any:
    """Ratio, zero where there is nothing below."""
    xp = array_namespace(above)
    some = below > 0
    ratio = above / xp.where(some, below, xp.ones_like(below))
    return xp.where(some, ratio, xp.zeros_like(ratio))


def movement(x_w: Any, valid: Any, state: DiversityState) -> Movement:
    """
    Ramp coincidence, effective number and concentration of the channels' moves.

    Parameters
    ----------
    x_w, valid : arrays, shape (channel, time)
        As in `coincidence_factor`, which moves the state on.
    state : DiversityState
        The state before these seconds.

    Returns
    -------
    Movement
        With ``d_i`` the change of a channel from one measured second to the next, over the window:
        ``max_t |sum_i d_i| / sum_i max_t |d_i|``;
        ``N sum_i sum_t d_i^2 / sum_t (sum_i d_i)^2`` over the N channels that moved, N at most;
        ``sum_i s_i^2``, ``s_i`` the share of ``sum_t |d_i|``. All 0 where nothing moved.

    Notes
    -----
    ``Var(sum) / sum Var = 1 + (N - 1) rho`` for channels of equal variance and correlation rho;
    the effective number is N over it.
    """
    _check.frame(x_w, name="x_w")
    _check.match(valid, x_w.shape, name="valid")
    xp = array_namespace(x_w)
    used_w = xp.where(valid, x_w, xp.zeros_like(x_w))
    joined = xp.concat([state.tail_w, used_w], axis=-1)
    known = xp.concat([state.tail_valid, valid], axis=-1)
    both = known[:, 1:] & known[:, :-1]
    moves_w = joined[:, 1:] - joined[:, :-1]
    moves_w = xp.where(both, moves_w, xp.zeros_like(moves_w))
    window, found = state.tail_w.shape[-1], []
    for end in range(window, moves_w.shape[-1] + 1):
        d_w = moves_w[:, end - window : end]
        size_w, sum_w = xp.abs(d_w), _arrays.fold_sum(d_w, axis=-2)
        coincidence = _over(
            xp.max(xp.abs(sum_w), axis=-1), _arrays.fold_sum(xp.max(size_w, axis=-1), axis=-1)
        )
        own_w2 = _arrays.fold_sum(d_w * d_w, axis=-1)
        count = xp.sum(xp.astype(own_w2 > 0, d_w.dtype), axis=-1)
        apart_w2 = _arrays.fold_sum(own_w2, axis=-1)
        effective = count * _over(apart_w2, _arrays.fold_sum(sum_w * sum_w, axis=-1))
        total_w = _arrays.fold_sum(size_w, axis=-1)
        share = _over(total_w, _arrays.fold_sum(total_w, axis=-1) + 0 * total_w)
        concentration = _arrays.fold_sum(share * share, axis=-1)
        found.append((coincidence, xp.minimum(effective, count), concentration))
    return Movement(*(xp.stack(list(y), axis=-1)[None, :] for y in zip(*found, strict=True)))
