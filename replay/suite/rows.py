"""One row of the suite: what was measured, over how many trials, how sure, and the limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from replay.score import Delay
from replay.suite import intervals

__all__ = ["Counts", "Goal", "Row", "counts_of", "rate_row", "share_row"]


class Goal(msgspec.Struct, frozen=True):
    """A limit: ``kind`` says whether figures may be at most or must be at least this."""

    limit: float
    kind: Literal["at most", "at least"] = "at most"


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Design section 7's counts of a row; absent where the row has no such thing."""

    truth: int = 0
    hits: int = 0
    misses: int = 0
    false_alarms: int = 0
    site_days: float = 0.0
    false_alarms_per_site_day: float | None = None
    delay_s: Delay = Delay(None, None)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """
    One figure of one case.

    ``trials`` are counted, or the site-days of a rate; ``low`` and ``high`` are the figure's 95 %
    interval (rates: each bound one-sided). ``judged`` says which
    of the three is held against the limit; a row without a goal is told, not judged.
    """

    case: str
    what: str
    figure: float | None
    trials: float
    low: float | None = None
    high: float | None = None
    goal: Goal | None = None
    judged: Literal["figure", "low", "high"] = "figure"
    unit: str = ""
    detector: str = "lockstep"
    note: str = ""
    counts: Counts = Counts()

    @property
    def ok(self) -> bool:
        """Whether the row keeps its limit; one that has none does."""
        if self.goal is None:
            return True
        value = getattr(self, self.judged)
        if value is None or self.figure is None or math.isnan(value):
            return False
        return bool(
            value <= self.goal.limit if self.goal.kind == "at most" else (value >= self.goal.limit)
        )

    def widened(self) -> Row:
        """
        The same row judged by its own interval: red only where the limit is outside it.

        A row without an interval stays as it is.
        """
        if self.goal is None or self.low is None:
            return self
        kind = self.goal.kind
        return msgspec.structs.replace(self, judged="low" if kind == "at most" else "high")

    def as_json(self) -> dict[str, Any]:
        """The row as ``replay score SUITE --json`` gives it."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        told |= {k: None for k in ("figure", "low", "high") if _unknown(told[k])}
        counts, goal = told.pop("counts"), told.pop("goal")
        limit = goal or {"limit": None, "kind": None}
        return {
            **told,
            "limit": limit["limit"],
            "limit_kind": limit["kind"],
            "ok": self.ok,
        } | counts


def _unknown(value: Any) -> bool:
    """A number that is none: JSON has no word for it."""
    return isinstance(value, float) and not math.isfinite(value)


def counts_of(
    found: Sequence[bool], delays_s: Sequence[float], false_alarms: int, site_days: float
) -> Counts:
    """Counts from one flag a truth, the hits' delays and the events that were for nothing."""
    ranks = np.quantile(delays_s, [0.5, 0.95]) if len(delays_s) else (None, None)
    p50, p95 = (None if x is None else float(x) for x in ranks)
    hits = int(sum(found))
    return Counts(
        truth=len(found),
        hits=hits,
        misses=len(found) - hits,
        false_alarms=false_alarms,
        site_days=site_days,
        false_alarms_per_site_day=false_alarms / site_days if site_days > 0 else None,
        delay_s=Delay(p50, p95),
    )


def share_row(
    case: str, what: str, counted: tuple[int, int], least: float | None, **more: Any
) -> Row:
    """A share of trials that went right, (right, trials), with its exact interval."""
    right, trials = counted
    low, high = intervals.share(right, trials)
    figure = right / trials if trials else None
    goal = None if least is None else Goal(least, "at least")
    return Row(
        case=case, what=what, figure=figure, trials=trials, low=low, high=high, goal=goal, **more
    )


def rate_row(
    case: str, what: str, counted: tuple[int, float], most: float | None, **more: Any
) -> Row:
    """Events per site-day, (count, site-days): its upper bound is what the limit is for."""
    count, days = counted
    low, high = intervals.rate(count, days)
    goal = None if most is None else Goal(most)
    figure = count / days if days > 0 else None
    return Row(
        case=case,
        what=what,
        figure=figure,
        trials=days,
        low=low,
        high=high,
        goal=goal,
        judged="high",
        unit="/site-day",
        **more,
    )
