"""How late a step is seen, beside the known-shift CUSUM on the same samples."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from operators import budget
from replay.injections import Move
from replay.suite import cusum, intervals
from replay.suite.backgrounds import Background, Noise, Serving
from replay.suite.case import Case, Setup
from replay.suite.drive import Run, drive
from replay.suite.rows import Goal, Row, counts_of
from replay.suite.scene import METER_NOISE_SHARE, T0_NS, Scene
from replay.suite.sites import RACK_HZ, grouping, layout_of
from replay.suite.whitening import Whitener, burg, whitened
from replay.truth import Truth
from schemas.events import family
from schemas.units import NS_PER_S

__all__ = ["Delays"]

_DAY_SAMPLES = 86_400 * RACK_HZ
_BLOCK = 60 * RACK_HZ
_STEEP_S = 0.01
RACK_SIGMA_W = 4000.0
"""Large, so that no floor in shares of the site has a say: a tenth of a rack."""


class Bound(NamedTuple):
    """The CUSUM for one size: its step in W, the innovations it makes, its threshold."""

    step_w: float
    signature: Any
    threshold: float


class _Step(NamedTuple):
    """One step of the POI, ``pick`` of the sizes."""

    onset_s: float
    step_w: float
    pick: int

    def move(self, racks: int) -> Move:
        """What the scene adds: whole at the onset's sample."""
        start_s = np.full(racks, self.onset_s - _STEEP_S)
        each_w = self.step_w / racks
        return Move(np.arange(racks), float(start_s[0]), _STEEP_S, each_w, _STEEP_S, start_s, True)


