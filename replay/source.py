"""A trace in any form as telemetry slices: native, wide or long, with or without a topology."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from replay.columns import UNITS, Column, read_columns, read_table, without_unit
from replay.errors import TraceError
from replay.infer import Guess, from_rows
from replay.messages import Native
from replay.native import is_native, write_native
from replay.streams import Dense, Stream, lay_on_grid
from replay.truth import Truth, load_truth
from schemas.events import GridSignal, WorkloadHint
from schemas.telemetry import Slice
from schemas.topology import LEVELS, Topology, TopologyError
from schemas.units import NS_PER_S

__all__ = [
    "Trace",
    "TraceError",
    "find_trace_file",
    "find_traces",
    "load_topologies",
    "open_trace",
    "write_native",
]

_NAMES = ("trace.parquet", "trace.csv", "trace.csv.gz")


@dataclasses.dataclass(frozen=True)
class Trace:
    """
    A recording, ready to be replayed any number of times.

    Attributes
    ----------
    name, path
        What it is called; the folder or file it came from.
    topologies : dict of str to Topology
        Each site by its id, from the trace's files or inferred.
    truth : list of Truth or None
        What is known to be in it; None where nobody said.
    hints, signals : tuple
        What the scheduler and the grid said meanwhile, in file order.
    """

    name: str
    path: Path
    topologies: dict[str, Topology]
    truth: list[Truth] | None
    hints: tuple[WorkloadHint, ...]
    signals: tuple[GridSignal, ...]
    _body: Dense | Native

    @property
    def t0_ns(self) -> int:
        """Time of the first sample."""
        return self._body.t0_ns

    @property
    def duration_s(self) -> float:
        """From the first sample to the end of the last, s."""
        return (self._body.end_ns - self._body.t0_ns) / NS_PER_S

    @property
    def sites(self) -> tuple[str, ...]:
        """Every site, sorted."""
        return tuple(sorted(self.topologies))

    @property
    def channels(self) -> int:
        """Channels of all sites."""
        return sum(len(topology.channels) for topology in self.topologies.values())

    @property
    def samples(self) -> int:
        """Finite samples of all channels."""
        return self._body.samples

    def slices(self, piece_s: float = 1.0) -> Iterator[Slice]:
        """
        The telemetry slices, by end time, then level from the rack up, then site and gateway.

        Each at most 1 s, cut at grid seconds, float32; ``seq`` counts up per gateway. Last comes
        one end of stream for each gateway, at the end of its site's data.

        Parameters
        ----------
        piece_s : float
            Cuts the wide and the long form finer: 1 s by a whole number. The native form keeps
            its own cuts and ``seq``.

        Raises
        ------
        TraceError
            When ``piece_s`` does not divide 1 s, or a native row cannot be used.
        """
        if not 0.001 <= piece_s <= 1 or abs(round(1 / piece_s) * piece_s - 1) > 1e-9:
            msg = f"piece_s is {piece_s}; use 1 s divided by a whole number, 0.001 at least"
            raise TraceError(msg)
        return self._body.slices(piece_s)


def open_trace(
    path: Path | str,
    *,
    level: str = "rack",
    unit: str | None = None,
    rate: str | float | None = None,
    topology: Path | str | Topology | None = None,
    site_id: str | None = None,
) -> Trace:
    """
    Open a trace: a folder, or one CSV or Parquet file.

    Parameters
    ----------
    path : Path
        A folder with ``trace.parquet`` or ``trace.csv[.gz]``, or a file in native, wide or long
        form.
    level : {"rack", "pdu", "substation"}
        What a column is, where a topology must be inferred.
    unit : {"W", "kW", "MW"}, optional
        Unit of every column; default: as each name says.
    rate : str or float, optional
        Nominal rate in Hz (``10``, ``"1/4"``) where a topology must be inferred; default: from
        the stamps.
    topology : Path or Topology, optional
        The site's file; default: ``topology*.toml`` of the folder, else inferred.
    site_id : str, optional
        Name of an inferred site; default: file stem and 8 digits of its SHA-256.

    Raises
    ------
    TraceError
        One sentence (exit 2), when it cannot be used.
    """
    path = Path(path)
    if level not in LEVELS or unit not in (None, *UNITS):
        msg = f"level {level!r}, unit {unit!r}; use {', '.join(LEVELS)} and {', '.join(UNITS)}"
        raise TraceError(msg)
    file = find_trace_file(path)
    folder = path if path.is_dir() else None
    known = load_topologies(topology, folder)
    guess = Guess(file, _stem(path), level, rate, site_id)
    if is_native(file):
        native = Native(file)
        topologies = known or from_rows(native.channels_seen(), file)
        body: Dense | Native = native
    else:
        columns = read_columns(read_table(file), file, unit)
        topologies = known or guess.topology(columns)
        body = Dense(_streams(columns, topologies, file))
    if site_id and site_id not in topologies:
        msg = (
            f"{path}: its site is {', '.join(sorted(topologies))}, not {site_id}; leave --site out"
        )
        raise TraceError(msg)
    truth = folder / "truth.json" if folder else None
    return Trace(
        name=_stem(path),
        path=path,
        topologies=topologies,
        truth=load_truth(truth) if truth and truth.exists() else None,
        hints=_beside(folder, "hints.jsonl", WorkloadHint),
        signals=_beside(folder, "signals.jsonl", GridSignal),
        _body=body,
    )


def find_trace_file(path: Path) -> Path:
    """The file that holds the samples: the path itself, or the folder's ``trace.*``."""
    if path.is_file():
        return path
    if not path.is_dir():
        msg = f"{path}: no such file or folder; name a trace"
        raise TraceError(msg)
    found = next((path / name for name in _NAMES if (path / name).is_file()), None)
    if found is None:
        msg = f"{path}: a trace folder holds one of {', '.join(_NAMES)}; none is there"
        raise TraceError(msg)
    return found


