"""Sinusoids of known strength in white noise: found or not, and how soon, beside the bounds."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from pipeline.device import CPU
from pipeline.spectra import Spectra
from replay.suite import bounds, intervals, yardsticks
from replay.suite.backgrounds import Noise
from replay.suite.case import Case, Setup
from replay.suite.drive import Run, drive
from replay.suite.recompute_tones import sum_ratios, tone_ratios, tone_rows
from replay.suite.rows import Goal, Row, counts_of, share_row
from replay.suite.scene import METER_NOISE_SHARE, T0_NS, Scene, nodes_named
from replay.suite.sites import RACK_HZ, grouping
from replay.truth import Truth
from schemas.units import NS_PER_S

__all__ = ["Detection", "Sequential"]

RACK_SIGMA_W = 4000.0
"""Large, so that no floor in shares of the site has a say: a tenth of a rack."""
_FREQ_SHARE = 0.05
_HOPS_S = 8.0
"""Onsets lie anywhere in the longest hop between two looks, and so in the shorter ones."""


class Tone(NamedTuple):
    """A sinusoid on all racks in phase; ``amplitude_w`` of their sum."""

    racks: Any
    amplitude_w: float
    freq_hz: float
    phase_rad: float
    onset_s: float
    end_s: float

    def added_w(self, t_s: Any) -> Any:
        """Power added to each of ``racks``; (rack, time) W, or 0 outside."""
        if t_s[-1] < self.onset_s or t_s[0] >= self.end_s:
            return 0.0
        inside = (t_s >= self.onset_s - 1e-6) & (t_s < self.end_s - 1e-6)
        angle = 2 * math.pi * self.freq_hz * (t_s - self.onset_s) + self.phase_rad
        each_w = inside * np.sin(angle) * (self.amplitude_w / len(self.racks))
        return np.broadcast_to(each_w, (len(self.racks), len(t_s)))


class _Tones(Case, frozen=True):
    """Sinusoids at the POI, one after another, frequencies at random and off any grid."""

    racks: int = 80
    trials: int = 100
    per_piece: int = 25
    rest_s: int = 120
    warm_s: int = 600
    longest_s: float = 40.0
    """The longest window at these frequencies."""
    freq_hz: tuple[float, float] = (0.3, 4.4)

    def sizes(self) -> tuple[float, ...]:
        """What the trials differ in."""
        raise NotImplementedError

    def shape(self, size: float) -> tuple[float, float]:
        """Amplitude (W) and length (s) of a sinusoid."""
        raise NotImplementedError

    def pieces(self) -> int:
        """``per_piece`` sinusoids each, sizes in turn."""
        return -(-self.trials * len(self.sizes()) // self.per_piece)

    def _apart_s(self) -> int:
        longest_s = max(self.shape(size)[1] for size in self.sizes())
        return math.ceil(longest_s) + self.rest_s

    def _seconds(self) -> int:
        return -(-(self.warm_s + self.per_piece * self._apart_s()) // 60) * 60

    def weight(self) -> float:
        """Samples of a piece."""
        return self._seconds() * (self.racks + 1) * 10.0

    def density_w2_per_hz(self) -> float:
        """Two-sided power density of the POI's noise, W^2/Hz."""
        meter_w = METER_NOISE_SHARE * grouping(self.racks).site_w
        return (self.racks * RACK_SIGMA_W**2 + meter_w**2) / RACK_HZ

    def work(self, setup: Setup, rng: np.random.Generator) -> Any:
        """One stretch: per sinusoid its size and how late it was found, if at all."""
        scene = Scene(Noise(self.racks, RACK_SIGMA_W, rng), self.racks, RACK_HZ, rng)
        sizes = rng.permutation(np.resize(self.sizes(), self.per_piece))
        tones = []
        for k, size in enumerate(sizes):
            swing_w, length_s = self.shape(float(size))
            onset_s = self.warm_s + k * self._apart_s() + float(rng.uniform(0, _HOPS_S))
            tones.append(
                Tone(
                    np.arange(self.racks),
                    swing_w,
                    float(rng.uniform(*self.freq_hz)),
                    float(rng.uniform(0, 2 * math.pi)),
                    onset_s,
                    onset_s + length_s,
                )
            )
        scene.injections += tones
        truths = [_truth(scene.site_id, tone) for tone in tones]
        run = drive(scene, self._seconds(), setup.maker(scene.layout, setup.detect, truths))
        late = [_found_s(run, truth) for truth in truths]
        alarms_s, spectra = yardsticks.rms(run.node_w[0]), Spectra(scene.layout, setup.detect, CPU)
        return {
            "trials": [(float(s), *x) for s, x in zip(sizes, late, strict=True)],
            "RMS": [
                yardsticks.first_after(alarms_s, t.onset_s, t.end_s - t.onset_s) for t in tones
            ],
            "tones": tone_ratios(run, nodes_named(self.racks)),
            "sums": sum_ratios(run, nodes_named(self.racks), spectra),
            "pfa": spectra.pfa,
            "others": len(run.events) - sum(x[0] is not None for x in late),
            "days": self._seconds() / 86_400,
        }

    def again(self, done: list[Any]) -> list[Row]:
        """What opened the oscillations, computed once more."""
        tones, sums = ([x for one in done for x in one[key]] for key in ("tones", "sums"))
        return tone_rows(self.name, tones, sums)

    def yardstick(self, done: list[Any]) -> Row:
        """The RMS detector on the same sinusoids, and in what it is beaten."""
        ours = [(x[1], r) for one in done for x, r in zip(one["trials"], one["RMS"], strict=True)]
        seen = [r for _x, r in ours if r is not None]
        hits = sum(x is not None for x, _r in ours)
        both = [(x, r) for x, r in ours if x is not None and r is not None]
        sooner = sum(x < r for x, r in both)
        note = (
            f"share {'beaten' if hits > len(seen) else 'not beaten'}, "
            f"ours sooner in {sooner} of {len(both)} that both found"
        )
        return share_row(
            self.name, "sinusoids found, all sizes", (len(seen), len(ours)), None, note=note,
            detector="RMS", counts=counts_of([r is not None for _x, r in ours], seen, 0, 0.0),
        )  # fmt: skip


