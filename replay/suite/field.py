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

_OPENED = "opened, s since the recording's start"
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
        opened_s = [(event.opened_ns - trace.t0_ns) / NS_PER_S for event in events]
        lines = [event for event in events if event.kind == "oscillation"]
        event = min(lines, key=lambda event: event.opened_ns, default=None)
        return {
            **self._told(event, trace.t0_ns),
            "before": sum(at_s < self.quiet_until_s for at_s in opened_s),
            "events": len(events),
            "days": trace.duration_s / 86_400,
            "RMS": yardsticks.rms(_channel_w(trace, self.channel), 30),
        }

    def _told(self, event: SiteEvent | None, t0_ns: int) -> dict[str, float | None]:
        """What the line's event says; None where there is none, or it does not say."""
        if event is None:
            return dict.fromkeys(("opened_s", "freq_hz", "amplitude_w", "closed_s"))
        size_w = {one.channel_id: one.amplitude_w for one in event.contributors or ()}
        closed_ns = event.closed_ns
        return {
            "opened_s": (event.opened_ns - t0_ns) / NS_PER_S,
            "freq_hz": event.freq_hz,
            "amplitude_w": size_w.get(self.channel),
            "closed_s": None if closed_ns is None else (closed_ns - t0_ns) / NS_PER_S,
        }

    def rows(self, done: list[Any]) -> list[Row]:
        """Opened, frequency, amplitude, closed, nothing else; the yardstick's alarm."""
        (one,) = done
        freq_hz, size_w, closed_s = (one[k] for k in ("freq_hz", "amplitude_w", "closed_s"))
        told = {
            _OPENED: (one["opened_s"], self.opened_by_s),
            "frequency off, Hz": (freq_hz and abs(freq_hz - self.freq_hz), 0.01),
            f"amplitude of {self.channel} off, share": (
                size_w and abs(size_w / self.amplitude_w - 1),
                0.05,
            ),
            "closed, s off the end": (closed_s and abs(closed_s - self.ends_s), 20.0),
            f"events before {self.quiet_until_s:g} s": (one["before"], 0.0),
            "events in all": (one["events"], 1.0),
        }
        found = one["opened_s"] is not None
        counts = counts_of([found], [], one["events"] - found, one["days"])
        rows = [
            Row(case=self.name, what=what, figure=figure, trials=1, goal=Goal(most), counts=counts)
            for what, (figure, most) in told.items()
        ]
        return [*rows, self._yardstick(one["RMS"], one["opened_s"])]

    def _yardstick(self, alarms_s: list[float], ours_s: float | None) -> Row:
        after = [t for t in alarms_s if t >= self.quiet_until_s]
        theirs_s = after[0] if after else None
        better = ours_s is not None and (theirs_s is None or ours_s < theirs_s)
        note = (
            f"delay {'beaten' if better else 'not beaten'}; "
            f"{len(alarms_s) - len(after)} alarms before {self.quiet_until_s:g} s"
        )
        return Row(
            case=self.name, what=_OPENED, figure=theirs_s, trials=1, detector="RMS", note=note
        )


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
