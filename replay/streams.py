"""Traces held in memory: one dense block a gateway, cut into slices on the grid of its rate."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from replay.columns import Column
from replay.errors import TraceError
from schemas.telemetry import Slice
from schemas.topology import LEVELS
from schemas.units import MAX_PERIOD_S, MAX_RATE_HZ, NS_PER_S, Rate, slot_times_ns, slots_of

__all__ = ["Dense", "Stream", "lay_on_grid", "nominal_rate"]

MAX_EMPTY = 50
"""Slots a reading may cover on average; above it the rate cannot be right."""


@dataclasses.dataclass(frozen=True)
class Stream:
    """One gateway's readings: ``power_w`` (channel, time) float32, W; NaN: nothing was read."""

    site_id: str
    level: str
    gateway_id: str
    rate: Rate
    channel_ids: tuple[str, ...]
    first_slot: int
    power_w: Any

    @property
    def end_ns(self) -> int:
        """End of the last sample's slot."""
        last = np.array([self.first_slot + self.power_w.shape[1]], np.int64)
        return int(slot_times_ns(last, self.rate)[0])


def nominal_rate(columns: list[Column], path: Path) -> Rate:
    """
    The rate of uneven stamps: (N-1)/span of the longest channel.

    To the nearest whole Hz; below 1 Hz the nearest ``1/n``.

    Raises
    ------
    TraceError
        One sentence, when it is above 4000 Hz or below one an hour.
    """
    longest = max(columns, key=lambda column: len(column.time_ns))
    span_s = (int(longest.time_ns[-1]) - int(longest.time_ns[0])) / NS_PER_S
    hz = (len(longest.time_ns) - 1) / span_s
    if not hz * (1 + 1e-9) >= 1 / MAX_PERIOD_S or hz > MAX_RATE_HZ + 0.5:
        msg = f"{path}: {hz:.3g} readings a second; a rate is 1/{MAX_PERIOD_S}-{MAX_RATE_HZ} Hz"
        raise TraceError(msg)
    if hz >= 1:
        return Rate(math.floor(hz + 0.5))
    period = math.floor(1 / hz)
    return Rate(1, min((period, period + 1), key=lambda n: abs(1 / n - hz)))


def lay_on_grid(columns: list[Column], rate: Rate, path: Path) -> tuple[int, Any]:
    """
    Readings on the slots of a rate: each to the nearest slot, the first value wins.

    The block reaches from the first slot with a reading to the last.

    Returns
    -------
    first_slot : int
        Slot of the first column of the block.
    power_w : array, shape (channel, time)
        float32, W; NaN where no reading fell.
    """
    read = [np.flatnonzero(~np.isnan(column.power_w))[::-1] for column in columns]
    if not any(len(rows) for rows in read):
        read = [np.arange(len(column.time_ns))[::-1] for column in columns]
    slots = [slots_of(c.time_ns[rows], 1, rate) for c, rows in zip(columns, read, strict=True)]
    first = min(int(s[-1]) for s in slots if len(s))
    count = max(int(s[0]) for s in slots if len(s)) - first + 1
    readings = max(len(s) for s in slots)
    if count > MAX_EMPTY * readings:
        msg = f"{path}: {readings} readings over {count} slots of {rate} Hz; correct the rate"
        raise TraceError(msg)
    power_w = np.full((len(columns), count), np.nan, np.float32)
    for row, column, rows, at in zip(power_w, columns, read, slots, strict=True):
        row[at - first] = column.power_w[rows]  # backwards: of one slot the first value stays
    return first, power_w


class Dense:
    """
    A trace as a few streams in memory.

    Attributes
    ----------
    t0_ns, end_ns : int
        Time of the first sample; end of the last one.
    channels, samples : int
        Channels; finite samples.
    """

    def __init__(self, streams: list[Stream]) -> None:
        self.streams = streams
        self.t0_ns = min(int(slot_times_ns(np.array([s.first_slot]), s.rate)[0]) for s in streams)
        self.end_ns = max(s.end_ns for s in streams)
        self.channels = sum(len(s.channel_ids) for s in streams)
        self.samples = sum(int(np.isfinite(s.power_w).sum()) for s in streams)

    def slices(self, piece_s: float) -> Iterator[Slice]:
        """Slices by end time, level and gateway; then an end of stream for each gateway."""
        order = sorted(self.streams, key=lambda s: (LEVELS.index(s.level), s.site_id, s.gateway_id))
        cuts = [_cuts(s, piece_s) for s in order]
        end_ns = np.concatenate(
            [slot_times_ns(c[1:], s.rate) for s, c in zip(order, cuts, strict=True)]
        )
        owner = np.concatenate([np.full(len(c) - 1, i) for i, c in enumerate(cuts)])
        piece = np.concatenate([np.arange(len(c) - 1) for c in cuts])
        for i in np.lexsort((owner, end_ns)):
            stream, seq = order[owner[i]], int(piece[i])
            yield _piece(stream, seq, *cuts[owner[i]][seq : seq + 2])
        last_ns = {s.site_id: max(x.end_ns for x in order if x.site_id == s.site_id) for s in order}
        for stream, cut in zip(order, cuts, strict=True):
            yield _end(stream, len(cut) - 1, last_ns[stream.site_id])


def _cuts(stream: Stream, piece_s: float) -> Any:
    """Slots where slices begin, and the end: grid seconds, and ``piece_s`` within them."""
    first, count = stream.first_slot, stream.power_w.shape[1]
    if stream.rate.seconds > 1:
        return np.arange(first, first + count + 1, dtype=np.int64)
    samples, pieces = stream.rate.samples, round(1 / piece_s)
    steps = np.unique(np.arange(pieces, dtype=np.int64) * samples // pieces)
    seconds = np.arange(first // samples, (first + count) // samples + 1, dtype=np.int64)
    cuts = (seconds[:, None] * samples + steps).ravel()
    inner = cuts[(cuts > first) & (cuts < first + count)]
    return np.concatenate([[first], inner, [first + count]])


def _piece(stream: Stream, seq: int, start: int, stop: int) -> Slice:
    first = stream.first_slot
    return Slice(
        site_id=stream.site_id,
        level=stream.level,
        gateway_id=stream.gateway_id,
        seq=seq,
        t0_ns=int(slot_times_ns(np.array([start]), stream.rate)[0]),
        rate=stream.rate,
        channel_ids=stream.channel_ids,
        power_w=np.ascontiguousarray(stream.power_w[:, start - first : stop - first]),
    )


def _end(stream: Stream, seq: int, t0_ns: int) -> Slice:
    empty = np.zeros((0, 0), np.float32)
    head = (stream.site_id, stream.level, stream.gateway_id, seq, t0_ns, stream.rate)
    return Slice(*head, (), empty, end=True)
