"""The same hop done plainly with NumPy: everything anew from a window that is kept as it came."""

from __future__ import annotations

from typing import Any

import numpy as np

from operators.steps import WINDOWS

__all__ = ["Recompute"]

WINDOW_S, RATE = 60, 10
LINES_S = (2.5, 10.0, 20.0, 40.0)


class Recompute:
    """
    Racks' moves, votes, noise and sums; steps and spectra of their PDUs; how racks fall together.

    ``window_w`` (rack, time) is the last minute; nothing else is remembered from hop to hop.
    """

    def __init__(self, racks: int, per_pdu: int) -> None:
        self._starts = np.arange(0, racks, per_pdu)
        self.window_w = np.random.default_rng(1).normal(8e4, 50, (racks, WINDOW_S * RATE))

    def hop(self, new_w: Any) -> float:
        """One second more, and all statistics of the minute; something of each, so it is done."""
        self.window_w = np.concatenate([self.window_w[:, new_w.shape[1] :], new_w], axis=1)
        return self._racks() + self._pdus() + self._together()

    def _racks(self) -> float:
        second_w = self.window_w[:, RATE:] - self.window_w[:, :-RATE]
        peaks_w = np.abs(second_w).reshape(len(second_w), -1, RATE).max(axis=2)
        scale_w = 1.5 * np.median(peaks_w, axis=1)[:, None]
        votes = [np.where(sign * second_w >= scale_w, second_w, 0.0) for sign in (1, -1)]
        up_w, down_w = (np.add.reduceat(v, self._starts, axis=0) for v in votes)
        total_w = np.maximum(up_w - down_w, 1.0)
        return float((np.maximum(up_w, -down_w) / total_w)[:, -RATE:].max())

    def _pdus(self) -> float:
        pdu_w = np.add.reduceat(self.window_w, self._starts, axis=0)
        moved_w = np.diff(pdu_w, axis=1)
        before = np.cumsum(moved_w, axis=1)
        sigma_w = moved_w.std(axis=1, keepdims=True)
        steps = [
            np.abs(before[:, w:] - before[:, :-w]).max(axis=1, keepdims=True) / (sigma_w * w**0.5)
            for w in WINDOWS
        ]
        found = float(np.max(steps))
        for window_s in LINES_S:
            n = round(window_s * RATE)
            spectrum = np.fft.rfft(moved_w[:, -n:] * np.hanning(n), n=2 * n, axis=1)
            power = spectrum.real**2 + spectrum.imag**2
            found += float((power / np.median(power, axis=1, keepdims=True)).max())
        return found

    def _together(self) -> float:
        mean_w = self.window_w.reshape(len(self.window_w), -1, RATE).mean(axis=2)
        d_w = np.diff(mean_w, axis=1)
        together = np.abs(d_w.sum(axis=0)).max() / np.abs(d_w).max(axis=1).sum()
        return float(together + mean_w.sum(axis=0).max() / mean_w.max(axis=1).sum())
