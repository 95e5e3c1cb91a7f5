"""Open samples onto the grid: short gaps are held and masked, long ones reset."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from operators._arrays import narrow, widen
from pipeline.align_state import AlignState, Block, Piece
from pipeline.layout import LevelGrid, SiteLayout
from pipeline.side_by_side import as_slice
from schemas.units import NS_PER_S

__all__ = ["blocks", "whole_until_ns"]

TOGETHER_S = 10
"""Most grid seconds of one block, which ends with a multiple of them at the latest."""
TOGETHER_SAMPLES = 1 << 21


def whole_until_ns(state: AlignState, layout: SiteLayout, until_ns: int) -> int:
    """
    Until when whole grid seconds may be closed as one block; -1 where they go singly.

    Only what is the same singly: samples up to the last of them, and nothing said meanwhile.
    """
    samples, begin_s = sum(g.channels * g.rate for g in layout.grids), state.closed_ns // NS_PER_S
    most_s = min(TOGETHER_S, TOGETHER_SAMPLES // max(samples, 1))
    uneven = state.closed_ns % NS_PER_S or NS_PER_S % layout.ticks_per_s
    if uneven or most_s < 2 or state.volts or any(g.stride > 1 for g in layout.grids):
        return -1
    last_s = min(until_ns // NS_PER_S, begin_s + most_s - begin_s % most_s)
    if state.said:
        last_s = min(last_s, state.said[0].from_ns // NS_PER_S)
    if last_s - begin_s < 2 or not _reaches(state, layout, last_s):
        return -1
    return last_s * NS_PER_S


def _reaches(state: AlignState, layout: SiteLayout, end_s: int) -> bool:
    """Whether there are samples of the second that ends then: no hole is jumped before it."""
    return any(
        piece.slot < end_s * grid.rate < piece.slot + piece.power_w.shape[1] + grid.rate
        for grid in layout.grids
        for piece in state.pieces[grid.level]
    )


def blocks(state: AlignState, layout: SiteLayout, ticks: int) -> Iterator[Block]:
    """
    Close the next ticks, all within one grid second, or some whole ones.

    A reset begins a block of its own, and then every second does.
    """
    power_w, valid, cuts = {}, {}, {}
    for grid in layout.grids:
        raw, state.pieces[grid.level] = _gather(state, grid, ticks, state.pieces[grid.level])
        power_w[grid.level], valid[grid.level], cuts[grid.level] = _fill(state, grid, raw)
    volts = _voltage_pu(state, layout, ticks)
    starts = {0, *(k for per_level in cuts.values() for k in per_level)}
    if len(starts) > 1 and ticks > layout.ticks_per_s:
        starts |= set(range(0, ticks, layout.ticks_per_s))
    for k, end in pairwise([*sorted(starts), ticks]):
        resets = {level: per_level[k] for level, per_level in cuts.items() if k in per_level}
        state.resets += sum(int(mask.sum()) for mask in resets.values())
        cut = {g.level: slice(k * g.per_tick, end * g.per_tick) for g in layout.grids}
        t0_ns = state.closed_ns
        state.closed_ns = int(layout.tick_ends_ns(t0_ns, end - k)[-1])
        restart, state.restart = state.restart, False
        yield Block(
            t0_ns,
            end - k,
            {level: x[:, cut[level]] for level, x in power_w.items()},
            {level: v[:, cut[level]] for level, v in valid.items()},
            resets,
            restart,
            voltage_pu=None if volts is None else volts[cut["substation"]],
        )


HOLD_S = 3600


def _voltage_pu(state: AlignState, layout: SiteLayout, ticks: int) -> Any:
    """Lowest voltage of the substation's channels, (time,), NaN where none came; None: nowhere."""
    if not state.volts:
        return None
    grid = layout.grid_of["substation"]
    raw, state.volts = _gather(state, grid, ticks, state.volts)
    lowest = widen(np.where(np.isnan(raw), np.inf, raw).min(axis=0))
    found = np.isfinite(lowest)
    return np.where(found, lowest, np.nan) if found.any() else None


def _gather(
    state: AlignState, grid: LevelGrid, ticks: int, pieces: list[Piece]
) -> tuple[Any, list[Piece]]:
    """Open samples of the next ticks, (channel, time) float32, NaN where none came; what stays."""
    start = grid.slot_at(state.closed_ns)
    count = ticks * grid.per_tick
    out = np.full((grid.channels, count), np.nan, np.float32)
    keep = []
    for piece in reversed(pieces):
        lo, hi = max(piece.slot, start), min(piece.slot + piece.power_w.shape[1], start + count)
        if piece.slot + piece.power_w.shape[1] > start + count:
            keep.append(piece)
        if lo >= hi:
            continue
        part = piece.power_w[:, lo - piece.slot : hi - piece.slot]
        here = out[:, lo - start : hi - start]
        rows, there = as_slice(piece.index), ~np.isnan(part)
        here[rows] = part if there.all() else np.where(there, part, here[rows])
    return out, keep[::-1]


def _fill(state: AlignState, grid: LevelGrid, raw: Any) -> tuple[Any, Any, dict[int, Any]]:
    """
    Hold gaps, masked; says in which ticks which channels are reset.

    A longer gap is held too, up to an hour, so that in a sum a lost meter is never a step.
    """
    level = grid.level
    there = ~np.isnan(raw)
    if there.all():
        state.last_w[level] = raw[:, -1].copy()
        state.missing[level] = np.zeros(grid.channels, np.int64)
        return raw, there, {}
    slot = np.arange(raw.shape[1])
    newest = np.maximum.accumulate(np.where(there, slot, -1), axis=1)
    run = np.where(newest >= 0, slot - newest, state.missing[level][:, None] + slot + 1)
    held = np.take_along_axis(raw, np.maximum(newest, 0), axis=1)
    held = np.where(newest >= 0, held, narrow(state.last_w[level])[:, None])
    known = (run <= grid.gap_slots) & ~np.isnan(held)
    fresh = known & (run < grid.stride)
    state.gap_cells += int(np.count_nonzero(known & ~fresh)) // grid.stride
    state.last_w[level] = held[:, -1].copy()
    state.missing[level] = run[:, -1].copy()
    crossed = run == grid.gap_slots + 1
    ticks = crossed.reshape(grid.channels, -1, grid.per_tick).any(axis=2)
    resets = {int(k): ticks[:, k].copy() for k in np.flatnonzero(ticks.any(axis=0))}
    keeps = (run <= HOLD_S * grid.rate) & ~np.isnan(held)
    return np.where(keeps, held, np.float32(0.0)), fresh, resets
