"""A run as a picture: the POI's power over time, its events, and what was forecast."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import archive
from replay.figures import new_figure, save
from schemas.events import SiteEvent
from schemas.units import NS_PER_S

__all__ = ["plot"]

COLOURS = {"ramp": "#d98c00", "synchronized_ramp": "#c0392b", "oscillation": "#2c6fbb"}
POWER_SQL = """
select t0_ns, min_w, mean_w, max_w from windows
where site_id = '{site}' and level = 'substation' order by t0_ns
"""
FORECAST_SQL = """
select start_ns, q05_w, q95_w from forecasts
where site_id = '{site}' and horizon_class = 'fast' and start_ns - issued_ns >= 9000000000
order by start_ns
"""
MAX_ROWS = 10_000_000


def plot(path: Path, root: Path, events: Sequence[SiteEvent], site_id: str) -> None:
    """
    Draw one site of an archive to a file (PNG, SVG or PDF by its ending).

    Parameters
    ----------
    path : Path
        The picture.
    root : Path
        The archive's folder.
    events : sequence of SiteEvent
        Final states; those merged into another are left out.
    site_id : str
        Which site; it has the form that site files allow.

    Raises
    ------
    ReplayError
        One sentence: matplotlib is missing, or the file cannot be written.
    """
    figure = new_figure(12, 5)
    power = _columns(root, POWER_SQL.format(site=site_id))
    t0_ns = int(power[0][0])
    axes: Any = figure.add_subplot()
    _draw_power(axes, power, _columns(root, FORECAST_SQL.format(site=site_id)), t0_ns)
    ours = [e for e in events if e.site_id == site_id and e.merged_into is None]
    for event in sorted(ours, key=lambda e: e.onset_ns):
        _draw_event(axes, event, t0_ns)
    axes.set(title=f"{site_id}: power at the POI", xlabel="s", ylabel="MW")
    axes.margins(x=0)
    figure.legend(loc="outside lower center", ncols=6, fontsize="small", frameon=False)
    save(figure, path)


def _columns(root: Path, sql: str) -> Any:
    _names, rows = archive.query(root, sql, limits=archive.Limits(rows=MAX_ROWS))
    return np.array(rows, dtype=float).reshape(len(rows), -1).T


def _draw_power(axes: Any, power: Any, forecast: Any, t0_ns: int) -> None:
    t_s = (power[0] - t0_ns) / NS_PER_S
    axes.fill_between(t_s, power[1] / 1e6, power[3] / 1e6, color="#999999", alpha=0.4, lw=0)
    axes.plot(t_s, power[2] / 1e6, color="black", lw=0.8, label="1 s mean, least and greatest")
    if forecast.size:
        at_s = (forecast[0] - t0_ns) / NS_PER_S
        low, high = forecast[1] / 1e6, forecast[2] / 1e6
        error = np.stack([(high - low) / 2] * 2)
        axes.errorbar(
            at_s, (low + high) / 2, error, fmt="none", ecolor="#7fb77e", lw=0.8,
            label="forecast 10 s ahead, 90 %",
        )  # fmt: skip


def _draw_event(axes: Any, event: SiteEvent, t0_ns: int) -> None:
    start_s = (event.onset_ns - t0_ns) / NS_PER_S
    known = set(axes.get_legend_handles_labels()[1])
    label = None if event.kind in known else event.kind
    colour = COLOURS.get(event.kind, "#555555")
    if event.kind == "oscillation":
        end_s = ((event.closed_ns or event.updated_ns) - t0_ns) / NS_PER_S
        axes.axvspan(start_s, end_s, color=colour, alpha=0.15, lw=0, label=label)
        text = f"{event.freq_hz:.2f} Hz" if event.freq_hz else ""
    else:
        end_s = start_s + (event.duration_s or 0.0)
        axes.axvspan(start_s, end_s, color=colour, alpha=0.5, label=label)
        text = f"{(event.depth_w or 0.0) / 1e6:+.2f} MW"
    axes.annotate(
        text, (start_s, 1.0), xycoords=("data", "axes fraction"), rotation=90, va="top",
        ha="right", fontsize="small", color=colour,
    )  # fmt: skip
