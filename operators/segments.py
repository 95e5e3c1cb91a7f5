"""Segment sums: node power from channel power, in float64 and in a fixed order."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, device

from . import _arrays

__all__ = ["Segments", "plan", "segment_sums", "to_namespace"]


class Segments(NamedTuple):
    """Which channels make up which group."""

    index: Any
    """Row of each member, padded with ``n_channels`` (a zero row); (group, width), int64."""

    n_channels: int
    """Length of the channel axis this plan is made for."""


def plan(groups: Sequence[Sequence[int]], n_channels: int) -> Segments:
    """
    Lay out groups of channels as one rectangular table, on the host.

    Parameters
    ----------
    groups : sequence of sequences of int
        Channels of each group, in the order in which they are to be added. A channel may
        belong to several groups or to none; a group may be empty (its sum is zero).
    n_channels : int
        Length of the channel axis.

    Returns
    -------
    Segments
        ``index`` is a NumPy array; see `to_namespace`. The width is a power of two.
    """
    longest = max((len(group) for group in groups), default=1)
    width = 1 << (max(longest, 1) - 1).bit_length()
    index = np.full((len(groups), width), n_channels, dtype=np.int64)
    for row, group in enumerate(groups):
        for place, channel in enumerate(group):
            if not 0 <= channel < n_channels:
                msg = f"groups[{row}] names channel {channel}, but there are {n_channels}"
                raise ValueError(msg)
            index[row, place] = channel
    return Segments(index, n_channels)


def to_namespace(segments: Segments, like: Any) -> Segments:
    """Return the same plan with its index in the library and on the device of ``like``."""
    xp = array_namespace(like)
    index = _arrays.table(segments.index, like, dtype=xp.int64)
    return Segments(index, segments.n_channels)


def segment_sums(x_w: Any, segments: Segments) -> Any:
    """
    Sum the channels of every group.

    Parameters
    ----------
    x_w : array, shape (..., channel, time)
        Any quantity that adds up: power, moved power, counts, in W or 1.
    segments : Segments
        From `plan`, moved by `to_namespace`. Rack -> PDU -> substation is done by one plan
        per level, applied one after the other.

    Returns
    -------
    array, shape (..., group, time)
        float64 whatever the input, same namespace and device.

    Notes
    -----
    Gather, then a tree of neighbouring pairs: the sum of a group depends on its members
    and their order alone, not on the other groups, the frame's length or the device.
    Error <= log2(width) roundings. No delay, no state.
    """
    if x_w.ndim < 2 or x_w.shape[-2] != segments.n_channels:
        msg = f"x_w must be (..., {segments.n_channels}, time), got shape {tuple(x_w.shape)}"
        raise ValueError(msg)
    xp = array_namespace(x_w)
    wide = xp.astype(x_w, xp.float64)
    lead, n_time = tuple(wide.shape[:-2]), wide.shape[-1]
    zero = xp.zeros((*lead, 1, n_time), dtype=xp.float64, device=device(x_w))
    rows = xp.concat([wide, zero], axis=-2)
    n_group, width = segments.index.shape
    picked = xp.take(rows, xp.reshape(segments.index, (-1,)), axis=-2)
    return _arrays.fold_sum(xp.reshape(picked, (*lead, n_group, width, n_time)), axis=-2)
