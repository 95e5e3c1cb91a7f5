"""Inference racks from real server power: shipped traces, rolled at random, averaged, scaled."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.csv as pa_csv

__all__ = ["TRACE_HZ", "Library", "Servers", "load_library"]

TRACE_HZ = 10
_FOLDER = Path(__file__).parent / "traces" / "inference"
_SHORTEST = 1200
"""Samples a trace needs to be used: below two minutes its repetition would be a line of its own."""


class Library(NamedTuple):
    """Real traces end to end: ``relative`` (time,) is power over its trace's mean, at 10 Hz."""

    relative: Any
    starts: Any
    lengths: Any


def load_library(folder: Path = _FOLDER) -> Library:
    """The shipped ML.ENERGY traces of two minutes and longer, in the order of their names."""
    columns = [
        pa_csv.read_csv(file).column("power_total_W").to_numpy()
        for file in sorted(folder.glob("*.csv.gz"))
    ]
    used = [power_w / power_w.mean() for power_w in columns if len(power_w) >= _SHORTEST]
    lengths = np.array([len(x) for x in used], np.int64)
    relative = np.concatenate(used).astype(np.float32)
    return Library(relative, np.cumsum(lengths) - lengths, lengths)


class Servers:
    """The servers of some racks: each plays one trace from a place of its own, round and round."""

    def __init__(
        self, library: Library, racks: int, servers: int, rng: np.random.Generator
    ) -> None:
        trace = rng.integers(len(library.lengths), size=(racks, servers))
        self._relative = library.relative
        self._start = library.starts[trace]
        self._length = library.lengths[trace]
        self._roll = rng.integers(self._length)

    def relative(self, first: int, count: int) -> Any:
        """Power of each rack over its mean, (rack, time) float32, from sample ``first``."""
        at = np.arange(first, first + count, dtype=np.int64)
        place = (self._roll[..., None] + at) % self._length[..., None] + self._start[..., None]
        mean: Any = self._relative[place].mean(axis=1, dtype=np.float32)
        return mean
