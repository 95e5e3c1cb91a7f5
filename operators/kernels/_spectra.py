"""Periodograms on the CPU: everything around the FFTs, tile by tile of rows."""

from __future__ import annotations

import math
from typing import Any

from numba import types

from ._compiled import b1, compiled, f8, i8, inner, read
from ._levels import expected
from ._tables import MEMORY, RULES, TABLES, WORK

__all__ = ["look", "powers", "tapered"]

_INFINITE = 0x7FF0000000000000
"""Exponent of what is infinite or no number."""


@compiled(
    types.void(
        read(f8, 2), read(b1, 2), read(f8, 1), types.UniTuple(i8, 3), f8[:, :, ::1], f8[:, ::1]
    )
)
def tapered(x_w: Any, valid: Any, taper: Any, ends: Any, out: Any, share: Any) -> None:
    """
    Masked differences of the window before each hop's end, times its taper.

    ``ends``: end of the first hop in ``x_w`` (channel, time), samples between hops, and the hops.
    ``out`` (hop, channel, sample), ``share`` (hop, channel): what of the window was measured; none
    where something in it is no number, so that nothing is learned from it.
    """
    first, step, hops = ends
    n, bits = len(taper), out.view(i8)
    for row in range(x_w.shape[0]):
        for hop in range(hops):
            start = first + hop * step - n
            old_w, new_w = x_w[row, start - 1 : start - 1 + n], x_w[row, start : start + n]
            old, new = valid[row, start - 1 : start - 1 + n], valid[row, start : start + n]
            here, known = out[hop, row], 0
            for k in range(n):
                known += old[k] & new[k]
            for k in range(n):
                here[k] = (new_w[k] - old_w[k]) * taper[k]
            if known < n:
                for k in range(n):
                    here[k] = here[k] if old[k] & new[k] else 0.0
            share[hop, row] = known / n
            top = 0
            for k in range(n):
                top = max(top, bits[hop, row, k] & _INFINITE)
            if top == _INFINITE:
                share[hop, row] = 0.0
                here[:] = 0.0


@compiled(
    types.void(types.Array(types.complex128, 3, "C"), i8, types.UniTuple(i8, 2), f8[:, :, ::1])
)
def powers(spectrum: Any, skip: int, to: Any, out: Any) -> None:
    """Squared sizes of bins from ``skip`` on into those of ``out`` from ``to[0]`` to ``to[1]``."""
    bins = to[1] - to[0]
    for hop in range(out.shape[0]):
        for row in range(out.shape[1]):
            y, here = spectrum[hop, row, skip : skip + bins], out[hop, row, to[0] : to[1]]
            for k in range(bins):
                here[k] = y[k].real * y[k].real + y[k].imag * y[k].imag


@inner
def _add_up(power: Any, memory: Any, at: Any, tables: Any, work: Any) -> None:
    """The sums take what the newest power says; the power over what was expected is ``ratio``."""
    t, rules, enough = tables
    place, factor, drift, bars = t.place, t.factor, t.drift, t.bars
    past, sums, noise, ratio = memory.background, memory.sums, work.expected, work.ratio
    for r in range(at[1]):
        row = at[0] + r
        for b in range(power.shape[1]):
            ratio[r, b] = max(noise[r, b], past[row, b])
        for b in range(power.shape[1]):
            quiet = power[row, b] / ratio[r, b]
            ratio[r, b] = min(quiet, rules.clip)
        for w in range(len(place) - 1):
            ready = bars[w, memory.learned[row, w], 3] if enough[row, w] else 0.0
            for b in range(place[w], place[w + 1]):
                sums[row, b] += factor[b] * (ratio[r, b] * ready)
        for b in range(power.shape[1]):
            total = sums[row, b] - drift[b]
            total = max(0.0, total)
            sums[row, b] = min(total, rules.full)
        for b in range(power.shape[1]):
            ratio[r, b] = power[row, b] / noise[r, b]


