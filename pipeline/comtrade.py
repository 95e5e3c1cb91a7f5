"""
COMTRADE records (IEEE C37.111-2013, IEC 60255-24): channels of one rate as ``.cfg`` and ``.dat``.

Pure: arrays in, bytes out. Values are stored as whole numbers ``x`` with ``a x + b`` in W, or as
reals with a = 1, b = 0. What was not measured is 99999 in ASCII, the most negative number of the
others. A status channel says while the event was open. Times are UTC, to the microsecond; the
quality of the gateways' clocks is not known and said to be so.

Source: IEEE Std C37.111-2013, clauses 7 and 8.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from schemas.units import Rate

__all__ = ["CODINGS", "Analog", "Encoded", "Record", "encode"]

ASCII_MISSING, ASCII_MAX = 99999, 99998
STAMP_MAX = 2**32 - 2
CODINGS = {"ascii": "ASCII", "binary": "BINARY", "binary32": "BINARY32", "float32": "FLOAT32"}
MOST = {"binary": 2**15 - 1, "binary32": 2**31 - 1}
KINDS: dict[str, np.dtype] = {
    "binary": np.dtype("<i2"),
    "binary32": np.dtype("<i4"),
    "float32": np.dtype("<f4"),
}
LOWEST = np.finfo(np.float32).min


class Analog(NamedTuple):
    """
    One channel.

    Attributes
    ----------
    name, node : str
        Metering point and where it meters.
    values : array (time,)
        int64 codes where ``scale_w`` is given, else float32, W.
    valid : array (time,) of bool
        What was measured.
    scale_w, offset_w : float or None
        Power is offset + scale × code.
    """

    name: str
    node: str
    values: Any
    valid: Any
    scale_w: float | None = None
    offset_w: float | None = None

    def real_w(self) -> Any:
        """Power as float32, W, as the archive gives it."""
        if self.scale_w is None:
            return self.values
        return (self.offset_w + self.scale_w * self.values).astype(np.float32)


class Record(NamedTuple):
    """
    Channels of one rate over one stretch of time.

    Attributes
    ----------
    start_ns, trigger_ns : int
        Times of the first sample and of the event's onset, UTC.
    open : array (time,) of bool
        While the event was open.
    """

    station: str
    device: str
    rate: Rate
    start_ns: int
    trigger_ns: int
    channels: tuple[Analog, ...]
    open: Any


class Encoded(NamedTuple):
    """A record as files; ``resolution_w`` is the largest step of what had to be rounded, or 0."""

    cfg: bytes
    dat: bytes
    coding: str
    resolution_w: float


class _Stored(NamedTuple):
    """What is written of a channel: power is a × value + b; whether the archive's own numbers."""

    values: Any
    a: float
    b: float
    exact: bool


def encode(record: Record, coding: str = "auto", line_hz: float = 60.0) -> Encoded:
    """
    Return a record as the bytes of its files.

    Parameters
    ----------
    record : Record
        What to write.
    coding : str
        ascii, binary (16 bit), binary32, float32, or auto: the smallest without loss. Samples that
        do not fit 16 or 32 bits as they are get the finest step that spans them.
    line_hz : float, Hz
        Nominal frequency of the grid.
    """
    chosen = _smallest(record) if coding == "auto" else coding
    stored = [_stored(channel, chosen) for channel in record.channels]
    stamps, mult = _stamps(record)
    if chosen == "ascii":
        data = _text(record, stored, stamps)
    else:
        data = _packed(record, stored, stamps, KINDS[chosen])
    configuration = _configuration(record, stored, (chosen, mult, line_hz))
    return Encoded(
        configuration, data, chosen, max((s.a for s in stored if not s.exact), default=0)
    )


def _largest(channel: Analog) -> float:
    """Largest absolute code; infinite where there are none."""
    if channel.scale_w is None:
        return np.inf
    return int(np.abs(channel.values[channel.valid]).max(initial=0))


def _smallest(record: Record) -> str:
    largest = max(map(_largest, record.channels), default=0)
    return next((name for name, most in MOST.items() if largest <= most), "float32")


