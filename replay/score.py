"""Events against truth: hits, misses, false alarms, delay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from replay.source import Trace
from replay.truth import Truth
from schemas.events import SiteEvent, family
from schemas.units import NS_PER_S

__all__ = ["Delay", "Match", "Score", "score", "scored"]

ONSET_NS = 2 * NS_PER_S
"""How far a hit's onset may be from the true one."""
FREQ_SHARE = 0.05
"""How far a hit's frequency may be from the true one, as a share of it."""
_DAY_S = 86_400


class Delay(msgspec.Struct, frozen=True):
    """Opened minus true onset over the hits, s; absent numbers are null."""

    p50: float | None
    p95: float | None


class Match(msgspec.Struct, frozen=True):
    """One truth and the event that found it; one of the two may be missing."""

    truth: Truth | None
    event: SiteEvent | None

    @property
    def delay_s(self) -> float | None:
        """Opened minus true onset, s."""
        if self.truth is None or self.event is None:
            return None
        return (self.event.opened_ns - self.truth.onset_ns) / NS_PER_S


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """
    How well the events of a run say what is true.

    ``matches`` holds every truth and every event once, by onset: hits, misses (no event), false
    alarms (no truth).
    """

    truth: int
    hits: int
    misses: int
    false_alarms: int
    site_days: float
    false_alarms_per_site_day: float | None
    delay_s: Delay
    matches: tuple[Match, ...]

    def as_json(self) -> dict[str, Any]:
        """The counts as ``replay score --json`` gives them."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        del fields["matches"]
        return fields


def score(events: Iterable[SiteEvent], truth: Sequence[Truth], *, site_seconds: float) -> Score:
    """
    Compare the final states of a run's events with what is true.

    A hit is one event for one truth: same family and site, onset within 2 s; an oscillation
    opened between true onset and end, its frequency within 5 %. Every other event is a false
    alarm; one that was merged into another is not counted.

    Parameters
    ----------
    events : iterable of SiteEvent
        Final states; of several states of one event the last counts.
    truth : sequence of Truth
        What is in the trace.
    site_seconds : float
        Length of the trace times its sites, s.
    """
    final = {event.event_id: event for event in events}
    standing = [event for event in final.values() if event.merged_into is None]
    found = _assigned(truth, standing)
    hit_ids = {event.event_id for event in found.values()}
    matches = [Match(one, found.get(i)) for i, one in enumerate(truth)]
    matches += [Match(None, event) for event in standing if event.event_id not in hit_ids]
    delays_s = [match.delay_s for match in matches if match.delay_s is not None]
    false_alarms = len(standing) - len(found)
    site_days = site_seconds / _DAY_S
    return Score(
        truth=len(truth),
        hits=len(found),
        misses=len(truth) - len(found),
        false_alarms=false_alarms,
        site_days=site_days,
        false_alarms_per_site_day=false_alarms / site_days if site_days > 0 else None,
        delay_s=Delay(_quantile(delays_s, 0.50), _quantile(delays_s, 0.95)),
        matches=tuple(sorted(matches, key=_onset)),
    )


def _onset(match: Match) -> tuple[int, str]:
    one = match.truth or match.event
    return (one.onset_ns, one.kind) if one else (0, "")


def _quantile(values: list[float], share: float) -> float | None:
    return float(np.quantile(values, share)) if values else None


def _assigned(truth: Sequence[Truth], events: list[SiteEvent]) -> dict[int, SiteEvent]:
    """The most truths found that can be, each by an event of its own; nearest onset first."""
    fitting = [
        sorted(
            (k for k, event in enumerate(events) if _fits(one, event)),
            key=lambda k, one=one: abs(events[k].onset_ns - one.onset_ns),  # type: ignore[misc]
        )
        for one in truth
    ]
    taken: dict[int, int] = {}

    def place(i: int, tried: set[int]) -> bool:
        for k in fitting[i]:
            if k not in tried:
                tried.add(k)
                if k not in taken or place(taken[k], tried):
                    taken[k] = i
                    return True
        return False

    for i in sorted(range(len(truth)), key=lambda i: truth[i].onset_ns):
        place(i, set())
    return {i: events[k] for k, i in taken.items()}


def _fits(one: Truth, event: SiteEvent) -> bool:
    if one.site_id != event.site_id or family(one.kind) != family(event.kind):
        return False
    if one.kind != "oscillation":
        return abs(event.onset_ns - one.onset_ns) <= ONSET_NS
    if one.freq_hz is None or event.freq_hz is None:
        return False
    near = abs(event.freq_hz - one.freq_hz) <= FREQ_SHARE * one.freq_hz * (1 + 1e-9)
    return near and one.onset_ns <= event.opened_ns <= one.end_ns


def scored(trace: Trace, events: Sequence[SiteEvent]) -> Score | None:
    """The score against the trace's truth, None where there is none."""
    if trace.truth is None:
        return None
    return score(events, trace.truth, site_seconds=trace.duration_s * len(trace.sites))