def find_traces(path: Path) -> list[Path]:
    """
    The traces of a suite: the path itself, or every folder directly in it that holds a trace.

    Raises
    ------
    TraceError
        When there is none.
    """
    if path.is_file() or any((path / name).is_file() for name in _NAMES):
        return [path]
    found = [sub for sub in sorted(path.glob("*")) if any((sub / n).is_file() for n in _NAMES)]
    if not found:
        msg = f"{path}: neither a trace nor a folder of traces; a trace holds one of {_NAMES[0]}, …"
        raise TraceError(msg)
    return found


def load_topologies(
    topology: Path | str | Topology | None, folder: Path | None
) -> dict[str, Topology]:
    """Topologies by site: the one given, else every ``topology*.toml`` of the folder."""
    try:
        if isinstance(topology, Topology):
            return {topology.site.id: topology}
        files = (
            [Path(topology)]
            if topology
            else sorted(folder.glob("topology*.toml"))
            if folder
            else []
        )
        loaded = [Topology.load(file) for file in files]
    except TopologyError as error:
        raise TraceError(str(error)) from error
    return {one.site.id: one for one in loaded}


def _stem(path: Path) -> str:
    return path.name if path.is_dir() else re.sub(r"(\.csv|\.parquet)?(\.gz)?$", "", path.name)


def _streams(columns: list[Column], topologies: dict[str, Topology], file: Path) -> list[Stream]:
    """Columns by the gateway that sends them, on its rate's grid."""
    if len(topologies) != 1:
        msg = f"{file}: {len(topologies)} topologies; a CSV is one site's, give one with --topology"
        raise TraceError(msg)
    topology = next(iter(topologies.values()))
    owner = topology.channel_gateway
    sent: dict[str, list[Column]] = {}
    for column in columns:
        plain = without_unit(column.name)
        name = next((n for n in (column.name, plain) if n in owner), None)
        if name is None:
            msg = (
                f"{file}: column {column.name!r} is no channel of {topology.site.id}; name it there"
            )
            raise TraceError(msg)
        sent.setdefault(owner[name], []).append(column._replace(name=name))
    return [_stream(topology, gateway, mine, file) for gateway, mine in sent.items()]


def _stream(topology: Topology, gateway_id: str, columns: list[Column], file: Path) -> Stream:
    gateway = topology.gateway_by_id[gateway_id]
    first, power_w = lay_on_grid(columns, gateway.rate, file)
    names = tuple(column.name for column in columns)
    return Stream(topology.site.id, gateway.level, gateway_id, gateway.rate, names, first, power_w)


def _beside(folder: Path | None, name: str, record: Any) -> tuple[Any, ...]:
    file = folder / name if folder else None
    if file is None or not file.exists():
        return ()
    try:
        return tuple(msgspec.json.Decoder(record).decode_lines(file.read_bytes()))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        msg = f"{file}: {error}"
        raise TraceError(msg) from error
