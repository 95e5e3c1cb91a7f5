"""Unison: do channels swing together, which of them, and in which groups."""

import math
from typing import Any

from array_api_compat import array_namespace, device

from . import _arrays, _check

__all__ = ["clusters", "leading", "order", "snapshots"]

POWER_STEPS = 12
"""Products with the Gram matrix, each squared before: the leading vector to 1e-6 at a gap of 2."""


def snapshots(window_w: Any, freq_hz: float, *, rate_hz: float, count: int) -> Any:
    """
    Complex amplitude of one frequency in ``count`` equal stretches of a window.

    ``window_w`` is (channel, time), in W; the answer (channel, count, 2): real and imaginary part
    of the Hann-weighted Fourier sum, phases on one clock for all stretches.
    """
    _check.frame(window_w, name="window_w")
    xp = array_namespace(window_w)
    length = window_w.shape[1] // count
    used = window_w[:, window_w.shape[1] - length * count :]
    x = xp.reshape(used, (window_w.shape[0], count, length))
    x = x - _arrays.fold_sum(x, axis=-1)[..., None] / length
    place = xp.arange(length * count, dtype=window_w.dtype, device=device(window_w))
    turn = xp.reshape((2 * math.pi * freq_hz / rate_hz) * place, (count, length))
    taper = 1 - xp.cos((2 * math.pi / length) * (place[:length] + 0.5))
    real = _arrays.fold_sum(x * xp.cos(turn) * taper, axis=-1)
    imag = _arrays.fold_sum(x * xp.sin(turn) * taper, axis=-1)
    return xp.stack([real, -imag], axis=-1) * (2 / length)


def order(amplitude_w: Any, phase_rad: Any) -> Any:
    """
    Kuramoto's order parameter weighted by amplitude: ``|sum a exp(j phi)| / sum a``, 0 to 1.

    Both (channel,). Under independent phases and equal amplitudes ``P(R > r) = exp(-N r^2)``.
    """
    xp = array_namespace(amplitude_w)
    real = _arrays.fold_sum((amplitude_w * xp.cos(phase_rad))[None, :], axis=-1)
    imag = _arrays.fold_sum((amplitude_w * xp.sin(phase_rad))[None, :], axis=-1)
    total = _arrays.fold_sum(amplitude_w[None, :], axis=-1)
    some = total > 0
    size = xp.sqrt(real * real + imag * imag)
    return xp.where(some, size / xp.where(some, total, xp.ones_like(total)), xp.zeros_like(size))[0]


def leading(z: Any) -> tuple[Any, Any, Any]:
    """
    Greatest eigenvalue of the coherence matrix of channels at one frequency, and its vector.

    Parameters
    ----------
    z : array, shape (channel, snapshot, 2)
        From `snapshots`.

    Returns
    -------
    value : array, shape ()
        1 to the number of channels M; compare with `budget.tracy_widom_threshold`.
    weight : array, shape (channel,)
        ``|v|^2``: each channel's part; they add up to one.
    phase_rad : array, shape (channel,)
        Of each channel in the common motion.

    Notes
    -----
    With K snapshots the M x M matrix ``Z Z^H / K`` of unit rows has the eigenvalues of the K x K
    Gram matrix ``Z^H Z / K``: power iteration there, K products of length M.
    """
    xp = array_namespace(z)
    real, imag = z[..., 0], z[..., 1]
    n = real.shape[1]
    size2 = _arrays.fold_sum(real * real + imag * imag, axis=-1)[:, None] / n
    some = size2 > 0
    scale = xp.where(
        some, 1 / xp.sqrt(xp.where(some, size2, xp.ones_like(size2))), xp.zeros_like(size2)
    )
    real, imag = real * scale, imag * scale
    gram_real = _products(real, real) + _products(imag, imag)
    gram_imag = _products(real, imag) - _products(imag, real)
    u_real = xp.ones((n,), dtype=z.dtype, device=device(z)) + 0.1 * _ramp(real)
    u_imag = 0.05 * _ramp(real)
    value = xp.ones((), dtype=z.dtype, device=device(z))
    for _ in range(POWER_STEPS):
        for _again in range(3):
            v_real = _arrays.fold_sum(gram_real * u_real - gram_imag * u_imag, axis=-1)
            v_imag = _arrays.fold_sum(gram_real * u_imag + gram_imag * u_real, axis=-1)
            norm = xp.sqrt(_arrays.fold_sum((v_real * v_real + v_imag * v_imag)[None, :], axis=-1))[
                0
            ]
            value = norm
            norm = xp.where(norm > 0, norm, xp.ones_like(norm))
            u_real, u_imag = v_real / norm, v_imag / norm
    w_real = _arrays.fold_sum(real * u_real - imag * u_imag, axis=-1)
    w_imag = _arrays.fold_sum(real * u_imag + imag * u_real, axis=-1)
    weight = w_real * w_real + w_imag * w_imag
    total = _arrays.fold_sum(weight[None, :], axis=-1)[0]
    weight = weight / xp.where(total > 0, total, xp.ones_like(total))
    return value, weight, xp.atan2(w_imag, w_real)


def _ramp(like: Any) -> Any:
    xp = array_namespace(like)
    return xp.arange(like.shape[1], dtype=like.dtype, device=device(like)) / like.shape[1]


def _products(a: Any, b: Any) -> Any:
    """``sum over channels of a[:, i] b[:, j] / K``; (snapshot, snapshot)."""
    xp = array_namespace(a)
    pairs = a[:, :, None] * b[:, None, :]
    n = a.shape[1]
    flat = xp.reshape(xp.permute_dims(pairs, (1, 2, 0)), (n * n, a.shape[0]))
    return xp.reshape(_arrays.fold_sum(flat, axis=-1), (n, n)) / n


def clusters(phase_rad: Any, *, least_gap_rad: float) -> Any:
    """
    Number the groups into which phases fall: a gap on the circle of ``least_gap_rad`` parts two.

    ``phase_rad`` (channel,); int64 (channel,), 0 for the group after the widest gap. With no gap
    that wide all are of one group.
    """
    xp = array_namespace(phase_rad)
    n = phase_rad.shape[0]
    turn = 2 * math.pi
    order_ = xp.argsort(phase_rad, stable=True)
    ordered = xp.take(phase_rad, order_, axis=0)
    after = xp.concat([ordered[1:], ordered[:1] + turn], axis=0)
    gap = after - ordered
    widest = xp.argmax(gap)
    place = xp.arange(n, dtype=xp.int64, device=device(phase_rad))
    start = xp.remainder(widest + 1, n)
    rolled = xp.remainder(start + place, n)
    opens = xp.take(gap >= least_gap_rad, xp.remainder(rolled - 1, n), axis=0) & (place > 0)
    number = xp.cumulative_sum(xp.astype(opens, xp.int64), axis=0)
    back = xp.argsort(xp.take(order_, rolled, axis=0), stable=True)
    return xp.take(number, back, axis=0)
