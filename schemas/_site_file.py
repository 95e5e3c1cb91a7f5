"""The entries of a site file, its compact forms written out, and the way back to TOML."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from json.encoder import encode_basestring
from typing import Literal, TypeVar

import msgspec

from schemas.units import Rate

__all__ = [
    "LEVELS",
    "Channel",
    "Gateway",
    "Level",
    "Node",
    "Site",
    "SiteFile",
    "TopologyError",
    "toml_lines",
    "written_out",
]

Level = Literal["rack", "pdu", "substation"]
LEVELS: tuple[Level, ...] = ("rack", "pdu", "substation")
MAX_COUNT = 200_000
_NUMBERED = re.compile(r"\{n(?::0(\d)d)?\}")


class TopologyError(ValueError):
    """A site file that cannot be used; the text is one sentence."""


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[site]``: identity and what the grid side needs to put a step into proportion."""

    id: str
    authority: str | None = None
    authority_peak_w: float | None = None
    short_circuit_va: float | None = None
    x_over_r: float | None = None
    modes_hz: tuple[float, ...] = ()


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[[node]]``: rack, PDU or substation. ``count`` repeats the entry with {n} = 1…count."""

    id: str
    level: Level
    parent: str | None = None
    rating_w: float | None = None
    cohorts: tuple[str, ...] = ()
    count: int = 0


class Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    ``[[channel]]``: a metering point; ``averaging_s``, ``poll_s``: its sensor response.

    ``resolution_w``: what its meter resolves; raw samples are archived to it. ``nominal_v``: what
    1 pu of its voltage is, V RMS between phases.
    """

    id: str
    node_id: str
    averaging_s: float | None = None
    poll_s: float | None = None
    resolution_w: float | None = None
    count: int = 0
    nominal_v: float | None = None


class Gateway(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[[gateway]]``: what sends the telemetry of some channels of one level."""

    id: str
    level: Level
    rate_hz: str | int | float
    channels: tuple[str, ...] = ("*",)
    lateness_s: float = 0.0

    @property
    def rate(self) -> Rate:
        """Sample rate of every channel of this gateway."""
        return Rate.parse(self.rate_hz)

    @property
    def lateness_ns(self) -> int:
        """How far behind its newest sample a sample may be and still count."""
        return round(self.lateness_s * 1e9)


class SiteFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole site file, as written."""

    site: Site
    node: tuple[Node, ...]
    channel: tuple[Channel, ...]
    gateway: tuple[Gateway, ...]


_JSON = json.JSONEncoder(ensure_ascii=False)
T = TypeVar("T", Node, Channel)


def written_out(entry: T) -> list[T]:
    """Write out ``count``: {n} or {n:03d} in every text becomes 1…count."""
    if not 0 <= entry.count <= MAX_COUNT:
        msg = f"{entry.id}: count is {entry.count}; use 1-{MAX_COUNT}"
        raise TopologyError(msg)
    if entry.count == 0:
        return [entry]
    fields = msgspec.structs.asdict(entry)
    texts = {k: v for k, v in fields.items() if isinstance(v, str | tuple)}
    return [
        msgspec.structs.replace(entry, count=0, **{k: _write(v, n) for k, v in texts.items()})
        for n in range(1, entry.count + 1)
    ]


def _write(text: str | tuple[str, ...], n: int) -> str | tuple[str, ...]:
    """Put the number where the text asks for it."""
    if isinstance(text, tuple):
        return tuple(_NUMBERED.sub(_digits(n), part) for part in text)
    return _NUMBERED.sub(_digits(n), text)


def _digits(n: int) -> Callable[[re.Match[str]], str]:
    return lambda match: str(n).zfill(int(match.group(1) or 1))


def toml_lines(entry: msgspec.Struct) -> list[str]:
    """The entry's fields as TOML, the absent ones left out."""
    lines = []
    for key in entry.__struct_fields__:
        value = getattr(entry, key)
        if value is None or value == () or (key == "count" and value == 0):
            continue
        lines.append(f"{key} = {_toml_value(value)}")
    return lines


def _toml_value(value: object) -> str:
    """JSON is TOML here, but for surrogate pairs and one control character."""
    text = encode_basestring(value) if isinstance(value, str) else _JSON.encode(value)
    return text.replace("\x7f", "\\u007F") if "\x7f" in text else text
