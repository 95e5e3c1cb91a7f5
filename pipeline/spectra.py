"""Spectra once a grid second: which rows are watched, at which rates, and what comes home."""

from __future__ import annotations

from typing import Any

import numpy as np

from operators import budget, decimation, oscillations
from pipeline.band_bins import bins_of_bands
from pipeline.bands import PoiBands
from pipeline.detect import DetectSettings
from pipeline.engine_state import ArrayDevice, EngineState
from pipeline.layout import SiteLayout
from pipeline.oscillation_state import Bank, Feed
from pipeline.sensors import Sensor, worst
from pipeline.spectral_runs import Runs
from schemas.events import SiteEvent

__all__ = ["Spectra"]

FASTEST_HZ, MEDIUM_HZ, SLOW_HZ = 240, 20, 2
"""Least rates of the series for windows up to 10 s, of 40 s, and of 80 to 640 s."""
MEDIUM = ((14.0, 55.0), (20.0, 55.0), (28.0, 15.0), (40.0, 15.0))
SLOW = ((80.0, 0.8), (160.0, 0.8), (640.0, 0.15))
SPARSE = ((40.0, oscillations.HIGHEST_HZ),)
"""Instead of the short windows where the rate is too low for them."""
MEDIUM_S, SLOW_S = 2, 8
FLAT = 0.35
"""Share of a slowed rate up to which its low-pass is flat."""
WIDE_LEAVES = 8
SAME = 0.04
"""Share of its frequency within which a bin shows an oscillation, beside two widths of a bin."""
CLUSTER = 5.0
"""
Bins and looks that one excursion of noise passes its threshold in: windows overlap from look to
look and with one another, bins lie half a bin apart. Measured in white noise (`docs/operators.md`).
The long windows, which see real power change slowly, do without.
"""
FAST_WEIGHT = 2.0
"""
Of a bin and look of windows up to 10 s in the budget, beside those of longer ones, which are twice
as many and show nothing of a line that is to be seen within ten seconds.
"""
ROWS_SHARE = 0.9
"""Of the oscillations' budget; the rest is for leaves that vote together."""


def _all(rows: slice) -> range:
    return range(rows.start, rows.stop)


