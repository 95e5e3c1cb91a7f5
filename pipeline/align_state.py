"""What alignment remembers of a site, and the blocks it closes."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from pipeline.commit_files import ON_RECORD_S, Idle, Told
from pipeline.decode import Cause
from pipeline.layout import SiteLayout
from schemas.events import GridSignal, WorkloadHint
from schemas.units import NS_PER_S

__all__ = [
    "HELD",
    "AlignState",
    "Block",
    "GatewayState",
    "Held",
    "Piece",
    "Said",
    "Verdict",
    "dense",
    "drop_held",
    "returned",
    "start",
]

IDLE_KEPT = 32
HELD = 1 << 62
"""A message whose fate is open: nothing acknowledges past it."""


class Piece(NamedTuple):
    """Samples not yet closed: ``power_w`` (row, time) from ``slot``, of channels ``index``."""

    slot: int
    index: Any
    power_w: Any


class Verdict(NamedTuple):
    """What became of a message: the receipt's number, until when it matters, or why it does not."""

    receipt: int
    until_ns: int
    cause: Cause | None = None
    repeat: bool = False


class Said(NamedTuple):
    """Something the scheduler or the grid said, one of the two; it acts from ``from_ns`` on."""

    from_ns: int
    hint: WorkloadHint | None = None
    signal: GridSignal | None = None


class Held(NamedTuple):
    """A message far ahead of its gateway's clock, waiting for company."""

    receipt: int
    seq: int
    slots: Any
    index: Any
    power_w: Any
    voltage_pu: Any = None


@dataclasses.dataclass
class GatewayState:
    """What is remembered of one gateway. ``next_slot`` follows its newest sample (-1: none)."""

    next_slot: int = -1
    seqs: list[int] = dataclasses.field(default_factory=list)
    ended: bool = False
    idle_from_ns: int = -1
    held: list[Held] = dataclasses.field(default_factory=list)

    @property
    def over(self) -> bool:
        """Nobody waits for it: it has ended, or it is idle."""
        return self.ended or self.idle_from_ns >= 0


@dataclasses.dataclass
class AlignState:
    """One site's memory: saved and restored bit for bit."""

    gateways: dict[str, GatewayState]
    pieces: dict[str, list[Piece]]
    volts: list[Piece]
    """The same for the substation's voltage, shares of the nominal one in place of W."""
    last_w: dict[str, Any]
    missing: dict[str, Any]
    closed_ns: int = -1
    finished: bool = False
    restart: bool = False
    idle: list[Idle] = dataclasses.field(default_factory=list)
    late_samples: int = 0
    gap_cells: int = 0
    resets: int = 0
    repeats: int = 0
    said: list[Said] = dataclasses.field(default_factory=list)
    """What was said and acts in no block yet."""
    told: list[Told] = dataclasses.field(default_factory=list)
    """From which frame what was said acted: what a recomputation obeys."""


class Block(NamedTuple):
    """
    Whole ticks of one site, every level closed: part of a grid second, or some whole ones.

    ``power_w[level]`` and ``valid[level]`` are (channel, time), finite float32 and bool;
    ``resets[level]`` (channel,) bool marks channels whose gap grew too long in the first tick.
    """

    t0_ns: int
    ticks: int
    power_w: dict[str, Any]
    valid: dict[str, Any]
    resets: dict[str, Any]
    restart: bool
    said: tuple[Said, ...] = ()
    voltage_pu: Any = None
    """(time,) at the substation's rate: lowest of its channels, NaN where none was measured; None:
    nowhere in the block."""

    def cut(self, layout: SiteLayout, every_s: int) -> Iterator[Block]:
        """Pieces that end with every so many grid seconds; a piece of one is itself."""
        per_s = layout.ticks_per_s
        if self.ticks <= per_s:
            yield self
            return
        first_s, done = self.t0_ns // NS_PER_S, 0
        whole = self.ticks // per_s
        while done < whole:
            take = min(every_s - (first_s + done) % every_s, whole - done)
            power_w, valid = (
                {
                    g.level: of[g.level][:, done * g.rate : (done + take) * g.rate]
                    for g in layout.grids
                }
                for of in (self.power_w, self.valid)
            )
            t0_ns = self.t0_ns + done * NS_PER_S
            resets = {} if done else self.resets
            first = self.restart and not done
            yield Block(
                t0_ns, take * per_s, power_w, valid, resets, first,
                voltage_pu=self._voltage_pu(layout, done, take),
            )  # fmt: skip
            done += take

    def _voltage_pu(self, layout: SiteLayout, done: int, take: int) -> Any:
        """Voltage of ``take`` of the block's seconds."""
        if self.voltage_pu is None:
            return None
        rate = layout.grid_of["substation"].rate
        return self.voltage_pu[done * rate : (done + take) * rate]


def start(layout: SiteLayout) -> AlignState:
    """Nothing came yet."""
    return AlignState(
        gateways={gateway.id: GatewayState() for gateway in layout.topology.gateways},
        pieces={grid.level: [] for grid in layout.grids},
        volts=[],
        last_w={g.level: np.full(g.channels, np.nan, np.float32) for g in layout.grids},
        missing={grid.level: np.full(grid.channels, HELD // 2, np.int64) for grid in layout.grids},
    )


def drop_held(memory: GatewayState) -> list[Verdict]:
    """Give up on messages far ahead that nothing continued."""
    waiting, memory.held = memory.held, []
    text = "more than 60 s ahead of its gateway's newest sample, and not continued"
    return [Verdict(one.receipt, 0, Cause("clock", text)) for one in waiting]


def returned(idle: Sequence[Idle], gateway_id: str, to_ns: int) -> list[Idle]:
    """
    Idle spans on record once a gateway is back: its own ends.

    Kept are all that last, and the newest of each gateway that ended within the hour.
    """
    of: Counter[str] = Counter()
    kept = []
    for one in reversed(idle):
        of[one.gateway_id] += 1
        if one.to_ns is None:
            kept.append(replace(one, to_ns=to_ns) if one.gateway_id == gateway_id else one)
        elif of[one.gateway_id] <= IDLE_KEPT and one.to_ns >= to_ns - ON_RECORD_S * NS_PER_S:
            kept.append(one)
    return kept[::-1]


def dense(values: Any, slots: Any) -> Any:
    """``values`` (row, time) of ``slots`` with every slot between; NaN where there is none."""
    span = int(slots[-1] - slots[0]) + 1
    if span == len(slots):
        return values
    dense = np.full((values.shape[0], span), np.nan, np.float32)
    dense[:, slots - slots[0]] = values
    return dense
