"""The site file: racks, PDUs and the substation, who meters them and who sends them."""

from __future__ import annotations

import fnmatch
import math
import re
from functools import cached_property
from pathlib import Path

import msgspec

from schemas._site_file import (
    LEVELS,
    Channel,
    Gateway,
    Level,
    Node,
    Site,
    SiteFile,
    TopologyError,
    toml_lines,
    written_out,
)
from schemas._site_text import as_json
from schemas.units import Rate

__all__ = ["LEVELS", "Channel", "Gateway", "Level", "Node", "Site", "Topology", "TopologyError"]

SITE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
MAX_LATENESS_S = 60.0
_PLAIN = msgspec.json.Decoder(SiteFile)


class Topology:
    """
    One site, checked: what aligns, adds up and names everything downstream.

    Attributes
    ----------
    site, nodes, channels, gateways
        The file's entries with compact forms written out, in the file's order.
    """

    def __init__(
        self,
        site: Site,
        nodes: tuple[Node, ...],
        channels: tuple[Channel, ...],
        gateways: tuple[Gateway, ...],
    ) -> None:
        self.site = site
        self.nodes = tuple(n for entry in nodes for n in written_out(entry))
        self.channels = tuple(c for entry in channels for c in written_out(entry))
        self.gateways = gateways
        _check(self)

    @classmethod
    def parse(cls, text: str | bytes, *, name: str = "topology") -> Topology:
        """Read a site file; `TopologyError` names what is wrong with it."""
        try:
            file = _quickly(text) or msgspec.toml.decode(text, type=SiteFile)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            msg = f"{name}: {error}"
            raise TopologyError(msg) from error
        return cls(file.site, file.node, file.channel, file.gateway)

    @classmethod
    def load(cls, path: Path) -> Topology:
        """Read a site file from disk."""
        try:
            return cls.parse(path.read_bytes(), name=str(path))
        except OSError as error:
            msg = f"{path}: {error.strerror}; name a topology.toml"
            raise TopologyError(msg) from error

    def dumps(self) -> str:
        """The site as TOML, every entry written out."""
        return self._text

    @cached_property
    def _text(self) -> str:
        lines = ["[site]", *toml_lines(self.site)]
        for head, entries in (
            ("node", self.nodes),
            ("channel", self.channels),
            ("gateway", self.gateways),
        ):
            for entry in entries:
                lines += ["", f"[[{head}]]", *toml_lines(entry)]
        return "\n".join(lines) + "\n"

    @cached_property
    def node_by_id(self) -> dict[str, Node]:
        """Every node by its id."""
        return {node.id: node for node in self.nodes}

    @cached_property
    def gateway_by_id(self) -> dict[str, Gateway]:
        """Every gateway by its id."""
        return {gateway.id: gateway for gateway in self.gateways}

    @cached_property
    def top(self) -> Node:
        """The substation: the one node without a parent."""
        return next(node for node in self.nodes if node.parent is None)

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """The metered levels, rack first."""
        present = {gateway.level for gateway in self.gateways}
        return tuple(level for level in LEVELS if level in present)

    @cached_property
    def level_channels(self) -> dict[str, tuple[Channel, ...]]:
        """Channels of each metered level, in the file's order: the row order of every array."""
        return {
            level: tuple(c for c in self.channels if self.node_by_id[c.node_id].level == level)
            for level in self.levels
        }

    @cached_property
    def level_rate(self) -> dict[str, Rate]:
        """The rate all gateways of a level share."""
        return {gateway.level: gateway.rate for gateway in self.gateways}

    @cached_property
    def channel_gateway(self) -> dict[str, str]:
        """Which gateway sends a channel."""
        owner: dict[str, str] = {}
        for gateway in self.gateways:
            names = [c.id for c in self.level_channels[gateway.level]]
            wanted = set(names)
            for pattern in gateway.channels:
                hits = [pattern] if pattern in wanted else fnmatch.filter(names, pattern)
                if not hits:
                    msg = f"gateway {gateway.id}: no {gateway.level} channel matches {pattern!r}"
                    raise TopologyError(msg)
                for hit in hits:
                    if owner.setdefault(hit, gateway.id) != gateway.id:
                        msg = (
                            f"channel {hit} is of gateways {owner[hit]} and {gateway.id}; name one"
                        )
                        raise TopologyError(msg)
        return owner


