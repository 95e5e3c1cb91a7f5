"""Damping: one sinusoid that grows or decays, by maximum likelihood."""

import math
from typing import Any

from array_api_compat import array_namespace, device

from . import _arrays, _check, tones

__all__ = ["damped"]

STEPS = 8
"""Gauss-Newton steps; the last moves less than 1e-2 of the Cramer-Rao bound."""
MOST = 4.0
"""Largest growth or decay over half the window, in nepers, that a step may reach."""


def damped(window_w: Any, freq_hz: Any, *, rate_hz: float) -> tuple[Any, Any, Any, Any]:
    """
    Fit ``A exp(g t) cos(2 pi f t + phase)`` per channel, beside a constant and a slope.

    Parameters
    ----------
    window_w : array, shape (channel, time)
        The window, in W; a fixed shape per use.
    freq_hz : array, shape (channel,)
        First guess, within one bin (``rate_hz / time``).
    rate_hz : float
        Sample rate.

    Returns
    -------
    freq_hz : array, shape (channel,)
        Within 1.5 bins of the guess.
    growth_per_s : array, shape (channel,)
        g, above zero where it grows; the damping ratio is ``-g / sqrt(g^2 + (2 pi f)^2)``.
    amplitude_w : array, shape (channel,)
        Zero to peak at the middle of the window, in W.
    error_per_s : array, shape (channel,)
        Standard error of g: its Cramer-Rao bound at the residuals' size, in white noise.

    Notes
    -----
    Variable projection with Gauss-Newton steps on frequency and growth (Golub and Pereyra, SIAM J.
    Numer. Anal. 10, 1973): the maximum-likelihood estimate in white noise.
    """
    _check.frame(window_w, name="window_w")
    _check.match(freq_hz, (window_w.shape[0],), name="freq_hz")
    _check.positive(rate_hz, name="rate_hz")
    xp, n_time = array_namespace(window_w), window_w.shape[-1]
    half = (n_time - 1) / 2
    place = (xp.arange(n_time, dtype=window_w.dtype, device=device(window_w)) - half) / half
    slope, constant = xp.zeros_like(window_w) + place, xp.ones_like(window_w)
    centred_w = window_w - _arrays.fold_sum(window_w, axis=-1)[:, None] / n_time
    guess = freq_hz * (2 * math.pi / rate_hz * half)
    turn, growth = guess, xp.zeros_like(guess)
    reach = 1.5 * math.pi
    for _ in range(STEPS):
        cosine, sine = _waves(place, turn, growth)
        a, b, *_rest = tones.fit(centred_w, [cosine, sine, constant, slope])
        wave, quarter = _both(a, b, cosine, sine)
        columns = [cosine, sine, constant, slope, place * quarter, place * wave]
        *_rest, step, more = tones.fit(centred_w, columns)
        turn = turn + xp.where(xp.isfinite(step), step, xp.zeros_like(step))
        turn = xp.minimum(xp.maximum(turn, guess - reach), guess + reach)
        more = xp.where(xp.isfinite(more), more, xp.zeros_like(more))
        growth = xp.minimum(
            xp.maximum(growth + more, xp.zeros_like(more) - MOST), -(more * 0) + MOST
        )
    cosine, sine = _waves(place, turn, growth)
    a, b, *rest = tones.fit(centred_w, [cosine, sine, constant, slope])
    wave, _ = _both(a, b, cosine, sine)
    left_w = centred_w - wave - rest[0][:, None] - rest[1][:, None] * slope
    moved = place * wave - _weighted(place * wave, wave) * wave
    noise_w2 = _arrays.fold_sum(left_w * left_w, axis=-1) / max(n_time - 6, 1)
    told_w2 = _arrays.fold_sum(moved * moved, axis=-1)
    error = xp.sqrt(noise_w2 / xp.where(told_w2 > 0, told_w2, xp.ones_like(told_w2)))
    per_s = rate_hz / half
    return turn * (per_s / (2 * math.pi)), growth * per_s, xp.sqrt(a * a + b * b), error * per_s


def _waves(place: Any, turn: Any, growth: Any) -> tuple[Any, Any]:
    xp = array_namespace(place)
    size, angle = xp.exp(growth[:, None] * place), turn[:, None] * place
    return size * xp.cos(angle), size * xp.sin(angle)


def _both(a: Any, b: Any, cosine: Any, sine: Any) -> tuple[Any, Any]:
    """The fitted wave and its derivative by the angle."""
    wave = a[:, None] * cosine + b[:, None] * sine
    return wave, b[:, None] * cosine - a[:, None] * sine


def _weighted(y: Any, wave: Any) -> Any:
    xp = array_namespace(y)
    own = _arrays.fold_sum(wave * wave, axis=-1)
    own = xp.where(own > 0, own, xp.ones_like(own))
    return (_arrays.fold_sum(y * wave, axis=-1) / own)[:, None]