class Delays(Case, frozen=True, tag="delays"):
    """
    Steps of ``sizes`` sigma at the POI, spread over all racks; up and down in turn.

    The CUSUM knows the size and sees the suite's own whitened series of the POI; its threshold is
    for the false alarms that the budget gives the POI. A step not seen within ``wait_s`` counts
    as seen then, and is a miss.
    """

    background: Literal["gaussian", "real"] = "gaussian"
    racks: int = 80
    sizes: tuple[float, ...] = (1.0, 2.0, 4.0)
    size_in: Literal["shift", "innovations"] = "shift"
    """Sigma of which: the lasting shift of the whitened series, or the step itself."""
    trials: int = 200
    per_piece: int = 60
    apart_s: int = 420
    wait_s: int = 60
    warm_s: int = 900
    calibration_h: float = 24.0
    limit: float | None = None

    def pieces(self) -> int:
        """``per_piece`` steps each, sizes mixed."""
        return -(-self.trials * len(self.sizes) // self.per_piece)

    def _seconds(self) -> int:
        return -(-(self.warm_s + self.per_piece * self.apart_s + self.wait_s) // 60) * 60

    def weight(self) -> float:
        """Samples of a piece."""
        return self._seconds() * (self.racks + 1) * 10.0

    def _scene(self, rng: np.random.Generator) -> Scene:
        draws: Background = (
            Noise(self.racks, RACK_SIGMA_W, rng)
            if self.background == "gaussian"
            else Serving(self.racks, rng)
        )
        return Scene(draws, self.racks, RACK_HZ, rng)

    def work(self, setup: Setup, rng: np.random.Generator) -> Any:
        """One stretch of steps: per step its size, our delay, the CUSUM's."""
        rate = false_alarms_per_sample(setup, self.racks)
        whitener, bounds = self._bounds(rate, rng)
        scene = self._scene(rng)
        steps = self._steps(bounds, rng)
        scene.injections += [step.move(self.racks) for step in steps]
        truths = [_truth(scene.site_id, step.onset_s, step.step_w) for step in steps]
        run = drive(scene, self._seconds(), setup.maker(scene.layout, setup.detect, truths))
        z = self._innovations(run.node_w[0] - _added_w(steps, run.seconds), whitener)
        return [
            (
                self.sizes[step.pick],
                _seen_s(run, truth.onset_ns, self.wait_s),
                self._best_s(z, step, bounds[step.pick]),
            )
            for step, truth in zip(steps, truths, strict=True)
        ]

    def _steps(self, bounds: list[Bound], rng: np.random.Generator) -> list[_Step]:
        """Up and down in turn: each step is taken back by the next, sizes at random."""
        pairs = rng.permutation(np.resize(np.arange(len(bounds)), -(-self.per_piece // 2)))
        steps = []
        for k in range(self.per_piece):
            pick = int(pairs[k // 2])
            onset_s = self.warm_s + self.apart_s * k + int(rng.integers(600)) / RACK_HZ
            step_w = bounds[pick].step_w if k % 2 == 0 else -bounds[pick].step_w
            steps.append(_Step(onset_s, step_w, pick))
        return steps

    def _innovations(self, power_w: Any, whitener: Whitener) -> Any:
        """The POI without the steps, whitened: about its level where that is known."""
        if self.background == "real":
            return whitened(power_w, whitener, RACK_HZ)
        return (power_w - grouping(self.racks).site_w) / whitener.sigma_w

    def _best_s(self, z: Any, step: _Step, bound: Bound) -> float | None:
        """The CUSUM's delay; it has been running for two minutes when the step comes."""
        first, before = round(step.onset_s * RACK_HZ), 120 * RACK_HZ
        span = z[first - before : first + self.wait_s * RACK_HZ] * np.sign(step.step_w)
        signature = bound.signature
        span[before:] += signature[np.minimum(np.arange(len(span) - before), len(signature) - 1)]
        after = cusum.statistic(span, signature)[before:]
        samples = int(cusum.alarm_after(after, bound.threshold))
        return samples / RACK_HZ if samples else None

    def _bounds(self, rate: float, rng: np.random.Generator) -> tuple[Whitener, list[Bound]]:
        """Whitener of the POI and the CUSUM of each size, at ``rate`` false alarms a sample."""
        if self.background == "gaussian":
            meter_w = METER_NOISE_SHARE * grouping(self.racks).site_w
            known = Whitener(np.ones(1), float(np.hypot(self.racks**0.5 * RACK_SIGMA_W, meter_w)))
            return known, [
                Bound(
                    size * known.sigma_w, np.array([size]), cusum.gaussian_threshold(size, 1 / rate)
                )
                for size in self.sizes
            ]
        quiet = self._scene(rng)
        for _ in quiet.blocks(round(self.calibration_h * 60) * 60, 60):
            pass
        poi_w = quiet.node_w[0]
        whitener = burg(poi_w)
        z = whitened(poi_w, whitener, RACK_HZ)
        bounds = []
        least = 1.0 if self.size_in == "innovations" else float(whitener.signature[-1])
        for size in np.array(self.sizes) / least:
            signature = size * whitener.signature
            both = np.concatenate([cusum.statistic(z, signature), cusum.statistic(-z, signature)])
            threshold = cusum.level(both, _BLOCK, rate)
            bounds.append(Bound(size * whitener.sigma_w, signature, threshold))
        return whitener, bounds

    def rows(self, done: list[Any]) -> list[Row]:
        """Mean delay over the CUSUM's, one row a size."""
        rows = []
        for size in self.sizes:
            pairs = [(ours, best) for one in done for s, ours, best in one if s == size]
            rows.append(self._row(size, pairs))
        return rows

    def _row(self, size: float, pairs: list[tuple[float | None, float | None]]) -> Row:
        ours_s, best_s = (
            [float(self.wait_s) if x is None else x for x in side]
            for side in zip(*pairs, strict=True)
        )
        low, high = intervals.ratio(ours_s, best_s)
        what = "shift" if self.size_in == "shift" else "step"
        slow = sum(best is None for _ours, best in pairs)
        late = f"; {slow} not seen by the CUSUM either" if slow else ""
        return Row(
            case=self.name,
            what=f"delay of a {size:g} sigma {what} / known-shift CUSUM",
            figure=float(np.mean(ours_s) / np.mean(best_s)),
            trials=len(pairs),
            low=low,
            high=high,
            goal=None if self.limit is None else Goal(self.limit),
            note=f"mean {np.mean(ours_s):.2f} s, CUSUM {np.mean(best_s):.2f} s{late}",
            counts=counts_of(
                [ours is not None for ours, _ in pairs],
                [x for x, _ in pairs if x is not None],
                0,
                0.0,
            ),
        )


def false_alarms_per_sample(setup: Setup, racks: int) -> float:
    """What the budget gives one watched node's step detector, per tick."""
    watched = len(layout_of(racks, RACK_HZ).watched)
    per_day = budget.share(setup.detect.false_alarms_per_day, "step")
    return per_day / watched / _DAY_SAMPLES


def _added_w(steps: list[_Step], seconds: int) -> Any:
    """What the steps add to the POI, tick by tick, W."""
    added_w = np.zeros(seconds * RACK_HZ)
    for step in steps:
        added_w[round(step.onset_s * RACK_HZ) :] += step.step_w
    return added_w


def _truth(site_id: str, onset_s: float, depth_w: float) -> Truth:
    onset_ns = T0_NS + round(float(onset_s) * NS_PER_S)
    return Truth(
        kind="ramp", site_id=site_id, node_id="poi", onset_ns=onset_ns, end_ns=onset_ns,
        depth_w=depth_w,
    )  # fmt: skip


def _seen_s(run: Run, onset_ns: int, wait_s: int) -> float | None:
    """Delay of the first event of the ramp family that opened after the onset, of its states."""
    late = [
        (event.opened_ns - onset_ns) / NS_PER_S
        for event in run.opened
        if family(event.kind) == "ramp" and 0 <= event.opened_ns - onset_ns <= wait_s * NS_PER_S
    ]
    return min(late) if late else None
