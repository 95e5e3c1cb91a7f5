"""A fan chart: what was forecast at some instants, over what came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from replay.figures import new_figure, save
from replay.forecast_run import Class, Run
from replay.forecast_traces import TICK_HZ, Series

__all__ = ["fan"]

PAIRS = ((0, 6, 0.25), (1, 5, 0.35), (2, 4, 0.5))
SPANS_S = {"fast": 30.0, "scada": 600.0, "dispatch": 6 * 3600.0}
EVERY = {"fast": 2, "scada": 24, "dispatch": 12}
"""Of how many issues one is drawn, so that fans stand side by side."""


def fan(path: Path, series: Series, run: Run) -> None:
    """
    Draw a stretch of each class to a file (PNG, SVG or PDF by its ending).

    Raises
    ------
    ReplayError
        One sentence: matplotlib is missing, or the file cannot be written.
    """
    names = [name for name in SPANS_S if name in run.classes]
    figure = new_figure(12, 3.2 * len(names))
    for row, name in enumerate(names, 1):
        axes: Any = figure.add_subplot(len(names), 1, row)
        _draw(axes, name, series, run.classes[name])
    save(figure, path)


def _draw(axes: Any, name: str, series: Series, scored: Class) -> None:
    end_s = len(series.power_w) / TICK_HZ
    first_s = max(0.5 * end_s, end_s - SPANS_S[name] - 3600)
    last_s = min(first_s + SPANS_S[name], end_s)
    width_s = float(scored.width_s[0])
    count = round(width_s * TICK_HZ)
    ticks = np.arange(round(first_s * TICK_HZ), round(last_s * TICK_HZ) // count * count)
    whole = series.power_w[ticks[0] : ticks[0] + len(ticks) // count * count].reshape(-1, count)
    at_s = first_s + (np.arange(len(whole)) + 1) * width_s
    axes.plot(at_s - first_s, whole.mean(axis=1) / 1e6, color="black", lw=0.9, label="what came")
    inside = np.flatnonzero((scored.issued_s >= first_s) & (scored.issued_s < last_s))
    for issue in inside[:: EVERY[name]]:
        ahead_s = scored.issued_s[issue] + scored.horizon_s - first_s
        sent_w = scored.sent_w[issue] / 1e6
        for low, high, alpha in PAIRS:
            axes.fill_between(
                ahead_s, sent_w[:, low], sent_w[:, high], color="#2c6fbb", alpha=alpha, lw=0
            )
        axes.plot(ahead_s, sent_w[:, 3], color="#c0392b", lw=0.8)
    axes.set(
        title=f"{series.family.name}, {name}: median, 50, 80 and 90 %", xlabel="s", ylabel="MW"
    )
    axes.set_xlim(0, last_s - first_s)
