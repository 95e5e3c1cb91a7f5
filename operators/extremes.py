"""Extremes: the level a statistic passes so many times a day, from the maxima of short blocks."""

import math
from typing import Any

from array_api_compat import array_namespace

from . import _arrays, _check

__all__ = ["level"]

_EULER = 0.5772156649015329


def level(
    maxima: Any,
    filled: Any,
    *,
    exceed: float,
    prior: tuple[Any, float, float],
) -> Any:
    """
    Level that a block's maximum passes with a given probability: Gumbel's law, fitted.

    Parameters
    ----------
    maxima : array, shape (channel, block)
        Maxima of equal blocks, of a statistic whose tail falls as ``exp(-x)`` in the ideal case.
    filled : array of bool, shape (channel, block)
        Which of them count.
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
    Moments: ``scale = sqrt(6)/pi std``, ``location = mean - Euler scale`` (Gumbel, Statistics of
    Extremes, 1958). The scale is never taken below the prior's, and it is widened by half a
    standard error of its own (about ``1/sqrt(blocks)``), so that little data asks for more.
    """
    _check.frame(maxima, name="maxima", axes=("channel", "block"))
    xp = array_namespace(maxima)
    place, least, weight = prior
    use = xp.astype(filled, maxima.dtype)
    count = _arrays.fold_sum(use, axis=-1)
    some = xp.where(count > 0, count, xp.ones_like(count))
    mean = _arrays.fold_sum(maxima * use, axis=-1) / some
    off = (maxima - mean[:, None]) * use
    spread = xp.sqrt(_arrays.fold_sum(off * off, axis=-1) / some)
    scale = (count * spread * (math.sqrt(6) / math.pi) + weight * least) / (count + weight)
    scale = xp.maximum(scale, xp.full_like(scale, least))
    centre = (count * mean + weight * (place + _EULER * least)) / (count + weight)
    wide = scale * (1 + 0.5 / xp.sqrt(count + weight))
    return centre - _EULER * scale + wide * (-math.log(-math.log1p(-exceed)))
