"""Accuracy of what is said of a line, in white noise, over the Cramer-Rao bound."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from operators import damping, tones
from replay.suite import bounds, intervals
from replay.suite.case import Case, Setup
from replay.suite.rows import Goal, Row

__all__ = ["Damping", "Frequency"]

_RATE_HZ, _SAMPLES = 100, 1000
_BATCH = 250


class Frequency(Case, frozen=True, tag="frequency"):
    """
    Frequency of one sinusoid by `operators.tones.tone`, first guess from the periodogram's peak.

    Lambdas from 50 to 250: below 15 or so outliers make any such ratio meaningless.
    """

    trials: int = 2000
    cycles: tuple[float, ...] = (3.0, 5.0, 12.0, 40.0)
    few: float = 4.0
    limit_few: float | None = 1.2
    limit: float | None = 1.1
    strength: tuple[float, float] = (50.0, 250.0)

    def pieces(self) -> int:
        """All in one: it takes seconds."""
        return 1

    def weight(self) -> float:
        """Samples."""
        return self.trials * len(self.cycles) * _SAMPLES * 3.0

    def work(self, setup: Setup, rng: np.random.Generator) -> Any:  # noqa: ARG002
        """Errors over the bound's root, for each number of cycles."""
        return [np.concatenate(list(self._errors(n, rng))) for n in self.cycles]

    def _errors(self, cycles: float, rng: np.random.Generator) -> Any:
        window_s = _SAMPLES / _RATE_HZ
        t_s = np.arange(_SAMPLES) / _RATE_HZ
        for _ in range(-(-self.trials // _BATCH)):
            strength = rng.uniform(*self.strength, _BATCH)
            freq_hz = (cycles + rng.uniform(0, 1, _BATCH)) / window_s
            swing = np.sqrt(4 * strength / _SAMPLES)
            angle = 2 * math.pi * freq_hz[:, None] * t_s + rng.uniform(0, 2 * math.pi, (_BATCH, 1))
            x = swing[:, None] * np.sin(angle) + rng.standard_normal((_BATCH, _SAMPLES))
            guess_hz = _peak_hz(x, window_s)
            found_hz, _amplitude, _phase = tones.tone(x, guess_hz, rate_hz=float(_RATE_HZ))
            bound_hz = np.array([bounds.crb_hz(s, window_s) for s in strength])
            yield (found_hz - freq_hz) / bound_hz

    def rows(self, done: list[Any]) -> list[Row]:
        """Root mean square of error over bound; one row a number of cycles."""
        return [
            _ratio_row(
                self.name,
                f"frequency RMSE / sqrt(CRB), {cycles:g} cycles",
                np.array(errors),
                self.limit_few if cycles < self.few else self.limit,
            )
            for cycles, errors in zip(self.cycles, done[0], strict=True)
        ]


class Damping(Case, frozen=True, tag="damping"):
    """
    Growth or decay of one sinusoid by `operators.damping.damped`, first guess from the periodogram.

    Over the Cramer-Rao bound of growth with frequency, amplitude and phase unknown too. The
    signal-to-noise ratio is that of the whole window, ``snr_db`` at least.
    """

    trials: int = 1000
    cycles: tuple[float, ...] = (5.0, 12.0, 40.0)
    snr_db: tuple[float, float] = (10.0, 30.0)
    nepers: tuple[float, float] = (-2.5, 2.5)
    """Over the window."""
    limit: float | None = 1.5

    def weight(self) -> float:
        """Samples."""
        return self.trials * len(self.cycles) * _SAMPLES * 8.0

    def work(self, setup: Setup, rng: np.random.Generator) -> Any:  # noqa: ARG002
        """Errors over the bound's root, for each number of cycles."""
        return [np.concatenate(list(self._errors(n, rng))) for n in self.cycles]

    def _errors(self, cycles: float, rng: np.random.Generator) -> Any:
        window_s = _SAMPLES / _RATE_HZ
        t_s = (np.arange(_SAMPLES) - (_SAMPLES - 1) / 2) / _RATE_HZ
        for _ in range(-(-self.trials // _BATCH)):
            growth = rng.uniform(*self.nepers, _BATCH) / window_s
            freq_hz = (cycles + rng.uniform(0, 1, _BATCH)) / window_s
            phase = rng.uniform(0, 2 * math.pi, _BATCH)
            wave = np.exp(growth[:, None] * t_s) * np.cos(
                2 * math.pi * freq_hz[:, None] * t_s + phase[:, None]
            )
            power = 10 ** (rng.uniform(*self.snr_db, _BATCH) / 10)
            swing = np.sqrt(power / np.mean(wave**2, axis=1))
            x = swing[:, None] * wave + rng.standard_normal((_BATCH, _SAMPLES))
            guess_hz = _peak_hz(x, window_s)
            _freq_hz, found, _amplitude, _error = damping.damped(
                x, guess_hz, rate_hz=float(_RATE_HZ)
            )
            bound = [
                bounds.crb_growth(t_s, f, g, a, p)
                for f, g, a, p in zip(freq_hz, growth, swing, phase, strict=True)
            ]
            yield (found - growth) / np.array(bound)

    def rows(self, done: list[Any]) -> list[Row]:
        """Root mean square of error over bound; one row a number of cycles."""
        return [
            _ratio_row(
                self.name, f"damping RMSE / sqrt(CRB), {n:g} cycles", np.array(errors), self.limit
            )
            for n, errors in zip(self.cycles, done[0], strict=True)
        ]


def _peak_hz(x: Any, window_s: float) -> Any:
    """Where each periodogram is highest, Hz."""
    power = np.abs(np.fft.rfft(x - x.mean(axis=1, keepdims=True), axis=1)) ** 2
    return np.maximum(power.argmax(axis=1), 1) / window_s


def _ratio_row(case: str, what: str, errors: Any, limit: float | None) -> Row:
    """Root mean square of errors in units of their bound."""
    low, high = intervals.rms_ratio(errors)
    figure = float(np.sqrt(np.mean(errors**2)))
    goal = None if limit is None else Goal(limit)
    return Row(
        case=case, what=what, figure=figure, trials=len(errors), low=low, high=high, goal=goal
    )
