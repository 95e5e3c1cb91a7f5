"""What the forecaster knows as the record that is published, and as rows of what came of it."""

from __future__ import annotations

import hashlib
import math
from importlib import metadata
from typing import Any, NamedTuple

import msgspec
import numpy as np

from pipeline import planned
from pipeline.detect import DetectSettings
from pipeline.layout import SiteLayout
from pipeline.outlook_book import Record, record
from pipeline.outlook_privacy import Privacy, rounded
from pipeline.outlook_state import METHODS, REFERENCES, REGIMES, OutlookState
from schemas.events import Quality
from schemas.forecasts import (
    Calibration,
    Fallback,
    Flexibility,
    Forecast,
    HorizonClass,
    Interval,
    Oscillation,
    PlannedEvent,
    Provenance,
    RampBound,
    Skill,
)
from schemas.units import NS_PER_S

__all__ = ["Facts", "Issue", "Writer", "ramp_bounds"]

NOMINAL = 0.9
SPANS_S = (5, 15, 60, 600)
ENVELOPE_STRIDE_S = 3
FREQ_STEP_HZ = 0.05
LATE_NS = 2 * NS_PER_S
PLANNED_SHARE = 0.01
"""Announced changes below this share of the site's reference stay out of the message."""


class Issue(NamedTuple):
    """One class's forecast: ``sent_w`` (horizon, 7), its main ``method`` by horizon, its times."""

    name: HorizonClass
    sent_w: Any
    method: Any
    start_ns: Any
    end_ns: Any
    regime: int
    valid_ns: int
    horizon_s: Any
    told: list[int]
    """Horizons whose record the message tells."""


class Facts(NamedTuple):
    """What the second knows beside the forecast."""

    share: float
    reference_w: float
    freq_hz: float
    coherence: float
    digest: str


def ramp_bounds(seconds_w: Any, known: Any) -> tuple[RampBound, ...]:
    """Rises and falls of 1-s means within each span: 95 % quantile and largest."""
    found = []
    for span_s in SPANS_S:
        if len(seconds_w) <= span_s:
            continue
        change_w = (seconds_w[span_s:] - seconds_w[:-span_s])[known[span_s:] & known[:-span_s]]
        if not len(change_w):
            continue
        sample_w = np.sort(change_w[::ENVELOPE_STRIDE_S])
        place = round(0.05 * (len(sample_w) - 1))
        up_w, down_w = float(sample_w[-1 - place]), float(-sample_w[place])
        top_w, low_w = float(change_w.max()), float(-change_w.min())
        sizes_w = (max(value_w, 0.0) for value_w in (up_w, down_w, top_w, low_w))
        found.append(RampBound(span_s, *sizes_w))
    return tuple(found)


class Writer:
    """Makes the records of one site."""

    def __init__(self, layout: SiteLayout, detect: DetectSettings) -> None:
        self._layout = layout
        try:
            version = metadata.version("lockstep")
        except metadata.PackageNotFoundError:
            version = "source"
        config = hashlib.sha256(msgspec.json.encode(detect)).hexdigest()[:16]
        self._provenance = Provenance("lockstep", version, "chain-1", config)
        self._privacy = Privacy(layout, detect)
        nyquist_hz = layout.ticks_per_s / 2
        self._band_hz = (1 / 33, 0.8 * nyquist_hz)

    def forecast(self, state: OutlookState, issue: Issue, facts: Facts) -> Forecast:
        """The message; ``state.seq`` has been counted up for it."""
        layout, kept = self._layout, record(state.books[issue.name])
        step_w = self._privacy.step_w(issue.name, facts.reference_w)
        issue = issue._replace(sent_w=rounded(issue.sent_w, step_w))
        level_w = float(issue.sent_w[-1, 3])
        free = self._privacy.open
        return Forecast(
            site_id=layout.site_id,
            poi_id=layout.nodes[layout.top].id,
            seq=state.seq,
            issued_ns=state.end_ns,
            data_until_ns=state.measured_ns,
            valid_until_ns=issue.valid_ns,
            horizon_class=issue.name,
            intervals=tuple(_intervals(issue)),
            calibration=tuple(_calibrations(issue, kept, 4 if free else 2)),
            skill=tuple(_skills(issue, kept) if free else _counts(issue, kept)),
            aggregation=self._privacy.aggregation(issue.name, step_w),
            provenance=msgspec.structs.replace(self._provenance, inputs_hash=facts.digest),
            fallback=Fallback("recourse", level_w, _steepest(state) if free else None),
            quality=_quality(facts.share),
            valid_share=facts.share,
            regime=REGIMES[issue.regime] if free else None,  # type: ignore[arg-type]
            ramp_bounds=state.envelope if free else (),
            oscillation=self._oscillation(state, facts),
            flexibility=_flexibility(state) if free else None,
            planned_events=tuple(self._planned(state, issue, facts)),
            set_point_w=_set_point_w(state),
            signals=tuple(sorted(state.signals)),
            degraded=tuple(_degraded(state, facts)),
        )

    def _planned(self, state: OutlookState, issue: Issue, facts: Facts) -> list[PlannedEvent]:
        if not self._privacy.open:
            return []
        found = [planned.as_message(state, p) for p in planned.ahead(state, int(issue.end_ns[-1]))]
        least_w = PLANNED_SHARE * facts.reference_w
        return [p for p in found if p.change_q50_w is None or abs(p.change_q50_w) >= least_w]

    def _oscillation(self, state: OutlookState, facts: Facts) -> Oscillation | None:
        low_hz, high_hz = self._band_hz
        if not self._privacy.open:
            return None
        seen = {}
        if low_hz <= facts.freq_hz <= high_hz and state.swing_w[1]:
            seen = {
                "freq_hz": max(round(facts.freq_hz / FREQ_STEP_HZ), 1) * FREQ_STEP_HZ,
                "amplitude_q50_w": state.swing_w[0],
                "amplitude_q95_w": state.swing_w[1],
                "coherence": round(facts.coherence, 2),
            }
        return Oscillation(observable_low_hz=low_hz, observable_high_hz=high_hz, **seen)


