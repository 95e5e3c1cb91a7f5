"""The same result for people, as lines, and for scripts, as one JSON object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from replay.score import Score
from replay.source import Trace
from replay.truth import Truth
from schemas.events import SiteEvent
from schemas.units import NS_PER_S

__all__ = ["as_json", "event_line", "head_line", "lines", "power_text", "time_text"]

_KIND_WIDTH = 17


def head_line(trace: Trace) -> str:
    """One line about a trace: name, channels, length, injected events."""
    known = "no truth" if trace.truth is None else f"{len(trace.truth)} injected events"
    sites = "" if len(trace.sites) == 1 else f"  {len(trace.sites)} sites"
    return (
        f"trace:  {trace.name}{sites}  {trace.channels} channels  {trace.duration_s:g} s  {known}"
    )


def lines(events: Iterable[SiteEvent], score: Score | None, *, t0_ns: int) -> list[str]:
    """
    A line an event, and where truth is known a last line with the counts.

    Parameters
    ----------
    events : iterable of SiteEvent
        Final states; those merged into another are left out.
    score : Score or None
        From `replay.score.score`; None: nothing is known to be true.
    t0_ns : int
        Time of the trace's first sample; times are shown from there.
    """
    if score is None:
        standing = sorted((e for e in events if e.merged_into is None), key=lambda e: e.onset_ns)
        return [event_line("event", event, t0_ns=t0_ns) for event in standing]
    told = []
    for match in score.matches:
        if match.event is None and match.truth is not None:
            told.append(_missed_line(match.truth, t0_ns))
        elif match.event is not None:
            word = "false" if match.truth is None else "found"
            told.append(event_line(word, match.event, t0_ns=t0_ns, delay_s=match.delay_s))
    alarms = "1 false alarm" if score.false_alarms == 1 else f"{score.false_alarms} false alarms"
    return [*told, f"{score.hits} of {score.truth} found, {alarms}"]


def event_line(word: str, event: SiteEvent, *, t0_ns: int, delay_s: float | None = None) -> str:
    """One event: ``found   synchronized_ramp  t=02:11.2  -3.1 MW in 0.8 s  synchrony 0.93``."""
    parts = [_start(word, event.kind, event.onset_ns - t0_ns)]
    if event.kind == "oscillation":
        parts += [] if event.freq_hz is None else [f"{event.freq_hz:.3g} Hz"]
        parts += [] if event.amplitude_w is None else [f"±{power_text(event.amplitude_w)}"]
        parts += [] if event.damping_ratio is None else [f"damping {event.damping_ratio:.2g}"]
    elif event.depth_w is not None:
        length = "" if event.duration_s is None else f" in {event.duration_s:.1f} s"
        parts += [power_text(event.depth_w, signed=True) + length]
        parts += [] if event.synchrony is None else [f"synchrony {event.synchrony:.2f}"]
    parts += [f"at {event.node_id}"]
    parts += [] if delay_s is None else [f"delay {delay_s:.1f} s"]
    parts += [] if event.quality == "good" else [event.quality]
    return "  ".join(parts)


def _missed_line(truth: Truth, t0_ns: int) -> str:
    parts = [_start("missed", truth.kind, truth.onset_ns - t0_ns)]
    parts += [] if truth.depth_w is None else [power_text(truth.depth_w, signed=True)]
    parts += [] if truth.freq_hz is None else [f"{truth.freq_hz:.3g} Hz"]
    parts += [] if truth.amplitude_w is None else [f"±{power_text(truth.amplitude_w)}"]
    return "  ".join([*parts, f"at {truth.node_id}"])


def _start(word: str, kind: str, since_ns: int) -> str:
    return f"{word:<6}  {kind:<{_KIND_WIDTH}}  t={time_text(since_ns)}"


def time_text(since_ns: int) -> str:
    """Time since the trace's start as ``02:11.2``, with hours where there are any."""
    tenths = round(since_ns / (NS_PER_S // 10))
    sign, tenths = ("-", -tenths) if tenths < 0 else ("", tenths)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:" if hours else ""
    return f"{sign}{head}{minutes:02d}:{rest // 10:02d}.{rest % 10}"


def power_text(power_w: float, *, signed: bool = False) -> str:
    """Power in the unit people would say it in: ``-3.1 MW``, ``210 kW``, ``40 W``."""
    size = abs(power_w)
    scale, unit = (1e6, "MW") if size >= 999_500 else (1e3, "kW") if size >= 999.5 else (1.0, "W")
    value = power_w / scale
    digits = 1 if unit == "MW" and abs(value) < 99.95 else 0
    return f"{value:{'+' if signed else ''}.{digits}f} {unit}"


def as_json(
    trace: Trace, run: Mapping[str, Any], events: Iterable[SiteEvent], score: Score | None
) -> dict[str, Any]:
    """
    What ``--json`` prints: the trace, the run, the events' final states, the counts.

    Parameters
    ----------
    trace : Trace
        What was replayed.
    run : mapping
        The runner's own fields: ``wall_s, device, windows, archived, deadletters, archive``.
    events : iterable of SiteEvent
        Final states.
    score : Score or None
        Adds ``truth, hits, misses, …`` where truth is known.
    """
    head = {
        "trace": str(trace.path),
        "t0_ns": trace.t0_ns,
        "sites": len(trace.sites),
        "channels": trace.channels,
        "samples": trace.samples,
        "duration_s": trace.duration_s,
    }
    told = [msgspec.to_builtins(event) for event in sorted(events, key=lambda e: e.event_id)]
    return {**head, **run, "events": told, **({} if score is None else score.as_json())}
