"""Sums in a fixed order, quantiles under a mask, host tables on the caller's device."""

from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

__all__ = [
    "fold_sum", "in_order", "masked_quantiles", "namespace", "narrow", "quantiles", "table",
    "widen",
]  # fmt: skip

_MOST = float(np.finfo(np.float32).max)


def namespace(x: Any) -> Any:
    """
    The array's own library; NumPy's main namespace is the standard's from 2.1 on.

    Saves the wrappers, which cost more than the work where arrays are small and calls are many.
    """
    return np if type(x) is np.ndarray else array_namespace(x)


def table(values: Any, like: Any, *, dtype: Any = None) -> Any:
    """Return host values as an array beside ``like``; ``dtype`` default: that of ``like``."""
    if type(like) is np.ndarray:
        return np.array(values, dtype=dtype or like.dtype)
    xp = array_namespace(like)
    host = np.ascontiguousarray(values)
    return xp.asarray(host, dtype=dtype or like.dtype, device=device(like), copy=True)


def narrow(x: Any) -> Any:
    """Return it as it is remembered: float32, no further from zero than that reaches."""
    xp = namespace(x)
    if x.dtype == xp.float32:
        return x
    if xp is np:
        return np.clip(x, -_MOST, _MOST).astype(np.float32)
    most = xp.full_like(x, _MOST)
    return xp.astype(xp.maximum(xp.minimum(x, most), -most), xp.float32)


def widen(x: Any) -> Any:
    """Return what is remembered as it is computed with: float64."""
    xp = namespace(x)
    return xp.astype(x, xp.float64)


def in_order(x: Any) -> Any:
    """Sum over the last axis, one after the other."""
    total = x[..., 0]
    for k in range(1, x.shape[-1]):
        total = total + x[..., k]
    return total


def fold_sum(y: Any, *, axis: int) -> Any:
    """
    Sum over one axis (-1 or -2) as a tree of neighbouring pairs.

    The order of the additions depends on nothing but the place on the axis: not on the
    other axes, not on the memory layout, not on zeros appended at the end.
    """
    xp = namespace(y)
    while y.shape[axis] > 1:
        if y.shape[axis] % 2:
            pad = list(y.shape)
            pad[axis] = 1
            y = xp.concat([y, xp.zeros(tuple(pad), dtype=y.dtype, device=device(y))], axis=axis)
        last = axis == -1
        y = y[..., 0::2] + y[..., 1::2] if last else y[..., 0::2, :] + y[..., 1::2, :]
    return y[..., 0] if axis == -1 else y[..., 0, :]


def masked_quantiles(x: Any, valid: Any, levels: tuple[float, ...]) -> Any:
    """
    Quantiles of the valid values on the last axis; linear between order statistics.

    ``(..., time) -> (..., level)``, zero where nothing is valid. Monotone in the level.
    """
    xp = array_namespace(x)
    count = xp.sum(xp.astype(valid, xp.int64), axis=-1, keepdims=True)
    filled = xp.where(valid, x, xp.asarray(xp.inf, dtype=x.dtype, device=device(x)))
    ordered = xp.sort(filled, axis=-1)
    last = xp.astype(xp.maximum(count - 1, xp.zeros_like(count)), x.dtype)
    place = last * table(levels, x)
    low = xp.floor(place)
    share = place - low
    below = xp.astype(low, xp.int64)
    above = xp.astype(xp.minimum(low + 1, last), xp.int64)
    value_low = xp.take_along_axis(ordered, below, axis=-1)
    value_high = xp.take_along_axis(ordered, above, axis=-1)
    some = count > 0
    value_low = xp.where(some, value_low, xp.zeros_like(value_low))
    value_high = xp.where(some, value_high, xp.zeros_like(value_high))
    return xp.minimum(value_low + share * (value_high - value_low), value_high)


def quantiles(x: Any, levels: tuple[float, ...]) -> Any:
    """Quantiles of the last axis, all of it valid; as `masked_quantiles`."""
    xp = namespace(x)
    ordered = xp.sort(x, axis=-1)
    place = (x.shape[-1] - 1) * np.array(levels)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, x.shape[-1] - 1)
    below = xp.take(ordered, table(low, x, dtype=xp.int64), axis=-1)
    above = xp.take(ordered, table(high, x, dtype=xp.int64), axis=-1)
    return xp.minimum(below + table(place - low, x) * (above - below), above)
