"""Which bins of some seconds of a bank are told, of which rows, and as their sensors show them."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from operators.kernels import Found, Told
from operators.kernels.reference import strongest
from operators.oscillations import OscillationState
from pipeline.engine_state import ArrayDevice
from pipeline.oscillation_state import Feed, Look

__all__ = ["Run", "Teller"]


@dataclasses.dataclass
class Run:
    """Some seconds of one bank; (row, time) each."""

    due: list[int]
    """Seconds that ended a hop."""
    hop: int
    """Samples of one."""
    before: OscillationState
    """Of the bank, before these seconds."""
    new: tuple[Any, Any]
    """The samples of these seconds."""
    looks: dict[int, Look]

    @property
    def old(self) -> tuple[Any, Any]:
        """The samples before, and which of them were measured."""
        return self.before.tail_w, self.before.tail_valid

    @functools.cached_property
    def joined(self) -> tuple[Any, Any]:
        """Both, one after the other; put together when it is asked for."""
        if not self.due:
            return self.old
        xp = array_namespace(self.new[0])
        x_w, valid = (xp.concat(list(p), axis=1) for p in zip(self.old, self.new, strict=True))
        return x_w, valid

    def until(self, k: int) -> tuple[Any, Any]:
        """All that there is up to the end of second ``k``."""
        later = sum(second > k for second in self.due)
        end = self.joined[0].shape[1] - later * self.hop
        return self.joined[0][:, :end], self.joined[1][:, :end]

    def newest(self, k: int, count: int) -> tuple[Any, Any]:
        """At least ``count`` samples up to the end of second ``k``, if there are so many."""
        end = self.new[0].shape[1] - sum(second > k for second in self.due) * self.hop
        missing = max(count - end, 0)
        if not missing:
            return self.new[0][:, end - count : end], self.new[1][:, end - count : end]
        xp = array_namespace(self.new[0])
        x_w, valid = (
            xp.concat([old[:, -missing:], new[:, :end]], axis=1)
            for old, new in zip(self.old, self.new, strict=True)
        )
        return x_w, valid


class Teller:
    """Looks of all banks of a site, and their bins where they are worth it."""

    def __init__(
        self,
        feeds: tuple[Feed, ...],
        responses: list[list[tuple[Any, Any, Any]] | None],
        device: ArrayDevice,
    ) -> None:
        self._feeds, self._responses, self._device = feeds, responses, device
        self._kernels, self._heard = device.kernels(), [_heard(feed) for feed in feeds]

    def looks(self, number: int, place: int, found: Found) -> list[Look]:
        """One look a hop, as the sensors show it; whether anything in it can stand out."""
        feed, home, response = self._feeds[number], self._device.download, self._responses[number]
        stands = (home(found.most) >= 1) & self._heard[number][:, None]
        strongest_w = home(found.strongest_w)
        said: Any = [[None] * stands.shape[1]] * 4
        rows: Any = np.flatnonzero(stands.any(axis=(0, 1)))
        if found.now is not None:
            said, rows = self._scaled(number, place, found, slice(None)), slice(None)
            if response is not None and response[place][2] is None:
                strongest_w = strongest(said[3], Told(bands=feed.banks[place].bands))
        return [
            Look._make((number, place, *says, rows, not stands[:, k].any()))
            for k, says in enumerate(zip(*said, strongest_w, strict=True))
        ]

    def _scaled(self, number: int, place: int, found: Found, rows: Any) -> list[Any]:
        """Now, lasting, votes and amplitude of some rows, on the host, as sensors show them."""
        said = [self._device.download(part) for part in found[:4]]
        response = self._responses[number]
        if response is None:
            return said
        trusted, correction, _ = response[place]
        factors = (*(trusted,) * 3, correction)
        return [
            part if factor is None else part * (factor if len(factor) == 1 else factor[rows])
            for part, factor in zip(said, factors, strict=True)
        ]

    def tell(self, number: int, runs: list[Run]) -> None:
        """Bins of rows that stand out anywhere, in every bank, where they are not told yet."""
        looks = [look for run in runs for look in run.looks.values()]
        rows = [look.rows for look in looks if not isinstance(look.rows, slice)]
        some = np.unique(np.concatenate([*rows, np.zeros(0, np.int64)]))
        for place, run in enumerate(runs):
            if len(some) and run.due and run.looks[run.due[0]].now is None:
                self._tell_rows(number, place, run, some)

    def _tell_rows(self, number: int, place: int, run: Run, rows: Any) -> None:
        feed, at = self._feeds[number], self._device.upload(rows)
        (x, v), *memory, until_hop = run.new, *run.before
        state = OscillationState._make([*(part[at] for part in memory), until_hop])
        found, _ = self._kernels.periodogram(x[at], v[at], state, plan=feed.banks[place].plan)
        said = self._scaled(number, place, found, rows)
        told = [np.empty((len(run.due), len(feed.nodes), part.shape[2])) for part in said]
        for part, whole in zip(said, told, strict=True):
            whole[:, rows] = part
        for n, k in enumerate(run.due):
            now, lasting, votes, amplitude_w = (part[n] for part in told)
            run.looks[k] = run.looks[k]._replace(
                now=now, lasting=lasting, votes=votes, amplitude_w=amplitude_w, rows=rows
            )


def _heard(feed: Feed) -> Any:
    """Which of now, lasting and votes of a row may open something; (3, row)."""
    heard = np.ones((3, len(feed.nodes)), bool)
    heard[1], heard[2] = feed.wide, False
    heard[2, feed.leaves] = True
    return heard
