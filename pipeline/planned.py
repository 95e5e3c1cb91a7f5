"""Announced events: when they will come, how much they move, and whether they came at all."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

from operators import futures
from pipeline.outlook_state import Kind, OutlookState, Planned
from schemas.events import WorkloadHint
from schemas.forecasts import PlannedEvent
from schemas.units import NS_PER_S

__all__ = ["ahead", "as_message", "heard", "lasting", "moved", "resumed", "watched"]

SAME_NS = 60 * NS_PER_S
"""Two announcements of one kind within this are one, and the later counts."""
EARLY_S, LATE_S = 10, 20
"""How far from its time an event is looked for."""
CAME = 0.5
"""Share of the announced change that makes it the event."""
KEPT = 64
MOST = 256
"""Announcements kept at a time; the latest ones are dropped."""
PRIOR_LATE_S = (-2.0, -1.0, 0.0, 1.0, 2.0)
PRIOR_RATIO = (0.85, 1.0, 1.15)
SHARES = np.array([0.05, 0.15, 0.25, 0.35, 0.5, 0.65, 0.75, 0.85, 0.95])
SHUFFLED = np.array([4, 0, 7, 2, 8, 3, 6, 1, 5])
"""Pairs each scenario's time with another scenario's size."""
LASTING_NS = 120 * NS_PER_S
"""A change longer than this is a new level to five-minute and hourly means."""
FRESH_S = 150
"""How long a passing event is told apart from what was before it."""


class Spread(NamedTuple):
    """Scenarios of one event: ``start_ns``, ``end_ns`` (scenario,), ``power_w``, ``certainty``."""

    start_ns: Any
    end_ns: Any
    power_w: Any
    certainty: float


def heard(state: OutlookState, hint: WorkloadHint) -> list[Planned]:
    """
    The plan with one more announcement.

    The same kind within a minute is one event. What is over already is left out: it can teach
    nothing, since nobody was looking for it when it came.
    """
    start_ns = hint.t_ns if hint.start_ns is None else hint.start_ns
    end_ns = hint.end_ns if hint.end_ns is not None and hint.end_ns > start_ns else None
    period_ns = None if not hint.period_s or hint.period_s < 1 else round(hint.period_s * NS_PER_S)
    one = Planned(hint.hint, start_ns, end_ns, hint.power_change_w, period_ns)
    over_ns = start_ns if end_ns is None else end_ns
    if period_ns is None and over_ns < state.end_ns - LATE_S * NS_PER_S:
        return state.planned
    if period_ns is not None and start_ns < state.end_ns:
        rounds = -(-(state.end_ns - start_ns) // period_ns)
        one = one._replace(
            start_ns=start_ns + rounds * period_ns,
            end_ns=None if end_ns is None else end_ns + rounds * period_ns,
        )
    others = [
        p
        for p in state.planned
        if p.kind != one.kind or p.came_ns >= 0 or abs(p.start_ns - one.start_ns) > SAME_NS
    ]
    return sorted([*others, one], key=lambda p: (p.start_ns, p.kind))[:MOST]


def watched(state: OutlookState, some_s: int) -> None:
    """
    Look in the newest seconds for what was announced; learn from what came and what did not.

    ``state`` is the caller's own copy of the record; ``some_s`` is a span in which the iterations
    average out.
    """
    if not state.planned or state.planned[0].start_ns > state.end_ns + EARLY_S * NS_PER_S:
        return
    state.kinds = copy.deepcopy(state.kinds)
    kept: list[Planned] = []
    for one in state.planned:
        kept += _looked_at(state, one, some_s)
    state.planned = sorted(kept, key=lambda p: (p.start_ns, p.kind))


def _looked_at(state: OutlookState, one: Planned, some_s: int) -> list[Planned]:
    kind = state.kinds.setdefault(one.kind, Kind())
    now_ns = state.end_ns
    if one.came_ns >= 0:
        over = one.end_ns is None or now_ns > one.end_ns + LATE_S * NS_PER_S
        return [] if over else [one]
    if now_ns < one.start_ns - EARLY_S * NS_PER_S:
        return [one]
    found = _step(state, one, some_s)
    if found is None:
        if now_ns < one.start_ns + (LATE_S + some_s) * NS_PER_S:
            return [one]
        kind.said += 1
        return _again(one)
    came_ns, moved_w = found
    kind.said, kind.came = kind.said + 1, kind.came + 1
    kind.late_s = [*kind.late_s, (came_ns - one.start_ns) / NS_PER_S][-KEPT:]
    kind.moved_w = [*kind.moved_w, moved_w][-KEPT:]
    if one.power_w:
        kind.ratio = [*kind.ratio, moved_w / one.power_w][-KEPT:]
    rest = (
        []
        if one.end_ns is None
        else [one._replace(came_ns=came_ns, moved_w=moved_w, period_ns=None)]
    )
    return rest + _again(one)


def _again(one: Planned) -> list[Planned]:
    """The next one of an event that has a timer."""
    if one.period_ns is None:
        return []
    end_ns = None if one.end_ns is None else one.end_ns + one.period_ns
    return [one._replace(start_ns=one.start_ns + one.period_ns, end_ns=end_ns)]


def _step(state: OutlookState, one: Planned, some_s: int) -> tuple[int, float] | None:
    """When the announced step came, and by how much the level moved; None: not yet."""
    expected_w = _expected_w(state.kinds[one.kind], one)
    x, end = state.seconds_w, len(state.seconds_w)
    span_s = some_s
    if one.end_ns is not None:
        span_s = min(some_s, max(int((one.end_ns - one.start_ns) // (2 * NS_PER_S)), 2))
    at = end - (state.end_ns - one.start_ns) // NS_PER_S
    places = np.arange(max(at - EARLY_S, span_s), min(at + LATE_S, end - span_s) + 1)
    if not len(places) or expected_w is None:
        return None
    total = futures.running(x - x[-1])
    before_w = (total[places] - total[places - span_s]) / span_s
    after_w = (total[places + span_s] - total[places]) / span_s
    change_w = after_w - before_w
    sized = change_w * np.sign(expected_w)
    best = int(np.argmax(sized))
    if sized[best] < CAME * abs(expected_w):
        return None
    return int(state.end_ns - (end - places[best]) * NS_PER_S), float(change_w[best])


def _expected_w(kind: Kind, one: Planned) -> float | None:
    if one.power_w is not None:
        return one.power_w or None
    return float(np.median(kind.moved_w)) if kind.moved_w else None


def certainty(kind: Kind) -> float:
    """Probability that an announced event of this kind comes: 9 of 10 before any was seen."""
    return (kind.came + 1.8) / (kind.said + 2.0)


def _spread(state: OutlookState, one: Planned) -> Spread | None:
    """The event's scenarios as seen now, None where nothing is known of its size."""
    kind = state.kinds.get(one.kind, Kind())
    expected_w = _expected_w(kind, one)
    if expected_w is None:
        return None
    if one.came_ns >= 0:
        end_ns = _lengths(one, one.came_ns, np.linspace(-1.5, 1.5, len(SHARES)))
        return Spread(
            np.full(len(SHARES), one.came_ns), end_ns, np.full(len(SHARES), one.moved_w), 1.0
        )
    late_s = np.quantile([*PRIOR_LATE_S, *kind.late_s], SHARES)
    ratio = (
        np.quantile([*PRIOR_RATIO, *kind.ratio], SHARES) if one.power_w else np.ones(len(SHARES))
    )
    start_ns = one.start_ns + np.round(late_s * NS_PER_S).astype(np.int64)
    left = start_ns > state.end_ns - 2 * NS_PER_S
    sure = certainty(kind) * left.mean()
    sure = sure / (sure + 1 - certainty(kind))
    start_ns = np.maximum(start_ns, state.end_ns)
    return Spread(
        start_ns, _lengths(one, start_ns, SHUFFLED / 4 - 1), ratio[SHUFFLED] * expected_w, sure
    )


