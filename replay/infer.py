"""A topology for a trace that came without one: a flat site, every channel below its substation."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path

from replay.columns import Column
from replay.errors import TraceError
from replay.streams import nominal_rate
from schemas.topology import LEVELS, Channel, Gateway, Level, Node, Site, Topology, TopologyError
from schemas.units import Rate

__all__ = ["Guess", "from_rows"]

_MAX_ID = 64


@dataclasses.dataclass(frozen=True)
class Guess:
    """What a topology is inferred from when nobody wrote one."""

    file: Path
    stem: str
    level: str
    rate: str | float | None
    site_id: str | None

    def topology(self, columns: list[Column]) -> dict[str, Topology]:
        """
        One site with one gateway; every column is a channel.

        Raises
        ------
        TraceError
            One sentence, when the rate is none or the columns make no site.
        """
        try:
            rate = (
                Rate.parse(self.rate) if self.rate is not None else nominal_rate(columns, self.file)
            )
        except ValueError as error:
            msg = f"{self.file}: {error}"
            raise TraceError(msg) from error
        gateway = f"{self.level}-gateway"
        seen = [(gateway, self.level, column.name, rate) for column in columns]
        site_id = self.site_id or _inferred_id(self.file, self.stem)
        return {site_id: _flat_topology(site_id, seen, self.file)}


def _inferred_id(file: Path, stem: str) -> str:
    with file.open("rb") as stream:
        digits = hashlib.file_digest(stream, "sha256").hexdigest()[:8]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem)[: _MAX_ID - 9] + "-" + digits


def _flat_topology(site_id: str, seen: list[tuple[str, str, str, Rate]], file: Path) -> Topology:
    """One site of (gateway, level, channel, rate): ``poi``, every channel below it."""
    top = "poi"
    while any(name == top for _, level, name, _ in seen if level != "substation"):
        top += "_"
    nodes, channels = [Node(top, "substation")], []
    above = [name for _, level, name, _ in seen if level == "substation"]
    if len(above) > 1:
        msg = f"{file}: {len(above)} channels at level substation; a site has one, use --level pdu"
        raise TraceError(msg)
    for _, level, name, _ in seen:
        if level != "substation":
            nodes.append(Node(name, _known_level(level, file), top))
        channels.append(Channel(name, top if level == "substation" else name))
    names: dict[tuple[str, str, str], list[str]] = {}
    for gateway, level, name, rate in seen:
        names.setdefault((gateway, level, str(rate)), []).append(name)
    gateways = [
        Gateway(gateway, _known_level(level, file), rate, tuple(ids))
        for (gateway, level, rate), ids in names.items()
    ]
    try:
        return Topology(Site(site_id), tuple(nodes), tuple(channels), tuple(gateways))
    except TopologyError as error:
        msg = f"{file}: no topology can be inferred ({error}); write a topology.toml"
        raise TraceError(msg) from error


def _known_level(level: str, file: Path) -> Level:
    for known in LEVELS:
        if level == known:
            return known
    msg = f"{file}: level {level!r} is none of {', '.join(LEVELS)}"
    raise TraceError(msg)


def from_rows(rows: list[tuple[str, str, str, str, Rate]], file: Path) -> dict[str, Topology]:
    """Topologies by site of (site, gateway, level, channel, rate), as native rows name them."""
    seen: dict[str, list[tuple[str, str, str, Rate]]] = {}
    for site, gateway, level, name, rate in rows:
        seen.setdefault(site, []).append((gateway, level, name, rate))
    return {site: _flat_topology(site, mine, file) for site, mine in seen.items()}
