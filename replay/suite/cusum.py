"""The known-shift CUSUM: the delay no detector can beat at the same rate of false alarms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["alarm_after", "gaussian_run_length", "gaussian_threshold", "level", "statistic"]

_NODES = 120
_STEPS = 40
_EULER = 0.5772156649015329


def statistic(z: Any, signature: Any) -> Any:
    """
    Largest log likelihood ratio of a step that began at any earlier sample.

    Parameters
    ----------
    z : array, shape (…, time)
        White, of unit variance.
    signature : array, shape (n,)
        What the step adds to ``z``, sample by sample from its onset; its last value stays.

    Notes
    -----
    For a constant signature Page's CUSUM (Biometrika 41, 1954), optimal at every rate of false
    alarms (Moustakides, Ann. Stat. 14, 1986); without its floor at zero, which no threshold sees.
    """
    s, last, n = signature, float(signature[-1]), len(signature)
    run = np.cumsum(last * z - last**2 / 2, axis=-1)
    best = np.full(z.shape, -np.inf)
    young = np.zeros(z.shape)
    for age in range(n):
        young = young[..., :-1] if age else young
        length = z.shape[-1] - age
        young = young[..., :length] + s[age] * z[..., age:] - s[age] ** 2 / 2
        best[..., age:] = np.maximum(best[..., age:], young)
    old = np.maximum.accumulate(young - run[..., n - 1 :], axis=-1)
    best[..., n - 1 :] = np.maximum(best[..., n - 1 :], old + run[..., n - 1 :])
    return best


def alarm_after(values: Any, threshold: float) -> Any:
    """Samples until the threshold is reached, 1 for the first; 0 where it is not; (…,) int."""
    over = values >= threshold
    return np.where(over.any(axis=-1), over.argmax(axis=-1) + 1, 0)


def level(values: Any, block: int, rate: float) -> float:
    """
    The level passed ``rate`` times a sample, from the maxima of blocks by Gumbel's law.

    Location and scale by moments, the scale at least 1: what the ratio's tail has in white noise.
    """
    whole = values[: len(values) // block * block].reshape(-1, block).max(axis=1)
    scale = max(float(whole.std()) * math.sqrt(6) / math.pi, 1.0)
    return float(whole.mean()) - _EULER * scale - scale * math.log(rate * block)


def gaussian_run_length(shift: float, threshold: float, true_shift: float) -> float:
    """
    Mean samples to an alarm of Page's CUSUM for ``shift`` sigma when the mean is ``true_shift``.

    Fredholm's equation of the run length (Page 1954), by Gauss-Legendre quadrature.
    """
    x, weight = np.polynomial.legendre.leggauss(_NODES)
    x, weight = threshold * (x + 1) / 2, weight * threshold / 2
    drift = shift * true_shift - shift**2 / 2
    at = np.concatenate([[0.0], x])
    density = np.exp(-(((x[None, :] - at[:, None] - drift) / shift) ** 2) / 2)
    density *= weight / (shift * math.sqrt(2 * math.pi))
    to_zero = np.array([0.5 * math.erfc((u + drift) / (shift * math.sqrt(2))) for u in at])
    matrix = np.eye(_NODES + 1) - np.concatenate([to_zero[:, None], density], axis=1)
    return float(np.linalg.solve(matrix, np.ones(_NODES + 1))[0])


def gaussian_threshold(shift: float, run_length: float) -> float:
    """The threshold at which Page's CUSUM alarms once in ``run_length`` samples of white noise."""
    low, high = 0.0, math.log(run_length) + 2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        short = gaussian_run_length(shift, middle, 0.0) < run_length
        low, high = (middle, high) if short else (low, middle)
    return (low + high) / 2
