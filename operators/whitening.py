"""Whitening: each channel's power as innovations of an autoregression, uncorrelated in time."""

from typing import Any, NamedTuple

from array_api_compat import array_namespace, device

from . import _arrays, _check

__all__ = ["Whitener", "autocovariance", "innovations", "levinson"]

_RIDGE = 1e-6
"""Share of the variance added to lag 0: keeps a pure line or a flat meter solvable."""


class Whitener(NamedTuple):
    """An autoregression ``x[t] = sum_k a_k x[t - k] + e[t]`` of each channel."""

    coefficients: Any
    """``a_1 … a_p``; (channel, order)."""
    sigma_w: Any
    """Standard deviation of ``e``; 0 where nothing is known; (channel,), W."""


def autocovariance(x_w: Any, valid: Any, *, order: int) -> Any:
    """
    Sums of products about the mean, for lags 0 to ``order``.

    Parameters
    ----------
    x_w, valid : arrays, shape (channel, time)
        One stretch of power, in W, and which cells were measured.
    order : int
        Largest lag, in samples.

    Returns
    -------
    array, shape (channel, order + 1)
        ``sum_t (x[t] - m)(x[t - k] - m)`` over pairs measured at both ends, W^2. Stretches add up.
    """
    _check.frame(x_w, name="x_w")
    _check.match(valid, x_w.shape, name="valid")
    xp = array_namespace(x_w)
    weight = xp.astype(valid, x_w.dtype)
    count = _arrays.fold_sum(weight, axis=-1)[:, None]
    some = xp.where(count > 0, count, xp.ones_like(count))
    mean_w = _arrays.fold_sum(x_w * weight, axis=-1)[:, None] / some
    moved_w = (x_w - mean_w) * weight
    n_time = x_w.shape[-1]
    sums = [
        _arrays.fold_sum(moved_w[:, lag:] * moved_w[:, : n_time - lag], axis=-1)
        for lag in range(order + 1)
    ]
    return xp.stack(sums, axis=-1)


def levinson(sums_w2: Any, count: Any) -> Whitener:
    """
    Solve the Yule-Walker equations of every channel.

    Parameters
    ----------
    sums_w2 : array, shape (channel, order + 1)
        From `autocovariance`, W^2.
    count : array, shape (channel,)
        Samples behind them.

    Returns
    -------
    Whitener
        Zero coefficients and ``sigma_w`` 0 where there is no variance.

    Notes
    -----
    Levinson-Durbin recursion (Durbin, Rev. ISI 28, 1960). Always a stable whitener, since the sums
    of one stretch are those of a finite sequence.
    """
    _check.frame(sums_w2, name="sums_w2", axes=("channel", "lag"))
    xp = array_namespace(sums_w2)
    order = sums_w2.shape[-1] - 1
    error = sums_w2[:, 0] * (1 + _RIDGE)
    some = error > 0
    error = xp.where(some, error, xp.ones_like(error))
    a: list[Any] = []
    for lag in range(1, order + 1):
        residue = sums_w2[:, lag]
        for k, known in enumerate(a):
            residue = residue - known * sums_w2[:, lag - 1 - k]
        reflection = xp.where(some, residue / error, xp.zeros_like(residue))
        a = [*(known - reflection * a[-1 - k] for k, known in enumerate(a)), reflection]
        error = error * (1 - reflection * reflection)
    number = xp.where(count > 0, xp.astype(count, error.dtype), xp.ones_like(error))
    sigma_w = xp.where(some, xp.sqrt(error / number), xp.zeros_like(error))
    empty = xp.zeros((sums_w2.shape[0], 0), dtype=sums_w2.dtype, device=device(sums_w2))
    return Whitener(xp.stack(a, axis=-1) if a else empty, sigma_w)


def innovations(x_w: Any, valid: Any, tail: tuple[Any, Any], coefficients: Any) -> Any:
    """
    What each sample adds to what its predecessors foretold.

    Parameters
    ----------
    x_w, valid : arrays, shape (channel, time)
        Power, in W; finite.
    tail : (x_w, valid) arrays, shape (channel, order)
        The ``order`` samples before.
    coefficients : array, shape (channel, order)
        Of a `Whitener`.

    Returns
    -------
    innovation_w : array, shape (channel, time)
        ``x[t] - sum_k a_k x[t - k]``; its mean is ``(1 - sum a)`` times that of x. In W.
    known : array of bool, shape (channel, time)
        The sample and all ``order`` before it were measured.
    """
    _check.frame(x_w, name="x_w")
    _check.match(valid, x_w.shape, name="valid")
    xp = array_namespace(x_w)
    order, n_time = coefficients.shape[-1], x_w.shape[-1]
    _check.match(tail[0], (x_w.shape[0], order), name="tail")
    joined = xp.concat([tail[0], x_w], axis=-1)
    measured = xp.concat([tail[1], valid], axis=-1)
    out, known = x_w, valid
    for lag in range(1, order + 1):
        before = slice(order - lag, order - lag + n_time)
        out = out - coefficients[:, lag - 1 : lag] * joined[:, before]
        known = known & measured[:, before]
    return out, known
