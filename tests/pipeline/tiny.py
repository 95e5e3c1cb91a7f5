"""A site of a few channels at any rates, and one gateway's slices sent by hand to its aligner."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from pipeline.align import Aligner
from pipeline.align_state import AlignState, Block, Verdict
from pipeline.decode import Decoder
from pipeline.layout import SiteLayout
from schemas.telemetry import Slice
from schemas.topology import Topology
from schemas.units import NS_PER_S, Rate
from tests.pipeline.site import T0_NS


class Gate(NamedTuple):
    """A gateway: where it meters, how fast, how many channels, how late it may be."""

    level: str = "rack"
    rate: str = "10"
    channels: int = 2
    lateness_s: float = 0.0


ONE = {"g": Gate()}


def count(n: int, start: float = 0.0) -> Any:
    """Samples that tell their own number."""
    return np.arange(n, dtype=np.float32) + np.float32(start)


def tiny(gates: dict[str, Gate], *, extra: str = "", nominal_v: float | None = None) -> Topology:
    """One substation, one PDU, racks under it; each gateway has nodes of its own below them."""
    parts = [
        '[site]\nid = "tiny"\nauthority_peak_w = 1e9\n' + extra,
        '[[node]]\nid = "poi"\nlevel = "substation"',
        '[[node]]\nid = "p"\nlevel = "pdu"\nparent = "poi"',
    ]
    for name, gate in gates.items():
        node, parent = f"{name}{{n}}", "p"
        if gate.level == "rack":
            text = f'[[node]]\nid = "{node}"\nlevel = "rack"\nparent = "{parent}"'
            parts.append(f"{text}\ncount = {gate.channels}")
        home = {"rack": node, "pdu": "p", "substation": "poi"}[gate.level]
        channel = f"c{name}{{n}}" if gate.level == "rack" else f"c{name}"
        text = f'[[channel]]\nid = "{channel}"\nnode_id = "{home}"'
        text += f"\ncount = {gate.channels}" if gate.level == "rack" else ""
        volts = nominal_v and gate.level == "substation"
        parts.append(text + (f"\nnominal_v = {nominal_v}" if volts else ""))
        parts.append(
            f'[[gateway]]\nid = "{name}"\nlevel = "{gate.level}"\nchannels = ["c{name}*"]\n'
            f'rate_hz = "{gate.rate}"\nlateness_s = {gate.lateness_s}'
        )
    return Topology.parse("\n".join(parts))


class Bench:
    """An aligner with everything that went in and came out of it."""

    def __init__(self, site: Topology, state: AlignState | None = None) -> None:
        self.site = site
        self.aligner = Aligner(SiteLayout(site), state)
        self.blocks: list[Block] = []
        self.verdicts: dict[int, Verdict] = {}
        self._decoder = Decoder({site.site.id: site})
        self._sent = 0

    @property
    def state(self) -> AlignState:
        """The aligner's memory."""
        return self.aligner.state

    def names(self, gate: str) -> tuple[str, ...]:
        """Channels of a gateway, in order."""
        return tuple(c for c, owner in self.site.channel_gateway.items() if owner == gate)

    def push(self, gate: str, t_s: float, values_w: Any, *, seq: int | None = None) -> int:
        """Send samples that start ``t_s`` after `T0_NS`; (time,) goes to every channel."""
        gateway, names = self.site.gateway_by_id[gate], self.names(gate)
        values_w = np.atleast_2d(np.asarray(values_w, np.float32))
        rows = np.ascontiguousarray(np.broadcast_to(values_w, (len(names), values_w.shape[1])))
        t0_ns = T0_NS + round(t_s * NS_PER_S)
        return self.push_slice(self._slice(gateway, t0_ns, names, rows, seq))

    def _slice(self, gateway: Any, t0_ns: int, names: Any, rows: Any, seq: int | None) -> Slice:
        number = 1000 + self._sent if seq is None else seq
        rate = Rate.parse(str(gateway.rate))
        return Slice("tiny", gateway.level, gateway.id, number, t0_ns, rate, names, rows)

    def push_slice(self, piece: Slice) -> int:
        """Hand one slice over; returns its receipt's number."""
        self._sent += 1
        for verdict in self.aligner.push(self._decoder.check(piece), self._sent):
            self.verdicts[verdict.receipt] = verdict
        return self._sent

    def end(self, *gates: str) -> None:
        """Send the end of stream of these gateways (all of them when none is named)."""
        for name in gates or self.site.gateway_by_id:
            gateway = self.site.gateway_by_id[name]
            none = np.zeros((0, 0), np.float32)
            rate = Rate.parse(str(gateway.rate))
            self.push_slice(Slice("tiny", gateway.level, name, 9, T0_NS, rate, (), none, end=True))

    def close(self, silent: Iterable[str] = ()) -> list[Block]:
        """Close what can be closed; returns the new blocks."""
        new = list(self.aligner.advance(frozenset(silent)))
        self.blocks += new
        return new

    def send(self, gate: str, t_s: float, values_w: Any, **more: Any) -> int:
        """`push`, then `close`."""
        number = self.push(gate, t_s, values_w, **more)
        self.close()
        return number

    def reason(self, number: int) -> str | None:
        """Why a message was not used, or None."""
        cause = self.verdicts[number].cause
        return cause.reason if cause else None

    def power(self, level: str) -> Any:
        """All closed samples of a level, (channel, time) W."""
        return np.concatenate([b.power_w[level] for b in self.blocks], axis=1)

    def valid(self, level: str) -> Any:
        """Which of them were measured."""
        return np.concatenate([b.valid[level] for b in self.blocks], axis=1)

    @property
    def closed_s(self) -> float:
        """How far the grid is closed, s after `T0_NS`."""
        return (self.state.closed_ns - T0_NS) / NS_PER_S


def flat(blocks: Iterable[Block]) -> dict[str, Any]:
    """Blocks without their cut: by level the samples, the masks and the resets' times, as bytes."""
    found: dict[str, list[Any]] = {}
    for block in blocks:
        for level in block.power_w:
            found.setdefault(f"x:{level}", []).append(block.power_w[level])
            found.setdefault(f"v:{level}", []).append(block.valid[level])
        for level, mask in block.resets.items():
            found.setdefault(f"r:{level}", []).append((block.t0_ns, mask.tobytes()))
        if block.restart:
            found.setdefault("restart", []).append(block.t0_ns)
    joined = {k: np.concatenate(v, axis=1) for k, v in found.items() if k[:2] in ("x:", "v:")}
    return {**found, **{k: (x.shape, x.tobytes()) for k, x in joined.items()}}
