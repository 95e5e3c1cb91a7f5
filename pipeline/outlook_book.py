"""From several forecasts to the one that is sent, and what is learned once its outcome is known."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from operators import calibration
from pipeline.outlook_state import KEPT_HOURS, METHODS, REFERENCES, REGIMES, Book
from schemas.units import NS_PER_S

__all__ = ["Outcomes", "Record", "closed", "learned", "opened", "record", "settled"]

FORGET = 0.003
"""Weight of the newest loss once a record is long: a memory of half an hour of 5-s forecasts."""
RATE = {"fast": 0.008, "scada": 0.005, "dispatch": 0.008, "cop": 0.008}
MOST = 0.5
"""Step and bound of the quantile offsets, in widths of the forecast."""
FIRST = {"fast": (4.0, 0.1), "scada": (2.0, 0.06), "dispatch": (4.0, 0.1), "cop": (4.0, 0.1)}
FIRST_AS = 20
"""
The first steps are larger: ``FIRST`` over 20 and the outcomes seen, at most so much. A mean of all
outcomes would take 3 over their number, since a normal's density is about 1/3 a width at its outer
levels. Slow classes see few outcomes, and their levels change for hours.
"""
STEPS = np.array((1.0, 0.59, 0.32, 0.26, 0.32, 0.59, 1.0))
"""
Each level's step, of that of the outer ones: one over a normal's density there. The same step
for all would make the middle restless.
"""
SPREAD_RATE, SPREAD_KEPT, SPREAD_MOST = {"fast": 0.03, "scada": 0.03}, 0.99, 1.0
"""
Step, memory and bound of one factor on all widths of a class: its horizons miss together when a
level changes, and offsets, one a horizon and regime, would take hours to answer that.
"""
HOUR_NS = 3600 * NS_PER_S
MISSED = 0.1
"""Share of outcomes that lies outside the outer levels."""
LEAST = {"fast": 12, "scada": 12, "dispatch": 48, "cop": 12}
"""
Outcomes of a horizon before its record counts; until then these relative losses are assumed.
Five-minute means of fewer than four hours tell of one job.
"""
PLAIN = {
    "fast": (1.0, 1.0, 1.02, 1.1, 1.1, 1.1, 1.1),
    "scada": (1.0, 1.0, 1.02, 1.1, 1.1, 1.1, 1.1),
    "dispatch": (1.3, 1.0, 1.0, 1.3, 1.2, 1.3, 1.3),
    "cop": (1.3, 1.15, 1.3, 1.3, 1.0, 1.3, 1.3),
}
ANNOUNCED, ANNOUNCED_STEPS = (1.3, 1.15, 1.15, 1.3, 1.3, 1.0, 1.3), 2
"""The same of the slow classes' first steps where a lasting change is announced: the new level."""


class Outcomes(NamedTuple):
    """What came of some horizons ``at`` (n,) of one issue: ``mean_w`` (n,), ``known`` (n,)."""

    at: Any
    mean_w: Any
    known: Any


class Record(NamedTuple):
    """A class's record over 24 h, each (horizon,): ``loss_w`` (method + 1, horizon) are means."""

    n: Any
    coverage: Any
    hour_coverage: Any
    loss_w: Any
    best: Any
    """Index of the reference with the least loss."""


def blend(book: Book, name: str, raw_w: Any, regime: int) -> tuple[Any, Any]:
    """Quantiles (horizon, 7) to send before plans are known, and each horizon's main method."""
    followed = book.loss_w.shape[2]
    told = REGIMES[regime] == "planned" and name in {"dispatch", "cop"}
    plain = np.repeat(np.array(PLAIN[name])[:, None], followed, axis=1)
    if told:
        plain[:, :ANNOUNCED_STEPS] = np.array(ANNOUNCED)[:, None]
    long = (book.seen >= LEAST[name])[:, None, :]
    other = (book.loss_w * long).sum(axis=0) / np.maximum(long.sum(axis=0), 1)
    prior = np.where((other > 0) & (not told), other, plain)
    loss_w = np.where(long[regime], book.loss_w[regime], prior)
    weight = calibration.weights(loss_w)
    offset = book.offset[_like(book, regime)]
    beyond = raw_w.shape[1] - followed
    if beyond:  # horizons nobody follows are weighed like the longest that is
        weight = np.concatenate([weight, np.repeat(weight[:, -1:], beyond, axis=1)], axis=1)
        offset = np.concatenate([offset, np.repeat(offset[-1:], beyond, axis=0)])
    sent_w = calibration.corrected(calibration.blended(raw_w, weight), offset)
    return calibration.widened(sent_w, book.spread), np.argmax(weight, axis=0)


def _like(book: Book, regime: int) -> int:
    """The regime itself, or as long as it has no outcome the one that has most."""
    seen = book.seen.max(axis=1)
    return regime if seen[regime] else int(np.argmax(seen))


