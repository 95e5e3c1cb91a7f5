"""A native trace as slices: messages in replay order, a row group in memory at a time."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from replay.errors import TraceError
from replay.native import TEXTS, Seen, Written, scan, span_ns
from schemas.telemetry import Slice
from schemas.topology import LEVELS
from schemas.units import Rate

__all__ = ["Native"]

_KEPT_GROUPS = 8


class _Group:
    """One decoded row group: channel codes, row offsets, values."""

    def __init__(self, table: pa.Table, names: _Names, path: Path) -> None:
        ids = table.column("channel_id").combine_chunks()
        power = table.column("power_w").combine_chunks()
        if ids.null_count or not pa.types.is_list(power.type):
            msg = (
                f"{path}: channel_id is null or power_w, {power.type}, no list; see the native form"
            )
            raise TraceError(msg)
        encoded = (
            ids if pa.types.is_dictionary(ids.type) else ids.cast(pa.string()).dictionary_encode()
        )
        self.codes = names.codes(encoded.dictionary)[encoded.indices.to_numpy(zero_copy_only=False)]
        self.offsets = power.offsets.to_numpy()
        values = power.values.cast(pa.float32())
        self.values = values.to_numpy(zero_copy_only=False)
        if values.null_count:
            self.values = np.where(np.asarray(values.is_valid()), self.values, np.float32("nan"))
        volts = table.column("voltage_v") if "voltage_v" in table.column_names else None
        none = volts is None or volts.null_count == len(volts)
        self.volts = None if none or volts is None else volts.combine_chunks()

    def voltage_v(self, start: int, stop: int, count: int) -> Any:
        """Voltages of some rows, (row, time) float32, NaN where there is none; None: in no row."""
        part = None if self.volts is None else self.volts.slice(start, stop - start)
        if part is None or part.null_count == len(part):
            return None
        found = np.full((stop - start, count), np.nan, np.float32)
        for row, values in enumerate(part.to_pylist()):
            if values is not None and len(values) == count:
                found[row] = np.array(values, np.float32)
        return found


class _Names:
    """Channel names as numbers that hold across row groups, and the tuples of names of messages."""

    def __init__(self) -> None:
        self._known = pa.array([], pa.string())
        self._tuples: dict[bytes, tuple[str, ...]] = {}

    def codes(self, dictionary: pa.Array) -> Any:
        names = dictionary.cast(pa.string())
        found = pc.index_in(names, self._known)
        if found.null_count:
            self._known = pa.concat_arrays([self._known, names.filter(found.is_null()).unique()])
            found = pc.index_in(names, self._known)
        return found.to_numpy()

    def of(self, codes: Any) -> tuple[str, ...]:
        key = codes.tobytes()
        if key not in self._tuples:
            self._tuples[key] = tuple(self._known.take(pa.array(codes)).to_pylist())
        return self._tuples[key]


class Native:
    """
    A trace in the native form, opened without reading its power.

    Attributes
    ----------
    t0_ns, end_ns : int
        Time of the first sample; end of the last one.
    sites : tuple of str
        Sites in the file, sorted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = pq.ParquetFile(path, read_dictionary=list(TEXTS), memory_map=True)
        self._columns = set(self._file.schema_arrow.names)
        self.messages, summary = scan(self._file, path)
        if not self.messages:
            msg = f"{path}: no rows; nothing to replay"
            raise TraceError(msg)
        self._starts = np.cumsum(
            [0]
            + [self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)]
        )
        self._groups: OrderedDict[int, _Group] = OrderedDict()
        self._names = _Names()
        self.t0_ns = min(m.t0_ns for m in self.messages)
        self.sites = tuple(sorted({m.site_id for m in self.messages}))
        self._end_ns_of, self.samples, self._order = self._read_order(summary)
        self.end_ns = max(self._end_ns_of.values())
        if not self.samples:
            msg = f"{path}: no finite power in {len(self.messages)} messages; nothing to replay"
            raise TraceError(msg)

    def _read_order(self, summary: Written | None) -> tuple[dict[str, int], int, Any]:
        """Ends by site, finite samples and replay order; from the summary, else by reading all."""
        if summary and summary.ordered and summary.messages == len(self.messages):
            return summary.end_ns, summary.samples, range(len(self.messages))
        ends, samples = [], 0
        newest: dict[tuple[str, str], int] = {}
        site_end_ns: dict[str, int] = {}
        for message in self.messages:
            power_w = self._power(message)[1]
            samples += int(np.isfinite(power_w).sum())
            end_ns = message.t0_ns + span_ns(power_w.shape[1], message.rate)
            gateway = (message.site_id, message.gateway_id)
            newest[gateway] = max(end_ns, newest.get(gateway, 0))
            ends.append(newest[gateway])
            site_end_ns[message.site_id] = max(end_ns, site_end_ns.get(message.site_id, 0))
        places = [
            (end_ns, _rank(m.level), m.site_id, m.gateway_id)
            for end_ns, m in zip(ends, self.messages, strict=True)
        ]
        return site_end_ns, samples, sorted(range(len(places)), key=places.__getitem__)

    def channels_seen(self) -> list[tuple[str, str, str, str, Rate]]:
        """Distinct (site, gateway, level, channel, rate) of the rows, for want of a topology."""
        columns = ["site_id", "gateway_id", "level", "channel_id", "rate_hz"]
        seen: dict[tuple[Any, ...], None] = {}
        for group in range(self._file.num_row_groups):
            table = self._file.read_row_group(group, columns=columns)
            plain = pa.table([column.cast(pa.string()) for column in table.columns], names=columns)
            found = plain.group_by(columns, use_threads=False).aggregate([])
            seen.update(dict.fromkeys(zip(*found.to_pydict().values(), strict=True)))
        return [(s, g, lv, c, Rate.parse(r)) for s, g, lv, c, r in seen]

    def slices(self, piece_s: float) -> Iterator[Slice]:
        """The file's own messages by end time, level and gateway; then the ends of stream."""
        del piece_s
        for i in self._order:
            message = self.messages[i]
            channel_ids, power_w = self._power(message)
            yield _slice(message, channel_ids, power_w, voltage_v=self._voltage(message, power_w))
        last: dict[tuple[int, str, str], Seen] = {}
        for message in self.messages:
            place = (_rank(message.level), message.site_id, message.gateway_id)
            if place not in last or last[place].seq < message.seq:
                last[place] = message
        for _, message in sorted(last.items(), key=operator.itemgetter(0)):
            end = message._replace(seq=message.seq + 1, t0_ns=self._end_ns_of[message.site_id])
            yield _slice(end, (), np.zeros((0, 0), np.float32), end=True)

    def _power(self, message: Seen) -> tuple[tuple[str, ...], Any]:
        """A message's channels and power, (channel, time) float32."""
        group = int(np.searchsorted(self._starts, message.start, side="right")) - 1
        codes, parts, start = [], [], message.start
        while start < message.stop:
            base = int(self._starts[group])
            stop = min(message.stop, int(self._starts[group + 1]))
            decoded = self._group(group)
            codes.append(decoded.codes[start - base : stop - base])
            parts.append(self._block(decoded, start - base, stop - base, message))
            start, group = stop, group + 1
        if len(parts) == 1:
            return self._names.of(codes[0]), parts[0]
        return self._names.of(np.concatenate(codes)), np.concatenate(parts)

    def _voltage(self, message: Seen, power_w: Any) -> Any:
        """A message's voltages, (channel, time) float32, NaN where there is none; None: none."""
        parts, start, count = [], message.start, power_w.shape[1]
        while start < message.stop:
            group = int(np.searchsorted(self._starts, start, side="right")) - 1
            base = int(self._starts[group])
            stop = min(message.stop, int(self._starts[group + 1]))
            volts = self._group(group).voltage_v(start - base, stop - base, count)
            parts.append((stop - start, volts))
            start = stop
        if all(volts is None for _, volts in parts):
            return None
        blank = [np.full((n, count), np.nan, np.float32) if v is None else v for n, v in parts]
        return np.concatenate(blank)

    def _block(self, group: _Group, start: int, stop: int, message: Seen) -> Any:
        offsets = group.offsets[start : stop + 1]
        lengths = np.diff(offsets)
        if (lengths != lengths[0]).any() or not 0 < lengths[0] <= message.rate.samples:
            msg = (
                f"{self.path}: message {message.seq} of gateway {message.gateway_id} has "
                f"{lengths.min()}-{lengths.max()} samples a row at {message.rate} Hz; "
                f"rows of a message are equally long, 1 s at most"
            )
            raise TraceError(msg)
        return group.values[offsets[0] : offsets[-1]].reshape(stop - start, int(lengths[0]))

    def _group(self, index: int) -> _Group:
        if index in self._groups:
            self._groups.move_to_end(index)
            return self._groups[index]
        wanted = [c for c in ("channel_id", "power_w", "voltage_v") if c in self._columns]
        table = self._file.read_row_group(index, columns=wanted, use_threads=False)
        self._groups[index] = _Group(table, self._names, self.path)
        if len(self._groups) > _KEPT_GROUPS:
            self._groups.popitem(last=False)
        return self._groups[index]


def _rank(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else len(LEVELS)


def _slice(
    message: Seen,
    channel_ids: tuple[str, ...],
    power_w: Any,
    *,
    voltage_v: Any = None,
    end: bool = False,
) -> Slice:
    return Slice(
        site_id=message.site_id,
        level=message.level,
        gateway_id=message.gateway_id,
        seq=message.seq,
        t0_ns=message.t0_ns,
        rate=message.rate,
        channel_ids=channel_ids,
        power_w=power_w,
        end=end,
        voltage_v=voltage_v,
    )
