"""What forecasts cost: one site over time, and a hundred sites whose second ends at once."""

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from pipeline.detect import DetectSettings
from pipeline.layout import SiteLayout
from pipeline.outlook import Outlook, Poi
from pipeline.publish import messages
from replay.forecast_run import SITE
from replay.forecast_traces import FAMILIES, T0_NS, TICK_HZ, make
from schemas.forecasts import Forecast
from schemas.topology import Topology
from schemas.units import NS_PER_S
from tests.bench.figures import Figure, quantile

__all__ = ["forecast_cost"]

SITES, CORES = 100, 2
WARM_S, TIMED_S = 1500, 60
RATING_W = 6e6
FAMILY = "train_2s_2pct"
DETECT = DetectSettings(forecast_consent=True)
SORT = (74, 128)
"""What a forecast's largest sort is: the bare work it is set against."""


def forecast_cost() -> Iterator[Figure]:
    """Cost a grid second of one site; p50 and p99 of 100 sites in two processes, all at once."""
    ticks_w = _ticks_w()
    spent_ms = _one_site(ticks_w)
    rows = np.random.default_rng(1).normal(size=SORT)
    begun_s = time.perf_counter()
    for _ in range(200):
        np.sort(rows, axis=-1)
    bare_ms = (time.perf_counter() - begun_s) / 200 * 1e3
    mean_ms = float(np.mean(spent_ms))
    note = f"{mean_ms * DETECT.forecast_every_s:.1f} ms an issue of both quick classes"
    yield Figure("forecast, one site", mean_ms, "ms per grid second", note, "one sort", bare_ms)
    with ProcessPoolExecutor(CORES) as pool:
        waits_ms = [
            wait for part in pool.map(_half, range(CORES), [ticks_w] * CORES) for wait in part
        ]
    note = f"{SITES} sites whose second ends at once, {CORES} processes, {len(waits_ms)} messages"
    for kind, column in (("", 0), (" of CPU", 1)):  # the second is what an idle machine would take
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            value = quantile([wait[column] for wait in waits_ms], share)
            yield Figure(f"frame closed to forecast encoded, {name}", value, f"ms{kind}", note)


def _ticks_w() -> Any:
    family = next(family for family in FAMILIES if family.name == FAMILY)
    power_w = make(family, (WARM_S + TIMED_S) / 3600, 1).power_w
    return power_w.reshape(-1, TICK_HZ)


def _outlook(name: str) -> Outlook:
    text = SITE.format(rating_w=RATING_W, hz=TICK_HZ).replace('"scored"', f'"{name}"')
    return Outlook(SiteLayout(Topology.parse(text)), DETECT)


def _poi(ticks_w: Any, s: int) -> Poi:
    return Poi(ticks_w[s], np.ones(TICK_HZ), RATING_W, T0_NS + (s + 1) * NS_PER_S)


def _warm(outlook: Outlook, ticks_w: Any) -> Any:
    state = outlook.start()
    for s in range(WARM_S):
        state, _ = outlook.step(state, _poi(ticks_w, s))
    return state


def _one_site(ticks_w: Any) -> list[float]:
    outlook = _outlook("one")
    state, spent_ms = _warm(outlook, ticks_w), []
    for s in range(WARM_S, WARM_S + TIMED_S):
        begun_s = time.perf_counter()
        state, _ = outlook.step(state, _poi(ticks_w, s))
        spent_ms.append((time.perf_counter() - begun_s) * 1e3)
    return spent_ms


def _half(number: int, ticks_w: Any) -> list[tuple[float, float]]:
    """One process's sites, second by second; how long after its end each message was ready."""
    names = [f"site-{k}" for k in range(SITES) if k % CORES == number]
    outlooks = [_outlook(name) for name in names]
    warm = _warm(outlooks[0], ticks_w)
    states, waits_ms = [warm] * len(outlooks), []
    for s in range(WARM_S, WARM_S + TIMED_S):
        begun_s, cpu_s = time.perf_counter(), time.process_time()
        for k, outlook in enumerate(outlooks):
            states[k], told = outlook.step(states[k], _poi(ticks_w, s))
            for record in told:
                if isinstance(record, Forecast):
                    list(messages(record, "poi"))
                    done_s = time.perf_counter() - begun_s
                    waits_ms.append((done_s * 1e3, (time.process_time() - cpu_s) * 1e3))
    return waits_ms
