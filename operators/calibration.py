"""Forecasts weighed by their own record, and quantiles that hold what they promise."""

import math
from typing import Any

from . import _arrays
from .forecast import LEVELS

__all__ = ["blended", "corrected", "losses", "tracked", "weights", "widened"]

SHARPNESS = 12.0
"""A forecast with 10 % more loss than the best one has a third of its weight."""
MIDDLE = len(LEVELS) // 2


def losses(quantiles_w: Any, outcome_w: Any) -> Any:
    """
    Quantile score ``2 * mean pinball`` over the last axis, which approximates the CRPS.

    ``quantiles_w`` (…, horizon, 7), ``outcome_w`` (horizon,); (…, horizon), W.
    """
    xp = _arrays.namespace(quantiles_w)
    level = _arrays.table(LEVELS, quantiles_w)
    error_w = outcome_w[:, None] - quantiles_w
    loss_w = xp.maximum(level * error_w, (level - 1) * error_w)
    return 2 * _arrays.fold_sum(loss_w, axis=-1) / len(LEVELS)


def weights(loss_w: Any) -> Any:
    """
    Weight of each forecast at each horizon from their rolling losses, shape (method, horizon).

    ``(loss / least loss) ** -12``, to a sum of one: the best one, or a mean of equals.
    """
    xp = _arrays.namespace(loss_w)
    least_w = xp.min(loss_w, axis=0, keepdims=True)
    weight = ((loss_w + 1e-9) / (least_w + 1e-9)) ** -SHARPNESS
    return weight / xp.sum(weight, axis=0, keepdims=True)


def blended(quantiles_w: Any, weight: Any) -> Any:
    """Weighted mean of quantiles, level by level: (method, horizon, 7) to (horizon, 7), W."""
    return _arrays.fold_sum(
        _arrays.namespace(weight).moveaxis(weight[:, :, None] * quantiles_w, 0, -1), axis=-1
    )


def corrected(quantiles_w: Any, offset: Any) -> Any:
    """
    Quantiles moved by ``offset`` times their 5-95 % width, in order; both (horizon, 7), W.

    The width of a forecast that knows no doubt counts as one watt. Levels that would cross are
    pressed outwards, from the median on: sorting would let two of them change places, and each
    would learn from the other's outcomes from then on.
    """
    xp = _arrays.namespace(quantiles_w)
    width_w = xp.maximum(quantiles_w[:, -1:] - quantiles_w[:, :1], xp.asarray(1.0))
    moved_w = quantiles_w + offset * width_w
    columns = [moved_w[:, k] for k in range(len(LEVELS))]
    for k in range(MIDDLE - 1, -1, -1):
        columns[k] = xp.minimum(columns[k], columns[k + 1])
    for k in range(MIDDLE + 1, len(LEVELS)):
        columns[k] = xp.maximum(columns[k], columns[k - 1])
    return xp.stack(columns, axis=-1)


def widened(quantiles_w: Any, spread: float) -> Any:
    """Quantiles (horizon, 7), W, ``exp(spread)`` times as far from their median."""
    middle_w = quantiles_w[:, MIDDLE : MIDDLE + 1]
    return middle_w + math.exp(spread) * (quantiles_w - middle_w)


def tracked(offset: Any, quantiles_w: Any, outcome_w: Any, *, rate: Any, most: float) -> Any:
    """
    Next offsets once an outcome is known: online quantile tracking, one step a level.

    Parameters
    ----------
    offset, quantiles_w : array, shape (horizon, 7)
        Offsets as they were; quantiles as they were published, W.
    outcome_w : array, shape (horizon,)
        What came, W.
    rate : float or array that fits (horizon, 7)
        Step, in widths.
    most : float
        Offsets stay within plus and minus this.

    Returns
    -------
    array, shape (horizon, 7)
        ``offset + rate * (level - [outcome <= quantile])``: whatever the outcomes, the share
        below each level tends to it (Gibbs and Candès 2021; Angelopoulos, Candès and Tibshirani
        2023), with feedback as late as outcomes are. A level pressed against its inner neighbour
        holds too seldom there, which pushes it out again.
    """
    xp = _arrays.namespace(offset)
    below = xp.astype(outcome_w[:, None] <= quantiles_w, offset.dtype)
    step = rate * (_arrays.table(LEVELS, offset) - below)
    return xp.clip(offset + step, -most, most)
