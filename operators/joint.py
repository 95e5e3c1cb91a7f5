"""Quantiles of a sum of forecasts that do not err independently."""

from typing import Any

from . import _arrays
from .forecast import LEVELS

__all__ = ["ranks", "summed"]

TAIL, STEEPER = 0.025, 2.0
"""Level that stands for all beyond the outer quantiles; how much steeper it goes on there."""


def ranks(quantiles_w: Any, outcome_w: Any) -> Any:
    """
    Where each outcome lay in its forecast's distribution, 0 to 1.

    ``quantiles_w`` (..., 7) and ``outcome_w`` (...); linear between the levels, 0.025 and 0.975
    beyond the outer ones.
    """
    xp = _arrays.namespace(quantiles_w)
    level = _arrays.table(LEVELS, quantiles_w)
    below = xp.sum(xp.astype(quantiles_w <= outcome_w[..., None], xp.int64), axis=-1)
    left = xp.clip(below - 1, 0, len(LEVELS) - 2)
    low_w = xp.take_along_axis(quantiles_w, left[..., None], axis=-1)[..., 0]
    high_w = xp.take_along_axis(quantiles_w, left[..., None] + 1, axis=-1)[..., 0]
    width_w = high_w - low_w
    wide = width_w > 0
    share = xp.where(wide, (outcome_w - low_w) / xp.where(wide, width_w, xp.ones_like(low_w)), 0.5)
    low, high = _picked(level, left), _picked(level, left + 1)
    inside = low + xp.clip(share, 0.0, 1.0) * (high - low)
    first = xp.full_like(inside, TAIL)
    inside = xp.where(below == 0, first, inside)
    return xp.where(below == len(LEVELS), 1 - first, inside)


def _picked(level: Any, place: Any) -> Any:
    xp = _arrays.namespace(level)
    return xp.reshape(xp.take(level, xp.reshape(place, (-1,))), place.shape)


def summed(quantiles_w: Any, rank: Any) -> Any:
    """
    Quantiles of the sum over sites, by joint sampling.

    Parameters
    ----------
    quantiles_w : array, shape (site, 7)
        One interval's forecasts at `LEVELS`, W.
    rank : array, shape (member, site)
        Past instants at which all sites' outcomes are known: where each lay in its forecast
        (`ranks`). They carry how the sites err together.

    Returns
    -------
    array, shape (7,)
        W. Each member takes every site at its rank of one past instant and adds up: the
        empirical copula of the errors (Schaake shuffle; Clark et al. 2004). Beyond the outer
        levels a site's quantile function goes on in a straight line, twice as steep: as far as
        a normal distribution does on average.
    """
    xp = _arrays.namespace(quantiles_w)
    level = _arrays.table(LEVELS, quantiles_w)
    found = xp.sum(xp.astype(level[None, None, :] <= rank[:, :, None], xp.int64), axis=-1)
    left = xp.clip(found - 1, 0, len(LEVELS) - 2)
    low, high = _picked(level, left), _picked(level, left + 1)
    spread_w = quantiles_w[None, :, :] + xp.zeros_like(rank)[:, :, None]
    low_w = xp.take_along_axis(spread_w, left[:, :, None], axis=-1)[..., 0]
    high_w = xp.take_along_axis(spread_w, left[:, :, None] + 1, axis=-1)[..., 0]
    place = (rank - low) / (high - low)
    place = place + (STEEPER - 1) * (
        xp.minimum(place, 0.0 * place) + xp.maximum(place - 1, 0.0 * place)
    )
    member_w = low_w + place * (high_w - low_w)
    return _arrays.quantiles(_arrays.fold_sum(member_w, axis=-1), LEVELS)
