"""Slices to closed blocks on the absolute grid: what is late, idle or ahead is decided here."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from pipeline.align_state import (
    HELD,
    AlignState,
    Block,
    GatewayState,
    Held,
    Piece,
    Verdict,
    dense,
    drop_held,
    returned,
    start,
)
from pipeline.commit_files import Idle
from pipeline.decode import Cause, Rows
from pipeline.grid_fill import blocks, whole_until_ns
from pipeline.layout import LevelGrid, SiteLayout
from schemas.topology import Gateway
from schemas.units import NS_PER_S, Rate, slot_times_ns, slots_of

__all__ = ["Aligner"]

IDLE_NS = 5 * NS_PER_S
AHEAD_NS = 60 * NS_PER_S
RESTART_NS = 3600 * NS_PER_S
CONTINUE = 3
SEQS = 64


class Aligner:
    """Aligns one site. The order of messages between gateways never changes a block."""

    def __init__(self, layout: SiteLayout, state: AlignState | None = None) -> None:
        self.layout = layout
        self.state = state or start(layout)
        self._gateways = layout.topology.gateway_by_id
        self._plan: tuple[Idle, ...] = ()
        self._replay_until_ns = -1

    def obey(self, plan: Collection[Idle], until_ns: int) -> None:
        """Recompute up to ``until_ns`` with the idle spans that the archive's commits recorded."""
        ours = (i for i in plan if i.site_id == self.layout.site_id)
        self._plan = tuple(i for i in ours if i.gateway_id in self._gateways)
        self._replay_until_ns = until_ns
        self.state.idle = list(self._plan)
        for idle in self._plan:
            if idle.to_ns is not None:
                self.state.gateways[idle.gateway_id].idle_from_ns = -1

    # ---- in

    def push(self, rows: Rows, receipt: int) -> list[Verdict]:
        """Take one checked slice; says what became of it and of messages held before it."""
        piece = rows.piece
        gateway, memory = self._gateways[piece.gateway_id], self.state.gateways[piece.gateway_id]
        if piece.end:
            memory.ended = True
            return [*drop_held(memory), Verdict(receipt, 0)]
        grid = self.layout.grid_of[gateway.level]
        slots = slots_of(piece.t0_ns, piece.power_w.shape[1], piece.rate)
        if grid.stride > 1:
            slots = slots * grid.stride
        held = Held(receipt, piece.seq, slots, rows.index, rows.power_w, rows.voltage_pu)
        if memory.next_slot >= 0:
            if piece.seq in memory.seqs and slots[-1] < memory.next_slot:
                self.state.repeats += 1
                return [Verdict(receipt, 0, repeat=True)]
            ahead_ns = int(slots[0] - memory.next_slot) * NS_PER_S // grid.rate
            if ahead_ns > AHEAD_NS:
                return self._hold(memory, held, gateway)
        return [*drop_held(memory), self._take(gateway, held)]

    def _hold(self, memory: GatewayState, held: Held, gateway: Gateway) -> list[Verdict]:
        verdicts: list[Verdict] = []
        if memory.held:
            grid = self.layout.grid_of[gateway.level]
            gap_slots = int(held.slots[0]) - int(memory.held[-1].slots[-1])
            if not 0 < gap_slots * NS_PER_S // grid.rate <= AHEAD_NS:
                verdicts = drop_held(memory)
        memory.held.append(held)
        if len(memory.held) < CONTINUE:
            return [*verdicts, Verdict(held.receipt, HELD)]
        waiting, memory.held = memory.held, []
        return verdicts + [self._take(gateway, one) for one in waiting]

    def _take(self, gateway: Gateway, held: Held) -> Verdict:
        memory, grid = self.state.gateways[gateway.id], self.layout.grid_of[gateway.level]
        slots = held.slots
        memory.seqs = [*memory.seqs[-(SEQS - 1) :], held.seq]
        first = self._first_open_slot(gateway, grid)
        wanted = (slots >= first) & ~self._planned_idle(gateway.id, slots, grid)
        fresh = np.zeros(len(slots), bool)
        fresh[np.unique(slots, return_index=True)[1]] = True
        late = int(np.count_nonzero(~np.isnan(held.power_w[:, ~wanted])))
        memory.ended = self.state.finished = False
        if (wanted & fresh).any():
            self._store(gateway.level, held, wanted & fresh)
        memory.next_slot = max(memory.next_slot, int(slots[-1]) + grid.stride)
        if memory.idle_from_ns >= 0 and (wanted.any() or not self._behind(gateway)):
            self._rejoin(gateway.id)
        until_ns = int(slot_times_ns(slots[-1:] + grid.stride, _rate(grid))[0])
        self.state.late_samples += late
        if not late:
            return Verdict(held.receipt, until_ns if wanted.any() else 0)
        text = (
            f"{late} samples older than the gateway's newest by more than its lateness, or closed"
        )
        cause = Cause("late", text, samples=late)
        return Verdict(held.receipt, until_ns if wanted.any() else 0, cause)

    def _store(self, level: str, held: Held, keep: Any) -> None:
        columns = slice(None) if keep.all() else keep
        slots = held.slots[columns]
        first, index = int(slots[0]), held.index
        self.state.pieces[level].append(Piece(first, index, dense(held.power_w[:, columns], slots)))
        if level == "substation" and held.voltage_pu is not None:
            volts = dense(held.voltage_pu[:, columns], slots)
            self.state.volts.append(Piece(first, index, volts))

    def _first_open_slot(self, gateway: Gateway, grid: LevelGrid) -> int:
        """The oldest slot a sample of this gateway may still fill."""
        memory, state = self.state.gateways[gateway.id], self.state
        closed = -1 if state.closed_ns < 0 else grid.slot_at(state.closed_ns)
        if memory.next_slot < 0:
            return closed
        return max(closed, memory.next_slot - _lateness_slots(gateway, grid))

    def _planned_idle(self, gateway_id: str, slots: Any, grid: LevelGrid) -> Any:
        late = np.zeros(len(slots), bool)
        for idle in self._plan:
            if idle.gateway_id == gateway_id:
                to_ns = self._replay_until_ns if idle.to_ns is None else idle.to_ns
                time_ns = slot_times_ns(slots, _rate(grid))
                late |= (time_ns >= idle.from_ns) & (time_ns < to_ns)
        return late

    def _rejoin(self, gateway_id: str) -> None:
        self.state.gateways[gateway_id].idle_from_ns = -1
        to_ns = max(self.state.closed_ns, self._replay_until_ns, 0)
        self.state.idle = returned(self.state.idle, gateway_id, to_ns)

    # ---- out

    def advance(self, silent: Collection[str] = (), *, singly: bool = False) -> Iterator[Block]:
        """
        Close what every gateway has passed: part of a grid second, or whole ones (not ``singly``).

        ``silent`` names gateways from which nothing came for a while, though all that came was
        read: those more than 5 s behind the site's newest sample go idle and hold nobody up.
        """
        state, layout = self.state, self.layout
        while True:
            self._go_idle(silent)
            if state.closed_ns < 0 and not self._begin():
                return
            until_ns = self._passed_ns()
            self._jump(until_ns)
            end_ns = min(until_ns, (state.closed_ns // NS_PER_S + 1) * NS_PER_S)
            if not (singly or silent or self._plan):
                end_ns = max(end_ns, whole_until_ns(state, layout, until_ns))
            ticks = (end_ns - state.closed_ns) // layout.tick_ns
            if ticks <= 0:
                return
            yield from blocks(state, layout, int(ticks))

    @property
    def newest_ns(self) -> int:
        """End of the site's newest sample, -1 when there is none."""
        return max(self._gateway_ns(g, 0) for g in self._gateways.values())

    def silent_gateways(self) -> list[str]:
        """Gateways that are idle now."""
        return [g for g, memory in self.state.gateways.items() if memory.idle_from_ns >= 0]

    @property
    def ended(self) -> bool:
        """Every gateway has sent its end of stream, or is idle while others have."""
        memories = self.state.gateways.values()
        return all(m.over for m in memories) and any(m.ended for m in memories)

    def level_newest_ns(self) -> dict[str, int]:
        """End of each level's newest sample."""
        newest: dict[str, int] = {}
        for gateway in self._gateways.values():
            end_ns = self._gateway_ns(gateway, 0)
            newest[gateway.level] = max(newest.get(gateway.level, -1), end_ns)
        return newest

    @property
    def oldest_ns(self) -> int:
        """Time of the oldest sample that is still open; 0 where there is none."""
        return self._oldest_ns() or 0

    def _gateway_ns(self, gateway: Gateway, lateness: int) -> int:
        memory, grid = self.state.gateways[gateway.id], self.layout.grid_of[gateway.level]
        if memory.next_slot < 0:
            return -1
        slot = np.array([memory.next_slot - lateness], dtype=np.int64)
        return int(slot_times_ns(slot, _rate(grid))[0])

    def _go_idle(self, silent: Collection[str]) -> None:
        state = self.state
        for idle in [i for i in self._plan if i.to_ns is None and i in state.idle]:
            passed_ns = max(self._gateway_ns(self._gateways[idle.gateway_id], 0), 0)
            if passed_ns >= idle.from_ns:
                state.gateways[idle.gateway_id].idle_from_ns = idle.from_ns
            if passed_ns > max(idle.from_ns, self._replay_until_ns):  # it has come back meanwhile
                self._rejoin(idle.gateway_id)
        if not silent or state.closed_ns < self._replay_until_ns:
            return
        for gateway in (self._gateways[name] for name in self._gateways if name in silent):
            memory = state.gateways[gateway.id]
            if not memory.over and self._behind(gateway):
                memory.idle_from_ns = max(self._gateway_ns(gateway, 0), 0)
                idle = Idle(self.layout.site_id, gateway.id, memory.idle_from_ns)
                state.idle = [*state.idle, idle]

    def _behind(self, gateway: Gateway) -> bool:
        """Too far behind the site's newest sample to be waited for, if it is silent."""
        return self._gateway_ns(gateway, 0) < self.newest_ns - IDLE_NS

    def _begin(self) -> bool:
        """Start the grid at the second of the oldest sample, once every gateway has spoken."""
        state = self.state
        for gateway_id, memory in state.gateways.items():
            planned = any(i.gateway_id == gateway_id and i.from_ns == 0 for i in self._plan)
            if not (memory.next_slot >= 0 or memory.over or planned):
                return False
        first_ns = self._oldest_ns()
        if first_ns is None:
            return False
        state.closed_ns = first_ns // NS_PER_S * NS_PER_S
        return True

    def _oldest_ns(self) -> int | None:
        times = [
            int(slot_times_ns(np.array([min(piece.slot for piece in pieces)]), _rate(grid))[0])
            for grid in self.layout.grids
            if (pieces := self.state.pieces[grid.level])
        ]
        return min(times, default=None)

    def _passed_ns(self) -> int:
        """The time that every gateway which counts has passed by its lateness."""
        state, passed = self.state, []
        for gateway in self._gateways.values():
            memory = state.gateways[gateway.id]
            if not memory.over:
                lateness = _lateness_slots(gateway, self.layout.grid_of[gateway.level])
                time_ns = self._gateway_ns(gateway, lateness)
                passed.append(max(time_ns, self._planned_until_ns(gateway)))
        if passed:
            return min(passed)
        if self.ended:
            return -(-self.newest_ns // NS_PER_S) * NS_PER_S
        return state.closed_ns

    def _planned_until_ns(self, gateway: Gateway) -> int:
        """Until when a gateway held nobody up once it had sent what it had when it fell silent."""
        newest_ns = max(self._gateway_ns(gateway, 0), 0)
        return max(
            (
                self._replay_until_ns if idle.to_ns is None else idle.to_ns
                for idle in self._plan
                if idle.gateway_id == gateway.id and newest_ns >= idle.from_ns
            ),
            default=-1,
        )

    def _jump(self, until_ns: int) -> None:
        """Start anew behind a hole of more than an hour: nothing learned is worth keeping."""
        oldest_ns, state = self._oldest_ns(), self.state
        hole = oldest_ns is not None and oldest_ns - state.closed_ns > RESTART_NS
        if oldest_ns is not None and hole and until_ns > oldest_ns:
            fresh = start(self.layout)
            state.last_w, state.missing, state.restart = fresh.last_w, fresh.missing, True
            state.closed_ns = oldest_ns // NS_PER_S * NS_PER_S


def _rate(grid: LevelGrid) -> Rate:
    return Rate(grid.rate)


def _lateness_slots(gateway: Gateway, grid: LevelGrid) -> int:
    return -(-gateway.lateness_ns * grid.rate // NS_PER_S)
