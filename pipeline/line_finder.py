"""From spectra to lines: what passes its threshold, by itself or by votes, for long enough."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.detect import DetectSettings
from pipeline.oscillation_state import Bank, Feed, Line, Look, OscillationTrack

__all__ = ["LineFinder"]

LOOKS = {1: 0, 2: 2, 8: 1}
"""Looks in a row by hop in s that leaves take; 0: `oscillation_hops`."""
VOTERS = 9
"""Leaves by whose samples a line is judged that they show together."""
BRIEF_S = 5.0
"""A sum of many leaves takes one look, two in windows up to so long: real power has such swings."""


class LineFinder:
    """Finds the lines of a site's spectra."""

    def __init__(self, detect: DetectSettings, feeds: tuple[Feed, ...], votes: int) -> None:
        self._detect, self._feeds, self._votes = detect, feeds, votes
        hops = detect.oscillation_hops
        self._least = {bank.key: _least(bank, hops) for feed in feeds for bank in feed.banks}

    def lines(self, track: OscillationTrack, look: Look, floor_w: Any) -> list[Line]:
        """Lines of one bank that were suspect for long enough; counts on in ``track.run``."""
        feed, bank = self._feeds[look.feed], self._feeds[look.feed].banks[look.bank]
        run, rows, voted = track.run[bank.key], look.rows, None
        if not look.quiet:
            now, wide = look.now[rows], feed.wide[rows]
            excess = now
            if wide.any():
                heard = (now >= bank.plan.design.rises) & wide[:, None]
                excess = np.maximum(excess, np.where(heard, look.lasting[rows], 0.0))
            voted = self._voted(look, floor_w) if len(feed.leaves) else None
        if look.quiet or (excess.max() < 1 and voted is None):
            if run.any():
                track.run[bank.key] = np.zeros_like(run)
            return []
        strong = (excess >= 1) & (look.amplitude_w[rows] >= floor_w[0])
        suspect = np.zeros((3, excess.shape[1]), bool)
        suspect[0], suspect[1] = strong[~wide].any(axis=0), strong[wide].any(axis=0)
        if voted is not None:
            suspect[2] = voted
            of_leaves = np.where(voted[None, :], self._of_leaves(look)[rows], 0.0)
            excess, now = np.maximum(excess, of_leaves), np.maximum(now, of_leaves)
        least = self._least[bank.key]
        longer = np.minimum(_widened(run.T).T + 1, least.max())
        track.run[bank.key] = run = np.where(suspect, longer, 0)
        ready = (suspect & (run >= least)).any(axis=0)
        return self._summits(look, (excess, now), ready) if ready.any() else []

    def _voted(self, look: Look, floor_w: Any) -> Any:
        """Bins where enough leaves stand out together, one bin aside; None where nowhere."""
        leaves = self._leaves(look)
        votes = look.votes[leaves] >= 1
        if not votes.any():
            return None
        count = _widened(votes.T.astype(np.int64)).T.sum(axis=0)
        together_w = np.where(votes, look.amplitude_w[leaves], 0.0).sum(axis=0)
        voted = (count >= self._votes) & (_widened(together_w) >= floor_w[1])
        return voted if voted.any() else None

    def _leaves(self, look: Look) -> Any:
        """Leaves whose bins are told."""
        leaves = self._feeds[look.feed].leaves
        return leaves if isinstance(look.rows, slice) else leaves[np.isin(leaves, look.rows)]

    def _of_leaves(self, look: Look) -> Any:
        """Votes of the leaves, 0 for other rows; (row, bin)."""
        votes = np.zeros_like(look.votes)
        leaves = self._leaves(look)
        votes[leaves] = look.votes[leaves]
        return votes

    def _summits(self, look: Look, sizes_of: tuple[Any, Any], ready: Any) -> list[Line]:
        """The strongest bin of each run of ready ones, window by window."""
        bank, found = self._feeds[look.feed].banks[look.bank], []
        excess, now = sizes_of
        row_of = np.arange(len(look.now))[look.rows]
        for window in bank.plan.design.looks:
            bins = np.flatnonzero(ready[window.place]) + window.place.start
            for first, last in _runs(bins.tolist()):
                near = slice(max(first - 2, window.place.start), last + 3)
                sizes = excess[:, near]
                at_row, place = divmod(int(np.argmax(sizes)), sizes.shape[1])
                row, at = int(row_of[at_row]), near.start + place
                found.append(
                    Line(
                        float(bank.plan.design.freq_hz[at]),
                        float(look.amplitude_w[row, at]),
                        look.feed,
                        look.bank,
                        row,
                        window.samples / bank.rate_hz,
                        float(excess[at_row, at]),
                        float(now[at_row, at]),
                        self._voters(look, row, at),
                    )
                )
        return found

    def _voters(self, look: Look, row: int, at: int) -> tuple[int, ...]:
        if max(look.now[row, at], look.lasting[row, at] * self._feeds[look.feed].wide[row]) >= 1:
            return ()
        leaves = self._leaves(look)
        votes = look.votes[leaves, at]
        best = np.argsort(-votes, kind="stable")[:VOTERS]
        return tuple(int(leaves[k]) for k in best if votes[k] >= 1)

    def excess(self, look: Look, at: Any) -> tuple[float, float]:
        """
        The most that stands out in these bins: now, of one row or of the least voter needed; and
        over time, in a sum of many leaves.
        """
        feed, best, lasting = self._feeds[look.feed], float(look.now[:, at].max()), 0.0
        if feed.wide.any():
            lasting = float(look.lasting[feed.wide][:, at].max())
        if len(feed.leaves) >= self._votes:
            votes = np.sort(look.votes[feed.leaves][:, at].max(axis=1))
            best = max(best, float(votes[-self._votes]))
        return best, lasting


def _least(bank: Bank, hops: int) -> Any:
    """Looks in a row that a bin takes by a leaf, by a sum of many, by votes; (3, bin) int16."""
    wide = np.where(bank.plan.design.width_hz >= 1 / BRIEF_S, 2, 1)
    leaves = np.full_like(wide, LOOKS[bank.hop_s] or hops)
    return np.stack([leaves, wide, leaves]).astype(np.int16)


def _runs(bins: list[int]) -> list[tuple[int, int]]:
    """First and last of each run: bins no more than four apart, in ascending order."""
    runs: list[tuple[int, int]] = []
    for at in bins:
        if runs and at - runs[-1][1] <= 4:
            runs[-1] = (runs[-1][0], at)
        else:
            runs.append((at, at))
    return runs


def _widened(values: Any) -> Any:
    """Largest of each bin and its two neighbours, along the first axis."""
    out = values.copy()
    out[1:] = np.maximum(out[1:], values[:-1])
    out[:-1] = np.maximum(out[:-1], values[1:])
    return out
