"""What is remembered of a site's oscillations, and what one second's spectra say about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from operators import oscillations
from pipeline.lines import Tone
from pipeline.sensors import Sensor
from schemas.events import Contributor, Harmonic, ToneTest

__all__ = ["Bank", "Feed", "Line", "Look", "Looks", "OpenTone", "OscillationTrack", "Past"]


SUMMED = 4
"""Windows that it takes to see what only sums over time have shown."""
NEWEST = 0.3
"""Most of a window that its newest part may be."""


class Bank(NamedTuple):
    """Windows of one hop over one series: the feed's own rate, or one made slower from it."""

    key: str
    """Name of its state."""
    rate_hz: float
    factor: int
    """Samples of the bank before per sample of this one."""
    taps: Any
    hop_s: int
    plan: oscillations.OscillationPlan
    bands: Any
    """First bin and past the last of each of `BANDS_HZ`; (band, 2) int64."""


class Feed(NamedTuple):
    """Rows of one sample rate whose spectrum is watched: channels of levels, and summed nodes."""

    name: str
    levels: tuple[str, ...]
    """Whose channels come first; then ``sums``."""
    sums: tuple[int, ...]
    """Nodes that are sums of others at this rate."""
    nodes: tuple[int, ...]
    """Node row behind each row."""
    channel_ids: tuple[str | None, ...]
    """Channel behind each row; None for a summed node."""
    leaves: Any
    """Rows that are leaves: many small lines at one frequency count together; (row,) int."""
    wide: Any
    """Rows that stand for many leaves: sums over time are heard there; (row,) bool."""
    sensors: tuple[Sensor, ...]
    mean_of: int
    """Samples averaged into one before anything else."""
    banks: tuple[Bank, ...]

    def longest_s(self, freq_hz: float) -> float:
        """The longest window of a series that shows a frequency; of the first, if none does."""
        able = [b for b in self.banks if b.plan.design.freq_hz.max() >= freq_hz] or self.banks[:1]
        return max(bank.plan.design.window / bank.rate_hz for bank in able)


class Look(NamedTuple):
    """One bank's spectra in one grid second, on the host; (row, bin), None where nobody asks."""

    feed: int
    bank: int
    now: Any
    """Power of the newest window over the budget's threshold."""
    lasting: Any
    """Cumulative sum over its threshold."""
    votes: Any
    """Power of the newest window over the threshold of a vote."""
    amplitude_w: Any
    strongest_w: Any
    """Greatest amplitude of each of `BANDS_HZ`; (row, band)."""
    rows: Any = slice(None)
    """Rows that may stand out in some bank; bins of others may mean nothing."""
    quiet: bool = False
    """Nothing in it reaches its threshold."""


class Looks(NamedTuple):
    """What a grid second's spectra say."""

    due: tuple[Look, ...]
    window: Callable[[int, Any, float], tuple[Any, Any, float]]
    """feed, rows, seconds -> newest (row, time) W on the device, their masks, rate in Hz."""
    leaves: Callable[[float], tuple[Any, float] | None]
    """seconds -> newest (leaf, time) W of leaves that no feed watches, rate in Hz."""
    measured: Callable[[int, int, int], float]
    """feed, bank, row -> share of the bank's longest window that was measured."""


class Line(NamedTuple):
    """A frequency that stands out in one window."""

    freq_hz: float
    amplitude_w: float
    feed: int
    bank: int
    row: int
    window_s: float
    excess: float
    now: float
    """Of the newest window alone, over its threshold."""
    voters: tuple[int, ...] = ()
    """Rows of leaves that show it together, the strongest; none where its row does by itself."""

    @property
    def tone(self) -> Tone:
        """What it is beside others."""
        return Tone(self.freq_hz, 1 / self.window_s, self.amplitude_w)

    @property
    def newest_s(self) -> float:
        """Its newest part: two to four periods, the latter where they are a part of the window."""
        return max(2 / self.freq_hz, min(NEWEST * self.window_s, 4 / self.freq_hz))


@dataclasses.dataclass
class OpenTone:
    """An oscillation that has not closed; frequency and parts from its strongest stretch."""

    event_id: str
    node: int
    onset_ns: int
    opened_ns: int
    freq_hz: float
    amplitude_w: float
    now_hz: float
    now_w: float
    feed: int
    """Where it is largest: feed and row."""
    row: int
    window_s: float
    """The shortest window that has shown it: the one that says when it is gone."""
    told_w: float
    clear: float = 1.0
    """The most that it stood out of a single window, over its threshold; below 1 only of sums."""
    level_w: float = 0.0
    """Usual amplitude of its newest two periods."""
    heard: bool = True
    settled: int = 0
    """How often it has been looked at anew, over a window that it fills."""
    fading: bool = False
    """Its decay has been measured."""
    missed_s: int = 0
    weak_s: int = 0
    """For so long the shortest window that has shown it hardly does, and longer ones do."""
    beside_s: int = 0
    contributors: tuple[Contributor, ...] = ()
    harmonics: tuple[Harmonic, ...] = ()
    growth_per_s: float | None = None
    damping_ratio: float | None = None
    unison: float | None = None
    groups: tuple[tuple[str, ...], ...] = ()
    quality: str = "good"
    merged_into: str | None = None
    statistic: float | None = None
    threshold: float | None = None
    test: ToneTest | None = None

    @property
    def reach_s(self) -> float:
        """Over how long it may have to be measured to be told from noise."""
        return self.window_s * (1 if self.clear >= 1 else SUMMED)


class Past(NamedTuple):
    """A closed oscillation: below a share of it, the same line is its echo for a while."""

    freq_hz: float
    width_hz: float
    amplitude_w: float
    closed_ns: int


@dataclasses.dataclass
class OscillationTrack:
    """
    Oscillation memory of a site.

    Arrays in it are replaced, never written to: a copy shares them.
    """

    run: dict[str, Any]
    """
    By bank: looks in a row that each bin was suspect, as far as they matter: a leaf, a sum, votes;
    (3, bin) int16.
    """
    open: list[OpenTone] = dataclasses.field(default_factory=list)
    past: list[Past] = dataclasses.field(default_factory=list)
    leaves: list[Any] = dataclasses.field(default_factory=list)
    """Newest seconds of leaves, (leaf, time) float32, W, that neither feed nor history has."""
    bands_w: list[float] = dataclasses.field(default_factory=list)
    """Amplitude last seen in each band at the POI; NaN where nothing was."""

    def __deepcopy__(self, memo: dict[int, Any]) -> OscillationTrack:
        """Copy what is written to; share the arrays."""
        return OscillationTrack(
            dict(self.run),
            [dataclasses.replace(tone) for tone in self.open],
            list(self.past),
            list(self.leaves),
            list(self.bands_w),
        )
