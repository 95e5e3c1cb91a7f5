"""The field oscillation, replayed as anybody would: from its file, with defaults."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.device import CPU
from replay.runner import Runner
from replay.source import Trace, open_trace
from replay.suite import yardsticks
from replay.suite.case import Case, Setup
from replay.suite.rows import Goal, Row, counts_of
from schemas.events import SiteEvent
from schemas.units import NS_PER_S

__all__ = ["Field"]

_TRACES = Path(__file__).parent.parent / "traces"


class Field(Case, frozen=True, tag="field"):
    """
    ISO-NE case 3: a line at 1.13 Hz that rises from 40 to 55 s, peaks at 85 to 95 s, ends at 125 s.

    One recording: its rows have one trial and no interval. The yardstick is the RMS detector on
    the channel with the largest swing.
    """

    trace: str = "isone_case3/isone_case3_P_MW_30Hz.csv.gz"
    channel: str = "P_MW|S2_L2"
    freq_hz: float = 1.13
    amplitude_w: float = 63e6
    quiet_until_s: float = 38.0
    opened_by_s: float = 48.0
    ends_s: float = 125.0

    def work(self, setup: Setup, rng: np.random.Generator) -> Any:  # noqa: ARG002
        """The whole trace, through decode checks, align and archive."""
        trace = open_trace(_TRACES / self.trace)
        with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
            result = Runner(trace, Path(folder) / "archive", CPU, setup.detect).run()
        events = [event for event in result.events if event.merged_into is None]
        return {
            "events": events,
            "t0_ns": trace.t0_ns,
            "days": trace.duration_s / 86_400,
            "RMS": yardsticks.rms(_channel_w(trace, self.channel), 30).tolist(),
        }

    def rows(self, done: list[Any]) -> list[Row]:
        """Opened, frequency, amplitude, closed, nothing else; the yardstick's alarm."""
        (one,) = done
        lines = [e for e in one["events"] if e.kind == "oscillation"]
        event = min(lines, key=lambda e: e.opened_ns, default=None)
        before = [e for e in one["events"] if self._at_s(e.opened_ns, one) < self.quiet_until_s]
        told = {
            "opened, s since the recording's start": (
                self._opened_s(event, one),
                Goal(self.opened_by_s),
            ),
            "frequency off, Hz": (
                event and event.freq_hz and abs(event.freq_hz - self.freq_hz),
                Goal(0.01),
            ),
            f"amplitude of {self.channel} off, share": (self._amplitude_off(event), Goal(0.05)),
            "closed after the end, s": (self._closed_s(event, one), Goal(20.0)),
            f"events before {self.quiet_until_s:g} s": (float(len(before)), Goal(0.0)),
            "events in all": (float(len(one["events"])), Goal(1.0)),
        }
        counts = counts_of([event is not None], [], len(one["events"]) - bool(event), one["days"])
        rows = [
            Row(case=self.name, what=what, figure=figure, trials=1, goal=goal, counts=counts)
            for what, (figure, goal) in told.items()
        ]
        return [*rows, self._yardstick(one["RMS"], self._opened_s(event, one))]

    def _yardstick(self, alarms_s: list[float], ours_s: float | None) -> Row:
        after = [t for t in alarms_s if t >= self.quiet_until_s]
        theirs_s = after[0] if after else None
        better = ours_s is not None and (theirs_s is None or ours_s < theirs_s)
        return Row(
            case=self.name, what="opened, s since the recording's start", figure=theirs_s,
            trials=1, detector="RMS",
            note=f"delay {'beaten' if better else 'not beaten'}; "
            f"{len(alarms_s) - len(after)} alarms before {self.quiet_until_s:g} s",
        )  # fmt: skip

    def _at_s(self, t_ns: int, one: dict[str, Any]) -> float:
        return float(t_ns - one["t0_ns"]) / NS_PER_S

    def _opened_s(self, event: SiteEvent | None, one: dict[str, Any]) -> float | None:
        return None if event is None else self._at_s(event.opened_ns, one)

    def _closed_s(self, event: SiteEvent | None, one: dict[str, Any]) -> float | None:
        if event is None or event.closed_ns is None:
            return None
        return self._at_s(event.closed_ns, one) - self.ends_s

    def _amplitude_off(self, event: SiteEvent | None) -> float | None:
        parts = (event.contributors or ()) if event else ()
        found = [c.amplitude_w for c in parts if c.channel_id == self.channel]
        return abs(found[0] / self.amplitude_w - 1) if found else None


def _channel_w(trace: Trace, channel: str) -> Any:
    """One channel of the trace from its first sample to its last, W; missing ones held."""
    parts = [
        piece.power_w[piece.channel_ids.index(channel)]
        for piece in trace.slices(1.0)
        if channel in piece.channel_ids
    ]
    power_w = np.concatenate(parts).astype(np.float64)
    known = np.flatnonzero(np.isfinite(power_w))
    last = np.maximum.accumulate(np.where(np.isfinite(power_w), np.arange(len(power_w)), known[0]))
    return power_w[last]