class Detection(_Tones, frozen=True, tag="tone-detection"):
    """
    Share of sinusoids found, by lambda in the longest window, beside the bound for known noise.

    Each lasts as long as the longest window: what is found is found with that lambda or less. The
    bound knows frequency and noise, at the false alarms that the budget gives one bin's test.
    """

    strengths: tuple[float, ...] = (15.0, 20.0, 30.0, 40.0, 60.0)
    judged_at: float = 60.0
    least: float | None = 0.9

    def sizes(self) -> tuple[float, ...]:
        """Lambdas."""
        return self.strengths

    def shape(self, size: float) -> tuple[float, float]:
        """The amplitude with this lambda in the longest window."""
        swing_w = bounds.amplitude_w(size, self.density_w2_per_hz(), self.longest_s)
        return swing_w, self.longest_s

    def rows(self, done: list[Any]) -> list[Row]:
        """One row a lambda, the bound in its note."""
        rows, pfa = [], done[0]["pfa"]
        for size in self.strengths:
            trials = [x for one in done for x in one["trials"] if x[0] == size]
            late = [x[1] for x in trials if x[1] is not None]
            bound = bounds.detected(size, pfa)
            rows.append(
                share_row(
                    self.name,
                    f"sinusoids found at lambda {size:g}",
                    (len(late), len(trials)),
                    self.least if size == self.judged_at else None,
                    note=f"bound {bound:.3f} (known noise and frequency, {pfa:.2g})",
                    counts=counts_of([x[1] is not None for x in trials], late, 0, 0.0),
                )
            )
        return [*rows, *self.again(done), self.yardstick(done)]


class Sequential(_Tones, frozen=True, tag="tone-delay"):
    """
    Delay of sinusoids that lie wholly in the future, over Lorden's bound, at ``bounds_s``.

    A size is a bound in seconds: the amplitude follows from it.
    """

    bounds_s: tuple[float, ...] = (5.0, 15.0, 40.0)
    false_alarms_per_day: float = 0.054
    """What the budget gives the oscillations of one of the site's five nodes."""
    limit: float | None = 1.6

    def sizes(self) -> tuple[float, ...]:
        """Bounds, s."""
        return self.bounds_s

    def _run_length(self) -> float:
        """Mean samples between a node's false alarms."""
        return 86_400 * RACK_HZ / self.false_alarms_per_day

    def shape(self, size: float) -> tuple[float, float]:
        """The amplitude whose bound is ``size``; six times as long as that, a minute at least."""
        swing_w = bounds.swing_w(size, self.density_w2_per_hz(), self._run_length())
        return swing_w, max(6 * size, 60.0)

    def rows(self, done: list[Any]) -> list[Row]:
        """Mean delay over the bound, one row a size; what was not found counts with its length."""
        rows = []
        for size in self.bounds_s:
            trials = [x for one in done for x in one["trials"] if x[0] == size]
            length_s = self.shape(size)[1]
            late = [length_s if x[1] is None else x[1] for x in trials]
            low, high = intervals.mean(np.array(late) / size)
            found = [x[1] is not None for x in trials]
            rows.append(
                Row(
                    case=self.name,
                    what=f"delay of a sinusoid / bound of {size:g} s",
                    figure=float(np.mean(late)) / size,
                    trials=len(late),
                    low=low,
                    high=high,
                    goal=None if self.limit is None else Goal(self.limit),
                    note=f"found {sum(found)}/{len(found)}",
                    counts=counts_of(found, [x[1] for x in trials if x[1] is not None], 0, 0.0),
                )
            )
        return [*rows, *self.again(done), self.yardstick(done)]


def _truth(site_id: str, tone: Tone) -> Truth:
    onset_ns, end_ns = (T0_NS + round(t * NS_PER_S) for t in (tone.onset_s, tone.end_s))
    return Truth(
        kind="oscillation", site_id=site_id, node_id="poi", onset_ns=onset_ns, end_ns=end_ns,
        amplitude_w=tone.amplitude_w, freq_hz=tone.freq_hz,
    )  # fmt: skip


def _found_s(run: Run, truth: Truth) -> tuple[float | None, float | None]:
    """Delay of the first oscillation of the right frequency; how far off that was, Hz."""
    freq_hz = truth.freq_hz or math.nan
    for event in run.events:
        if event.kind != "oscillation" or event.freq_hz is None:
            continue
        near = abs(event.freq_hz / freq_hz - 1) <= _FREQ_SHARE
        if near and truth.onset_ns <= event.opened_ns <= truth.end_ns + 2 * NS_PER_S:
            return (event.opened_ns - truth.onset_ns) / NS_PER_S, event.freq_hz - freq_hz
    return None, None
