"""What of a forecast leaves the house: groups, rounding, redaction, and what the archive keeps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pipeline.detect import DetectSettings
from pipeline.layout import SiteLayout
from schemas.forecasts import Aggregation, Forecast

__all__ = ["Privacy", "bucket", "kept_horizons", "rounded", "rounding_w", "withheld"]

BUCKETS = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
ROUNDING = 0.02
"""Powers are rounded to this share of the site's reference, to a step of 1, 2 or 5."""
ARCHIVED_S = {"fast": (0.5, 1.0, 2.0, 5.0, 10.0), "scada": (15.0, 30.0, 60.0, 120.0)}
"""Horizons of the two quick classes that the archive keeps; the topic carries all."""
CLOSED = ("flexibility", "oscillation", "planned_events", "ramp_bounds", "regime", "skill")
"""Blocks a site with jobs leaves out: swings and losses in W tell how many jobs run."""
WITHHELD = "message"
"""Redacted so: the archive has the forecast, the topic does not."""


def bucket(count: int) -> int:
    """A count rounded down to 50, 100, 200, 500, …; 0 below 50."""
    return max((b for b in BUCKETS if b <= count), default=0)


def rounding_w(reference_w: float) -> float:
    """The step powers are rounded to: 1, 2 or 5 times a power of ten, W."""
    want_w = max(ROUNDING * reference_w, 1.0)
    decade = 10.0 ** math.floor(math.log10(want_w) + 1e-9)
    return float(max(d for d in (1.0, 2.0, 5.0) if d * decade <= want_w * (1 + 1e-9)) * decade)


def rounded(quantiles_w: Any, step_w: float | None) -> Any:
    """Quantiles (horizon, 7) to a step, outwards: an interval that held still holds."""
    if step_w is None:
        return quantiles_w
    parts = quantiles_w / step_w
    whole = [np.floor(parts[:, :3]), np.round(parts[:, 3:4]), np.ceil(parts[:, 4:])]
    return np.concatenate(whole, axis=1) * step_w


class Privacy:
    """
    One site's rule: how many racks it has, and how much of them its largest job takes.

    ``open`` is True where nothing of a job can show: none is known, or the site consents.
    """

    def __init__(self, layout: SiteLayout, detect: DetectSettings) -> None:
        self._detect, self._leaves = detect, layout.leaves
        self._racks = sum(node.level == "rack" for node in layout.topology.nodes)
        self.largest_share = _largest_job_share(layout)
        self.open = detect.forecast_consent or not self.largest_share

    def step_w(self, name: str, reference_w: float) -> float | None:
        """What powers are rounded to; nothing where the site consents."""
        if self._detect.forecast_consent:
            return None
        return rounding_w(reference_w) * (2 if name == "cop" else 1)

    def aggregation(self, name: str, step_w: float | None) -> Aggregation:
        """The message's block on what it is made of and what was left out."""
        return Aggregation(
            "substation",
            bucket(len(self._leaves)),
            min_group=self._detect.forecast_min_racks,
            max_share=None if self._detect.forecast_consent else self._detect.forecast_job_share,
            rounding_w=step_w,
            redacted=self._redacted(name),
        )

    def _redacted(self, name: str) -> tuple[str, ...]:
        """What stays in the house; any known job's iterations show in the two quick classes."""
        if self._detect.forecast_consent:
            return ()
        few = self._racks < self._detect.forecast_min_racks
        large = self.largest_share > self._detect.forecast_job_share
        if few or large or (name in ARCHIVED_S and not self.open):
            return (WITHHELD,)
        return () if self.open else CLOSED


def _largest_job_share(layout: SiteLayout) -> float:
    """The largest cohort's share of the racks; 0 where nobody said which racks run together."""
    racks: dict[str, int] = {}
    for node in layout.topology.nodes:
        for cohort in node.cohorts:
            racks[cohort] = racks.get(cohort, 0) + 1
    count = max(sum(node.level == "rack" for node in layout.topology.nodes), 1)
    return max(racks.values(), default=0) / count


def kept_horizons(name: str, horizons_s: Any) -> Any:
    """Which horizons of a class the archive keeps, (horizon,) bool: all of the slow ones."""
    kept_s = ARCHIVED_S.get(name)
    if kept_s is None:
        return np.ones(len(horizons_s), bool)
    return np.isclose(horizons_s[:, None], np.array(kept_s)[None, :]).any(axis=1)


def withheld(forecast: Forecast) -> bool:
    """Whether the site's privacy keeps the whole message in the house."""
    return WITHHELD in forecast.aggregation.redacted
