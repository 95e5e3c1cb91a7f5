"""What stands out of spectra on the CPU, sixteen rows at a time, and what is learned from them."""

from __future__ import annotations

from typing import Any

from numba import types

from ._compiled import b1, compiled, f4, f8, i8, inner, read
from ._levels import levels
from ._sixteen import LANES, everywhere, greater, lane, lesser, load, pick, root, store
from ._tables import MEMORY, MOVED, RULES, TABLES
from ._tables import room_16 as room
from ._tiles import columns_16 as columns
from ._tiles import rows_16 as rows

__all__ = ["look"]


@inner
def _limits(t: Any, row: Any, learned: Any, enough: Any, out: Any) -> None:
    """
    By window, of the rows of a tile: 1 / thresholds, whether it counts, whether its sums do.

    Then the share that what is new takes of the past, and whether there is none; the looks that
    the past rests on move on.
    """
    (start, live), (old, new) = row, learned
    for w in range(len(t.memory)):
        for j in range(live):
            at = start + j
            known, more = old[at, w], 1 if enough[at, w] else 0
            after, k = min(known + more, t.memory[w]), LANES * 7 * w + j
            for bar in range(3):
                out[k + LANES * bar] = t.bars[w, known, bar]
            out[k + LANES * 3] = float(more)
            out[k + LANES * 4] = t.bars[w, known, 3] * more
            out[k + LANES * 5] = more / max(after, 1)
            out[k + LANES * 6] = 1.0 if more and known == 0 else 0.0
            new[at, w] = after


@inner
def _of_row(limits: Any, w: Any, which: Any) -> Any:
    return load(limits, LANES * (7 * w + which))


@inner
def _window(w: Any, power: Any, at: Any, tables: Any, room: Any, most: Any) -> None:
    """
    Bins of one window: what stands out, the sums, the new past.

    ``room``: past, sums, smoothed past, by block louder and cap, limits, new past, and what is
    told by bin, now and before its threshold, where it is asked for. ``most``: greatest of now,
    sums and votes so far.
    """
    (t, rules), (past, sums, smooth, louder_of, cap_of, limits, next_, told) = tables, room
    bar, own_bar, vote = _of_row(limits, w, 0), _of_row(limits, w, 1), _of_row(limits, w, 2)
    ready, warm, share = _of_row(limits, w, 3), _of_row(limits, w, 4), _of_row(limits, w, 5)
    anew, zero = _of_row(limits, w, 6), everywhere(0.0)
    top_now, top_sum, top = load(most, 0), load(most, LANES), zero
    last, learn, keep = len(t.tested) - 1, rules.keep_gain / rules.keep, rules.keep_gain
    for block in range(t.blocks[w], t.blocks[w + 1]):
        louder, cap = load(louder_of, LANES * block), load(cap_of, LANES * block)
        for b in range(t.block[block], t.block[block + 1]):
            k = LANES * b
            usual, here, size = load(smooth, k), load(past, k), load(power, at + k)
            before, after = load(past, LANES * max(b - 1, 0)), load(past, LANES * min(b + 1, last))
            own, line = greater(greater(before, after), here), usual * rules.line
            noise = greater(pick(own, line, own, usual), usual * louder)
            noise = greater(lesser(noise, cap), rules.least)
            quietest = greater(noise, here)
            quiet = lesser(size / quietest, rules.clip) * warm
            total = greater(load(sums, k) + (quiet * t.factor[b] - t.drift[b]), 0.0)
            total = lesser(total, rules.full)
            store(sums, k, total)
            ratio = lesser(size / noise, rules.most)
            seen = ratio * (ready * t.tested[b])
            now = seen * pick(own, line, own_bar, bar)
            top, top_now = greater(seen, top), greater(now, top_now)
            top_sum = greater(total * t.heard[b], top_sum)
            step = pick(everywhere(rules.frozen), ratio, share, zero)
            moved = here + (lesser(size * learn, noise * keep) - here) * step
            store(next_, k, lesser(pick(anew, zero, size, moved), rules.most))
            if len(told):
                store(told, k, now)
                store(told, LANES * (last + 1) + k, seen * vote)
    store(most, 0, top_now)
    store(most, LANES, top_sum)
    store(most, 2 * LANES, greater(load(most, 2 * LANES), top * vote))