def opened(book: Book, issued_ns: int, raw_w: Any, sent_w: Any, regime: int) -> Book:
    """The book with one more issue in flight; horizons beyond those followed are let go."""
    followed = book.loss_w.shape[2]
    raw = np.asarray(raw_w[:, :followed], np.float32)
    sent = np.asarray(sent_w[:followed], np.float64)
    return book._replace(
        issued_ns=[*book.issued_ns, issued_ns],
        raw=[*book.raw, raw],
        sent=[*book.sent, sent],
        regime=[*book.regime, regime],
    )


def closed(book: Book, count: int) -> Book:
    """The book without its oldest ``count`` issues."""
    return book._replace(
        issued_ns=book.issued_ns[count:],
        raw=book.raw[count:],
        sent=book.sent[count:],
        regime=book.regime[count:],
    )


def learned(book: Book, name: str, k: int, outcomes: Outcomes, end_ns: int) -> tuple[Book, Any]:
    """What outcomes of issue ``k`` teach: the new book, and losses (method + 1, n) of them."""
    at = outcomes.at[outcomes.known]
    y_w = outcomes.mean_w[outcomes.known]
    if not len(at):
        return book, np.zeros((len(METHODS) + 1, 0))
    regime, sent_w = book.regime[k], book.sent[k][at]
    raw_w = book.raw[k][:, at].astype(np.float64)
    loss_w = calibration.losses(np.concatenate([raw_w, sent_w[None]]), y_w)
    seen = book.seen.copy()
    seen[regime, at] += 1
    share = np.maximum(1.0 / seen[regime, at], FORGET)
    begun, most = FIRST[name]
    first = np.minimum(begun / (seen[regime, at] + FIRST_AS), most)
    rate = np.maximum(RATE[name], first)[:, None] * STEPS
    rolling, offset = book.loss_w.copy(), book.offset.copy()
    offset[regime] = offset[_like(book, regime)]
    rolling[regime][:, at] += share * (loss_w[:-1] - rolling[regime][:, at])
    offset[regime, at] = calibration.tracked(offset[regime, at], sent_w, y_w, rate=rate, most=MOST)
    book = _hour(book, end_ns)
    row = book.hour_ns // HOUR_NS % KEPT_HOURS
    n, hit, total = book.hour_n.copy(), book.hour_hit.copy(), book.hour_loss_w.copy()
    n[row, at] += 1
    held = (y_w >= sent_w[:, 0]) & (y_w <= sent_w[:, -1])
    hit[row, at] += held
    total[row][:, at] += loss_w
    missed = 1 - float(held.mean()) - MISSED
    spread = SPREAD_KEPT * book.spread + SPREAD_RATE.get(name, 0.0) * missed
    book = book._replace(
        spread=min(max(spread, -SPREAD_MOST), SPREAD_MOST),
        loss_w=rolling,
        seen=seen,
        offset=offset,
        hour_n=n,
        hour_hit=hit,
        hour_loss_w=total,
    )
    return book, loss_w


def _hour(book: Book, end_ns: int) -> Book:
    """Turn the pages to the hour of ``end_ns``; what is a day old is torn out."""
    hour_ns = (end_ns - 1) // HOUR_NS * HOUR_NS
    if hour_ns == book.hour_ns:
        return book
    past = KEPT_HOURS if book.hour_ns < 0 else (hour_ns - book.hour_ns) // HOUR_NS
    rows = [(hour_ns // HOUR_NS - k) % KEPT_HOURS for k in range(min(past, KEPT_HOURS))]
    n, hit, total = book.hour_n.copy(), book.hour_hit.copy(), book.hour_loss_w.copy()
    n[rows], hit[rows], total[rows] = 0, 0, 0.0
    return book._replace(hour_ns=hour_ns, hour_n=n, hour_hit=hit, hour_loss_w=total)


def record(book: Book) -> Record:
    """The class's record over the last 24 h, and coverage over the current hour."""
    n, hit = book.hour_n.sum(axis=0), book.hour_hit.sum(axis=0)
    row = book.hour_ns // HOUR_NS % KEPT_HOURS
    some = np.maximum(n, 1)
    loss_w = book.hour_loss_w.sum(axis=0) / some
    now_n = book.hour_n[row]
    with np.errstate(invalid="ignore", divide="ignore"):
        return Record(
            n,
            np.where(n > 0, hit / some, np.nan),
            np.where(now_n > 0, book.hour_hit[row] / now_n, np.nan),
            loss_w,
            np.argmin(loss_w[:REFERENCES], axis=0),
        )


def settled(book: Book, until_ns: int, longest_ns: int) -> int:
    """How many of the oldest issues have all their outcomes by ``until_ns``."""
    return sum(issued_ns + longest_ns <= until_ns for issued_ns in book.issued_ns)
