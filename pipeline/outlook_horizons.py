"""The four horizon classes: which stretches of time each speaks of."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.outlook_privacy import kept_horizons
from pipeline.outlook_quick import Quick
from pipeline.outlook_slow import DISPATCH, HOURLY
from schemas.units import NS_PER_S

__all__ = ["FIVE_NS", "HOUR_NS", "Horizons"]

FIVE_NS, HOUR_NS = 300 * NS_PER_S, 3600 * NS_PER_S


class Horizons:
    """
    Targets of every class of one site.

    Attributes
    ----------
    chain : Quick
        The methods of the two quick classes.
    quick : dict of str to Targets
        ``fast`` and ``scada``: samples ahead.
    slow : dict of str to Slow
        ``dispatch`` and ``cop``: their methods.
    step_ns : dict of str to int
        Length of one interval of the slow ones.
    archived : dict of str to array
        Which horizons of a class the archive keeps and the message tells the record of, bool.
    """

    def __init__(self, ticks_per_s: int) -> None:
        self.ticks_per_s = ticks_per_s
        self.chain = Quick(ticks_per_s)
        self.quick = {name: self.chain.of(name) for name in self.chain.slices}
        self.slow = {"dispatch": DISPATCH, "cop": HOURLY}
        self.step_ns = {"dispatch": FIVE_NS, "cop": HOUR_NS}
        names = (*self.quick, *self.slow)
        self.archived = {name: kept_horizons(name, self.horizons_s(name)) for name in names}

    def followed(self) -> dict[str, int]:
        """How many horizons of each class have their outcomes waited for."""
        quick = {name: len(targets.until) for name, targets in self.quick.items()}
        return {**quick, **{name: job.followed for name, job in self.slow.items()}}

    def horizons_s(self, name: str) -> Any:
        """Ends of a class's intervals, s ahead, (horizon,)."""
        if name in self.quick:
            return self.quick[name].until / self.ticks_per_s
        return np.arange(1, self.slow[name].horizons + 1) * (self.step_ns[name] / NS_PER_S)

    def times(self, name: str, issued_ns: int) -> tuple[Any, Any]:
        """Starts and ends of a class's intervals, ns."""
        if name in self.quick:
            targets = self.quick[name]
            end_ns = issued_ns + targets.until * NS_PER_S // self.ticks_per_s
            return issued_ns + (
                targets.until - targets.width
            ) * NS_PER_S // self.ticks_per_s, end_ns
        step_ns = self.step_ns[name]
        end_ns = issued_ns + np.arange(1, self.slow[name].horizons + 1) * step_ns
        return end_ns - step_ns, end_ns
