"""The newest seconds of many rows: whole grid seconds, each kept as it came."""

from __future__ import annotations

from typing import Any, NamedTuple

from operators._arrays import namespace
from operators.ramps import RampState

__all__ = ["LEAF_S", "Ticks", "forget", "later", "newest", "recent", "whole_seconds"]

LEAF_S = 20
"""How far back the leaves of an oscillation are looked at."""


class Ticks(NamedTuple):
    """
    Channels' tick means or nodes' ways in one grid second, or the part that has come; never
    written to.

    A frame of 10,000 racks is added to a history without moving the seconds before it.
    """

    x_w: Any
    """(row, time), W"""
    ok: Any
    """What was measured; (row, time)."""


def newest(history: list[Ticks], ticks: int) -> RampState:
    """The newest so many ticks in one piece; a single second is itself."""
    parts: list[Ticks] = []
    have = 0
    for part in reversed(history):
        spare = max(have + part.x_w.shape[1] - ticks, 0)
        parts.insert(0, Ticks(*(a[:, spare:] for a in part)) if spare else part)
        have += part.x_w.shape[1]
        if have >= ticks:
            break
    if len(parts) == 1 and have == ticks:
        return RampState(*parts[0])
    xp = namespace(parts[0].x_w)
    return RampState(*(xp.concat(list(arrays), axis=1) for arrays in zip(*parts, strict=True)))


def whole_seconds(history: list[Ticks], per_s: int, count: int, ahead: int) -> list[Ticks]:
    """The newest grid seconds that have come, so many at most, but for the last ``ahead``."""
    whole = [part for part in history if part.x_w.shape[1] == per_s]
    last = max(len(whole) - ahead, 0)
    return whole[max(last - count, 0) : last]


def recent(history: list[Ticks], per_s: int, depth: int) -> list[Ticks]:
    """
    Drop the seconds that ``depth`` ticks do not reach.

    What stands for the time before the first tick is longer than a second until it is dropped, and
    then goes as one: ``depth`` is a second more than will be asked for.
    """
    spare, first = sum(part.x_w.shape[1] for part in history) - depth, 0
    while spare >= history[first].x_w.shape[1]:
        spare -= history[first].x_w.shape[1]
        first += 1
    oldest, rest = history[first], history[first + 1 :]
    left = oldest.x_w.shape[1] - max(spare, 0)
    if oldest.x_w.shape[1] <= per_s:
        return [oldest, *rest]
    return [Ticks(*(a[:, -left:] for a in oldest)), *rest] if left > per_s else rest


def later(history: list[Ticks], new: Ticks, per_s: int) -> list[Ticks]:
    """
    Add a block, part of a second or whole ones.

    Seconds are cut at the grid, so that a history does not depend on how the stream was.
    """
    xp, ticks = namespace(new.x_w), new.x_w.shape[1]
    if ticks > per_s:
        seconds = [Ticks(*(a[:, k : k + per_s] for a in new)) for k in range(0, ticks, per_s)]
    elif history and history[-1].x_w.shape[1] < per_s:
        open_ = history[-1]
        history = history[:-1]
        seconds = [Ticks(*(xp.concat(list(pair), axis=1) for pair in zip(open_, new, strict=True)))]
    else:
        seconds = [new]
    return [*history, *seconds]


def forget(history: list[Ticks], kept: Any) -> list[Ticks]:
    """The same ticks, with nothing measured where ``kept`` (channel, 1) is False."""
    return [Ticks(part.x_w, part.ok & kept) for part in history]
