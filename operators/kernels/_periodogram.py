"""`oscillations.periodogram` on the CPU: FFTs of all hops at once, then one pass over each row."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from operators import _check
from operators._oscillation_design import NARROW, OscillationDesign
from operators._oscillation_plan import CAP
from operators.oscillations import (
    CLIP,
    FROZEN,
    FULL,
    KEEP,
    KEEP_MEAN,
    LINE,
    VALID_SHARE,
    OscillationState,
)

from . import Found
from ._spectra import look, powers, tapered
from ._tables import Memory, Rules, Tables, Work, work

__all__ = ["Plan", "periodogram", "plan"]

_EULER = 0.5772156649015329


class Plan(NamedTuple):
    """A design, laid out for the kernel."""

    design: OscillationDesign
    tapers: list[Any]
    tables: Tables
    rules: Rules
    work: Work


def plan(design: OscillationDesign, _like: Any) -> Plan:
    """Lay a design out; the CPU's counterpart of `oscillations.to_namespace`."""
    wide, places = design.wide, [0, *(one.place.stop for one in design.looks)]
    edges = np.stack([wide.low, wide.inner_low, wide.inner_high, wide.high])
    cuts = np.unique(np.concatenate([[0], edges.ravel()]))
    whole = np.isfinite(wide.offset)
    tables = Tables(
        _int(places), _int(design.narrow[0]), _int(design.narrow[1]), _float(design.narrow[2]),
        _int(cuts), _int(np.searchsorted(cuts, edges)),
        _float(wide.weight), _float(wide.offset),
        _float(np.where(whole, CAP * np.exp(_EULER), np.inf)), _int(wide.block_of),
        _float(design.tested), _float(design.gain), _float(design.tested / design.height),
        _float(design.drift[0]), _float(design.drift[1]),
        np.ascontiguousarray(design.memory, dtype=np.int64), _float(design.bars),
    )  # fmt: skip
    tiny = float(np.sqrt(np.finfo(np.float64).smallest_normal))
    gain = KEEP / KEEP_MEAN
    full, reach = FULL * design.height, np.uint64(NARROW)
    rules = Rules(LINE, FROZEN, KEEP, gain, CLIP, full, tiny, reach)
    room = work(max(len(design.freq_hz), len(cuts)))
    return Plan(design, [_float(one.taper) for one in design.looks], tables, rules, room)


def _int(values: Any) -> Any:
    return np.ascontiguousarray(values, dtype=np.uint64)


def _float(values: Any) -> Any:
    return np.ascontiguousarray(values, dtype=np.float64)


def periodogram(
    x_w: Any, valid: Any, state: OscillationState, *, plan: Plan
) -> tuple[Found, OscillationState]:
    """As `oscillations.periodogram`, with the greatest of each row and hop."""
    _check.match(valid, x_w.shape, name="valid")
    design, n_time = plan.design, x_w.shape[1]
    if not n_time:
        return _hops(state.tail_w, state.tail_valid, (0, 0), (Memory(*state[2:5]), plan)), state
    joined = np.concatenate([state.tail_w, x_w], axis=1)
    known = np.concatenate([state.tail_valid, valid], axis=1)
    hops = max(0, (n_time - state.until_hop) // design.hop + 1)
    until_hop = state.until_hop - n_time + hops * design.hop
    memory = Memory(state.background_w2.copy(), state.sums.copy(), state.learned.copy())
    found = _hops(joined, known, (state.until_hop, hops), (memory, plan))
    tail = (
        np.ascontiguousarray(joined[:, n_time:]),
        np.ascontiguousarray(known[:, n_time:]),
    )
    return found, OscillationState(*tail, *memory, until_hop)


def _hops(joined: Any, known: Any, when: tuple[int, int], how: tuple[Memory, Plan]) -> Found:
    """All hops that end in ``joined``, the first ``when[0]`` samples after the state's tail."""
    (until, hops), (memory, plan), rows = when, how, joined.shape[0]
    design = plan.design
    out = np.empty((4, hops, rows, len(design.freq_hz)))
    most = np.zeros((3, hops, rows))
    if hops:
        enough = np.empty((hops, rows, len(design.looks)), bool)
        ends = (until + design.window + 1, design.hop, hops)
        for k, (one, taper) in enumerate(zip(design.looks, plan.tapers, strict=True)):
            moved_w, share = np.empty((hops, rows, one.samples)), np.empty((hops, rows))
            tapered(joined, known, taper, ends, moved_w, share)
            spectrum = np.fft.rfft(moved_w, n=2 * one.samples, axis=-1)
            powers(spectrum, one.first, (one.place.start, one.place.stop), out[3])
            enough[:, :, k] = share >= VALID_SHARE
        look(out, enough, memory, (plan.tables, plan.rules), plan.work, most)
    return Found(out[0], out[1], out[2], out[3], most)
