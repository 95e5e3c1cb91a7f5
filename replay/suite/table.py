"""The rows as a table for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from replay.suite.rows import Row

__all__ = ["cells", "lines"]

_HEAD = ("", "case", "what", "by", "figure", "95 % interval", "limit", "trials", "delay", "")


def lines(rows: Sequence[Row]) -> list[str]:
    """A head, a line a row, and a last line with the count of those that miss their limit."""
    table = [_HEAD, *(cells(row) for row in rows)]
    widths = [max(len(line[k]) for line in table) for k in range(len(_HEAD) - 1)]
    told = [_line(line, widths) for line in table]
    judged = [row for row in rows if row.goal is not None]
    missed = [row for row in judged if not row.ok]
    return [*told, f"{len(judged) - len(missed)} of {len(judged)} limits kept"]


def _line(row: Sequence[str], widths: Iterable[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
    return "  ".join([*padded, row[-1]]).rstrip()


def cells(row: Row) -> tuple[str, ...]:
    """Verdict, case, what, by whom, figure, interval, limit, trials, delay, note."""
    limit, kind = "", ""
    if row.goal is not None:
        kind = "<=" if row.goal.kind == "at most" else ">="
        limit = f"{row.judged if row.judged != 'figure' else ''} {kind} {_number(row.goal.limit)}"
    p50, p95 = row.counts.delay_s.p50, row.counts.delay_s.p95
    delay = "" if p50 is None or p95 is None else f"{p50:.2f} s, p95 {p95:.2f} s"
    verdict = "" if row.goal is None else ("ok" if row.ok else "MISSED")
    figure = f"{_number(row.figure)} {row.unit}".strip()
    trials = f"{row.trials:.3g} days" if row.unit == "/site-day" else str(round(row.trials))
    between = "" if row.low is None else f"{_number(row.low)} to {_number(row.high)}"
    return (
        verdict, row.case, row.what, row.detector, figure, between, limit.strip(),
        trials, delay, row.note,
    )  # fmt: skip


def _number(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:.4g}" if math.isfinite(value) else "unknown"