def _lengths(one: Planned, start_ns: Any, error_s: Any) -> Any:
    """Ends of the scenarios; never for what stays."""
    if one.end_ns is None:
        return np.full(len(SHARES), np.iinfo(np.int64).max)
    length_ns = max(one.end_ns - one.start_ns, NS_PER_S)
    return start_ns + length_ns + np.round(np.asarray(error_s) * NS_PER_S).astype(np.int64)


def ahead(state: OutlookState, until_ns: int) -> list[Planned]:
    """Events that may move something until then."""
    return [
        p
        for p in state.planned
        if p.start_ns - 5 * NS_PER_S < until_ns
        and (p.came_ns < 0 or (p.end_ns or 0) > state.end_ns - 3 * NS_PER_S)
    ]


def lasting(one: Planned) -> bool:
    """Whether an event is a new level to five-minute and hourly means."""
    return one.end_ns is None or one.end_ns - one.start_ns > LASTING_NS


def moved(events: list[Planned], state: OutlookState, quantiles_w: Any, times_ns: Any) -> Any:
    """Quantiles (horizon, 7), W, of means between ``times_ns`` (starts, ends), with ``events``."""
    start_ns, end_ns = times_ns
    for one in events:
        spread = _spread(state, one)
        if spread is None:
            continue
        low = np.maximum(spread.start_ns[:, None], start_ns[None, :])
        high = np.minimum(spread.end_ns[:, None], end_ns[None, :])
        share = np.maximum(high - low, 0) / (end_ns - start_ns)[None, :]
        if one.came_ns >= 0 and not _fresh(state, one):  # the level is that of the event
            share = share - 1.0
        shift_w = share * spread.power_w[:, None]
        touched = np.flatnonzero(np.abs(shift_w).max(axis=0) > 0)
        if not len(touched):
            continue
        weight = np.append(
            np.full(len(SHARES), spread.certainty / len(SHARES)), 1 - spread.certainty
        )
        shifts_w = np.concatenate([shift_w[:, touched], np.zeros((1, len(touched)))])
        quantiles_w = quantiles_w.copy()
        quantiles_w[touched] = futures.mixed(quantiles_w[touched], shifts_w, weight)
    return quantiles_w


