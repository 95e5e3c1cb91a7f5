"""`oscillations.periodogram` on the CPU: FFTs of all hops at once, then one pass over each row."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from operators import _check
from operators._arrays import narrow
from operators._oscillation_design import NARROW, OscillationDesign
from operators._oscillation_plan import CAP, heard
from operators.oscillations import (
    CLIP,
    FROZEN,
    FULL,
    KEEP,
    KEEP_MEAN,
    LEAST_W2,
    LINE,
    VALID_SHARE,
    OscillationState,
)

from . import Found, Told
from ._compiled import alone
from ._levels import REACH, STRETCH
from ._sixteen import LANES
from ._spectra import look
from ._tables import Rules, Tables, aligned
from ._windows import Windows, powers, windows

__all__ = ["Plan", "periodogram", "plan"]

_EULER = 0.5772156649015329
EVERYTHING = Told()
COST = 2
"""Numbers of other kernels that take as long as a bin, with its share of an FFT and of a level."""


class Plan(NamedTuple):
    """A design, laid out for the kernel."""

    design: OscillationDesign
    windows: Windows
    tables: Tables
    rules: Rules


def plan(design: OscillationDesign, _like: Any) -> Plan:
    """Lay a design out; the CPU's counterpart of `oscillations.to_namespace`."""
    if NARROW != REACH:
        msg = f"NARROW is {NARROW}, but the kernel is made for {REACH}"
        raise ValueError(msg)
    wide, places = design.wide, [0, *(one.place.stop for one in design.looks)]
    edges = np.stack([wide.low, wide.inner_low, wide.inner_high, wide.high])
    cuts = np.unique(np.concatenate([edges.ravel(), np.arange(0, places[-1], STRETCH)]))
    whole = np.isfinite(wide.offset)
    block = np.searchsorted(wide.block_of, np.arange(len(wide.offset) + 1))
    tables = Tables._make((
        _int(places), *(_int(side) for side in design.narrow[:2]), _float(design.narrow[2]),
        _int(cuts), _int(np.searchsorted(cuts, edges)),
        _float(wide.weight), _float(wide.offset),
        _float(np.where(whole, CAP * np.exp(_EULER), np.inf)),
        _int(block), _int(np.searchsorted(block, places)),
        _float(design.tested), _float(design.gain), _float(heard(design)),
        _float(design.drift[0]), _float(design.drift[1]), _int(design.memory), _float(design.bars),
    ))  # fmt: skip
    most, gain = float(np.finfo(np.float32).max), KEEP / KEEP_MEAN
    rules = Rules(LINE, FROZEN, KEEP, gain, CLIP, FULL * design.height, LEAST_W2, most)
    return Plan(design, windows(design.looks), tables, rules)


def _int(values: Any) -> Any:
    return np.ascontiguousarray(values, dtype=np.int64)


def _float(values: Any) -> Any:
    return np.ascontiguousarray(values, dtype=np.float32)


def periodogram(
    x_w: Any,
    valid: Any,
    state: OscillationState,
    *,
    plan: Plan,
    told: Told = EVERYTHING,
    share: Any = alone,
) -> tuple[Found, OscillationState]:
    """As `oscillations.periodogram`, with the greatest of each row and hop; rows are shared."""
    _check.match(valid, x_w.shape, name="valid")
    design, n_time = plan.design, x_w.shape[1]
    old, memory = (state.tail_w, state.tail_valid), state[2:5]
    if not n_time:
        return _nothing(memory, told.bands), state
    new = np.ascontiguousarray(narrow(x_w)), np.ascontiguousarray(valid)
    hops = max(0, (n_time - state.until_hop) // design.hop + 1)
    ends = (state.until_hop + design.window + 1, design.hop, hops)
    found, tail, moved = _hops((old, new), memory, ends, (plan, told, share))
    until_hop = state.until_hop - n_time + hops * design.hop
    return found, OscillationState._make([*tail, *moved, until_hop])


def _later(feed: tuple[Any, Any], rows: slice, tail: Any) -> None:
    """The newest samples of old and new, as many as the old, of some rows, and their flags."""
    for old, new, out in zip(*feed, tail, strict=True):
        kept = max(old.shape[1] - new.shape[1], 0)
        out[rows, :kept] = old[rows, new.shape[1] :]
        out[rows, kept:] = new[rows, kept - out.shape[1] :]


def _nothing(memory: Any, bands: Any) -> Found:
    """What no hop says."""
    rows, bins = memory[0].shape
    none = np.empty((4, 0, rows, bins))
    return Found._make([*none, np.empty((0, rows, len(bands))), np.zeros((3, 0, rows))])


def _hops(
    feed: tuple[Any, Any], memory: Any, ends: tuple[int, int, int], how: tuple[Plan, Told, Any]
) -> tuple[Found, Any, Any]:
    """
    All hops: end of the first among all samples, samples between them, and how many.

    Returns what they say, the newest samples and what is remembered.
    """
    (plan, (bins_told, bands, weight), share), (until, step, hops) = how, ends
    tail = tuple(np.empty(part.shape, part.dtype) for part in feed[0])
    if not hops:
        _later(feed, slice(None), tail)
        return _nothing(memory, bands), tail, memory
    rows, bins = memory[0].shape
    tiles = -(-rows // LANES)
    power = aligned(hops * tiles * LANES * bins)
    enough = np.empty((hops, rows, len(plan.design.looks)), bool)
    said, amplitude = (np.empty((n, hops if bins_told else 0, rows, bins)) for n in (3, 1))
    strongest, most = np.empty((hops, rows, len(bands))), np.empty((3, hops, rows))
    moved = tuple(np.empty(part.shape, part.dtype) for part in memory)
    gain = plan.tables.gain if weight is None else _float(plan.design.gain * weight)
    tables, out = (plan.tables, plan.rules, bands, gain), (said, amplitude, strongest, most)
    windows_, ends = (plan.windows, VALID_SHARE), (until, step, bins)

    def some(first: int, last: int) -> None:
        _later(feed, slice(LANES * first, LANES * last), tail)
        powers(*feed, ends, windows_, (power, enough), (first, last))
        look((power, enough), memory, moved, tables, out, (first, last))

    share(some, tiles, COST * hops * rows * bins)
    parts = [*said, amplitude[0]] if bins_told else [None] * 4
    return Found._make([*parts, strongest, most]), tail, moved
