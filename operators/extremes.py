"""Extremes: the level a statistic passes so many times a day, from the maxima of short blocks."""

import math
from typing import Any

from array_api_compat import array_namespace

from . import _arrays, _check

__all__ = ["level"]

_EULER = 0.5772156649015329
_MIDDLE = (0.2, 0.5, 0.8)


def _reduced(share: float) -> float:
    """Gumbel's quantile of location 0 and scale 1."""
    return -math.log(-math.log(share))


def level(
    maxima: Any, filled: Any, heavy: Any, *, exceed: float, prior: tuple[float, float, float]
) -> Any:
    """
    Level that a block's maximum passes with a given probability: Gumbel's law, fitted.

    Parameters
    ----------
    maxima : array, shape (channel, block)
        Maxima of equal blocks, of a statistic whose tail falls as ``exp(-x)`` in the ideal case.
    filled : array of bool, shape (channel, block)
        Which of them count.
    heavy : array of bool, shape (channel,)
        Fit the tail by moments; else the middle of the law, which a few blocks with small events
        in them do not move.
    exceed : float
        Probability per block, 0 to 1.
    prior : (location, scale, blocks)
        What is assumed before anything is seen, and how many blocks it weighs as.

    Returns
    -------
    array, shape (channel,)
        ``location - scale ln(-ln(1 - exceed))``.

    Notes
    -----
    Gumbel, Statistics of Extremes (1958). Moments: ``scale = sqrt(6)/pi std``,
    ``location = mean - Euler scale``; middle: from the quantiles at 0.2, 0.5 and 0.8. The scale is
    never below the prior's, and is widened by a standard error of its own (about
    ``1/sqrt(blocks)``), so that little data asks for more.
    """
    _check.frame(maxima, name="maxima", axes=("channel", "block"))
    _check.match(filled, maxima.shape, name="filled")
    xp = array_namespace(maxima)
    place, least, weight = prior
    use = xp.astype(filled, maxima.dtype)
    count = _arrays.fold_sum(use, axis=-1)
    some = xp.where(count > 0, count, xp.ones_like(count))
    mean = _arrays.fold_sum(maxima * use, axis=-1) / some
    off = (maxima - mean[:, None]) * use
    tail = xp.sqrt(_arrays.fold_sum(off * off, axis=-1) / some) * (math.sqrt(6) / math.pi)
    middle = _arrays.masked_quantiles(maxima, filled, _MIDDLE)
    low, half, high = (_reduced(share) for share in _MIDDLE)
    core = (middle[:, 2] - middle[:, 0]) / (high - low)
    scale = (count * xp.where(heavy, tail, core) + weight * least) / (count + weight)
    scale = xp.maximum(scale, xp.full_like(scale, least))
    where = xp.where(heavy, mean - _EULER * scale, middle[:, 1] - half * scale)
    centre = (count * where + weight * place) / (count + weight)
    wide = scale * (1 + 1 / xp.sqrt(count + weight))
    return centre + wide * -math.log(-math.log1p(-exceed))
