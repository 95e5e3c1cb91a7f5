"""Decimation: a slower series without what the slower rate would fold into it."""

import math
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from . import _arrays, _check

__all__ = ["newest", "taps"]

LENGTH = 6
"""Taps reach over twice this many samples of the slower series: 50 dB, flat up to 0.35 of it."""


def taps(factor: int) -> Any:
    """Low-pass of unit gain for `newest`, host values; (2 LENGTH factor,), or (1,) for 1."""
    if factor == 1:
        return np.ones(1)
    n = 2 * LENGTH * factor
    place = np.arange(n) - (n - 1) / 2
    wave = np.sinc(place / factor) * (0.54 + 0.46 * np.cos(2 * math.pi * place / n))
    return wave / wave.sum()


def newest(tail_w: Any, valid: Any, taps: Any, *, factor: int, count: int) -> tuple[Any, Any]:
    """
    Newest ``count`` samples of the series ``factor`` times slower, the last ending with the tail.

    Parameters
    ----------
    tail_w, valid : arrays, shape (channel, time)
        At least ``count * factor + len(taps) - factor`` samples, in W; which were measured.
    taps : array
        From `taps`, in the library of ``tail_w``; sums are in its floating type.
    factor, count : int
        Samples per slower sample, and how many of these.

    Returns
    -------
    x_w : array, shape (channel, count)
        Weighted means (Hamming-windowed sinc); they lag by half the taps' length.
    valid : array of bool, shape (channel, count)
        At least 0.8 of the samples behind it were measured.
    """
    _check.frame(tail_w, name="tail_w")
    _check.match(valid, tail_w.shape, name="valid")
    xp, n_tap, n_time = array_namespace(tail_w), taps.shape[0], tail_w.shape[1]
    if factor == 1:
        return tail_w[:, n_time - count :], valid[:, n_time - count :]
    first = n_time - n_tap - factor * np.arange(count - 1, -1, -1)
    at = _arrays.table((first[:, None] + np.arange(n_tap)).reshape(-1), tail_w, dtype=xp.int64)
    shape = (tail_w.shape[0], count, n_tap)
    wide_w = xp.astype(xp.take(tail_w, at, axis=-1), taps.dtype)
    x_w = _arrays.fold_sum(xp.reshape(wide_w, shape) * taps, axis=-1)
    known = xp.reshape(xp.take(valid, at, axis=-1), shape)
    return x_w, xp.mean(xp.astype(known, taps.dtype), axis=-1) >= 0.8
