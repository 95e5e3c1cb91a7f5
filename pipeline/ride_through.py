"""Ride-through curves: how long a load must stay at which voltage, how soon its power is back."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

__all__ = ["CURVES", "Curve", "CurveName", "Stay"]

CurveName = Literal["ercot", "caiso", "itic"]


class Stay(NamedTuple):
    """What a curve says of a load that left at some instant of a dip."""

    rule: str
    left_s: float
    """How much longer it had to stay; negative: it had stayed long enough."""


class Curve(NamedTuple):
    """
    ``steps``: (voltage in pu, s): below the voltage a load must stay for so long, then may go.

    ``back_s``: 0.9 of the power before must be back so long after the voltage is; None: not asked.
    """

    name: str
    steps: tuple[tuple[float, float], ...]
    back_s: float | None

    def stay(self, volts: Any, per_s: float) -> Stay:
        """
        The step of the curve that lets go first, of those whose voltage was reached.

        ``volts`` (time,) are the dip's voltages in pu until the load left, ``per_s`` a second;
        time below a step's voltage adds up over the dip.
        """
        below_s = [float(np.count_nonzero(volts < at)) / per_s for at, _ in self.steps]
        left_s = [need - so_far for (_, need), so_far in zip(self.steps, below_s, strict=True)]
        reached = max(sum(so_far > 0 for so_far in below_s), 1)
        first = int(np.argmin(left_s[:reached]))
        at, need = self.steps[first]
        return Stay(f"{self.name}: below {at:g} pu for {need:g} s", left_s[first])


CURVES: dict[str, Curve] = {
    "ercot": Curve("ERCOT-VRT", ((0.9, 2.0), (0.8, 0.5), (0.5, 0.25), (0.2, 0.15)), 2.0),
    "caiso": Curve("CAISO-RT", ((0.9, 6.0), (0.7, 3.0), (0.5, 1.2), (0.25, 0.15)), 3.0),
    "itic": Curve("ITIC", ((0.9, 10.0), (0.8, 0.5), (0.7, 0.02)), None),
}
"""Sources and what of them is drafts: docs/operators.md."""
