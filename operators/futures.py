"""What followed: means ahead of past instants, and the forecasts made of them."""

from typing import Any, NamedTuple

import numpy as np
from array_api_compat import device

from . import _arrays, _check
from .forecast import LEVELS

__all__ = [
    "LEVELS",
    "NORMAL",
    "Targets",
    "means_ahead",
    "means_before",
    "mixed",
    "nearest",
    "persisted",
    "quantiles",
    "regressed",
    "running",
    "seasonal",
    "unlikeness",
]

NORMAL = (-1.6448536, -1.2815516, -0.6744898, 0.0, 0.6744898, 1.2815516, 1.6448536)
"""Quantiles of the normal distribution at `LEVELS`."""
BLOCK = 8
"""Neighbouring instants of which only the most similar one counts."""


class Targets(NamedTuple):
    """What is forecast: means of samples ``until - width`` to ``until`` ahead; each (horizon,)."""

    until: Any
    width: Any


def running(history_w: Any) -> Any:
    """Sum of all samples before each instant, shape (time + 1,), of (time,)."""
    _check.frame(history_w, name="history_w", axes=("time",))
    xp = _arrays.namespace(history_w)
    zero = xp.zeros((1,), dtype=history_w.dtype, device=device(history_w))
    return xp.concat([zero, xp.cumulative_sum(history_w)])


def _at(total: Any, place: Any) -> Any:
    xp = _arrays.namespace(total)
    if xp is np:
        return total[place]
    flat = xp.take(total, xp.reshape(place, (-1,)))
    return xp.reshape(flat, place.shape)


def means_ahead(total: Any, origins: Any, targets: Targets) -> Any:
    """
    Mean over each target as seen from each origin.

    Parameters
    ----------
    total : array, shape (time + 1,)
        From `running`.
    origins : array of int, shape (origin,) or (horizon, origin)
        Instants: ``k`` lies behind sample ``k - 1``. Every target lies within the series.
    targets : Targets
        Horizons.

    Returns
    -------
    array, shape (horizon, origin)
        W.
    """
    xp = _arrays.namespace(total)
    end = origins + targets.until[:, None]
    width = targets.width[:, None]
    return (_at(total, end) - _at(total, end - width)) / xp.astype(width, total.dtype)


def means_before(total: Any, origins: Any, width: Any) -> Any:
    """Mean of the ``width`` (n,) samples before each origin, (origin,) or (n, origin); W."""
    xp = _arrays.namespace(total)
    wide = width[:, None]
    return (_at(total, origins + 0 * wide) - _at(total, origins - wide)) / xp.astype(
        wide, total.dtype
    )


def quantiles(values_w: Any) -> Any:
    """Quantiles at `LEVELS` of the last axis: (horizon, member) to (horizon, 7), W."""
    return _arrays.quantiles(values_w, LEVELS)


def persisted(ahead_w: Any, before_w: Any, last_w: Any) -> Any:
    """
    Last value plus the quantiles of what followed minus what was last, shape (horizon, 7), W.

    ``ahead_w`` and ``before_w`` are (horizon, origin), ``last_w`` (horizon,).
    """
    return last_w[:, None] + quantiles(ahead_w - before_w)


def seasonal(total: Any, targets: Targets, *, period: float, cycles: int) -> Any:
    """
    Quantiles of the values at the same phase of the newest ``cycles`` periods, (horizon, 7), W.

    Parameters
    ----------
    total : array, shape (time + 1,)
        From `running`; between samples it is linear.
    targets : Targets
        Horizons.
    period : float
        Samples a period, need not be whole.
    cycles : int
        Periods looked back.
    """
    _check.positive(period, name="period")
    xp = _arrays.namespace(total)
    until = xp.astype(targets.until, total.dtype)
    back = xp.ceil(until / period)[:, None] + xp.arange(cycles, dtype=total.dtype)[None, :]
    last = total.shape[0] - 1
    width = xp.astype(targets.width, total.dtype)[:, None]
    end = xp.maximum(last + until[:, None] - back * period, width)

    def between(place: Any) -> Any:
        low = xp.minimum(xp.astype(xp.floor(place), xp.int64), xp.asarray(last - 1))
        share = place - xp.astype(low, total.dtype)
        return _at(total, low) * (1 - share) + _at(total, low + 1) * share

    values_w = (between(end) - between(end - width)) / width
    return quantiles(values_w)


