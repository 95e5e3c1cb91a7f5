"""Rows of a telemetry message: which cannot be used, what the others hold in W and V."""

from __future__ import annotations

from typing import Any

import numpy as np

from schemas import _arrow
from schemas.refusal import MAX_NAME, RowRefusal

__all__ = ["listed", "refused", "volts", "watts"]


def refused(names: tuple[str, ...], lengths: Any, count: int) -> dict[int, RowRefusal]:
    """Rows of another length, and rows of a channel that already had a good one."""
    bad: dict[int, RowRefusal] = {}
    seen: set[str] = set()
    for row, (name, length) in enumerate(zip(names, lengths.tolist(), strict=True)):
        if length != count:
            bad[row] = RowRefusal(name[:MAX_NAME], "length")
        elif name in seen:
            bad[row] = RowRefusal(name[:MAX_NAME], "channel")
        else:
            seen.add(name)
    return bad


def watts(raw: Any, scaling: _arrow.Scaling | None) -> Any:
    """Float32 W of raw values (channel, time); the form already sent is not copied."""
    if raw.dtype == np.float32 and scaling is None:
        return raw
    with np.errstate(over="ignore"):
        if scaling is not None:
            raw = raw * scaling.scale_w[:, None] + scaling.offset_w[:, None]
        return raw.astype(np.float32)


def volts(
    lists: _arrow.Lists, keep: Any, names: tuple[str, ...], told: list[RowRefusal], count: int
) -> Any:
    """
    Float32 V of the rows kept, (channel, time); NaN where none was sent, or none of this length.

    A voltage that cannot be used is ``told``; the power beside it counts.
    """
    found = np.full((len(names), count), np.nan, np.float32)
    for row, at in enumerate(keep.tolist()):
        length, start = int(lists.lengths[at]), int(lists.starts[at])
        if length == count:
            with np.errstate(over="ignore"):
                found[row] = lists.flat[start : start + count]
        elif length:
            told.append(RowRefusal(names[row][:MAX_NAME], "voltage"))
    return found


def listed(rows: list[tuple[float | None, ...]]) -> _arrow.Lists:
    """Numbers of several rows one after the other, None as NaN."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    flat = np.array([np.nan if v is None else v for row in rows for v in row], np.float64)
    return _arrow.Lists(flat, lengths, np.cumsum(lengths) - lengths)