def _quickly(text: str | bytes) -> SiteFile | None:
    """A file as `Topology.dumps` writes it, read in a tenth of the time; None: another one."""
    try:
        plain = as_json(text if isinstance(text, str) else text.decode())
        return None if plain is None else _PLAIN.decode(plain)
    except (UnicodeDecodeError, msgspec.MsgspecError):
        return None  # TOML's own reader says what is wrong


def _check(topology: Topology) -> None:
    site = topology.site
    if not SITE_ID.fullmatch(site.id):
        msg = f"site id {site.id[:80]!r} must match [A-Za-z0-9._-]{{1,64}}"
        raise TopologyError(msg)
    _check_unique("node", [n.id for n in topology.nodes])
    _check_unique("channel", [c.id for c in topology.channels])
    _check_unique("gateway", [g.id for g in topology.gateways])
    _check_numbers(site, ("authority_peak_w", "short_circuit_va", "x_over_r"), "site")
    for node in topology.nodes:
        _check_numbers(node, ("rating_w",), f"node {node.id}")
    for channel in topology.channels:
        _check_numbers(channel, ("averaging_s", "poll_s"), f"channel {channel.id}", zero=True)
        _check_numbers(channel, ("resolution_w", "nominal_v"), f"channel {channel.id}")
    _check_tree(topology)
    for channel in topology.channels:
        if channel.node_id not in topology.node_by_id:
            msg = f"channel {channel.id}: node {channel.node_id!r} is not in the file"
            raise TopologyError(msg)
    _check_gateways(topology)


def _check_numbers(
    entry: msgspec.Struct, names: tuple[str, ...], who: str, *, zero: bool = False
) -> None:
    """Refuse a quantity that is no quantity: negative, infinite, not a number."""
    for name in names:
        value = getattr(entry, name)
        if value is not None and not (0 < value < math.inf or (zero and value == 0)):
            msg = f"{who}: {name} is {value}; use a number above 0, or leave it out"
            raise TopologyError(msg)


def _check_unique(kind: str, ids: list[str]) -> None:
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            msg = f"{kind} {name!r} stands twice; ids are unique in a site"
            raise TopologyError(msg)
        seen.add(name)


def _check_tree(topology: Topology) -> None:
    roots = [n.id for n in topology.nodes if n.parent is None]
    if len(roots) != 1 or topology.node_by_id[roots[0]].level != "substation":
        msg = f"a site has one node without a parent, its substation; found {roots[:3]}"
        raise TopologyError(msg)
    for node in topology.nodes:
        if node.parent is None:
            continue
        parent = topology.node_by_id.get(node.parent)
        if parent is None:
            msg = f"node {node.id}: parent {node.parent!r} is not in the file"
            raise TopologyError(msg)
        if LEVELS.index(parent.level) <= LEVELS.index(node.level):
            msg = f"node {node.id} ({node.level}): parent {parent.id} is a {parent.level}; go up"
            raise TopologyError(msg)


def _check_gateways(topology: Topology) -> None:
    rates: dict[str, Rate] = {}
    for gateway in topology.gateways:
        try:
            rate = gateway.rate
        except ValueError as error:
            msg = f"gateway {gateway.id}: {error}"
            raise TopologyError(msg) from error
        if rates.setdefault(gateway.level, rate) != rate:
            level = f"its level {rates[gateway.level]}"
            msg = f"gateway {gateway.id} sends {rate} Hz, {level}; use one rate a level"
            raise TopologyError(msg)
        if not 0 <= gateway.lateness_s <= MAX_LATENESS_S:
            msg = f"gateway {gateway.id}: lateness_s is {gateway.lateness_s}; use 0 to 60"
            raise TopologyError(msg)
    owner = topology.channel_gateway
    for channel in topology.channels:
        if channel.id not in owner:
            level = topology.node_by_id[channel.node_id].level
            msg = f"channel {channel.id}: no {level} gateway sends it; name it in a [[gateway]]"
            raise TopologyError(msg)
