"""The suite's own whitener: an autoregression by Burg's method, apart from the engine's."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["Whitener", "burg", "whitened"]

ORDER = 8
_LAG_S, _BASE_S = 30, 300


class Whitener(NamedTuple):
    """``filter`` (order + 1,) turns power about its level into innovations of scale ``sigma_w``."""

    filter: Any
    sigma_w: float

    @property
    def signature(self) -> Any:
        """Innovations a step of one ``sigma_w`` makes, sample by sample, in ``sigma_w``."""
        return np.cumsum(self.filter)


def burg(power_w: Any, order: int = ORDER) -> Whitener:
    """Fit one series (Burg, Maximum Entropy Spectral Analysis, 1975); scale by MAD."""
    x = power_w - power_w.mean()
    ahead, behind, taps = x[1:], x[:-1], np.array([1.0])
    for _ in range(order):
        energy = float(np.dot(ahead, ahead) + np.dot(behind, behind))
        k = -2 * float(np.dot(ahead, behind)) / energy
        longer = np.append(taps, 0.0)
        taps = longer + k * longer[::-1]
        ahead, behind = (ahead + k * behind)[1:], (behind + k * ahead)[:-1]
    z_w = np.convolve(x, taps)[order : len(x)]
    return Whitener(taps, 1.4826 * float(np.median(np.abs(z_w - np.median(z_w)))))


def whitened(power_w: Any, whitener: Whitener, rate_hz: int) -> Any:
    """
    Innovations in units of their scale, about the mean of five minutes that ended 30 s before.

    The level may drift and may have stepped more than `settled_s` ago; (tick,) as given.
    """
    n, lag, base = len(power_w), _LAG_S * rate_hz, _BASE_S * rate_hz
    total = np.cumsum(np.concatenate([[0.0], power_w - power_w[0]]))
    ends = np.maximum(np.arange(n) - lag, 1)
    starts = np.maximum(ends - base, 0)
    level_w = (total[ends] - total[starts]) / (ends - starts) + power_w[0]
    z_w = np.convolve(power_w, whitener.filter)[:n] - whitener.filter.sum() * level_w
    z_w[: len(whitener.filter) - 1] = 0.0
    return z_w / whitener.sigma_w
