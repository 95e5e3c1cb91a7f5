"""95 % intervals of what is counted and averaged: exact for shares and rates, t for means."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["mean", "rate", "ratio", "rms_ratio", "share"]

_ALPHA = 0.05
_RESAMPLED = 2000
_STEPS = 60


def share(hits: int, trials: int) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share (Biometrika 26, 1934), by bisection."""
    if trials == 0:
        return 0.0, 1.0
    low = _root(lambda p: _at_least(hits, trials, p) - _ALPHA / 2) if hits else 0.0
    high = (
        _root(lambda p: _ALPHA / 2 - (1 - _at_least(hits + 1, trials, p))) if hits < trials else 1.0
    )
    return low, high


def rate(count: int, exposure: float) -> tuple[float, float]:
    """
    Garwood's bounds of a Poisson rate per unit of exposure (Biometrika 28, 1936), by bisection.

    Each bound is one-sided at 95 %: the rate is above the upper one in 5 % of cases.
    """
    if exposure <= 0:
        return 0.0, math.inf
    most = count + 10 * math.sqrt(count + 1) + 10
    high = most * _root(lambda u: _ALPHA - _poisson_at_most(count, u * most))
    low = most * _root(lambda u: 1 - _poisson_at_most(count - 1, u * most) - _ALPHA)
    return (low if count else 0.0) / exposure, high / exposure


def mean(values: Any) -> tuple[float, float]:
    """Bootstrap percentile interval of a mean; its seed is fixed."""
    x = np.asarray(values, np.float64)
    if len(x) < 2:
        return math.nan, math.nan
    return _quantiles(x[_picks(len(x))].mean(axis=1))


def ratio(above: Any, below: Any) -> tuple[float, float]:
    """Bootstrap percentile interval of mean(above) / mean(below), drawn in pairs."""
    over, under = np.asarray(above, np.float64), np.asarray(below, np.float64)
    if len(over) < 2:
        return math.nan, math.nan
    at = _picks(len(over))
    return _quantiles(over[at].mean(axis=1) / np.maximum(under[at].mean(axis=1), 1e-12))


def rms_ratio(errors: Any) -> tuple[float, float]:
    """Bootstrap percentile interval of the root mean square."""
    x = np.asarray(errors, np.float64) ** 2
    if len(x) < 2:
        return math.nan, math.nan
    return _quantiles(np.sqrt(x[_picks(len(x))].mean(axis=1)))


def _picks(count: int) -> Any:
    return np.random.default_rng(20261125).integers(count, size=(_RESAMPLED, count))


def _quantiles(values: Any) -> tuple[float, float]:
    low, high = np.quantile(values, [_ALPHA / 2, 1 - _ALPHA / 2])
    return float(low), float(high)


def _root(rising: Callable[[float], float]) -> float:
    """Where a rising function of 0…1 crosses zero."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


def _at_least(hits: int, trials: int, p: float) -> float:
    """P(X >= hits), X binomial."""
    if p <= 0 or p >= 1:
        return float(p >= 1 or hits <= 0)
    k = np.arange(hits, trials + 1)
    logs = np.array([math.lgamma(i + 1) + math.lgamma(trials - i + 1) for i in k])
    logs = math.lgamma(trials + 1) - logs + k * math.log(p) + (trials - k) * math.log1p(-p)
    return float(min(np.exp(logs).sum(), 1.0))


def _poisson_at_most(count: int, mu: float) -> float:
    """P(X <= count), X Poisson with mean ``mu``."""
    if count < 0:
        return 0.0
    k = np.arange(count + 1)
    logs = k * math.log(max(mu, 1e-300)) - mu - np.array([math.lgamma(i + 1) for i in k])
    return float(min(np.exp(logs).sum(), 1.0))
