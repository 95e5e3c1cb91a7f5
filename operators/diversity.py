"""Diversity: how far the peaks, and the moves, of the channels fall together."""

from typing import Any, NamedTuple

from array_api_compat import array_namespace, device

from . import _arrays, _check

__all__ = ["DiversityState", "Together", "start", "together"]


class DiversityState(NamedTuple):
    """What `together` must remember between seconds."""

    tail_w: Any
    """The last ``window - 1`` seconds, NaN where not measured; (channel, window - 1) float32, W."""


class Together(NamedTuple):
    """How the channels of a node fall together in the trailing window; (1, time) each."""

    peaks: Any
    """Coincidence factor: peak of the sum over the sum of the peaks, 1 when all peak together."""
    moves: Any
    """Greatest move of the sum over the sum of the greatest moves: 1 when all move at once."""
    effective: Any
    """How many channels that moved independently would make as smooth a sum."""
    concentration: Any
    """Herfindahl-Hirschman index of the channels' moves: 1 when one channel moves alone."""


def start(x_w: Any, *, window: int) -> DiversityState:
    """Return the state before the first second: nothing known. ``window`` is 2 s or more."""
    _check.frame(x_w, name="x_w")
    _check.positive(window - 1, name="window - 1")
    xp = array_namespace(x_w)
    shape = (x_w.shape[0], window - 1)
    return DiversityState(xp.full(shape, xp.nan, dtype=xp.float32, device=device(x_w)))


def _over(above: Any, below: Any) -> Any:
    """Ratio, zero where there is nothing below."""
    xp = array_namespace(above)
    some = below > 0
    ratio = above / xp.where(some, below, xp.ones_like(below))
    return xp.where(some, ratio, xp.zeros_like(ratio))


def _peaks(used_w: Any) -> Any:
    """Peak of the sum over the sum of the peaks of one window; each is at least zero."""
    xp = array_namespace(used_w)
    sum_w, own_w = xp.max(_arrays.fold_sum(used_w, axis=-2)), xp.max(used_w, axis=-1)
    sum_w = xp.maximum(sum_w, xp.zeros_like(sum_w))
    own_w = xp.maximum(own_w, xp.zeros_like(own_w))
    return _over(sum_w, _arrays.fold_sum(own_w, axis=-1))


def _moves(d_w: Any) -> tuple[Any, Any, Any]:
    """Coincidence, effective number and concentration of one window's changes."""
    xp = array_namespace(d_w)
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
    return coincidence, xp.minimum(effective, count), concentration


def together(x_w: Any, valid: Any, state: DiversityState) -> tuple[Together, DiversityState]:
    """
    How far the channels peak together and move together, in the trailing window.

    Parameters
    ----------
    x_w : array, shape (channel, time)
        Power of the members of one node; one time step is one second. In W.
    valid : array of bool, shape (channel, time)
        Seconds that were measured; others count as zero, and neither end of a move.
    state : DiversityState
        From `start` or from the previous call.

    Returns
    -------
    Together
        Peaks: ``max_t sum_i P_i / sum_i max_t P_i`` over the last ``window`` seconds, each maximum
        at least zero; the diversity factor is its inverse. With ``d_i`` the change of a channel
        from one measured second to the next, over the window, moves:
        ``max_t |sum_i d_i| / sum_i max_t |d_i|``; effective:
        ``N sum_i sum_t d_i^2 / sum_t (sum_i d_i)^2`` over the N channels that moved, N at most;
        concentration: ``sum_i s_i^2``, ``s_i`` the share of ``sum_t |d_i|``. All 0 where nothing
        drew power, or moved.
    state : DiversityState

    Notes
    -----
    Source of the first: the utility definition (coincidence factor = 1 / diversity factor). Of the
    third: ``Var(sum) / sum Var = 1 + (N - 1) rho`` for channels of equal variance and correlation
    rho; the effective number is N over it. Seconds count rounded to float32, as they are
    remembered, and those before the first as not measured: the answer means little before
    ``window`` seconds.
    """
    _check.frame(x_w, name="x_w")
    _check.match(valid, x_w.shape, name="valid")
    xp, n_time = array_namespace(x_w), x_w.shape[-1]
    now_w = _arrays.narrow(x_w)
    now_w = xp.where(valid, now_w, xp.full_like(now_w, xp.nan))
    joined = xp.concat([state.tail_w, now_w], axis=-1)
    known, wide = ~xp.isnan(joined), xp.astype(joined, x_w.dtype)
    used_w = xp.where(known, wide, xp.zeros_like(wide))
    both, moves_w = known[:, 1:] & known[:, :-1], used_w[:, 1:] - used_w[:, :-1]
    moves_w = xp.where(both, moves_w, xp.zeros_like(moves_w))
    window, found = state.tail_w.shape[-1] + 1, []
    for end in range(window, window + n_time):
        span = slice(end - window, end - 1)
        found.append((_peaks(used_w[:, end - window : end]), *_moves(moves_w[:, span])))
    said = (xp.stack(list(y), axis=-1)[None, :] for y in zip(*found, strict=True))
    return Together(*said), DiversityState(joined[:, n_time:])