def _intervals(issue: Issue) -> list[Interval]:
    methods: Any = [METHODS[k] for k in issue.method.tolist()]
    rows, starts, ends = issue.sent_w.tolist(), issue.start_ns.tolist(), issue.end_ns.tolist()
    return [
        Interval(
            start_ns=start_ns, duration_ns=end_ns - start_ns, agg="mean", method=method,
            q05_w=q[0], q10_w=q[1], q25_w=q[2], q50_w=q[3], q75_w=q[4], q90_w=q[5], q95_w=q[6],
        )
        for method, q, start_ns, end_ns in zip(methods, rows, starts, ends, strict=True)
    ]  # fmt: skip


def _calibrations(issue: Issue, kept: Record, digits: int) -> list[Calibration]:
    """Of the horizons that are archived, as far as they are followed."""
    rows = [k for k in issue.told if k < len(kept.n)]
    columns = (
        kept.n[rows].tolist(),
        kept.coverage[rows].tolist(),
        kept.hour_coverage[rows].tolist(),
    )
    return [
        Calibration(issue.horizon_s[k], NOMINAL, n, _known(coverage, digits), _known(hour, digits))
        for k, n, coverage, hour in zip(rows, *columns, strict=True)
    ]


def _known(value: float, digits: int) -> float | None:
    return None if math.isnan(value) else round(value, digits)


def _counts(issue: Issue, kept: Record) -> list[Skill]:
    """Skill as a site without consent tells it: how many outcomes, and no loss in W."""
    return [Skill(issue.horizon_s[k], int(kept.n[k])) for k in issue.told if k < len(kept.n)]


def _skills(issue: Issue, kept: Record) -> list[Skill]:
    found = []
    for k in issue.told:
        if k >= len(kept.n):
            continue
        n, horizon_s = int(kept.n[k]), issue.horizon_s[k]
        if not n:
            found.append(Skill(horizon_s, 0))
            continue
        row: Any = [round(float(w), 1) for w in kept.loss_w[[-1, 0, 1, 2], k]]
        name: Any = METHODS[:REFERENCES][int(kept.best[k])]
        least_w = min(row[1:])
        skill = round(1 - row[0] / least_w, 4) if least_w else None
        found.append(Skill(horizon_s, n, row[0], row[1], row[2], row[3], name, skill))
    return found


def _steepest(state: OutlookState) -> float | None:
    if not state.envelope:
        return None
    first = state.envelope[0]
    return max(first.up_q95_w, first.down_q95_w) / first.window_s


def _flexibility(state: OutlookState) -> Flexibility | None:
    fives_w = state.fives_w[state.fives_known]
    if len(fives_w) < 12 or not state.envelope:
        return None
    newest_w = float(fives_w[-1])
    return Flexibility(
        "observed",
        newest_w - float(fives_w.min()),
        float(fives_w.max()) - newest_w,
        _steepest(state) or 0.0,
    )


def _set_point_w(state: OutlookState) -> float | None:
    signal = state.signals.get("set_point")
    if signal is None or signal.unit != "W":
        return None
    return None if signal.until_ns is not None and signal.until_ns <= state.end_ns else signal.value


def _quality(share: float) -> Quality:
    return "good" if share >= 1.0 else "gap"


def _degraded(state: OutlookState, facts: Facts) -> list[str]:
    found = []
    if facts.share < 1.0:
        found.append("input_missing")
    if state.end_ns - state.measured_ns >= LATE_NS:
        found.append("input_late")
    if not all(
        book.hour_n.sum() for name, book in state.books.items() if name in {"fast", "scada"}
    ):
        found.append("not_calibrated")
    return found
