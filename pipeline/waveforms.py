"""Raw samples to rows of the table ``waveforms``: on a grid of whole numbers wherever one holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.layout import SiteLayout
from schemas.tables import WAVEFORMS
from schemas.units import NS_PER_S

__all__ = ["Codes", "Stretch", "decoded", "quantised", "waveform_batch"]

STEPS_W = tuple(10.0**k for k in range(6, -4, -1))
"""Steps tried where a site file states no resolution, largest first, W."""
CODES_MOST = 1 << 24
"""A float32 tells no more steps than these apart."""
POWER = "power"


class Stretch(NamedTuple):
    """
    Samples of some channels without a break, all from one level.

    ``rows`` are channel rows, ``samples_w`` (channel, time) float32, NaN where nothing was
    measured; ``rate`` a whole number of samples a second from the grid second ``t0_ns`` on.
    """

    rows: Any
    t0_ns: int
    rate: int
    samples_w: Any


class Codes(NamedTuple):
    """``sample = offset_w + scale_w * code``; ``codes`` float64, NaN where nothing was measured."""

    codes: Any
    scale_w: float
    offset_w: float


def quantised(samples_w: Any, resolution_w: float | None) -> Codes | None:
    """
    Put one channel's samples on a grid.

    Parameters
    ----------
    samples_w : array, (time,), float32
        NaN where nothing was measured; at least one is.
    resolution_w : float or None, W
        What the meter resolves, as its site file states it: samples are rounded to it. None:
        the largest step is sought that gives every sample back bit for bit.

    Returns
    -------
    Codes or None
        None where no grid holds the samples: they are archived as they are.
    """
    known_w = samples_w[~np.isnan(samples_w)].astype(np.float64)
    low_w, span_w = float(known_w.min()), float(known_w.max() - known_w.min())
    if resolution_w is not None:
        return _on_grid(samples_w, resolution_w, _multiple(low_w, resolution_w), span_w)
    if not span_w:
        return _on_grid(samples_w, 1.0, low_w, span_w)
    least_w = float(np.diff(np.unique(known_w)).min())
    grids = [(step, _multiple(low_w, step)) for step in STEPS_W if step <= 1.5 * least_w]
    own_w = span_w / np.rint(span_w / least_w)  # a converter's own
    grids.insert(sum(step > 0.66 * least_w for step, _ in grids), (float(own_w), low_w))
    for step_w, offset_w in grids:
        found = _on_grid(samples_w, step_w, offset_w, span_w)
        if found and np.array_equal(decoded(found), samples_w, equal_nan=True):
            return found
    return None


def _multiple(low_w: float, step_w: float) -> float:
    return float(np.rint(low_w / step_w)) * step_w


def _on_grid(samples_w: Any, step_w: float, offset_w: float, span_w: float) -> Codes | None:
    if span_w / step_w >= CODES_MOST:
        return None
    return Codes(np.rint((samples_w.astype(np.float64) - offset_w) / step_w), step_w, offset_w)


def decoded(found: Codes) -> Any:
    """Samples of codes, (time,) float32, NaN where nothing was measured."""
    return (found.offset_w + found.scale_w * found.codes).astype(np.float32)


def waveform_batch(layout: SiteLayout, stretches: Sequence[Stretch], end_ns: int) -> Any | None:
    """Rows of table ``waveforms``, made by the frame that ends at ``end_ns``; None without any."""
    rows = [row for stretch in stretches for row in _rows(layout, stretch)]
    if not rows:
        return None
    columns: dict[str, Any] = {
        name: [row[name] for row in rows] for name in rows[0] if name not in ("codes", "samples_w")
    }
    columns |= {"quantity": [POWER] * len(rows), "site_id": [layout.site_id] * len(rows)}
    columns["produced_ns"] = [end_ns] * len(rows)
    arrays = []
    for field in WAVEFORMS:
        if field.name in ("codes", "samples_w"):
            arrays.append(_lists([row[field.name] for row in rows], field.type))
        else:
            arrays.append(pa.array(columns[field.name], field.type))
    return pa.record_batch(arrays, schema=WAVEFORMS)


def _rows(layout: SiteLayout, stretch: Stretch) -> Iterator[dict[str, Any]]:
    count = stretch.samples_w.shape[1]
    end_ns = stretch.t0_ns + (2 * count * NS_PER_S + stretch.rate) // (2 * stretch.rate)
    for row, samples_w in zip(stretch.rows, stretch.samples_w, strict=True):
        if np.isnan(samples_w).all():
            continue
        node = layout.nodes[layout.channel_nodes[row]]
        name = layout.channel_ids[row]
        found = quantised(samples_w, layout.resolution_w.get(name))
        yield {
            "channel_id": name,
            "node_id": node.id,
            "level": node.level,
            "t0_ns": stretch.t0_ns,
            "end_ns": end_ns,
            "rate_hz": str(stretch.rate),
            "n": count,
            "scale_w": found and found.scale_w,
            "offset_w": found and found.offset_w,
            "codes": found and found.codes,
            "samples_w": None if found else samples_w,
        }


def _lists(values: Sequence[Any], kind: Any) -> Any:
    """A list column of arrays (None: no list); NaN becomes null within a list."""
    ends = np.cumsum([0 if value is None else len(value) for value in values])
    starts = [None if v is None else e - len(v) for v, e in zip(values, ends.tolist(), strict=True)]
    flat = np.concatenate([np.zeros(0), *(value for value in values if value is not None)])
    missing = np.isnan(flat)
    items = np.where(missing, 0, flat).astype(kind.value_type.to_pandas_dtype())
    offsets = pa.array([*starts, int(ends[-1])], pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(items, mask=missing), type=kind)
