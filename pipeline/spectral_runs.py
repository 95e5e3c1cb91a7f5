"""Some grid seconds of every feed at once: what comes in, bank after bank, and what comes home."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from operators._arrays import namespace, narrow, widen
from operators.kernels import Told
from pipeline.engine_state import ArrayDevice, EngineState
from pipeline.history import LEAF_S, whole_seconds
from pipeline.layout import SiteLayout
from pipeline.oscillation_state import Feed, Looks
from pipeline.spectral_bins import Run, Teller
from schemas.units import NS_PER_S

__all__ = ["Runs"]

SUM_SHARE = 0.5
"""A sum counts as measured while at least this share of its channels is."""


class Runs:
    """The feeds of one site at work."""

    def __init__(
        self,
        layout: SiteLayout,
        feeds: tuple[Feed, ...],
        responses: list[list[tuple[Any, Any, Any]] | None],
        device: ArrayDevice,
    ) -> None:
        self.layout, self.feeds, self.device = layout, feeds, device
        self._responses, self._kernels = responses, device.kernels()
        self._teller = Teller(feeds, responses, device)
        unwatched = not any(len(feed.leaves) for feed in feeds)
        self._keep = unwatched and layout.leaf_grid.per_tick > 1

    def seconds(
        self,
        state: EngineState,
        parts: dict[str, Any],
        whole: int,
        end_ns: int,
        *,
        bands: bool = True,
    ) -> Iterator[Looks]:
        """
        Some whole grid seconds of every feed, the last ending at ``end_ns``, one after the other.

        All at once while no oscillation is open. One that opens may close, and change what is
        remembered: from its second on they are computed singly, and ``state`` is at that second.
        ``bands``: the strongest line of each band is told in any case.
        """
        first_s, done = end_ns // NS_PER_S - whole + 1, 0
        while done < whole:
            before = state.spectra
            take = 1 if state.tone_track.open else whole - done
            here = _seconds_of(parts, done, take, whole)
            runs = self._runs(state, here, first_s + done, bands)
            for k in range(take):
                self._remember(state, here, (k, take))
                yield self._said(state, runs, k, whole - 1 - done - k)
                if state.tone_track.open and k + 1 < take:
                    take, state.spectra = k + 1, before
                    here = _seconds_of(parts, done, take, whole)
                    self._runs(state, here, first_s + done, False)
                    break
            done += take

    def _runs(
        self, state: EngineState, parts: dict[str, Any], first_s: int, bands: bool
    ) -> list[list[Run]]:
        """
        Every feed's run over some seconds; the state is then at their end.

        Bins are told where someone will read them: while something is open, and of rows that stand
        out, which is seen from the greatest of each row; these are computed once more.
        """
        told = "all" if state.tone_track.open else "bands" if bands else "most"
        spectra, feeds = dict(state.spectra), range(len(self.feeds))
        when = (first_s, parts["node_w"].shape[1] // self.layout.ticks_per_s)
        runs = [self._run(number, parts, spectra, when, told) for number in feeds]
        for number, of_feed in enumerate(runs):
            self._teller.tell(number, of_feed)
        state.spectra = spectra
        return runs

    def _said(self, state: EngineState, runs: list[list[Run]], k: int, ahead: int) -> Looks:
        due = [run.looks[k] for runs_of in runs for run in runs_of if k in run.looks]
        return Looks(
            tuple(due), self._windows(runs, k), self._leaves(state, ahead), self._measured(runs, k)
        )

    def _run(
        self,
        number: int,
        parts: dict[str, Any],
        spectra: dict[str, Any],
        when: tuple[int, int],
        told: str,
    ) -> list[Run]:
        """Some seconds of one feed: its banks one after the other, slower ones from faster ones."""
        feed, (first_s, whole) = self.feeds[number], when
        self._forget(feed, parts, spectra)
        x, v = self._input(feed, parts)
        runs: list[Run] = []
        for place, bank in enumerate(feed.banks):
            due = [k for k in range(whole) if (first_s + k) % bank.hop_s == 0]
            before, hop = spectra[bank.key], bank.plan.design.hop
            if not due:
                none = (before.tail_w[:, :0], before.tail_valid[:, :0])
                runs.append(Run([], hop, before, none, {}))
                continue
            if runs:
                count = len(due) * hop
                reach = bank.taps.shape[0] + bank.factor * (count - 1)
                slower = runs[-1].newest(due[-1], reach)
                x, v = self._kernels.newest(*slower, bank.taps, factor=bank.factor, count=count)
                x = narrow(x)
            asked = self._asked(number, place, told)
            found, spectra[bank.key] = self._kernels.periodogram(
                x, v, before, plan=bank.plan, told=asked
            )
            looks = dict(zip(due, self._teller.looks(number, place, found), strict=True))
            runs.append(Run(due, hop, before, (x, v), looks))
        return runs

    def _asked(self, number: int, place: int, told: str) -> Told:
        """Where what sensors leave of a line differs from row to row, bands are made of bins."""
        if told == "most":
            return Told(bins=False)
        response = self._responses[number]
        mixed = response is not None and response[place][2] is None
        weight = None if response is None else response[place][2]
        return Told(told == "all" or mixed, self.feeds[number].banks[place].bands, weight)

    def _input(self, feed: Feed, parts: dict[str, Any]) -> tuple[Any, Any]:
        """Some seconds of a feed's rows, (row, time) float32, W, and which were measured."""
        x = [parts[f"x:{level}"] for level in feed.levels]
        v = [parts[f"v:{level}"] for level in feed.levels]
        if feed.sums:
            rows = list(feed.sums)
            x, v = [*x, parts["node_w"][rows]], [*v, parts["share"][rows] >= SUM_SHARE]
        x_w, valid = (self.device.upload(np.concatenate(a) if a[1:] else a[0]) for a in (x, v))
        if feed.mean_of > 1:
            x_w, valid = self._kernels.frame_means(x_w, valid, samples_per_frame=feed.mean_of)
        return narrow(x_w), valid

    def _forget(self, feed: Feed, parts: dict[str, Any], spectra: dict[str, Any]) -> None:
        """After a reset nothing reaches across the gap."""
        rows = [parts["kept"][self.layout.level_rows[level]].all(axis=1) for level in feed.levels]
        kept = np.concatenate([*rows, np.ones(len(feed.sums), bool)])
        if kept.all():
            return
        for bank in feed.banks:
            tail = spectra[bank.key].tail_valid & self.device.upload(kept[:, None])
            spectra[bank.key] = spectra[bank.key]._replace(tail_valid=tail)

    def _remember(self, state: EngineState, parts: dict[str, Any], which: tuple[int, int]) -> None:
        """Keep the newest seconds of the leaves where neither a feed nor the history does."""
        if self._keep:
            x, (k, whole) = parts[f"x:{self.layout.leaf_grid.level}"], which
            rate = x.shape[1] // whole
            state.tone_track.leaves.append(narrow(x[:, k * rate : (k + 1) * rate]))
            del state.tone_track.leaves[:-LEAF_S]

    def _leaves(self, state: EngineState, ahead: int) -> Any:
        """Answers with the newest samples of the leaves before the last ``ahead`` seconds."""
        layout, rows = self.layout, slice(self.layout.leaves.start, self.layout.leaves.stop)

        def leaves(span_s: float) -> tuple[Any, float] | None:
            count = min(max(round(span_s), 1), LEAF_S)
            kept = state.tone_track.leaves[-count:]
            if not self._keep:
                past = whole_seconds(state.history, layout.ticks_per_s, count, ahead)
                kept = [part.x_w[rows] for part in past]
            if not kept:
                return None
            x_w = namespace(kept[0]).concat(kept, axis=1)
            return widen(self.device.upload(x_w)), float(layout.leaf_grid.rate)

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
            return widen(tail_w[rows, -count:]), valid[rows, -count:], bank.rate_hz

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
