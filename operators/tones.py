"""Tones: frequency, amplitude and phase of one sinusoid, by least squares."""

import math
from typing import Any

from array_api_compat import array_namespace, device

from . import _arrays, _check

__all__ = ["amplitude", "fit", "tone"]

_STEPS = 4
"""Gauss-Newton steps; from 1 bin away the third moves less than 1e-3 of the CRB."""


def _solve(rows: list[Any]) -> list[Any]:
    """
    Solve a small symmetric positive system per channel, by elimination in a fixed order.

    ``rows``: of each unknown its coefficients and the right side, (unknown + 1, channel).
    """
    xp, n, rows = array_namespace(rows[0]), len(rows), list(rows)
    pivots = []
    for i in range(n):
        pivot = rows[i][i, :]
        pivots.append(xp.where(pivot > 0, pivot, xp.ones_like(pivot)))  # a column of zeros
        for j in range(i + 1, n):
            rows[j] = rows[j] - (rows[j][i, :] / pivots[i]) * rows[i]
    answer: list[Any] = [None] * n
    for i in reversed(range(n)):
        value = rows[i][n, :]
        for j in range(i + 1, n):
            value = value - rows[i][j, :] * answer[j]
        answer[i] = value / pivots[i]
    return answer


def fit(window_w: Any, columns: list[Any]) -> list[Any]:
    """
    Least squares of each channel on its own columns; sums as pairwise trees.

    ``window_w`` and each of ``columns`` are (channel, time); one coefficient (channel,) a column.
    """
    xp, n = array_namespace(window_w), len(columns)
    factors = [*columns, window_w]
    pairs = [(i, j) for i in range(n) for j in range(i, n + 1)]
    found = _arrays.fold_sum(xp.stack([factors[i] * factors[j] for i, j in pairs]), axis=-1)
    sums = {pair: found[k, :] for k, pair in enumerate(pairs)}
    return _solve([xp.stack([sums[min(i, j), max(i, j)] for j in range(n + 1)]) for i in range(n)])


def amplitude(window_w: Any, freq_hz: Any, *, rate_hz: float) -> tuple[Any, Any, Any]:
    """
    Amplitude and phase at a known frequency, beside a constant and a slope.

    Parameters
    ----------
    window_w : array, shape (channel, time)
        The window, in W: one and a half periods or more.
    freq_hz : array, shape (channel,)
        The frequency.
    rate_hz : float
        Sample rate.

    Returns
    -------
    amplitude_w, phase_rad : arrays, shape (channel,)
        As in `tone`.
    error_w : array, shape (channel,)
        Standard error of the amplitude, ``sqrt(2 S / N)`` of the residuals' mean square S; W.
    """
    _check.frame(window_w, name="window_w")
    _check.match(freq_hz, (window_w.shape[0],), name="freq_hz")
    xp, n_time = array_namespace(window_w), window_w.shape[-1]
    place = xp.arange(n_time, dtype=window_w.dtype, device=device(window_w)) - (n_time - 1) / 2
    turn = (freq_hz * (2 * math.pi / rate_hz))[:, None] * place
    cosine, sine, constant = xp.cos(turn), xp.sin(turn), xp.ones_like(window_w)
    slope = xp.zeros_like(window_w) + (place * (2 / n_time))[None, :]
    centred_w = window_w - _arrays.fold_sum(window_w, axis=-1)[:, None] / n_time
    a, b, c, d = (y[:, None] for y in fit(centred_w, [cosine, sine, constant, slope]))
    left_w = centred_w - a * cosine - b * sine - c - d * slope
    a, b = a[:, 0], b[:, 0]
    noise_w2 = _arrays.fold_sum(left_w * left_w, axis=-1) / max(n_time - 4, 1)
    return xp.sqrt(a * a + b * b), xp.atan2(-b, a), xp.sqrt(2 * noise_w2 / n_time)


def tone(window_w: Any, freq_hz: Any, *, rate_hz: float) -> tuple[Any, Any, Any]:
    """
    Refine one sinusoid per channel, beside a constant and a slope.

    Parameters
    ----------
    window_w : array, shape (channel, time)
        The window, in W; a fixed shape per use. Held cells are taken as they are.
    freq_hz : array, shape (channel,)
        First guess, within one bin (``rate_hz / time``): the peak bin of the periodogram.
    rate_hz : float
        Sample rate.

    Returns
    -------
    freq_hz : array, shape (channel,)
        Within 1.5 bins of the guess.
    amplitude_w : array, shape (channel,)
        Zero to peak, in W.
    phase_rad : array, shape (channel,)
        Of the cosine at the middle of the window, ``(time - 1) / 2`` samples after its first;
        -pi to pi. Two channels seen in the same window: the difference is the lag in phase.

    Notes
    -----
    Non-linear least squares by Gauss-Newton on ``a cos + b sin + c + d t`` with a fixed
    number of steps (Kay, Fundamentals of Statistical Signal Processing I, 1993, ch. 8);
    the maximum-likelihood estimate in white noise.
    """
    _check.frame(window_w, name="window_w")
    _check.match(freq_hz, (window_w.shape[0],), name="freq_hz")
    _check.positive(rate_hz, name="rate_hz")
    xp = array_namespace(window_w)
    n_time = window_w.shape[-1]
    middle = (n_time - 1) / 2
    place = xp.arange(n_time, dtype=window_w.dtype, device=device(window_w)) - middle
    slope = xp.zeros_like(window_w) + (place / middle)[None, :]
    constant = xp.ones_like(window_w)
    level_w = _arrays.fold_sum(window_w, axis=-1)[:, None] / n_time
    centred_w = window_w - level_w
    guess = freq_hz * (2 * math.pi / rate_hz)
    reach = 1.5 * 2 * math.pi / n_time
    omega = guess
    for _ in range(_STEPS):
        turn = omega[:, None] * place[None, :]
        cosine, sine = xp.cos(turn), xp.sin(turn)
        a, b, *_rest = fit(centred_w, [cosine, sine, constant, slope])
        bend = slope * (b[:, None] * cosine - a[:, None] * sine)
        *_rest, step = fit(centred_w, [cosine, sine, constant, slope, bend])
        finite = xp.isfinite(step)
        omega = omega + xp.where(finite, step, xp.zeros_like(step)) / middle
        omega = xp.minimum(xp.maximum(omega, guess - reach), guess + reach)
    turn = omega[:, None] * place[None, :]
    a, b, *_rest = fit(centred_w, [xp.cos(turn), xp.sin(turn), constant, slope])
    amplitude_w = xp.sqrt(a * a + b * b)
    return omega * (rate_hz / (2 * math.pi)), amplitude_w, xp.atan2(-b, a)
