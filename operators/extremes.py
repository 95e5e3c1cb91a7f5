"""Extremes: the level a statistic passes so many times a day, from the maxima of short blocks."""

import math
from typing import Any, NamedTuple

from array_api_compat import array_namespace

from . import _arrays, _check

__all__ = ["MIDDLE", "Moments", "Tail", "fitted", "level", "moments", "tail"]

_EULER = 0.5772156649015329
MIDDLE = (0.2, 0.5, 0.8)
_CONVEX, _CONVEX_MOST = 3.0, 0.25
"""A tail that is wider than the prior's goes on widening: its slope between the rarest blocks of 80
hours, on PDUs of 160 real servers, is 0.2 to 0.3 above that of an hour's blocks."""


class Tail(NamedTuple):
    """Gumbel's law of a block's maximum; (channel,)."""

    location: Any
    scale: Any
    error: Any
    """Standard error of the scale, as a share of it."""


class Moments(NamedTuple):
    """What blocks say before a law is fitted; (channel,) but for one."""

    count: Any
    mean: Any
    spread: Any
    """Standard deviation."""
    middle: Any
    """Quantiles at `MIDDLE`; (channel, 3)."""


def _reduced(share: float) -> float:
    """Gumbel's quantile of location 0 and scale 1."""
    return -math.log(-math.log(share))


def moments(maxima: Any, filled: Any) -> Moments:
    """
    Count, mean, spread and the quantiles at 0.2, 0.5 and 0.8 of the blocks that count.

    ``maxima`` and ``filled`` as in `tail`.
    """
    _check.frame(maxima, name="maxima", axes=("channel", "block"))
    _check.match(filled, maxima.shape, name="filled")
    xp = array_namespace(maxima)
    use = xp.astype(filled, maxima.dtype)
    count = _arrays.fold_sum(use, axis=-1)
    some = xp.where(count > 0, count, xp.ones_like(count))
    mean = _arrays.fold_sum(maxima * use, axis=-1) / some
    off = (maxima - mean[:, None]) * use
    spread = xp.sqrt(_arrays.fold_sum(off * off, axis=-1) / some)
    return Moments(count, mean, spread, _arrays.masked_quantiles(maxima, filled, MIDDLE))


def tail(maxima: Any, filled: Any, heavy: Any, *, prior: tuple[Any, Any, float]) -> Tail:
    """
    Fit Gumbel's law to block maxima.

    Parameters
    ----------
    maxima : array, shape (channel, block)
        Maxima of equal blocks, of a statistic whose tail falls as ``exp(-x)`` in the ideal case.
    filled : array of bool, shape (channel, block)
        Which of them count.
    heavy : array of bool, shape (channel,)
        Fit by moments; else the middle of the law, which a few blocks with small events in them
        do not move.
    prior : (location, scale, blocks)
        What is assumed before anything is seen, a number or (channel,) each, and how many blocks it
        weighs as.

    Notes
    -----
    Gumbel, Statistics of Extremes (1958). Moments: ``scale = sqrt(6)/pi std``,
    ``location = mean - Euler scale``; middle: from the quantiles at 0.2, 0.5 and 0.8. The scale is
    never below the prior's, and above it only for what is over half a standard error (about
    ``1/sqrt(blocks)``) where tails are not heavy.
    """
    return fitted(moments(maxima, filled), heavy, prior=prior)


def fitted(found: Moments, heavy: Any, *, prior: tuple[Any, Any, float]) -> Tail:
    """`tail` of what `moments` found."""
    xp = array_namespace(found.mean)
    (place, least, weight), (count, mean, _, middle) = prior, found
    spread = found.spread * (math.sqrt(6) / math.pi)
    low, half, high = (_reduced(share) for share in MIDDLE)
    core = (middle[:, 2] - middle[:, 0]) / (high - low)
    error = 1 / xp.sqrt(count + weight)
    scale = (count * xp.where(heavy, spread, core) + weight * least) / (count + weight)
    scale = xp.where(heavy, scale, scale * (1 - 0.5 * error))
    scale = xp.maximum(scale, least + xp.zeros_like(scale))
    where = xp.where(heavy, mean - _EULER * scale, middle[:, 1] - half * scale)
    return Tail((count * where + weight * place) / (count + weight), scale, error)


def level(law: Tail, heavy: Any, *, exceed: float, least: float, doubt: Any = 2.0) -> Any:
    """
    Level that a block's maximum passes with a given probability.

    Parameters
    ----------
    law : Tail
        From `tail`.
    heavy : array of bool, shape (channel,)
        Widen the scale by its whole standard error, so that little data asks for more; else by 0.3.
    exceed : float
        Probability per block, 0 to 1.
    least : float
        The prior's scale. What a wider one has over it is added three times, by 0.25 at most.
    doubt : float or array, shape (channel,)
        How many errors of the scale are no such excess.

    Returns
    -------
    array, shape (channel,)
        ``location - scale ln(-ln(1 - exceed))``.
    """
    xp = array_namespace(law.scale)
    over = xp.maximum(law.scale - least * (1 + doubt * law.error), xp.zeros_like(law.scale))
    more = xp.minimum(_CONVEX * over, xp.full_like(law.scale, _CONVEX_MOST * least))
    wide = (law.scale + more) * (1 + xp.where(heavy, law.error, 0.3 * law.error))
    return law.location + wide * -math.log(-math.log1p(-exceed))
