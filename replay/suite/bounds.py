"""What no detector of a sinusoid in known noise can beat: probability, delay, accuracy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["amplitude_w", "crb_growth", "crb_hz", "detected", "marcum_q", "swing_w"]

_TERMS = 400


def marcum_q(a: float, b: float) -> float:
    """
    Marcum's Q of order 1: the chance that a noncentral chi of two degrees exceeds ``b``.

    Its series of Poisson weights: sum over k of P(K = k; a^2/2) P(N <= k; b^2/2).
    """
    k = np.arange(_TERMS + int(a * a + b * b))
    logs = np.cumsum(np.concatenate([[0.0], np.log(k[1:])]))
    weight = _poisson(k, a * a / 2, logs)
    within = np.minimum(np.cumsum(_poisson(k, b * b / 2, logs)), 1.0)
    return float(min(np.dot(weight, within), 1.0))


def _poisson(k: Any, mu: float, log_factorial: Any) -> Any:
    if mu == 0:
        return np.where(k == 0, 1.0, 0.0)
    return np.exp(k * math.log(mu) - mu - log_factorial)


def detected(strength: float, false_alarm: float) -> float:
    """
    Chance to detect a sinusoid of known frequency, unknown phase, in known noise.

    ``strength`` is lambda = A^2 T / (4 S), S the two-sided density of the noise; one test with a
    chance of ``false_alarm``: Q1(sqrt(2 lambda), sqrt(2 ln(1 / false_alarm))).
    """
    return marcum_q(math.sqrt(2 * strength), math.sqrt(-2 * math.log(false_alarm)))


def amplitude_w(strength: float, density_w2_per_hz: float, window_s: float) -> float:
    """The amplitude that gives lambda in a window, zero to peak, W."""
    return math.sqrt(4 * density_w2_per_hz * strength / window_s)


def swing_w(delay_s: float, density_w2_per_hz: float, run_length: float) -> float:
    """
    The amplitude whose delay Lorden's bound puts at ``delay_s``: sqrt(ln(run length) 4 S / delay).

    Information A^2 / (4 S) a second, phase and frequency known (Lorden, Ann. Math. Stat. 42, 1971);
    ``run_length`` is the mean number of samples between false alarms.
    """
    return math.sqrt(math.log(run_length) * 4 * density_w2_per_hz / delay_s)


def crb_hz(strength: float, window_s: float) -> float:
    """The square root of the Cramer-Rao bound of the frequency, Hz: sqrt(6 / lambda) / (2 pi T)."""
    return math.sqrt(6 / strength) / (2 * math.pi * window_s)


def crb_growth(t_s: Any, freq_hz: float, growth_per_s: float, swing: float, phase: float) -> float:
    """
    The square root of the Cramer-Rao bound of growth in white noise of unit variance, 1/s.

    Of ``swing exp(growth t) cos(2 pi freq t + phase)`` with all four unknown, from Fisher's matrix.
    """
    size = swing * np.exp(growth_per_s * t_s)
    angle = 2 * math.pi * freq_hz * t_s + phase
    wave, quarter = size * np.cos(angle), -size * np.sin(angle)
    columns = np.stack([t_s * wave, t_s * quarter, quarter, wave])
    return math.sqrt(float(np.linalg.inv(columns @ columns.T)[0, 0]))