@inner
def _tell(power: Any, memory: Any, at: Any, tables: Any, work: Any) -> None:
    """What stands out: into the work's own (now), louder (votes) and cap (lasting)."""
    t, _, enough = tables
    place, tested, bars, heard = t.place, t.tested, t.bars, t.heard
    ratio, line, sums = work.ratio, work.line, memory.sums
    now, votes, lasting = work.own, work.louder, work.cap
    for r in range(at[1]):
        row = at[0] + r
        for b in range(power.shape[1]):
            lasting[r, b] = sums[row, b] * heard[b]
        for w in range(len(place) - 1):
            ready, learned = 1.0 if enough[row, w] else 0.0, memory.learned[row, w]
            bar, own_bar, vote = bars[w, learned, 0], bars[w, learned, 1], bars[w, learned, 2]
            for b in range(place[w], place[w + 1]):
                votes[r, b] = ratio[r, b] * (ready * tested[b])
            for b in range(place[w], place[w + 1]):
                now[r, b] = votes[r, b] * (own_bar if line[r, b] > 0 else bar)
            for b in range(place[w], place[w + 1]):
                votes[r, b] *= vote


@inner
def _learn(power: Any, memory: Any, at: Any, tables: Any, work: Any) -> None:
    """The past moves towards ordinary power; where a line stands out it stays."""
    t, rules, enough = tables
    place, past, ratio, cut, step = t.place, memory.background, work.ratio, work.fraction, work.part
    for r in range(at[1]):
        row = at[0] + r
        for b in range(power.shape[1]):
            over = max(rules.keep, ratio[r, b])
            cut[r, b] = power[row, b] * rules.keep_gain / over
        for w in range(len(place) - 1):
            known, more = memory.learned[row, w], 1 if enough[row, w] else 0
            after = min(known + more, t.memory[w])
            memory.learned[row, w] = after
            if more and known == 0:
                for b in range(place[w], place[w + 1]):
                    past[row, b] = power[row, b]
                continue
            share = more / max(after, 1)
            for b in range(place[w], place[w + 1]):
                step[r, b] = share if ratio[r, b] < rules.frozen else 0.0
            for b in range(place[w], place[w + 1]):
                past[row, b] += (cut[r, b] - past[row, b]) * step[r, b]


@inner
def _copy(y: Any, at: Any, out: Any, most: Any) -> None:
    """A tile's rows into ``out``; the greatest of each by its bits, as nothing is below zero."""
    bits = out.view(i8)
    for r in range(at[1]):
        row, top = at[0] + r, 0
        for b in range(out.shape[1]):
            out[row, b] = y[r, b]
        for b in range(out.shape[1]):
            top = max(top, bits[row, b])
        for b in range(out.shape[1]):
            if bits[row, b] == top:
                most[row] = out[row, b]
                break


@compiled(
    types.void(f8[:, :, :, ::1], b1[:, :, ::1], MEMORY, types.Tuple((TABLES, RULES)), WORK,
               f8[:, :, ::1])
)  # fmt: skip
def look(out: Any, enough: Any, memory: Any, tables: Any, work: Any, most: Any) -> None:
    """
    All hops of all rows.

    ``out`` (4, hop, channel, bin): now, lasting, votes, amplitude; the last holds the power when it
    comes. ``enough`` (hop, channel, window). ``most`` (3, hop, channel).
    """
    t, rules = tables
    tile, gain = work.own.shape[0], t.gain
    for start in range(0, out.shape[2], tile):
        at = (start, min(tile, out.shape[2] - start))
        for hop in range(out.shape[1]):
            power, here = out[3, hop], (t, rules, enough[hop])
            expected(power, memory.background, at, tables, work)
            _add_up(power, memory, at, here, work)
            _tell(power, memory, at, here, work)
            _copy(work.own, at, out[0, hop], most[0, hop])
            _copy(work.cap, at, out[1, hop], most[1, hop])
            _copy(work.louder, at, out[2, hop], most[2, hop])
            _learn(power, memory, at, here, work)
            for r in range(at[0], at[0] + at[1]):
                for b in range(power.shape[1]):
                    power[r, b] = math.sqrt(power[r, b]) * gain[b]
