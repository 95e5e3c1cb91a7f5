"""Seconds and frames: mean, least, greatest and count of the valid samples in each."""

from typing import Any

from array_api_compat import array_namespace, device

from . import _arrays, _check

__all__ = ["frame_means", "second_stats"]


def _blocks(x_w: Any, valid: Any, length: int, name: str) -> tuple[Any, Any]:
    _check.frame(x_w, name="x_w")
    _check.match(valid, x_w.shape, name="valid")
    _check.positive(length, name=name)
    if x_w.shape[-1] % length:
        msg = f"x_w holds {x_w.shape[-1]} samples; {name} is {length} and must divide it"
        raise ValueError(msg)
    xp = array_namespace(x_w)
    shape = (x_w.shape[0], x_w.shape[-1] // length, length)
    return xp.reshape(x_w, shape), xp.reshape(valid, shape)


def _mean(block_w: Any, valid: Any) -> tuple[Any, Any]:
    xp = array_namespace(block_w)
    count = xp.sum(xp.astype(valid, xp.int64), axis=-1)
    some = count > 0
    use = valid | ~some[..., None]
    total = _arrays.fold_sum(xp.where(use, block_w, xp.zeros_like(block_w)), axis=-1)
    number = xp.where(some, count, xp.full_like(count, block_w.shape[-1]))
    return total / xp.astype(number, block_w.dtype), count


def second_stats(x_w: Any, valid: Any, *, samples_per_second: int) -> tuple[Any, Any, Any, Any]:
    """
    Mean, minimum, maximum and count of the valid samples of each whole grid second.

    Parameters
    ----------
    x_w : array, shape (channel, time)
        Whole seconds of power, in W. Finite; missing cells hold the last value.
    valid : array of bool, shape (channel, time)
        Cells that were measured.
    samples_per_second : int
        Divides the number of samples.

    Returns
    -------
    mean_w, min_w, max_w : arrays, shape (channel, second)
        Over the valid samples, in W; over the held values where none is valid.
    valid_n : array of int64, shape (channel, second)
        How many were valid.
    """
    block_w, ok = _blocks(x_w, valid, samples_per_second, "samples_per_second")
    xp = array_namespace(x_w)
    mean_w, valid_n = _mean(block_w, ok)
    use = ok | ~(valid_n > 0)[..., None]
    top = xp.asarray(xp.inf, dtype=x_w.dtype, device=device(x_w))
    min_w = xp.min(xp.where(use, block_w, top), axis=-1)
    max_w = xp.max(xp.where(use, block_w, -top), axis=-1)
    return mean_w, min_w, max_w, valid_n


def frame_means(x_w: Any, valid: Any, *, samples_per_frame: int) -> tuple[Any, Any]:
    """
    Mean of each frame's valid samples.

    Parameters
    ----------
    x_w, valid : arrays, shape (channel, time)
        As in `second_stats`; whole frames.
    samples_per_frame : int
        Divides the number of samples.

    Returns
    -------
    mean_w : array, shape (channel, frame)
        In W; of the held values where none is valid.
    valid : array of bool, shape (channel, frame)
        Any sample of the frame was valid.
    """
    block_w, ok = _blocks(x_w, valid, samples_per_frame, "samples_per_frame")
    mean_w, count = _mean(block_w, ok)
    return mean_w, count > 0
