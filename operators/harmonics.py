"""A level and the harmonics of one known period, fitted to the newest samples, carried on."""

import math
from typing import Any

from . import _arrays, _check
from .futures import NORMAL, Targets

__all__ = ["carried_on"]

HARMONICS = 4
MEMORY = 200.0
"""Samples after which a residual counts 1/e."""


def carried_on(history_w: Any, targets: Targets, *, period: float) -> Any:
    """
    Forecast by harmonic regression with exponential forgetting.

    Parameters
    ----------
    history_w : array, shape (time,)
        The newest samples, oldest first, W; a few hundred.
    targets : Targets
        Horizons.
    period : float
        Samples a period.

    Returns
    -------
    array, shape (horizon, 7)
        W: level and four harmonics, each averaged over its target's width; normal residuals. The
        steady state of a local-level and trigonometric state space with one discount factor
        (West and Harrison, Bayesian Forecasting and Dynamic Models, ch. 6 and 8).
    """
    _check.frame(history_w, name="history_w", axes=("time",))
    _check.positive(period, name="period")
    xp = _arrays.namespace(history_w)
    n = history_w.shape[0]
    order = xp.astype(xp.arange(1, HARMONICS + 1), history_w.dtype)[None, :]
    turn = 2 * math.pi / period
    time = xp.astype(xp.arange(-n, 0), history_w.dtype) + 0.5
    design = _waves(time[:, None] * order * turn, xp.ones_like(time[:, None] * order))
    weight = xp.exp(time / MEMORY)[:, None]
    level_w = history_w[-1]
    x = history_w - level_w
    gram = design.T @ (weight * design) + 1e-6 * xp.eye(design.shape[1], dtype=x.dtype)
    solved = xp.linalg.solve(gram, design.T @ (weight * x[:, None]))
    error_w = x - (design @ solved)[:, 0]
    spread_w = xp.sqrt(xp.sum(weight[:, 0] * error_w * error_w) / xp.sum(weight))
    width = xp.astype(targets.width, x.dtype)[:, None]
    middle = xp.astype(targets.until, x.dtype)[:, None] - width / 2
    half = width * order * turn / 2
    ahead = _waves(middle * order * turn, xp.sin(half) / half)
    return level_w + ahead @ solved + spread_w * _arrays.table(NORMAL, x)[None, :]


def _waves(angle: Any, damping: Any) -> Any:
    """Constant, cosines and sines of ``angle`` (row, order); (row, 1 + 2 orders)."""
    xp = _arrays.namespace(angle)
    one = xp.ones_like(angle[:, :1])
    return xp.concat([one, damping * xp.cos(angle), damping * xp.sin(angle)], axis=1)
