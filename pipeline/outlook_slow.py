"""Forecasts from five-minute and hourly means: an hour and a week ahead."""

from __future__ import annotations

from typing import Any

import numpy as np

from operators import forecast, futures, periods
from operators.futures import Targets
from pipeline.outlook_state import METHODS

__all__ = ["DISPATCH", "HOURLY", "Slow"]

FEWEST = 4
"""Pairs below which a horizon takes the errors of a shorter one."""
PROVEN = 8
"""Calm steps from which a change in the next one is less likely than 1 in 10: 1 / (n + 2)."""
ALIKE, ALIKE_AS = 0.5, 24
"""Correlation of neighbouring steps to begin with, and how many steps that counts for."""
REGRESSION_LEAST = 30
RECENT = 6
CYCLES = 10
DAY_H = 24
WIDE = 2 * np.array(futures.NORMAL)


class Slow:
    """
    The methods of a class whose intervals are one step long.

    Parameters
    ----------
    horizons : int
        Steps ahead.
    kept : int
        Steps of history.
    season : int
        Steps after which the same is expected again; 0: a period is looked for.
    followed : int
        Horizons whose outcomes are waited for.
    """

    def __init__(self, horizons: int, kept: int, season: int, followed: int) -> None:
        self.horizons, self.kept, self.followed = horizons, kept, followed
        self._season = season

    def raw(self, history_w: Any, known: Any, level_w: float, least_w: float) -> Any:
        """
        Quantiles of every method, (method, horizon, 7), W.

        ``level_w`` is the POI's now; ``least_w`` a standard deviation that stands for that of this
        step until there is enough history.
        """
        past_w = history_w[known]
        if not len(past_w):
            return np.full((len(METHODS), self.horizons, 7), level_w) + least_w * WIDE
        climate_w = forecast.climatology(
            past_w[None], np.ones((1, len(past_w)), bool), window=len(past_w)
        )
        climate_w = np.repeat(climate_w, self.horizons, axis=0)
        given = dict.fromkeys(METHODS, climate_w)
        change_w = self._changes(history_w, known)
        given["persistence"] = past_w[-1] + change_w
        given["levels"] = level_w + change_w
        given["seasonal"] = self._seasonal(history_w, climate_w)
        given["regression"] = np.repeat(expected(past_w, least_w)[None], self.horizons, axis=0)
        if len(past_w) == len(history_w) >= REGRESSION_LEAST + 2 * RECENT:
            given["regression"] = self._regression(history_w, level_w, given["regression"])
        return np.stack([given[name] for name in METHODS])

    def planned(self, history_w: Any, known: Any, level_w: float) -> Any:
        """
        Quantiles where a change of level is announced: the level now and its usual unrest.

        Steps are left to the plan: the unrest is the median change from one step to the next.
        """
        both = known[1:] & known[:-1]
        change_w = np.abs(np.diff(history_w))[both]
        unrest_w = float(np.median(change_w)) / 0.6745 if len(change_w) else 0.02 * abs(level_w)
        grown = np.sqrt(1 + 0.1 * np.arange(self.horizons))[:, None]
        return level_w + unrest_w * grown * np.array(futures.NORMAL)[None, :]

    def _changes(self, history_w: Any, known: Any) -> Any:
        """Quantiles of what changed over each horizon, (horizon, 7), W."""
        rows, newest = [], np.zeros(7)
        for k in range(1, self.horizons + 1):
            both = known[k:] & known[:-k] if k < len(known) else known[:0]
            if np.count_nonzero(both) >= FEWEST:
                change_w = (history_w[k:] - history_w[:-k])[both]
                newest = futures.quantiles(change_w[None])[0]
            rows.append(newest)
        return np.stack(rows)

    def _seasonal(self, history_w: Any, climate_w: Any) -> Any:
        count, period = len(history_w), float(self._season)
        if not self._season and count >= 36:
            period = periods.period(history_w, longest=count // 3).samples
        if not period or count < 2 * period:
            return climate_w
        steps = np.arange(1, self.horizons + 1)
        targets = Targets(steps, np.ones_like(steps))
        cycles = min(int(count // period) - 1, CYCLES)
        return futures.seasonal(futures.running(history_w), targets, period=period, cycles=cycles)

    def _regression(self, history_w: Any, level_w: float, otherwise_w: Any) -> Any:
        """On the newest step and the mean of six; the level now stands for the newest step."""
        total, rows = futures.running(history_w), []
        widths = np.array([1, RECENT])
        now_w = futures.means_before(total, np.array([len(history_w)]), widths)[:, 0]
        now_w[0] = level_w
        for k in range(1, self.horizons + 1):
            origins = np.arange(RECENT, len(history_w) - k + 1)
            if len(origins) < REGRESSION_LEAST:
                rows.append(otherwise_w[0])
                continue
            target = Targets(np.array([k]), np.array([1]))
            ahead_w = futures.means_ahead(total, origins, target)
            features_w = futures.means_before(total, origins, widths)
            rows.append(futures.regressed(ahead_w, features_w, now_w)[0])
        return np.stack(rows)


def expected(past_w: Any, least_w: float) -> Any:
    """
    Quantiles (7,) of the next value as Student's prediction interval of those there are, W.

    Wide while they are few: the empirical 5-95 % quantiles of three values hold half the time.
    Steps of one job are alike, so that they count for fewer; and a level that never changed yet
    is not one that never does, hence ``least_w`` until that is proven.
    """
    count = len(past_w)
    spread_w = float(np.std(past_w, ddof=1)) if count > 1 else least_w
    if spread_w > 0 and count > 1:
        x = (past_w - past_w.mean()) / spread_w
        alike = float((x[1:] * x[:-1]).sum() + ALIKE_AS * ALIKE) / (float(x @ x) + ALIKE_AS)
        alike = min(max(alike, 0.0), 0.98)
    else:
        alike = ALIKE
    some = max(count * (1 - alike) / (1 + alike), 1.0)
    spread_w = max(spread_w, least_w) if count < PROVEN else spread_w
    freedom = max(some - 1, 1.5)
    z = np.array(futures.NORMAL)
    student = z * (1 + (z**2 + 1) / (4 * freedom) + (5 * z**4 + 16 * z**2 + 3) / (96 * freedom**2))
    return past_w.mean() + spread_w * np.sqrt(1 + 1 / some) * student


DISPATCH = Slow(horizons=12, kept=288, season=0, followed=12)
"""Five-minute means, an hour ahead, from a day."""
HOURLY = Slow(horizons=168, kept=672, season=DAY_H, followed=24)
"""Hourly means, a week ahead, from four weeks; outcomes of the first day are waited for."""
