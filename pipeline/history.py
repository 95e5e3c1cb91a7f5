"""The newest seconds of every channel's tick means: whole grid seconds, each kept as it came."""

from __future__ import annotations

from typing import Any, NamedTuple

from array_api_compat import array_namespace

from operators.ramps import RampState

__all__ = ["Ticks", "forget", "later", "newest"]


class Ticks(NamedTuple):
    """
    Tick means of one grid second, or of the part of it that has come; never written to.

    A frame of 10,000 racks is added to a history without moving the seconds before it.
    """

    mean_w: Any
    """(channel, time)"""
    ok: Any
    """What was measured; (channel, time)."""


def newest(history: list[Ticks], ticks: int) -> RampState:
    """The newest so many ticks in one piece; a single second is itself."""
    parts, have = [], 0
    for part in reversed(history):
        parts.append(part)
        have += part.mean_w.shape[1]
        if have >= ticks:
            break
    if len(parts) == 1 and have == ticks:
        return RampState(*parts[0])
    xp = array_namespace(parts[0].mean_w)
    found = (xp.concat(list(arrays), axis=1) for arrays in zip(*reversed(parts), strict=True))
    return RampState(*(xp.asarray(a[:, have - ticks :], copy=True) for a in found))


def later(history: list[Ticks], new: Ticks, per_s: int, depth: int) -> list[Ticks]:
    """
    Add a block, part of a second or whole ones; drop what ``depth`` ticks do not reach.

    Seconds are cut at the grid, so that a history does not depend on how the stream was.
    """
    xp, ticks = array_namespace(new.mean_w), new.mean_w.shape[1]
    if ticks > per_s:
        seconds = [Ticks(*(a[:, k : k + per_s] for a in new)) for k in range(0, ticks, per_s)]
    elif history and history[-1].mean_w.shape[1] < per_s:
        open_ = history[-1]
        history = history[:-1]
        seconds = [Ticks(*(xp.concat(list(pair), axis=1) for pair in zip(open_, new, strict=True)))]
    else:
        seconds = [new]
    found = [*history, *seconds]
    spare = sum(part.mean_w.shape[1] for part in found) - depth
    while spare >= found[0].mean_w.shape[1]:
        spare -= found[0].mean_w.shape[1]
        found = found[1:]
    return found


def forget(history: list[Ticks], kept: Any) -> list[Ticks]:
    """The same ticks, with nothing measured where ``kept`` (channel, 1) is False."""
    return [Ticks(part.mean_w, part.ok & kept) for part in history]
