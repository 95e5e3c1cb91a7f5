"""The running forecast of a POI: two references, the better one chosen by its own record."""

from __future__ import annotations

import dataclasses
from importlib import metadata
from typing import Any

import numpy as np

from operators import forecast
from pipeline.detect import DetectSettings
from pipeline.layout import SiteLayout
from schemas.events import (
    Aggregation,
    Calibration,
    Fallback,
    Forecast,
    Interval,
    Provenance,
    Quality,
    Skill,
)
from schemas.units import NS_PER_S

__all__ = ["HORIZONS_S", "Outlook", "OutlookState"]

HISTORY_S = 600
CLIMATOLOGY_S = 60
HORIZONS_S: dict[str, tuple[int, ...]] = {"fast": (1, 2, 5, 10), "scada": (30, 60, 120)}
METHODS = ("persistence", "climatology")
NOMINAL = 0.9
TRIED = 10
BUCKETS = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)


@dataclasses.dataclass
class Pending:
    """A forecast whose outcome has not come: (method, quantile) W, and the method published."""

    target_ns: int
    horizon_s: int
    quantiles_w: Any
    chosen: int


@dataclasses.dataclass
class Record:
    """What one horizon's forecasts were worth so far."""

    n: int = 0
    covered: int = 0
    loss_w: list[float] = dataclasses.field(default_factory=lambda: [0.0, 0.0])


@dataclasses.dataclass
class OutlookState:
    """The POI's last ten minutes in 1-s means, forecasts in flight, and their record."""

    history_w: Any
    valid: Any
    pending: list[Pending]
    records: dict[int, Record]
    seq: int = 0


class Outlook:
    """Forecasts one site's POI; host side, once every few grid seconds."""

    def __init__(self, layout: SiteLayout, detect: DetectSettings) -> None:
        self._layout = layout
        self._every_s = detect.forecast_every_s
        try:
            version = metadata.version("lockstep")
        except metadata.PackageNotFoundError:
            version = "source"
        self._provenance = Provenance("lockstep", version, "references-1")

    def start(self) -> OutlookState:
        """Nothing known."""
        horizons = [h for group in HORIZONS_S.values() for h in group]
        return OutlookState(
            np.zeros((1, HISTORY_S)),
            np.zeros((1, HISTORY_S), bool),
            [],
            {h: Record() for h in horizons},
        )

    def step(
        self, state: OutlookState, mean_w: float, share: float, time_ns: int
    ) -> list[Forecast]:
        """Take the second that ended at ``time_ns``; ``state`` is the caller's own and moves on."""
        measured = share > 0.0
        state.history_w = np.concatenate([state.history_w[:, 1:], [[mean_w]]], axis=1)
        state.valid = np.concatenate([state.valid[:, 1:], [[measured]]], axis=1)
        self._score(state, mean_w, measured, time_ns)
        if time_ns // NS_PER_S % self._every_s or state.valid.sum() < TRIED:
            return []
        return [self._issue(state, name, share, time_ns) for name in HORIZONS_S]

    def _score(self, state: OutlookState, mean_w: float, measured: bool, time_ns: int) -> None:
        due = [p for p in state.pending if p.target_ns <= time_ns]
        state.pending = [p for p in state.pending if p.target_ns > time_ns]
        for pending in due:
            if pending.target_ns < time_ns or not measured:
                continue
            record = state.records[pending.horizon_s]
            outcome_w = np.array([mean_w, mean_w])
            loss_w = forecast.pinball(pending.quantiles_w, outcome_w)
            low_w, high_w = pending.quantiles_w[pending.chosen, [0, -1]]
            record.n += 1
            record.covered += int(low_w <= mean_w <= high_w)
            record.loss_w = [a + float(b) for a, b in zip(record.loss_w, loss_w, strict=True)]

    def _issue(self, state: OutlookState, name: Any, share: float, time_ns: int) -> Forecast:
        layout, intervals = self._layout, []
        climate_w = forecast.climatology(state.history_w, state.valid, window=CLIMATOLOGY_S)
        for horizon_s in HORIZONS_S[name]:
            persist_w = forecast.persistence(state.history_w, state.valid, horizon=horizon_s)
            both_w = np.concatenate([persist_w, climate_w])
            chosen = _choose(state.records[horizon_s])
            target_ns = time_ns + horizon_s * NS_PER_S
            state.pending.append(Pending(target_ns, horizon_s, both_w, chosen))
            intervals.append(_interval(target_ns, METHODS[chosen], both_w[chosen]))
        state.seq += 1
        records = [(h, state.records[h]) for h in HORIZONS_S[name]]
        quality: Quality = "good" if share >= 1.0 else "gap"
        return Forecast(
            site_id=layout.site_id,
            poi_id=layout.nodes[layout.top].id,
            seq=state.seq,
            issued_ns=time_ns,
            data_until_ns=time_ns,
            valid_until_ns=time_ns + 2 * self._every_s * NS_PER_S,
            horizon_class=name,
            intervals=tuple(intervals),
            calibration=tuple(_calibration(h, record) for h, record in records),
            skill=tuple(_skill(h, record) for h, record in records),
            aggregation=Aggregation("substation", bucket(len(layout.leaves))),
            provenance=self._provenance,
            fallback=Fallback("recourse", float(climate_w[0, 3])),
            quality=quality,
            valid_share=share,
        )


def bucket(count: int) -> int:
    """A count rounded down to 50, 100, 200, 500, …; 0 below 50."""
    return max((b for b in BUCKETS if b <= count), default=0)


def _choose(record: Record) -> int:
    """Persistence until climatology has shown the smaller loss."""
    return int(record.n >= TRIED and record.loss_w[1] < record.loss_w[0])


def _interval(target_ns: int, method: Any, quantiles_w: Any) -> Interval:
    names = ("q05_w", "q10_w", "q25_w", "q50_w", "q75_w", "q90_w", "q95_w")
    values = {name: float(q) for name, q in zip(names, quantiles_w, strict=True)}
    return Interval(
        start_ns=target_ns - NS_PER_S, duration_ns=NS_PER_S, agg="mean", method=method, **values
    )


def _calibration(horizon_s: int, record: Record) -> Calibration:
    coverage = record.covered / record.n if record.n else None
    return Calibration(horizon_s, NOMINAL, record.n, coverage)


def _skill(horizon_s: int, record: Record) -> Skill:
    if not record.n:
        return Skill(horizon_s, 0)
    return Skill(horizon_s, record.n, record.loss_w[0] / record.n, record.loss_w[1] / record.n)
