"""How the leaves fall together, on the CPU: one pass over a minute of each leaf."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ._compiled import b1, compiled, f8, i8, inner, read, u8

__all__ = ["moves", "peaks"]

_1, _4 = np.uint64(1), np.uint64(4)
_SIZE = 0x7FFFFFFFFFFFFFFF
LEAVES = 64
"""Sums over leaves are sums of so many, added up: exact enough, and in one order."""
_PAST = types.Tuple((read(f8, 2), read(b1, 2)))


@inner
def _greatest(bits: Any) -> Any:
    """The greatest bits, which are in the order of sizes; nothing is below zero."""
    top = i8(0)
    for t in range(len(bits)):
        top = max(top, bits[t] & _SIZE)
    return top


@inner
def _changes(past: Any, new: Any, leaf: Any, d_w: Any) -> None:
    """Changes from one measured second to the next, else zero."""
    (tail_w, known), last = past, np.uint64(len(d_w)) - _1
    for t in range(last):
        moved_w = tail_w[leaf, t + _1] - tail_w[leaf, t]
        d_w[t] = moved_w if known[leaf, t + _1] & known[leaf, t] else 0.0
    both = known[leaf, last] & new[1][leaf, 0]
    d_w[last] = new[0][leaf, 0] - tail_w[leaf, last] if both else 0.0


@inner
def _sums(d_w: Any, four: Any) -> None:
    """Sum of squares and of sizes in four interleaved parts each; (2, 4)."""
    four[:, :] = 0.0
    whole = np.uint64(len(d_w)) // _4
    for q in range(whole):
        for k in range(_4):
            d = d_w[_4 * q + k]
            four[0, k] += d * d
            four[1, k] += abs(d)
    for t in range(_4 * whole, np.uint64(len(d_w))):
        four[0, 0] += d_w[t] * d_w[t]
        four[1, 0] += abs(d_w[t])


@compiled(types.void(_PAST, _PAST, f8[::1], f8[::1]))
def moves(past: Any, new: Any, together_w: Any, found: Any) -> None:
    """
    Sums over the leaves of a window's changes.

    ``past``: seconds of each leaf (leaf, time) and which were measured; ``new`` one more.
    ``together_w`` (time,): their changes added up. ``found``: sum of the greatest, of squares, of
    sizes, of squared sizes, and how many leaves moved.
    """
    tail_w = past[0]
    d_w, top = np.empty(tail_w.shape[1]), np.zeros(1)
    part_w, part = np.zeros(len(d_w)), np.zeros(5)
    four = np.zeros((2, 4))
    together_w[:], found[:] = 0.0, 0.0
    for leaf in range(u8(tail_w.shape[0])):
        _changes(past, new, leaf, d_w)
        for t in range(len(d_w)):
            part_w[t] += d_w[t]
        top.view(i8)[0] = _greatest(d_w.view(i8))
        _sums(d_w, four)
        own_w2 = (four[0, 0] + four[0, 1]) + (four[0, 2] + four[0, 3])
        total_w = (four[1, 0] + four[1, 1]) + (four[1, 2] + four[1, 3])
        part[0] += top[0]
        part[1] += own_w2
        part[2] += total_w
        part[3] += total_w * total_w
        part[4] += own_w2 > 0
        if leaf % u8(LEAVES) == u8(LEAVES - 1) or leaf == u8(tail_w.shape[0] - 1):
            together_w += part_w
            found += part
            part_w[:], part[:] = 0.0, 0.0


@compiled(types.void(_PAST, _PAST, f8[:, ::1], b1[:, ::1], f8[::1]))
def peaks(past: Any, new: Any, tail_w: Any, known: Any, found: Any) -> None:
    """
    One more second: the state moves into ``tail_w`` and ``known``.

    ``found``: greatest sum of the leaves within the window, at least 0; sum of their greatest.
    """
    old_w, length = past[0], u8(past[0].shape[1])
    total_w, part_w = np.zeros(past[0].shape[1] + 1), np.zeros(past[0].shape[1] + 1)
    apart_w, rest_w = 0.0, 0.0
    for leaf in range(u8(old_w.shape[0])):
        now_w, most = new[0][leaf, 0] if new[1][leaf, 0] else 0.0, 0.0
        for t in range(length):
            part_w[t] += old_w[leaf, t]
        part_w[length] += now_w
        for t in range(length):
            most = max(most, old_w[leaf, t])
        rest_w += max(most, now_w)
        for t in range(length - _1):
            tail_w[leaf, t] = old_w[leaf, t + _1]
        for t in range(length - _1):
            known[leaf, t] = past[1][leaf, t + _1]
        tail_w[leaf, length - _1], known[leaf, length - _1] = now_w, new[1][leaf, 0]
        if leaf % u8(LEAVES) == u8(LEAVES - 1) or leaf == u8(old_w.shape[0] - 1):
            total_w += part_w
            apart_w += rest_w
            part_w[:], rest_w = 0.0, 0.0
    found[0], found[1] = max(total_w.max(), 0.0), apart_w