def _divisor(rate: int, least: int) -> int:
    """The largest divisor of ``rate`` that leaves at least ``least`` a second."""
    return max(m for m in range(1, rate + 1) if rate % m == 0 and (m == 1 or rate // m >= least))


def _weight(hop_s: int) -> float:
    return FAST_WEIGHT if hop_s == 1 else 1.0


def _tests(banks: tuple[Bank, ...], *, weighed: bool = False) -> float:
    """Bins times looks a day of one row."""
    return sum(
        float(bank.plan.design.tested.sum())
        * (budget.DAY_S / bank.hop_s * (_weight(bank.hop_s) if weighed else 1.0))
        for bank in banks
    )


class Spectra:
    """The spectral stage of one site: feeds, each with a bank of windows for each hop."""

    def __init__(self, layout: SiteLayout, detect: DetectSettings, device: ArrayDevice) -> None:
        self.layout, self.detect, self.device = layout, detect, device
        self._kernels, self._vote = device.kernels(), 0.0
        groups = self._groups()
        share = budget.share(detect.false_alarms_per_day, "oscillation")
        leaves = len(layout.leaves)
        self.votes_least = max(detect.votes_least, round(detect.votes_share * leaves))
        banks = [self._banks(rate, 1e-9) for rate in groups]
        looks = [_tests(each) for each in banks]
        rows = [len(self._rows(*group)[0]) for group in groups.values()]
        weighed = [_tests(each, weighed=True) for each in banks]
        tests = sum(n * m for n, m in zip(rows, weighed, strict=True))
        self.pfa = budget.exceedance(ROWS_SHARE * share, tests / CLUSTER)
        together = budget.exceedance((1 - ROWS_SHARE) * share, sum(looks))
        self._vote = budget.votes_exceedance(together, leaves, self.votes_least)
        self.feeds = tuple(self._feed(rate, *group) for rate, group in groups.items())
        self.bands = PoiBands(layout, self.feeds)
        responses = [self._response(feed) for feed in self.feeds]
        self.seconds = Runs(layout, self.feeds, responses, device).seconds

    def _groups(self) -> dict[int, tuple[tuple[str, ...], tuple[int, ...]]]:
        """By rate: levels whose channels are watched (all of a small site), and nodes of sums."""
        layout = self.layout
        groups: dict[int, tuple[tuple[str, ...], tuple[int, ...]]] = {}
        for grid in layout.grids:
            if grid.stride == 1 and grid.rate >= 2 and (layout.small or grid.level != "rack"):
                levels, sums = groups.get(grid.rate, ((), ()))
                groups[grid.rate] = ((*levels, grid.level), sums)
        if layout.summed and layout.ticks_per_s >= 2 and layout.leaf_grid.stride == 1:
            levels, _ = groups.get(layout.ticks_per_s, ((), ()))
            groups[layout.ticks_per_s] = (levels, layout.summed)
        return groups

    def _rows(
        self, levels: tuple[str, ...], sums: tuple[int, ...]
    ) -> tuple[tuple[int, ...], tuple[str | None, ...]]:
        """Nodes and channels behind a feed's rows."""
        layout = self.layout
        rows = [row for level in levels for row in _all(layout.level_rows[level])]
        nodes = tuple(int(layout.channel_nodes[row]) for row in rows)
        names = tuple(layout.channel_ids[row] for row in rows)
        return (*nodes, *sums), (*names, *(None for _ in sums))

    def _banks(self, rate: int, pfa: float) -> tuple[Bank, ...]:
        """Short windows at the full rate; longer ones on slower series, each made from the last."""
        like, rate_hz = self.device.upload(np.zeros(1)), rate
        banks: list[Bank] = []

        def add(rate: int, factor: int, windows: Any, hop_s: int) -> None:
            windows = tuple((s, min(hz, FLAT * rate) if factor > 1 else hz) for s, hz in windows)
            if factor * rate != rate and not windows:
                return
            vote = max(self._vote, 1e-12)
            try:
                chance = pfa * (_weight(hop_s) if hop_s < SLOW_S else 1 / CLUSTER)
                design = oscillations.design(
                    rate, windows=windows, hop_s=hop_s, pfa=chance, vote=vote
                )
            except ValueError:  # no window of these has bins at this rate
                return
            taps = self.device.upload(decimation.taps(factor))
            plan = self._kernels.spectral_plan(design, like)
            bands = bins_of_bands(design)
            banks.append(Bank(f"{rate_hz}:{hop_s}", float(rate), factor, taps, hop_s, plan, bands))

        first = rate // _divisor(rate, FASTEST_HZ)
        add(first, 1, oscillations.FAST, 1)
        if not banks or banks[0].plan.design.window < 10 * first:
            banks.clear()
            add(first, 1, SPARSE, 1)
            second = first
        else:
            second = first // _divisor(first, MEDIUM_HZ)
            add(second, first // second, MEDIUM, MEDIUM_S)
        if banks:
            third = second // _divisor(second, SLOW_HZ)
            add(third, second // third, SLOW, SLOW_S)
        return tuple(banks)

    def _feed(self, rate: int, levels: tuple[str, ...], sums: tuple[int, ...]) -> Feed:
        layout = self.layout
        nodes, names = self._rows(levels, sums)
        below = [layout.leaves_under(node) for node in nodes]
        mean_of = _divisor(rate, FASTEST_HZ)
        known = {layout.channel_ids[row] for row in layout.leaves}
        return Feed(
            f"{rate}", levels, sums, nodes, names,
            np.array([k for k, name in enumerate(names) if name in known], np.int64),
            np.array([len(rows) >= WIDE_LEAVES for rows in below]),
            tuple(self._sensor(names[k], below[k], mean_of / rate) for k in range(len(nodes))),
            mean_of, self._banks(rate, self.pfa),
        )  # fmt: skip

    def _sensor(self, name: str | None, leaves: Any, mean_s: float) -> Sensor:
        """Of a channel as its entry says; of a sum, the worst of its leaves."""
        entries = self.layout.sensors
        ids = [name] if name is not None else [self.layout.channel_ids[row] for row in leaves]
        found = worst([Sensor(*entries[i]) for i in ids if i in entries])
        return found._replace(averaging_s=max(found.averaging_s, mean_s if mean_s > 0.003 else 0))

    def start(self) -> dict[str, oscillations.OscillationState]:
        """The windows before the first sample."""
        return {
            bank.key: oscillations.start(
                self.device.upload(np.zeros((len(feed.nodes), 1))),
                design=bank.plan.design,
                until_hop=bank.plan.design.hop,
            )
            for feed in self.feeds
            for bank in feed.banks
        }

    def hush(self, state: EngineState, over: SiteEvent) -> None:
        """What an oscillation that is over has summed up is done with, and its harmonics' sums."""
        lines_hz = [over.freq_hz or 0.0]
        lines_hz += [line.order * lines_hz[0] for line in over.harmonics or ()]
        spectra = dict(state.spectra)
        for feed in self.feeds:
            for bank in feed.banks:
                design = bank.plan.design
                reach_hz = 2 * design.width_hz
                near = [np.abs(design.freq_hz - f) <= reach_hz + SAME * f for f in lines_hz]
                kept = self.device.upload(np.where(np.any(near, axis=0), 0, 1).astype(np.float32))
                sums = spectra[bank.key].sums * kept
                spectra[bank.key] = spectra[bank.key]._replace(sums=sums)
        state.spectra = spectra

    def _response(self, feed: Feed) -> list[tuple[Any, Any, Any]] | None:
        """
        By bank: bins that are no images (None: all), correction of amplitudes; None: as is.

        And that of every row, (bin,), where all are alike.
        """
        if all(sensor == Sensor() for sensor in feed.sensors):
            return None
        found = []
        for bank in feed.banks:
            freq_hz, kinds = bank.plan.design.freq_hz, set(feed.sensors)
            hears = {kind: (kind.trusted(freq_hz), kind.correction(freq_hz)) for kind in kinds}
            sensors = feed.sensors if len(kinds) > 1 else feed.sensors[:1]  # one row says it of all
            trusted, correction = (
                np.stack([hears[sensor][which] for sensor in sensors]) for which in range(2)
            )
            alike = correction[0] if (correction == correction[0]).all() else None
            found.append((None if trusted.all() else trusted.astype(float), correction, alike))
        return found