def _fresh(state: OutlookState, one: Planned) -> bool:
    return state.end_ns - one.came_ns < FRESH_S * NS_PER_S


def resumed(state: OutlookState) -> int | None:
    """When the passing event began that the POI is in or just out of; None: in none."""
    for one in state.planned:
        if one.came_ns >= 0 and one.end_ns is not None and _fresh(state, one):
            return one.came_ns
    return None


def as_message(state: OutlookState, one: Planned) -> PlannedEvent:
    """The event as the grid may see it."""
    kind, spread = state.kinds.get(one.kind, Kind()), _spread(state, one)
    late_s = np.quantile([*PRIOR_LATE_S, *kind.late_s], [0.05, 0.5, 0.95])
    t_ns = [one.start_ns + round(float(s) * NS_PER_S) for s in late_s]
    if one.came_ns >= 0:
        t_ns = [one.came_ns] * 3
    known = {}
    if spread is not None:
        low_w, middle_w, high_w = (float(q) for q in np.quantile(spread.power_w, [0.05, 0.5, 0.95]))
        known = {"change_q05_w": low_w, "change_q50_w": middle_w, "change_q95_w": high_w}
    end_ns = None if spread is None or one.end_ns is None else int(np.median(spread.end_ns))
    return PlannedEvent(
        kind=one.kind,  # type: ignore[arg-type]
        certainty=round(1.0 if spread is None else float(spread.certainty), 3),
        n=kind.said,
        t_q05_ns=t_ns[0],
        t_q50_ns=t_ns[1],
        t_q95_ns=t_ns[2],
        end_q50_ns=end_ns,
        **known,
    )