def unlikeness(history_w: Any, *, length: int) -> tuple[Any, Any]:
    """
    How little each stretch of the past looks like the newest one, level apart.

    Parameters
    ----------
    history_w : array, shape (time,)
        The past, oldest first, W.
    length : int
        Samples compared.

    Returns
    -------
    distance : array, shape (time - length + 1,)
        Sum of squared differences of both stretches about their means, less what is the same for
        all, W². Element ``k`` is the stretch that ends at instant ``k + length``.
    shift_w : array, same shape
        Newest mean minus the stretch's, W.
    """
    _check.frame(history_w, name="history_w", axes=("time",))
    xp = _arrays.namespace(history_w)
    n = history_w.shape[0]
    x = history_w - history_w[-1]
    newest = x[n - length :]
    newest_mean = _arrays.fold_sum(newest[None, :], axis=-1)[0] / length
    size = 1 << max(n - 1, 1).bit_length()
    both = xp.fft.rfft(x, n=size) * xp.conj(xp.fft.rfft(newest - newest_mean, n=size))
    cross = xp.fft.irfft(both, n=size)[: n - length + 1]
    total, square = running(x), running(x * x)
    sums = total[length:] - total[: n - length + 1]
    distance = square[length:] - square[: n - length + 1] - sums * sums / length - 2 * cross
    return distance, newest_mean - sums / length


def nearest(distance: Any, *, count: int) -> Any:
    """
    Places of the least distances, at most one of eight neighbours; (count,), least first.

    ``distance`` (place,).
    """
    xp = _arrays.namespace(distance)
    skipped = distance.shape[0] % BLOCK
    blocks = xp.reshape(distance[skipped:], (-1, BLOCK))
    inner = xp.argmin(blocks, axis=-1)
    best = xp.argsort(xp.min(blocks, axis=-1), stable=False)[:count]
    return skipped + best * BLOCK + xp.take(inner, best)


def regressed(ahead_w: Any, features_w: Any, now_w: Any) -> Any:
    """
    Direct linear regression of what followed on what was seen, with normal residuals.

    Parameters
    ----------
    ahead_w : array, shape (horizon, origin)
        What followed.
    features_w : array, shape (feature, origin)
        What was seen, W; a constant is added here.
    now_w : array, shape (feature,)
        What is seen now.

    Returns
    -------
    array, shape (horizon, 7)
        W. Ridge of 0.1 % of the features' variance keeps equal features apart.
    """
    xp = _arrays.namespace(ahead_w)
    n_origin = ahead_w.shape[1]
    mean_w = xp.mean(features_w, axis=-1, keepdims=True)
    centred = features_w - mean_w
    scale = xp.sqrt(xp.mean(centred * centred, axis=-1, keepdims=True)) + 1e-9
    z = centred / scale
    middle_w = xp.mean(ahead_w, axis=-1, keepdims=True)
    rest_w = ahead_w - middle_w
    gram = z @ z.T + 1e-3 * n_origin * xp.eye(z.shape[0], dtype=z.dtype)
    slope = xp.linalg.solve(gram, z @ rest_w.T)
    error_w = rest_w - slope.T @ z
    spread_w = xp.sqrt(xp.mean(error_w * error_w, axis=-1) * (1 + (z.shape[0] + 1) / n_origin))
    at = slope.T @ ((now_w[:, None] - mean_w) / scale)
    return middle_w + at + spread_w[:, None] * _arrays.table(NORMAL, ahead_w)[None, :]


FINE = 20
"""Equal parts a distribution known by seven quantiles is cut into before it is shifted."""


def mixed(quantiles_w: Any, shift_w: Any, weight: Any) -> Any:
    """
    Quantiles of a forecast that moves by one of several amounts.

    Parameters
    ----------
    quantiles_w : array, shape (horizon, 7)
        Where nothing happens, W.
    shift_w : array, shape (scenario, horizon)
        What each scenario adds, W.
    weight : array, shape (scenario,)
        Probability of each; they add up to one.

    Returns
    -------
    array, shape (horizon, 7)
        W, of the mixture; between and beyond the seven levels the quantile function is linear.
    """
    xp = _arrays.namespace(quantiles_w)
    level = _arrays.table(LEVELS, quantiles_w)
    centre = (xp.astype(xp.arange(FINE), quantiles_w.dtype) + 0.5) / FINE
    left = xp.clip(xp.searchsorted(level, centre, side="right") - 1, 0, len(LEVELS) - 2)
    low, high = xp.take(level, left), xp.take(level, left + 1)
    share = (centre - low) / (high - low)
    low_w, high_w = xp.take(quantiles_w, left, axis=1), xp.take(quantiles_w, left + 1, axis=1)
    fine_w = low_w + share[None, :] * (high_w - low_w)
    count = quantiles_w.shape[0]
    all_w = xp.reshape(shift_w.T[:, :, None] + fine_w[:, None, :], (count, -1))
    part = xp.reshape(weight[:, None] + xp.zeros_like(centre)[None, :], (1, -1)) / FINE
    order = xp.argsort(all_w, axis=-1, stable=True)
    ordered_w = xp.take_along_axis(all_w, order, axis=-1)
    below = xp.cumulative_sum(
        xp.take_along_axis(part + xp.zeros_like(all_w), order, axis=-1), axis=-1
    )
    reached = below[:, :, None] >= level[None, None, :] - 1e-12
    place = xp.argmax(xp.astype(reached, xp.int8), axis=1)
    return xp.take_along_axis(ordered_w, place, axis=-1)
