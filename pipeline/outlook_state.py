"""What the forecaster remembers of a site: its past, forecasts in flight, what is planned."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from pipeline.align_state import Said
from schemas.events import GridSignal
from schemas.forecasts import RampBound

__all__ = ["METHODS", "REFERENCES", "REGIMES", "Book", "Kind", "OutlookState", "Planned", "start"]

METHODS = (
    "persistence", "climatology", "seasonal", "analog", "regression", "levels", "harmonic",
)  # fmt: skip
REFERENCES = 3
"""The first three are what every forecast is measured against."""
REGIMES = ("aperiodic", "periodic", "unsettled", "planned")
KEPT_HOURS = 24


class Book(NamedTuple):
    """
    One horizon class: forecasts without an outcome yet, and the record of those that have one.

    ``raw`` (method, horizon, 7) and ``sent`` (horizon, 7) W are by issue, oldest first;
    ``loss_w`` (regime, method, horizon), ``seen`` (regime, horizon), ``offset`` (regime,
    horizon, 7); ``spread`` is the logarithm of a factor on all widths. ``hour_n``, ``hour_hit``
    are (24, horizon), ``hour_loss_w`` (24, method + 1, horizon) by hour of the day, the last row
    of losses that of what was sent.
    """

    issued_ns: list[int]
    raw: list[Any]
    sent: list[Any]
    regime: list[int]
    loss_w: Any
    seen: Any
    offset: Any
    spread: float
    hour_ns: int
    hour_n: Any
    hour_hit: Any
    hour_loss_w: Any


class Planned(NamedTuple):
    """
    One event somebody announced. ``came_ns`` is set once it was seen in the data.

    ``power_w`` is the change announced (absent: unknown), ``end_ns`` the end of a passing one.
    """

    kind: str
    start_ns: int
    end_ns: int | None
    power_w: float | None
    period_ns: int | None = None
    came_ns: int = -1
    moved_w: float = 0.0


@dataclasses.dataclass
class Kind:
    """What became of announced events of one kind: how late, how large, how often at all."""

    said: int = 0
    came: int = 0
    late_s: list[float] = dataclasses.field(default_factory=list)
    ratio: list[float] = dataclasses.field(default_factory=list)
    moved_w: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class OutlookState:
    """
    One site's memory; arrays are never written in place, so that a copy of the record is one.

    ``ticks_w``, ``ticks_known`` (time,): the newest 800 s of tick means. ``seconds_w`` (two
    hours), ``fives_w`` (24 h), ``hours_w`` (four weeks), each with ``*_known``. ``fresh`` are
    seconds not yet joined to them. ``part_w``, ``part_n`` are sums of the open five minutes and
    hour, by W and by seconds.
    """

    ticks_w: Any
    ticks_known: Any
    seconds_w: Any
    seconds_known: Any
    fives_w: Any
    fives_known: Any
    hours_w: Any
    hours_known: Any
    fresh: list[tuple[Any, Any]]
    part_w: list[float]
    part_n: list[int]
    end_ns: int
    measured_ns: int
    changed_ns: int
    ranges_w: Any
    swings_w: Any
    swing_w: tuple[float, float]
    envelope: tuple[RampBound, ...]
    books: dict[str, Book]
    planned: list[Planned]
    kinds: dict[str, Kind]
    signals: dict[str, GridSignal]
    said: list[Said]
    seq: int = 0


def start(horizons: dict[str, int]) -> OutlookState:
    """Nothing known; ``horizons`` is how many each class has whose outcomes are followed."""
    none_w, none = np.zeros(0), np.zeros(0, bool)
    return OutlookState(
        *(none_w, none) * 4,
        fresh=[],
        part_w=[0.0, 0.0],
        part_n=[0, 0],
        end_ns=-1,
        measured_ns=-1,
        changed_ns=-1,
        ranges_w=none_w,
        swings_w=none_w,
        swing_w=(0.0, 0.0),
        envelope=(),
        books={name: book(count) for name, count in horizons.items()},
        planned=[],
        kinds={},
        signals={},
        said=[],
    )


def book(horizons: int) -> Book:
    """An empty record."""
    regimes, methods = len(REGIMES), len(METHODS)
    return Book(
        [], [], [], [],
        np.zeros((regimes, methods, horizons)),
        np.zeros((regimes, horizons), np.int64),
        np.zeros((regimes, horizons, 7)),
        0.0,
        -1,
        np.zeros((KEPT_HOURS, horizons), np.int32),
        np.zeros((KEPT_HOURS, horizons), np.int32),
        np.zeros((KEPT_HOURS, methods + 1, horizons)),
    )  # fmt: skip
