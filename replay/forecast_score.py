"""Forecasts against what came: CRPS skill over the best of three references, coverage, ramps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from operators import forecast
from pipeline.outlook_state import METHODS, REFERENCES
from replay.forecast_run import Class, Run
from replay.forecast_traces import T0_NS, Series
from schemas.units import NS_PER_S

__all__ = ["Bound", "checked", "ramps", "scored_rows"]

EVENTS = "events"
RAMP_SHARE, RAMP_LEAD_S, RAMP_NEAR_S, RAMP_SURE = 0.1, 5.0, 5.0, 0.5
"""Least ramp (share of the site), least lead, how near in time a hit is, least certainty told."""
LEADS_S = (5, 30, 60, 120)
QUICK = ("fast", "scada")


class Bound(NamedTuple):
    """One promise: what was measured, and what it must be at least, and at most."""

    family: str
    what: str
    value: float
    least: float
    most: float

    @property
    def held(self) -> bool:
        """Whether it is kept."""
        return bool(self.least <= self.value <= self.most)


def scored_rows(series: Series, run: Run) -> list[dict[str, Any]]:
    """
    One row a class and horizon; a hinted family has a second set, of windows that hold an event.

    ``crps_skill`` is one less the mean CRPS over that of the best reference at this horizon.
    """
    rows = []
    for name, scored in run.classes.items():
        loss_w = _losses(scored)
        rows += _rows(series, name, scored, loss_w, np.ones(scored.outcome_w.shape, bool))
        if series.announced:
            rows += _rows(series, name, scored, loss_w, _holding(series, scored), EVENTS)
    return rows


def _losses(scored: Class) -> Any:
    """CRPS of what was sent and of the references, (1 + 3, issue, horizon) W, NaN where open."""
    quantiles_w = np.concatenate([scored.sent_w[:, None], scored.reference_w], axis=1)
    count, parts = len(scored.issued_s), []
    for start in range(0, count, 1000):
        outcome_w = scored.outcome_w[start : start + 1000]
        error_w = outcome_w[:, None, :, None] - quantiles_w[start : start + 1000]
        level = np.array(forecast.LEVELS)
        parts.append(2 * np.maximum(level * error_w, (level - 1) * error_w).mean(axis=-1))
    return np.concatenate(parts).transpose(1, 0, 2)


def _holding(series: Series, scored: Class) -> Any:
    """
    Which (issue, horizon) pairs hold an event that had been announced at issue.

    A lasting change: its onset lies between issue and the target's end. A passing one: the target
    overlaps it, and it had not begun.
    """
    issued_s = scored.issued_s[:, None]
    end_s = issued_s + scored.horizon_s[None, :]
    start_s = end_s - scored.width_s[None, :]
    held = np.zeros(end_s.shape, bool)
    for told_s, onset_s, until_s, _ in series.announced:
        known = (told_s <= issued_s) & (issued_s < onset_s) & (onset_s < end_s)
        held |= known if until_s is None else known & (start_s < until_s)
    return held


def _rows(
    series: Series, name: str, scored: Class, loss_w: Any, among: Any, suffix: str = ""
) -> list[dict[str, Any]]:
    low_w, high_w = scored.sent_w[..., 0], scored.sent_w[..., -1]
    covered = (scored.outcome_w >= low_w) & (scored.outcome_w <= high_w)
    family = series.family
    rows = []
    for k, horizon_s in enumerate(scored.horizon_s.tolist()):
        some = among[:, k] & ~np.isnan(scored.outcome_w[:, k])
        if not some.any():
            continue
        mean_w = loss_w[:, some, k].mean(axis=1)
        best = int(np.argmin(mean_w[1:]))
        rows.append(
            {
                "family": f"{family.name}:{suffix}" if suffix else family.name,
                "horizon_class": name,
                "horizon_s": round(horizon_s, 3),
                "iteration_s": family.period_s or None,
                "crps_skill": round(1 - float(mean_w[0] / mean_w[1 + best]), 4),
                "best_reference": METHODS[:REFERENCES][best],
                "coverage_90": round(float(covered[some, k].mean()), 4),
                "n": int(some.sum()),
                "crps_w": round(float(mean_w[0]), 1),
                "reference_crps_w": round(float(mean_w[1 + best]), 1),
            }
        )
    return rows


# ---- what is promised


def checked(series: Series, run: Run, rows: Sequence[dict[str, Any]]) -> list[Bound]:
    """What the family was to reach, with what it did reach."""
    family = series.family
    plain = [row for row in rows if row["family"] == family.name]
    found = []
    spans: tuple[tuple[str, float, float, float], ...] = (("to 30 s", 0.0, 30.0, -0.02),)
    if family.period_s:
        one, three = (0.30, 0.10) if family.jitter >= 0.01 else (0.25, -0.02)
        spans = (
            ("within one iteration", 0.0, family.period_s, one),
            ("1 to 3 iterations", family.period_s, 3 * family.period_s, three),
            ("3 iterations to 30 s", 3 * family.period_s, 30.0, 0.0),
        )
    for what, low_s, high_s, least in (*spans, ("1 to 15 min", 59.9, 900.0, -0.02)):
        among = [row for row in plain if low_s < row["horizon_s"] <= high_s + 1e-9]
        found.append(Bound(family.name, f"skill {what}", _skill(among), least, 1.0))
    if family.hinted:
        events = [row for row in rows if row["family"] != family.name]
        among = [row for row in events if 59.9 < row["horizon_s"] <= 900]
        found.append(Bound(family.name, "skill 1 to 15 min, events", _skill(among), 0.40, 1.0))
        of = ramps(series, run)
        found.append(Bound(family.name, "hinted ramps, POD", of["pod"], 0.9, 1.0))
        found.append(Bound(family.name, "hinted ramps, FAR", of["far"], 0.0, 0.2))
    return found + _coverages(family.name, run)


def _skill(rows: Sequence[dict[str, Any]]) -> float:
    """Over a grid of horizons: one less the ratio of the mean losses."""
    reference_w = sum(row["reference_crps_w"] for row in rows)
    return 1 - sum(row["crps_w"] for row in rows) / reference_w if reference_w else float("nan")


def _coverages(family: str, run: Run) -> list[Bound]:
    found = []
    for name, scored in run.classes.items():
        low_w, high_w = scored.sent_w[..., 0], scored.sent_w[..., -1]
        held = (scored.outcome_w >= low_w) & (scored.outcome_w <= high_w)
        known = ~np.isnan(scored.outcome_w)
        whole = float(held[known].mean())
        if name in QUICK:
            hour = (scored.issued_s // 3600).astype(np.int64)
            hours = [held[hour == h][known[hour == h]].mean() for h in np.unique(hour)[:-1]]
            found.append(Bound(family, f"coverage, {name}", whole, 0.88, 0.92))
            found.append(Bound(family, f"coverage, {name}, worst hour", min(hours), 0.85, 1.0))
            continue
        outcomes = len(np.unique((scored.issued_s[:, None] + scored.horizon_s)[known]))
        half = 1.96 * float(np.sqrt(0.9 * 0.1 / outcomes))
        what = f"coverage, {name}, {outcomes} outcomes"
        found.append(Bound(family, what, whole, 0.9 - half, min(0.9 + half, 1.0)))
    return found


# ---- ramps


def ramps(series: Series, run: Run) -> dict[str, Any]:
    """
    Announced ramps of a tenth of the site against those that the messages told, with lead.

    A hit: the newest message at least 5 s before the onset tells a change of the same sign, of a
    tenth of the site or more, more likely than not, within 5 s of it. Everything told so that no
    true ramp answers is a false alarm.
    """
    least_w = RAMP_SHARE * float(np.max(series.power_w))
    true = [(at_s, w) for at_s, w in _true_ramps(series) if abs(w) >= least_w]
    told = _told_ramps(run, least_w)
    hits = {lead_s: _hits(true, told, float(lead_s)) for lead_s in LEADS_S}
    alarms = _alarms(true, told)
    at_least = hits[LEADS_S[0]]
    return {
        "truth": len(true),
        "hits": at_least,
        "false_alarms": alarms,
        "pod": at_least / len(true) if true else float("nan"),
        "far": alarms / (alarms + at_least) if alarms + at_least else float("nan"),
        "hits_by_lead_s": {str(lead_s): n for lead_s, n in hits.items()},
    }


def _true_ramps(series: Series) -> list[tuple[float, float]]:
    found = []
    end_s = len(series.power_w) / 10
    for told_s, onset_s, until_s, depth_w in series.announced:
        if told_s <= onset_s - RAMP_LEAD_S - 5 and onset_s < end_s - 60:
            found.append((onset_s, depth_w))
            found += [(until_s, -depth_w)] if until_s is not None else []
    return found


def _told_ramps(run: Run, least_w: float) -> list[tuple[float, float, float]]:
    """Issue, time and size of every ramp in every message, s, s, W."""
    found = []
    for issued_s, event in run.planned:
        change_w = event.change_q50_w
        if change_w is None or abs(change_w) < least_w or event.certainty < RAMP_SURE:
            continue
        found.append((issued_s, (event.t_q50_ns - T0_NS) / NS_PER_S, change_w))
        if event.end_q50_ns is not None:
            found.append((issued_s, (event.end_q50_ns - T0_NS) / NS_PER_S, -change_w))
    return found


def _hits(true: Any, told: Any, lead_s: float) -> int:
    count = 0
    for onset_s, depth_w in true:
        before = [t for t in told if onset_s - lead_s - 300 <= t[0] <= onset_s - lead_s]
        newest_s = max((t[0] for t in before), default=-1.0)
        count += any(
            abs(at_s - onset_s) <= RAMP_NEAR_S and change_w * depth_w > 0
            for issued_s, at_s, change_w in before
            if issued_s == newest_s
        )
    return count


def _alarms(true: Any, told: Any) -> int:
    """Told ramps as of their last message in time, one an event, that nothing answers."""
    last: dict[tuple[int, bool], tuple[float, float]] = {}
    for issued_s, at_s, change_w in told:
        if issued_s <= at_s - RAMP_LEAD_S:
            key = (round(at_s / 20), change_w > 0)
            last[key] = (at_s, change_w)
    alarms: list[tuple[float, float]] = []
    for at_s, change_w in sorted(last.values()):
        answered = any(abs(at_s - on_s) <= RAMP_NEAR_S and change_w * w > 0 for on_s, w in true)
        again = any(abs(at_s - one_s) <= 20 and change_w * w > 0 for one_s, w in alarms)
        near = any(abs(at_s - on_s) <= 20 and change_w * w > 0 for on_s, w in true)
        if not answered and not again and not near:
            alarms.append((at_s, change_w))
    return len(alarms)
