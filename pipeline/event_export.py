"""``archive export --event``: the raw samples around one event as COMTRADE records, one a rate."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline import archive
from pipeline.comtrade import Analog, Record, encode
from pipeline.errors import LockstepError
from pipeline.exports import refuse_existing
from pipeline.views import text
from schemas.units import Rate, slot_times_ns, slots_of

__all__ = ["EventError", "export_event"]


class EventError(LockstepError):
    """The event is not in the archive, or nothing is to write of it."""


class Shape(NamedTuple):
    """How to write it."""

    coding: str = "auto"
    line_hz: float = 60.0
    force: bool = False


def export_event(root: Path, event_id: str, folder: Path, shape: Shape) -> dict[str, Any]:
    """
    Write ``<event>-<rate>.cfg``, ``.dat`` and ``.hdr`` for each rate of the event's evidence.

    Returns
    -------
    dict
        ``event``, and ``records: [{cfg, dat, coding, channels, samples, missing}]``.

    Raises
    ------
    EventError, UsageError
        One sentence.
    """
    event = _event(root, event_id)
    sql = f"FROM event_blocks({text(event_id)})"
    limits = archive.Limits(rows=1_000_000)
    blocks = _dicts(archive.query(root, sql, limits=limits))
    if not blocks:
        msg = f"event {event_id} has no raw samples in the archive; they are kept for a time only"
        raise EventError(msg)
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", event_id)
    records = []
    for rate_hz, group in itertools.groupby(
        sorted(blocks, key=lambda b: (b["rate_hz"], b["channel_id"], b["t0_ns"])),
        key=lambda b: b["rate_hz"],
    ):
        base = folder / f"{stem}-{rate_hz.replace('/', 'per')}Hz"
        refuse_existing(base.with_name(f"{base.name}.cfg"), force=shape.force)
        records.append(_write(base, _record(event, list(group)), event, shape))
    return {"event": event_id, "records": records}


def _dicts(found: tuple[list[str], list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(found[0], row, strict=True)) for row in found[1]]


def _event(root: Path, event_id: str) -> dict[str, Any]:
    rows = _dicts(archive.query(root, f"FROM events WHERE event_id = {text(event_id)}"))
    if not rows:
        msg = f"the archive has no event {event_id!r}; the view `events` lists them"
        raise EventError(msg)
    return rows[0]


def _record(event: dict[str, Any], blocks: list[dict[str, Any]]) -> Record:
    """Blocks of one rate on one grid, from the first sample to the last."""
    rate = Rate.parse(blocks[0]["rate_hz"])
    spans = [slots_of(b["t0_ns"], b["n"], rate) for b in blocks]
    first, last = min(s[0] for s in spans), max(s[-1] for s in spans)
    n = int(last - first) + 1
    channels = []
    pairs = zip(blocks, spans, strict=True)
    for name, group in itertools.groupby(pairs, key=lambda pair: pair[0]["channel_id"]):
        channels.append(_analog(name, [(b, s - first) for b, s in group], n))
    times_ns = slot_times_ns(np.arange(first, last + 1), rate)
    closed_ns = event["closed_ns"] or int(times_ns[-1]) + 1  # open: to the record's end
    return Record(
        station=event["site_id"],
        device=event["node_id"],
        rate=rate,
        start_ns=int(times_ns[0]),
        trigger_ns=event["onset_ns"],
        channels=tuple(channels),
        open=(times_ns >= event["onset_ns"]) & (times_ns < closed_ns),
    )


def _analog(name: str, parts: list[tuple[dict[str, Any], Any]], n: int) -> Analog:
    """One channel: codes where all its blocks share a grid, else samples as float32."""
    node = parts[0][0]["node_id"]
    grids = {(b["scale_w"], b["offset_w"]) for b, _ in parts if b["codes"] is not None}
    whole = len(grids) == 1 and all(b["codes"] is not None for b, _ in parts)
    values = np.zeros(n, np.int64 if whole else np.float32)
    valid = np.zeros(n, bool)
    for block, at in parts:
        given = block["codes"] if block["codes"] is not None else block["samples_w"]
        there = np.array([v is not None for v in given])
        found = np.array([0 if v is None else v for v in given], np.float64)
        if not whole and block["codes"] is not None:
            found = block["offset_w"] + block["scale_w"] * found
        values[at[there]], valid[at[there]] = found[there], True
    scale_w, offset_w = next(iter(grids)) if whole else (None, None)
    return Analog(name, node, values, valid, scale_w, offset_w)


def _write(base: Path, record: Record, event: dict[str, Any], shape: Shape) -> dict[str, Any]:
    done = encode(record, shape.coding, shape.line_hz)
    files = {"hdr": _header(event, record).encode(), "dat": done.dat, "cfg": done.cfg}  # it last
    for suffix, content in files.items():
        base.with_name(f"{base.name}.{suffix}").write_bytes(content)
    missing = sum(int((~channel.valid).sum()) for channel in record.channels)
    return {
        "cfg": str(base.with_name(f"{base.name}.cfg")),
        "dat": str(base.with_name(f"{base.name}.dat")),
        "coding": done.coding,
        "resolution_w": done.resolution_w,
        "rate_hz": str(record.rate),
        "channels": len(record.channels),
        "samples": len(record.open),
        "missing": missing,
        "duration_s": len(record.open) / record.rate.hz,
    }


def _header(event: dict[str, Any], record: Record) -> str:
    """For people: what the record is about."""
    lines = [f"{key}: {event[key]}" for key in HEADER if event[key] is not None]
    lines.append(f"first sample: {record.start_ns} ns since 1970, UTC")
    return "\r\n".join(lines) + "\r\n"


HEADER = (
    *("event_id", "kind", "site_id", "node_id", "level", "state", "onset_utc", "closed_utc"),
    *("depth_w", "duration_s", "ramp_w_per_s", "synchrony", "freq_hz", "amplitude_w"),
    *("damping_ratio", "quality"),
)
