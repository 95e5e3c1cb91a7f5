"""Small scenes on the usual site of 8 racks: what each rack does, metered at every level."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from schemas.events import SiteEvent
from schemas.tables import file_stem
from tests.pipeline import site as sites
from tests.pipeline.lanes import drive

FINE_HZ = 150
RACK_W = 20e3


def metered(share: Callable[[Any], Any], duration_s: int, *, seed: int = 0) -> dict[str, Any]:
    """
    Power of every gateway's channels, (channel, time) W, with meter noise.

    ``share(t)`` says what the eight racks draw, (8, time) or (1, time), in units of 20 kW.
    """
    rng = np.random.default_rng(seed)
    t = np.arange(duration_s * FINE_HZ) / FINE_HZ
    rows = RACK_W * (np.asarray(share(t)) * np.ones((8, 1)))
    parts = {
        "ga": (rows[:4], "rack", 60), "gb": (rows[4:], "rack", 60),
        "gp": (np.stack([rows[:4].sum(axis=0), rows[4:].sum(axis=0)]), "pdu", 100),
        "gs": (rows.sum(axis=0, keepdims=True), "substation", 150),
    }  # fmt: skip
    found = {}
    for name, (x, level, noise_w) in parts.items():
        clean_w = x[:, :: FINE_HZ // sites.RATES[level]]
        found[name] = (clean_w + rng.normal(0, noise_w, clean_w.shape)).astype(np.float32)
    return found


def drop(t: Any, at_s: float, by: float, *, over_s: float = 0.0) -> Any:
    """1, then less by ``by`` from ``at_s`` on, at once or in a straight line."""
    if not over_s:
        return np.where(t >= at_s, 1 - by, 1.0)
    return 1 - by * np.clip((t - at_s) / over_s, 0, 1)


def only(rows: list[int], what: Any) -> Any:
    """These racks do it, the others stay at 1."""
    out = np.ones((8, len(what)))
    out[rows] = what
    return out


def play(root: Path, parts: dict[str, Any], **more: Any) -> list[SiteEvent]:
    """Every event record of a run through a lane, in order."""
    site = sites.topology()
    lane = sites.open_lane(root, site, **more)
    seen: list[SiteEvent] = []
    lane.on_event(seen.append)
    drive(lane, sites.as_messages(sites.site_slices(site, parts)), 200)
    return seen


def last(events: list[SiteEvent]) -> list[SiteEvent]:
    """The final record of every event that was not merged into another."""
    newest = {event.event_id: event for event in events}
    return [event for event in newest.values() if event.merged_into is None]


def at_s(time_ns: int) -> float:
    """Seconds after the scene's start."""
    return (time_ns - sites.T0_NS) / 1e9


def table(root: Path, name: str) -> list[dict[str, Any]]:
    """All rows of a table in an archive, as archived."""
    paths = sorted((root / "live").glob(f"writer=*/commit=*/{file_stem(name)}.parquet"))
    return [row for path in paths for row in pq.read_table(path, partitioning=None).to_pylist()]


def archived(root: Path, parts: dict[str, Any], **more: Any) -> Path:
    """Run parts through a lane and give its archive."""
    site = sites.topology(**more)
    drive(sites.open_lane(root, site), sites.as_messages(sites.site_slices(site, parts)), 200)
    return root