def _stored(channel: Analog, coding: str) -> _Stored:
    most = ASCII_MAX if coding == "ascii" else MOST.get(coding, -1)
    if channel.scale_w is not None and _largest(channel) <= most:
        return _Stored(channel.values, channel.scale_w, channel.offset_w or 0.0, exact=True)
    real_w = channel.real_w()
    if coding not in MOST:
        return _Stored(real_w, 1.0, 0.0, exact=True)
    known_w = real_w[channel.valid].astype(np.float64)
    low_w, high_w = (known_w.min(), known_w.max()) if len(known_w) else (0.0, 0.0)
    a, b = (high_w - low_w) / (2 * most) or 1.0, (high_w + low_w) / 2
    codes = np.zeros(len(real_w), np.int64)
    codes[channel.valid] = np.clip(np.rint((known_w - b) / a), -most, most)
    return _Stored(codes, float(a), float(b), exact=False)


def _stamps(record: Record) -> tuple[Any, int]:
    """Time of each sample after the first in units of µs times the factor, and the factor."""
    k = np.arange(len(record.open), dtype=np.int64)
    rate = record.rate
    after_us = (2 * k * 1_000_000 * rate.seconds + rate.samples) // (2 * rate.samples)
    mult = 1
    while len(k) and after_us[-1] // mult > STAMP_MAX:
        mult *= 10
    return after_us // mult, mult


def _text(record: Record, stored: list[_Stored], stamps: Any) -> bytes:
    columns = [
        [_number(v) if ok else str(ASCII_MISSING) for v, ok in zip(of.values, c.valid, strict=True)]
        for of, c in zip(stored, record.channels, strict=True)
    ]
    status = record.open.astype(int)
    rows = zip(range(1, len(stamps) + 1), stamps, *columns, status, strict=True)
    return "".join(",".join(map(str, row)) + "\r\n" for row in rows).encode("ascii")


def _number(value: Any) -> str:
    return str(value) if isinstance(value, np.integer) else repr(float(value))


def _packed(record: Record, stored: list[_Stored], stamps: Any, kind: np.dtype) -> bytes:
    rows = np.zeros(
        len(stamps),
        [("n", "<u4"), ("t", "<u4"), ("x", kind, (len(stored),)), ("d", "<u2")],
    )
    lowest = LOWEST if kind.kind == "f" else np.iinfo(kind).min
    rows["n"], rows["t"] = np.arange(1, len(stamps) + 1), stamps
    for k, (of, channel) in enumerate(zip(stored, record.channels, strict=True)):
        rows["x"][:, k] = np.where(channel.valid, of.values, lowest)
    rows["d"] = record.open
    return rows.tobytes()


def _configuration(record: Record, stored: list[_Stored], how: tuple[str, int, float]) -> bytes:
    (coding, mult, line_hz), n, rate = how, len(stored), record.rate
    lines = [f"{_word(record.station)},{_word(record.device)},2013", f"{n + 1},{n}A,1D"]
    for k, (channel, of) in enumerate(zip(record.channels, stored, strict=True), 1):
        names = f"{k},{_word(channel.name)},,{_word(channel.node)},W"
        low, high = _range(channel, of, coding)
        lines.append(f"{names},{_exact(of.a)},{_exact(of.b)},0,{low},{high},1,1,P")
    lines += [
        f"1,event,,{_word(record.device)},0",
        f"{line_hz:g}",
        "1",
        f"{rate.samples if rate.seconds == 1 else repr(rate.hz)},{len(record.open)}",
        _time(record.start_ns),
        _time(record.trigger_ns),
        CODINGS[coding],
        str(mult),
        "0,0",
        "F,3",
    ]
    return ("\r\n".join(lines) + "\r\n").encode("utf-8")


def _range(channel: Analog, of: _Stored, coding: str) -> tuple[Any, Any]:
    """Least and greatest stored value: the coding's for whole numbers, else the channel's own."""
    if of.values.dtype.kind == "i":
        most = ASCII_MAX if coding == "ascii" else MOST[coding]
        return -most, most
    known = of.values[channel.valid]
    return (_number(known.min()), _number(known.max())) if len(known) else (0, 0)


def _exact(value: float | None) -> str:
    return "0" if not value else repr(float(value))


def _word(text: str) -> str:
    """Text as a field: no separator, no line break, at most 64 characters."""
    return "".join("_" if c in ",\r\n" else c for c in text)[:64]


def _time(time_ns: int) -> str:
    second, rest_ns = divmod(time_ns, 1_000_000_000)
    stamp = datetime.fromtimestamp(second, UTC) + timedelta(microseconds=(rest_ns + 500) // 1000)
    return f"{stamp:%d/%m/%Y,%H:%M:%S.%f}"
