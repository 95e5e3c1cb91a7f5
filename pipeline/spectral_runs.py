"""Some grid seconds of every feed at once: what comes in, bank after bank, and what comes home."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from operators.kernels import Found
from pipeline.engine_state import ArrayDevice, EngineState
from pipeline.layout import SiteLayout
from pipeline.oscillation_state import Feed, Look, Looks
from schemas.units import NS_PER_S

__all__ = ["Runs"]

SUM_SHARE = 0.5
"""A sum counts as measured while at least this share of its channels is."""
LEAF_S = 20


class Run(NamedTuple):
    """Some seconds of one bank."""

    due: list[int]
    """Seconds that ended a hop."""
    hop: int
    """Samples of one."""
    joined_w: Any
    valid: Any
    """What was before, and the samples of these seconds; (row, time)."""
    looks: dict[int, Look]

    def until(self, k: int) -> tuple[Any, Any]:
        """All that there is up to the end of second ``k``."""
        later = sum(second > k for second in self.due)
        end = self.joined_w.shape[1] - later * self.hop
        return self.joined_w[:, :end], self.valid[:, :end]


class Runs:
    """The feeds of one site at work."""

    def __init__(
        self,
        layout: SiteLayout,
        feeds: tuple[Feed, ...],
        responses: list[list[tuple[Any, Any]] | None],
        device: ArrayDevice,
    ) -> None:
        self.layout, self.feeds, self.device = layout, feeds, device
        self._responses, self._kernels = responses, device.kernels()
        self._keep = not any(len(feed.leaves) for feed in feeds)

    def seconds(
        self, state: EngineState, parts: dict[str, Any], whole: int, end_ns: int
    ) -> Iterator[Looks]:
        """
        Some whole grid seconds of every feed, the last ending at ``end_ns``, one after the other.

        All at once while no oscillation is open. One that opens may close, and change what is
        remembered: from its second on they are computed singly, and ``state`` is at that second.
        """
        first_s, done = end_ns // NS_PER_S - whole + 1, 0
        while done < whole:
            before = state.spectra
            take = 1 if state.tone_track.open else whole - done
            here = _seconds_of(parts, done, take, whole)
            runs = self._runs(state, here, first_s + done)
            for k in range(take):
                self._remember(state, here, (k, take))
                yield self._said(state, runs, k)
                if state.tone_track.open and k + 1 < take:
                    take, state.spectra = k + 1, before
                    self._runs(state, _seconds_of(parts, done, take, whole), first_s + done)
                    break
            done += take

    def _runs(self, state: EngineState, parts: dict[str, Any], first_s: int) -> list[list[Run]]:
        """Every feed's run over some seconds; the state is then at their end."""
        spectra = dict(state.spectra)
        when = (first_s, parts["node_w"].shape[1] // self.layout.ticks_per_s)
        runs = [self._run(number, parts, spectra, when) for number in range(len(self.feeds))]
        state.spectra = spectra
        return runs

    def _said(self, state: EngineState, runs: list[list[Run]], k: int) -> Looks:
        due = [run.looks[k] for runs_of in runs for run in runs_of if k in run.looks]
        return Looks(
            tuple(due), self._windows(runs, k), self._leaves(state), self._measured(runs, k)
        )

    def _run(
        self, number: int, parts: dict[str, Any], spectra: dict[str, Any], when: tuple[int, int]
    ) -> list[Run]:
        """Some seconds of one feed: its banks one after the other, slower ones from faster ones."""
        feed, (first_s, whole) = self.feeds[number], when
        self._forget(feed, parts, spectra)
        x, v = self._input(feed, parts)
        runs: list[Run] = []
        for place, bank in enumerate(feed.banks):
            due = [k for k in range(whole) if (first_s + k) % bank.hop_s == 0]
            before, hop = spectra[bank.key], bank.plan.design.hop
            if runs and due:
                slower = runs[-1].until(due[-1])
                x, v = self._kernels.newest(
                    *slower, bank.taps, factor=bank.factor, count=len(due) * hop
                )
            elif not due:
                x, v = before.tail_w[:, :0], before.tail_valid[:, :0]
            found, spectra[bank.key] = self._kernels.periodogram(x, v, before, plan=bank.plan)
            xp = array_namespace(x)
            joined = (
                (xp.concat([before.tail_w, x], axis=1), xp.concat([before.tail_valid, v], axis=1))
                if due
                else (before.tail_w, before.tail_valid)
            )
            looks = dict(zip(due, self._looks(number, place, found), strict=True))
            runs.append(Run(due, hop, *joined, looks))
        return runs

    def _input(self, feed: Feed, parts: dict[str, Any]) -> tuple[Any, Any]:
        """Some seconds of a feed's rows, (row, time) W, and which were measured."""
        x = [parts[f"x:{level}"] for level in feed.levels]
        v = [parts[f"v:{level}"] for level in feed.levels]
        if feed.sums:
            rows = list(feed.sums)
            x, v = [*x, parts["node_w"][rows]], [*v, parts["share"][rows] >= SUM_SHARE]
        whole = [self.device.upload(a[0] if len(a) == 1 else np.concatenate(a)) for a in (x, v)]
        if feed.mean_of == 1:
            return whole[0], whole[1]
        return self._kernels.frame_means(*whole, samples_per_frame=feed.mean_of)

    def _forget(self, feed: Feed, parts: dict[str, Any], spectra: dict[str, Any]) -> None:
        """After a reset nothing reaches across the gap."""
        rows = [parts["kept"][self.layout.level_rows[level]].all(axis=1) for level in feed.levels]
        kept = np.concatenate([*rows, np.ones(len(feed.sums), bool)])
        if kept.all():
            return
        for bank in feed.banks:
            tail = spectra[bank.key].tail_valid & self.device.upload(kept[:, None])
            spectra[bank.key] = spectra[bank.key]._replace(tail_valid=tail)

    def _looks(self, number: int, place: int, found: Found) -> list[Look]:
        """One look a hop, as the sensors show it; whether anything in it can stand out."""
        feed, home = self.feeds[number], self.device.download
        most = home(found.most)
        loud = most[0].max(axis=-1) >= 1
        if feed.wide.any():
            loud |= most[1][:, feed.wide].max(axis=-1) >= 1
        if len(feed.leaves):
            loud |= most[2][:, feed.leaves].max(axis=-1) >= 1
        now, lasting, votes, amplitude_w = (home(a) for a in found[:4])
        response = self._responses[number]
        if response is not None:
            trusted, correction = response[place]
            if trusted is not None:
                now, lasting, votes = now * trusted, lasting * trusted, votes * trusted
            amplitude_w = amplitude_w * correction
        return [
            Look(number, place, now[k], lasting[k], votes[k], amplitude_w[k], not loud[k])
            for k in range(len(now))
        ]

    def _remember(self, state: EngineState, parts: dict[str, Any], which: tuple[int, int]) -> None:
        """Keep the newest seconds of the leaves where no feed does."""
        if self._keep:
            x, (k, whole) = parts[f"x:{self.layout.leaf_grid.level}"], which
            rate = x.shape[1] // whole
            state.tone_track.leaves.append(x[:, k * rate : (k + 1) * rate])
            del state.tone_track.leaves[:-LEAF_S]

    def _leaves(self, state: EngineState) -> Any:
        def leaves(span_s: float) -> tuple[Any, float] | None:
            kept = state.tone_track.leaves[-max(round(span_s), 1) :]
            if not kept:
                return None
            return self.device.upload(np.concatenate(kept, axis=1)), float(
                self.layout.leaf_grid.rate
            )

        return leaves

    def _windows(self, runs: list[list[Run]], k: int) -> Any:
        def window(number: int, rows: Any, span_s: float) -> tuple[Any, Any, float]:
            banks = self.feeds[number].banks
            reach = [
                place for place, b in enumerate(banks) if b.plan.design.window >= span_s * b.rate_hz
            ]
            place = reach[0] if reach else len(banks) - 1
            bank, (tail_w, valid) = banks[place], runs[number][place].until(k)
            count = min(max(round(span_s * bank.rate_hz), 8), bank.plan.design.window) + 1
            return tail_w[rows, -count:], valid[rows, -count:], bank.rate_hz

        return window

    def _measured(self, runs: list[list[Run]], k: int) -> Any:
        def measured(number: int, place: int, row: int) -> float:
            _, valid = runs[number][place].until(k)
            longest = self.feeds[number].banks[place].plan.design.window + 1
            return float(self.device.download(valid[row : row + 1, -longest:]).mean())

        return measured


def _seconds_of(parts: dict[str, Any], first: int, take: int, whole: int) -> dict[str, Any]:
    """Some of the whole seconds; what was reset, was so before the first of all."""
    if take == whole:
        return parts
    found = {}
    for name, values in parts.items():
        each = values.shape[1] // whole if name != "kept" else 1
        found[name] = values[:, first * each : (first + take) * each] if name != "kept" else values
    return found if first == 0 else {**found, "kept": parts["kept"] | True}