@inner
def _tell(told: Any, sums: Any, t: Any, span: Any, out: Any) -> None:
    """Now, lasting and votes of one hop into ``out`` (3, row, bin)."""
    size = LANES * len(t.tested)
    rows(told, 0, span, out[0])
    rows(told, size, span, out[2])
    for b in range(len(t.tested)):
        store(told, LANES * b, load(sums, LANES * b) * t.heard[b])
    rows(told, 0, span, out[1])


@inner
def _strongest(power: Any, at: Any, gain: Any, bands: Any, span: Any, out: Any) -> None:
    """Greatest amplitude of each band into ``out`` (row, band), 0 where it has no bins."""
    for band in range(len(bands)):
        most = everywhere(0.0)
        for b in range(bands[band, 0], bands[band, 1]):
            most = greater(load(power, at + LANES * b) * (gain[b] * gain[b]), most)
        most = root(most)
        for j in range(span[1]):
            out[span[0] + j, band] = lane(most, j)


@inner
def _amplitudes(power: Any, at: Any, gain: Any, span: Any, work: Any, out: Any) -> None:
    for b in range(len(gain)):
        store(work, LANES * b, root(load(power, at + LANES * b)) * gain[b])
    rows(work, 0, span, out)


@inner
def _most(most: Any, span: Any, out: Any) -> None:
    for which in range(3):
        for j in range(span[1]):
            out[which, span[0] + j] = most[LANES * which + j]


@compiled(
    types.void(
        types.Tuple((f4[::1], b1[:, :, ::1])), MEMORY, MOVED,
        types.Tuple((TABLES, RULES, read(i8, 2), read(f4, 1))),
        types.Tuple((f8[:, :, :, ::1], f8[:, :, :, ::1], f8[:, :, ::1], f8[:, :, ::1])),
        types.UniTuple(i8, 2),
    )
)  # fmt: skip
def look(seen: Any, old: Any, new: Any, tables: Any, out: Any, tiles: Any) -> None:
    """
    All hops of the rows of some tiles, from the first up to the last, exclusive.

    ``seen``: power, lanes by hop, tile and bin; which windows count (hop, channel, window).
    ``old``, ``new``: background, sums (channel, bin), learned (channel, window). ``tables``: the
    last two are bins of bands (band, 2), and gain of their bins. ``out``: now, lasting and votes
    (3, hop, channel, bin) and amplitude (1, hop, channel, bin), of no hops where they are not asked
    for; strongest (hop, channel, band); ``most`` (3, hop, channel).
    """
    (power, enough), (said, amplitude, strongest, most) = seen, out
    t, rules, bands, gain = tables
    hops, count, bins = enough.shape[0], enough.shape[1], len(t.tested)
    size, whole = LANES * bins, (count + LANES - 1) // LANES
    past, sums, next_, smooth = room(size), room(size), room(size), room(size)
    louder, cap = room(LANES * len(t.share)), room(LANES * len(t.share))
    now, before = room(2 * LANES * len(t.cuts)), room(2 * LANES * len(t.cuts))
    limits, best = room(7 * LANES * len(t.memory)), room(3 * LANES)
    limits[:] = 0.0
    told = room(2 * size if said.shape[1] else 0)
    for tile in range(tiles[0], tiles[1]):
        span = (LANES * tile, min(LANES, count - LANES * tile))
        columns(old[0], span, past, 0)
        columns(old[1], span, sums, 0)
        learned = old[2]
        for hop in range(hops):
            at = (hop * whole + tile) * size
            if amplitude.shape[1]:
                _amplitudes(power, at, t.gain, span, smooth, amplitude[0, hop])
            _strongest(power, at, gain, bands, span, strongest[hop])
            levels(power, at, past, (t, rules), (smooth, louder, cap, now, before))
            _limits(t, span, (learned, new[2]), enough[hop], limits)
            best[:] = 0.0
            held = (past, sums, smooth, louder, cap, limits, next_, told)
            for w in range(len(t.memory)):
                _window(w, power, at, (t, rules), held, best)
            _most(best, span, most[:, hop])
            if said.shape[1]:
                _tell(told, sums, t, span, said[:, hop])
            past, next_, learned = next_, past, new[2]
        rows(past, 0, span, new[0])
        rows(sums, 0, span, new[1])
