"""Guards with uniform words: which argument, what it must be, what it is."""

from typing import Any

import numpy as np
from array_api_compat import array_namespace

__all__ = ["floating", "frame", "match", "positive", "shape_words"]


def shape_words(axes: tuple[str, ...]) -> str:
    """Return ``(channel, time)`` for ``("channel", "time")``."""
    return "(" + ", ".join(axes) + ("," if len(axes) == 1 else "") + ")"


def floating(x: Any, *, name: str) -> None:
    """Refuse anything but real floating point."""
    if type(x) is np.ndarray and x.dtype.kind == "f":
        return
    xp = array_namespace(x)
    if not xp.isdtype(x.dtype, "real floating"):
        msg = f"{name} must be float32 or float64, got {x.dtype}"
        raise TypeError(msg)


def frame(x: Any, *, name: str, axes: tuple[str, ...] = ("channel", "time")) -> None:
    """Refuse an array that does not have these axes, or is not floating point."""
    if x.ndim != len(axes):
        msg = f"{name} must be {shape_words(axes)}, got shape {tuple(x.shape)}"
        raise ValueError(msg)
    floating(x, name=name)


def match(x: Any, shape: tuple[int, ...], *, name: str) -> None:
    """Refuse an array whose shape is not ``shape``."""
    if tuple(x.shape) != tuple(shape):
        msg = f"{name} must have shape {tuple(shape)}, got {tuple(x.shape)}"
        raise ValueError(msg)


def positive(value: float, *, name: str) -> None:
    """Refuse a host number that is not above zero (NaN included)."""
    if not value > 0:
        msg = f"{name} must be above 0, got {value}"
        raise ValueError(msg)
