"""The engine's own forecaster over a day-long series: every issue, and what came of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from pipeline.align_state import Said
from pipeline.detect import DetectSettings
from pipeline.layout import SiteLayout
from pipeline.outlook import Outlook, OutlookState, Poi
from replay.forecast_traces import T0_NS, TICK_HZ, Series
from schemas.forecasts import Forecast, PlannedEvent
from schemas.topology import Topology
from schemas.units import NS_PER_S

__all__ = ["Class", "Run", "layout", "run"]

SITE = """
[site]
id = "scored"
[[node]]
id = "poi"
level = "substation"
rating_w = {rating_w}
[[channel]]
id = "poi.p"
node_id = "poi"
[[gateway]]
id = "gw"
level = "substation"
rate_hz = "{hz}"
channels = ["*"]
"""
CLASSES = ("fast", "scada", "dispatch", "cop")


class Class(NamedTuple):
    """
    One horizon class over the run.

    ``issued_s`` (issue,), ``horizon_s``, ``width_s`` (horizon,); ``sent_w`` (issue, horizon, 7);
    ``reference_w`` (issue, 3, horizon, 7); ``outcome_w`` (issue, horizon), NaN beyond the end.
    """

    issued_s: Any
    horizon_s: Any
    width_s: Any
    sent_w: Any
    reference_w: Any
    outcome_w: Any


class Run(NamedTuple):
    """All classes by name, and each planned event as each message told it, with its issue."""

    classes: dict[str, Class]
    planned: list[tuple[float, PlannedEvent]]
    last: dict[str, Forecast]


def layout(rating_w: float) -> SiteLayout:
    """A site of one meter at the tick rate."""
    return SiteLayout(Topology.parse(SITE.format(rating_w=rating_w, hz=TICK_HZ)))


def run(series: Series, detect: DetectSettings) -> Run:
    """Drive the forecaster second by second, as the engine does."""
    rating_w = 1.5 * float(series.power_w.max())
    outlook = Outlook(layout(rating_w), detect)
    state, waiting = outlook.start(), list(series.hints)
    whole = np.ones(TICK_HZ)
    kept: dict[str, list[tuple[float, Any, Any]]] = {name: [] for name in CLASSES}
    planned: list[tuple[float, PlannedEvent]] = []
    last: dict[str, Forecast] = {}
    ticks_w = series.power_w.reshape(-1, TICK_HZ)
    for s in range(len(ticks_w)):
        end_ns = T0_NS + (s + 1) * NS_PER_S
        while waiting and waiting[0].t_ns < end_ns:
            state.said = [*state.said, Said(waiting[0].t_ns, hint=waiting.pop(0))]
        state, told = outlook.step(state, Poi(ticks_w[s], whole, rating_w, end_ns))
        for one in told:
            if isinstance(one, Forecast):
                _keep(kept[one.horizon_class], state, one, s + 1.0)
                last[one.horizon_class] = one
                if one.horizon_class == "scada":
                    planned += [(s + 1.0, event) for event in one.planned_events]
    classes = {name: _class(outlook, name, rows, series) for name, rows in kept.items() if rows}
    return Run(classes, planned, last)


def _keep(rows: list[Any], state: OutlookState, one: Forecast, at_s: float) -> None:
    book = state.books[one.horizon_class]
    rows.append((at_s, book.sent[-1].astype(np.float32), book.raw[-1][:3]))


def _class(outlook: Outlook, name: str, rows: list[Any], series: Series) -> Class:
    issued_s = np.array([row[0] for row in rows])
    sent_w = np.stack([row[1] for row in rows])
    reference_w = np.stack([row[2] for row in rows])
    followed = sent_w.shape[1]
    horizon_s = outlook.of.horizons_s(name)[:followed]
    width_s = {"fast": 1 / TICK_HZ, "scada": 1.0, "dispatch": 300.0, "cop": 3600.0}[name]
    total = np.concatenate([[0.0], np.cumsum(series.power_w - series.power_w.mean())])
    end = np.rint((issued_s[:, None] + horizon_s[None, :]) * TICK_HZ).astype(np.int64)
    count = round(width_s * TICK_HZ)
    there = end < len(total)
    safe = np.minimum(end, len(total) - 1)
    outcome_w = (total[safe] - total[safe - count]) / count + series.power_w.mean()
    outcome_w = np.where(there, outcome_w, np.nan)
    widths_s = np.full(followed, width_s)
    return Class(issued_s, horizon_s, widths_s, sent_w, reference_w, outcome_w)
