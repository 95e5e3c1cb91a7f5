"""Injected ramps and oscillations: power added to racks, a pure function of time, known exactly."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from replay.plan import Fault, Oscillation, Ramp
from schemas.events import Cause

__all__ = ["Move", "Swing", "draw_fault", "draw_moves", "draw_swing"]

_TRIP_S = 0.02
"""How long a rack takes to drop its load."""
_JOIN_S = 0.5
"""How long one rack's own part of an unsynchronized ramp takes."""


@dataclasses.dataclass(frozen=True)
class Move:
    """A ramp: each of ``racks`` moves by ``depth_w`` between its own start and ``rack_s`` later."""

    racks: Any
    onset_s: float
    duration_s: float
    depth_w: float
    rack_s: float
    start_s: Any
    synchronized: bool
    cause: Cause | None = None

    def added_w(self, t_s: Any) -> Any:
        """Power added to ``racks`` at ``t_s`` (time,); (rack, time), or one number for all."""
        if t_s[-1] <= self.onset_s:
            return 0.0
        if t_s[0] >= self.onset_s + self.duration_s:
            return self.depth_w
        return self.depth_w * ((t_s - self.start_s[:, None]) / self.rack_s).clip(0, 1)


@dataclasses.dataclass(frozen=True)
class Swing:
    """An oscillation: each of ``racks`` swings by ``amplitude_w`` with a phase of its own."""

    racks: Any
    onset_s: float
    duration_s: float
    growth_s: float
    freq_hz: float
    amplitude_w: float
    phase_rad: Any

    def added_w(self, t_s: Any) -> Any:
        """Power added to ``racks`` at ``t_s`` (time,); (rack, time), or 0 outside."""
        end_s = self.onset_s + self.duration_s
        if t_s[-1] <= self.onset_s or t_s[0] >= end_s:
            return 0.0
        growth_s = max(self.growth_s, 1e-9)
        envelope = np.minimum((t_s - self.onset_s) / growth_s, (end_s - t_s) / growth_s).clip(0, 1)
        angle = 2 * math.pi * self.freq_hz * (t_s - self.onset_s) + self.phase_rad[:, None]
        return self.amplitude_w * envelope * np.sin(angle)


def draw_moves(ramp: Ramp, racks: Any, site_w: float, rng: np.random.Generator) -> list[Move]:
    """A ramp on the given racks, and its recovery where it has one."""
    count = len(racks)
    if ramp.synchronized:
        late_s = rng.uniform(0, min(ramp.onset_jitter_s, ramp.duration_s / 2), count)
        late_s -= late_s.min()
        rack_s = ramp.duration_s - float(late_s.max())
    else:
        rack_s = min(_JOIN_S, ramp.duration_s / 2)
        late_s = rng.permutation(np.linspace(0, ramp.duration_s - rack_s, count))
    depth_w = ramp.depth * site_w / count
    back: Cause | None = "restart" if ramp.cause == "fault" else ramp.cause
    sides = [(ramp.onset_s, depth_w, ramp.cause)]
    sides += [] if ramp.recovers_s is None else [(ramp.recovers_s, -depth_w, back)]
    return [
        Move(racks, at_s, ramp.duration_s, w, rack_s, at_s + late_s, ramp.synchronized, why)
        for at_s, w, why in sides
    ]


def draw_fault(fault: Fault, racks: Any, site_w: float, rng: np.random.Generator) -> list[Move]:
    """Racks that leave in a dip, all at once, and come back one after the other."""
    count, depth_w = len(racks), fault.depth * site_w / len(racks)
    at_s = fault.onset_s + fault.trips_s
    moves = [Move(racks, at_s, _TRIP_S, -depth_w, _TRIP_S, np.full(count, at_s), True)]
    if fault.reconnects_s is not None:
        back_s = fault.onset_s + fault.duration_s + fault.reconnects_s
        rack_s = min(_JOIN_S, fault.reconnect_s / 2)
        late_s = rng.permutation(np.linspace(0, fault.reconnect_s - rack_s, count))
        moves.append(
            Move(racks, back_s, fault.reconnect_s, depth_w, rack_s, back_s + late_s, False)
        )
    return moves


def draw_swing(swing: Oscillation, racks: Any, site_w: float, rng: np.random.Generator) -> Swing:
    """An oscillation on the given racks; together they reach exactly the amplitude asked for."""
    phase_rad = swing.phase_spread_rad * rng.standard_normal(len(racks))
    together = float(np.abs(np.exp(1j * phase_rad).sum()))
    return Swing(
        racks=racks,
        onset_s=swing.onset_s,
        duration_s=swing.duration_s,
        growth_s=min(swing.growth_s, swing.duration_s / 2),
        freq_hz=swing.freq_hz,
        amplitude_w=swing.amplitude * site_w / together,
        phase_rad=phase_rad,
    )
