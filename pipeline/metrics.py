"""Every number that leaves the process, listed once with its meaning; the heartbeat line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

__all__ = ["METRICS", "Beat", "Counts", "Name", "Tally", "event_line", "human_seconds"]

Name = Literal[
    "acknowledged", "archived_events", "archived_forecasts", "archived_outcomes",
    "archived_rules", "archived_states", "archived_topologies", "archived_waveforms",
    "archived_windows", "behind_s", "bytes", "commits", "deadletters", "duty", "events", "frames",
    "gap_cells", "lag_s", "late_samples", "lost_offsets", "messages", "publish_retries",
    "published", "repeats", "resets", "said", "silent_s", "skipped_offsets", "warming", "windows",
]  # fmt: skip

METRICS: dict[Name, str] = {
    "acknowledged": "offsets acknowledged to Kafka, after the commit that covers them",
    "archived_events": "rows of events written to the archive, one per state of an event",
    "archived_forecasts": "rows of forecasts written to the archive",
    "archived_outcomes": "rows of what came of archived forecasts",
    "archived_rules": "rows of rules written to the archive, one when a site's computation begins",
    "archived_states": "rows of site states written to the archive",
    "archived_topologies": "rows of topologies written to the archive, likewise",
    "archived_waveforms": "blocks of raw samples around events written to the archive",
    "archived_windows": "rows of windows written to the archive",
    "behind_s": "how far the slowest site is behind the foremost, s; told from 10 s on",
    "bytes": "bytes of messages received",
    "commits": "commits made durable",
    "deadletters": "dead letters written: messages and rows that could not be used",
    "duty": "compute time per grid time, 0 to 1; above 1 the worker falls behind",
    "events": "events opened",
    "frames": "frames closed, all levels and sites",
    "gap_cells": "cells of frames that were not measured and are masked",
    "lag_s": "wall time minus the watermark of the slowest site, s",
    "late_samples": "samples older than their gateway's newest by more than its lateness",
    "lost_offsets": "offsets the broker no longer had, or never gave (retention, transactions)",
    "messages": "messages received",
    "publish_retries": "times a batch had to be published again",
    "published": "messages the broker has taken from us",
    "repeats": "messages with a sequence number seen before and no newer time",
    "resets": "channels whose running state was cleared by a long gap",
    "said": "hints of the scheduler and signals of the grid taken in",
    "silent_s": "wall time since any message arrived, s; shown from 10 s on",
    "skipped_offsets": "messages read twice from the broker and used once",
    "warming": "channels that are still learning their noise, of all channels",
    "windows": "rows of windows computed",
}
"""Name and meaning. Counts only grow while a lane lives."""

SILENT_FROM_S = 10.0
_DAY_S = 86_400.0


class Counts(Protocol):
    """What a lane counts."""

    values: dict[str, int]
    marks_ns: dict[str, int]
    newest_ns: int
    warming: str


class Beat(NamedTuple):
    """One heartbeat: what happened since the last one."""

    lag_s: float | None
    duty: float | None
    counts: Mapping[str, int]
    warming: str
    silent_s: float
    behind_s: float = 0.0
    slowest: str = ""

    def line(self) -> str:
        """Form the line an operator reads once a minute."""
        lag = "-" if self.lag_s is None else human_seconds(self.lag_s)
        duty = "-" if self.duty is None else f"{self.duty:.2f}"
        count = self.counts.get
        line = (
            f"lag {lag}  duty {duty}  frames {count('frames', 0)}  events {count('events', 0)}  "
            f"late {count('late_samples', 0)}  resets {count('resets', 0)}  warming {self.warming}"
        )
        if self.counts.get("deadletters"):
            line += f"  deadletters {self.counts['deadletters']}"
        if self.behind_s >= SILENT_FROM_S:
            line += f"  behind: {self.slowest} by {human_seconds(self.behind_s, digits=0)}"
        if self.silent_s >= SILENT_FROM_S:
            line += f"  silent: no data for {human_seconds(self.silent_s, digits=0)}"
        return line


class Tally:
    """Adds up lanes between heartbeats; a lane that was given away keeps what it had counted."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[dict[str, int], dict[str, int]]] = {}
        self._since: Counter[str] = Counter()
        self._data_ns = 0

    def collect(self, key: int, counts: Counts) -> None:
        """Take over what a lane counted since it was last asked."""
        values, marks_ns = dict(counts.values), counts.marks_ns
        before, before_ns = self._seen.get(key, ({}, {}))
        for name, value in values.items():
            self._since[name] += value - before.get(name, 0)
        moved_ns = (mark - before_ns.get(site, mark) for site, mark in marks_ns.items())
        self._data_ns = max(self._data_ns, *moved_ns, 0)
        self._seen[key] = (values, marks_ns)

    def add(self, counts: Mapping[str, int]) -> None:
        """Add counts that no lane keeps."""
        self._since.update(counts)

    def forget(self, key: int) -> None:
        """Let go of a lane whose last counts have been collected."""
        self._seen.pop(key, None)

    def beat(
        self, lanes: Iterable[Counts], *, now_ns: int, compute_s: float, silent_s: float
    ) -> Beat:
        """Close the interval: everything collected since the last beat, and where lanes stand."""
        lanes = list(lanes)
        marks = sorted((mark, site) for lane in lanes for site, mark in lane.marks_ns.items())
        lag_s = (now_ns - marks[0][0]) / 1e9 if marks else None
        behind = ((marks[-1][0] - marks[0][0]) / 1e9, marks[0][1]) if marks else ()
        duty = compute_s / (self._data_ns / 1e9) if self._data_ns > 0 else None
        counts, self._since, self._data_ns = self._since, Counter(), 0
        return Beat(lag_s, duty, counts, _warming(lanes), silent_s, *behind)


def _warming(lanes: Iterable[Counts]) -> str:
    done = whole = 0
    for lane in lanes:
        part, _, of = lane.warming.partition("/")
        done, whole = done + int(part or 0), whole + int(of or 0)
    return f"{done}/{whole}"


def human_seconds(seconds_s: float, digits: int = 1) -> str:
    """``0.8 s``; from two days on ``3.2 d``, as when an old recording is fed."""
    if abs(seconds_s) < 2 * _DAY_S:
        return f"{seconds_s:.{digits}f} s"
    return f"{seconds_s / _DAY_S:.1f} d"


def event_line(event: Mapping[str, Any]) -> str | None:
    """``event open  ramp  campus/pdu-3  -3.10 MW in 0.8 s``, or None for updates."""
    if event.get("state") not in ("open", "closed"):
        return None
    parts = [
        f"event {event['state']}",
        str(event["kind"]),
        f"{event['site_id']}/{event['node_id']}",
    ]
    if (depth_w := event.get("depth_w")) is not None:
        span = f" in {event['duration_s']:.1f} s" if event.get("duration_s") is not None else ""
        parts.append(f"{depth_w / 1e6:+.3g} MW{span}")
    if (freq_hz := event.get("freq_hz")) is not None:
        parts.append(f"{freq_hz:.3g} Hz")
    if (amplitude_w := event.get("amplitude_w")) is not None:
        parts.append(f"±{amplitude_w / 1e3:.3g} kW")
    if (synchrony := event.get("synchrony")) is not None:
        parts.append(f"synchrony {synchrony:.2f}")
    return "  ".join([*parts, str(event["event_id"])])
