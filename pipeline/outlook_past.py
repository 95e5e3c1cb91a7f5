"""The POI's past at four steps, and what it says about the forecasts that fell due."""

from __future__ import annotations

from typing import Any

import numpy as np

from operators import futures
from pipeline import outlook_book
from pipeline.outlook_book import Outcomes
from pipeline.outlook_horizons import Horizons
from pipeline.outlook_quick import SECONDS_S, TICKS_S
from pipeline.outlook_state import OutlookState
from schemas.forecasts import ForecastOutcome
from schemas.units import NS_PER_S

__all__ = ["Settling"]

NEWEST_S = 180
"""Of the tick means, what outcomes of the quick classes may lie in."""
ENOUGH = 0.9
"""Share of five minutes or of an hour that must be measured to count."""


class Settling:
    """Keeps one site's past, and settles forecasts; ``site`` is the site's id and its POI's."""

    def __init__(self, of: Horizons, site: tuple[str, str]) -> None:
        self._of, self._site, self._per_s = of, site, of.ticks_per_s

    def join(self, state: OutlookState, told: list[Any]) -> None:
        """Add the fresh seconds to the past at all four steps, and settle what came due."""
        parts, state.fresh = state.fresh, []
        ticks_w = np.concatenate([state.ticks_w, *(w for w, _ in parts)])
        known = np.concatenate([state.ticks_known, *(k for _, k in parts)])
        keep = TICKS_S * self._per_s
        state.ticks_w, state.ticks_known = ticks_w[-keep:], known[-keep:]
        means_w = np.array([w.mean() for w, _ in parts])
        whole = np.array([bool(k.all()) for _, k in parts])
        state.seconds_w = np.concatenate([state.seconds_w, means_w])[-SECONDS_S:]
        state.seconds_known = np.concatenate([state.seconds_known, whole])[-SECONDS_S:]
        first_ns = state.end_ns - (len(parts) - 1) * NS_PER_S
        for k, (mean_w, ok) in enumerate(zip(means_w.tolist(), whole.tolist(), strict=True)):
            self._slower(state, first_ns + k * NS_PER_S, mean_w if ok else None, told)
        self._settle_quick(state, told)

    def _slower(
        self, state: OutlookState, end_ns: int, mean_w: float | None, told: list[Any]
    ) -> None:
        """One second more of the open five minutes and hour; a full one settles forecasts."""
        sums, counts = list(state.part_w), list(state.part_n)
        for k, (name, step_ns) in enumerate(self._of.step_ns.items()):
            if mean_w is not None:
                sums[k], counts[k] = sums[k] + mean_w, counts[k] + 1
            if end_ns % step_ns:
                continue
            enough = counts[k] * NS_PER_S >= ENOUGH * step_ns
            value_w = sums[k] / counts[k] if counts[k] else 0.0
            sums[k], counts[k] = 0.0, 0
            field = ("fives", "hours")[k]
            past_w, past_known = getattr(state, f"{field}_w"), getattr(state, f"{field}_known")
            kept = self._of.slow[name].kept
            if enough or len(past_w):
                held_w = value_w if enough else float(past_w[-1])
                setattr(state, f"{field}_w", np.append(past_w, held_w)[-kept:])
                setattr(state, f"{field}_known", np.append(past_known, enough)[-kept:])
            self._settle_slow(state, (name, end_ns), value_w if enough else None, told)
        state.part_w, state.part_n = sums, counts

    def _settle_quick(self, state: OutlookState, told: list[Any]) -> None:
        newest = slice(-NEWEST_S * self._per_s, None)
        ticks_w, base_w = state.ticks_w[newest], state.ticks_w[-1]
        total = futures.running(ticks_w - base_w)
        gaps = np.concatenate([[0], np.cumsum(~state.ticks_known[newest])])
        for name, targets in self._of.quick.items():
            book, until = state.books[name], targets.until
            longest_ns = int(until[-1]) * NS_PER_S // self._per_s
            count = outlook_book.settled(book, state.end_ns, longest_ns)
            for k in range(count):
                back = (state.end_ns - book.issued_ns[k]) * self._per_s // NS_PER_S
                origin = len(ticks_w) - back
                if origin < 0:
                    continue
                mean_w = futures.means_ahead(total, np.array([origin]), targets)[:, 0]
                place = origin + until
                known = gaps[place] == gaps[place - targets.width]
                outcomes = Outcomes(np.arange(len(until)), mean_w + base_w, known)
                book = self._learn(state, (name, book, k), outcomes, told)
            state.books[name] = outlook_book.closed(book, count) if count else book

    def _settle_slow(
        self, state: OutlookState, due: tuple[str, int], mean_w: float | None, told: list[Any]
    ) -> None:
        """The step that just ended is the outcome of one horizon of every issue in flight."""
        name, end_ns = due
        book, step_ns = state.books[name], self._of.step_ns[name]
        for k, issued_ns in enumerate(book.issued_ns):
            at = (end_ns - issued_ns) // step_ns - 1
            if mean_w is not None and 0 <= at < self._of.slow[name].followed:
                outcomes = Outcomes(np.array([at]), np.array([mean_w]), np.ones(1, bool))
                book = self._learn(state, (name, book, k), outcomes, told)
        longest_ns = self._of.slow[name].followed * step_ns
        state.books[name] = outlook_book.closed(
            book, outlook_book.settled(book, end_ns, longest_ns)
        )

    def _learn(
        self, state: OutlookState, of: tuple[str, Any, int], outcomes: Outcomes, told: list[Any]
    ) -> Any:
        name, book, k = of
        new, loss_w = outlook_book.learned(book, name, k, outcomes, state.end_ns)
        at = outcomes.at[outcomes.known]
        start_ns = self._of.times(name, book.issued_ns[k])[0]
        site_id, node_id = self._site
        for n in np.flatnonzero(self._of.archived[name][at]):
            y_w, sent_w = float(outcomes.mean_w[outcomes.known][n]), book.sent[k][at[n]]
            told.append(
                ForecastOutcome(
                    site_id=site_id,
                    node_id=node_id,
                    issued_ns=book.issued_ns[k],
                    horizon_class=name,  # type: ignore[arg-type]
                    start_ns=int(start_ns[at[n]]),
                    t_ns=state.end_ns,
                    outcome_w=y_w,
                    crps_w=float(loss_w[-1, n]),
                    persistence_w=float(loss_w[0, n]),
                    climatology_w=float(loss_w[1, n]),
                    seasonal_w=float(loss_w[2, n]),
                    covered=bool(sent_w[0] <= y_w <= sent_w[-1]),
                )
            )
        return new
