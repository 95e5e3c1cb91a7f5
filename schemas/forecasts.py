"""``grid.forecast.v1``: quantiles of a POI's power ahead, and all a planner must know of them."""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.events import Quality

__all__ = [
    "Aggregation",
    "Calibration",
    "Fallback",
    "Flexibility",
    "Forecast",
    "ForecastMethod",
    "ForecastOutcome",
    "HorizonClass",
    "Interval",
    "Oscillation",
    "PlannedEvent",
    "Provenance",
    "RampBound",
    "Skill",
]

ForecastMethod = Literal[
    "persistence", "climatology", "seasonal", "analog", "regression", "levels", "harmonic",
    "joint",
]  # fmt: skip
HorizonClass = Literal["fast", "scada", "dispatch", "cop"]


class Interval(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """One forecast interval: seven monotone quantiles of its mean power, W."""

    start_ns: int
    duration_ns: int
    agg: Literal["mean"]
    method: ForecastMethod
    """What weighed most at this horizon."""
    q05_w: float
    q10_w: float
    q25_w: float
    q50_w: float
    q75_w: float
    q90_w: float
    q95_w: float


class Calibration(
    msgspec.Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True
):
    """How often the 90 % interval of this horizon held: ``n`` outcomes of 24 h, and the hour's."""

    horizon_s: float
    nominal: float
    n: int
    coverage: float | None = None
    coverage_1h: float | None = None


class Skill(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """
    Mean CRPS over ``n`` outcomes of 24 h, W: of what was sent, and of the three references.

    ``skill`` is one less the ratio of what was sent to the best reference.
    """

    horizon_s: float
    n: int
    crps_w: float | None = None
    persistence_w: float | None = None
    climatology_w: float | None = None
    seasonal_w: float | None = None
    best_reference: Literal["persistence", "climatology", "seasonal"] | None = None
    skill: float | None = None


class RampBound(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Rise and fall of 1-s means over ``window_s`` in two hours: 95 % quantile, and largest, W."""

    window_s: int
    up_q95_w: float
    down_q95_w: float
    largest_up_w: float
    largest_down_w: float


class Oscillation(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    The POI's strongest period: zero-to-peak amplitude over an hour, W, and how regular it is.

    Only what lies within the observable band could have been seen; frequency in steps of 0.05 Hz.
    """

    observable_low_hz: float
    observable_high_hz: float
    freq_hz: float | None = None
    amplitude_q50_w: float | None = None
    amplitude_q95_w: float | None = None
    coherence: float | None = None


class Flexibility(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far below and above its level the POI went in 24 h of 5-min means, and how fast."""

    basis: Literal["observed"]
    down_w: float
    up_w: float
    ramp_w_per_s: float


class PlannedEvent(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    A change somebody announced, as its kind has turned out so far.

    ``certainty`` that it comes at all; ``n`` events of its kind that rests on. No job is named.
    """

    kind: Literal["job_start", "job_stop", "checkpoint", "maintenance"]
    certainty: float
    n: int
    t_q05_ns: int
    t_q50_ns: int
    t_q95_ns: int
    end_q50_ns: int | None = None
    change_q50_w: float | None = None
    change_q05_w: float | None = None
    change_q95_w: float | None = None


class Aggregation(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    What the series is made of: level and a bucketed number of sources (0: below 50).

    No group below ``min_group`` racks is published and, without consent, none with a job above
    ``max_share`` of them; powers are rounded to ``rounding_w``; ``redacted`` blocks were left
    out for that reason.
    """

    level: str
    sources_at_least: int
    min_group: int | None = None
    max_share: float | None = None
    rounding_w: float | None = None
    redacted: tuple[str, ...] = ()


class Provenance(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Who computed it: software, version, model; digests of its settings and newest input."""

    producer: str
    software_version: str
    model_id: str
    config_hash: str | None = None
    inputs_hash: str | None = None


class Fallback(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    What to assume after ``valid_until_ns`` when nothing newer came.

    ``power_w`` with anything the ramp bounds allow around it, until a newer message supersedes.
    """

    kind: Literal["recourse"]
    power_w: float
    ramp_w_per_s: float | None = None


class Forecast(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """``grid.forecast.v1``: quantiles of the POI's mean power by horizon, with their own record."""

    site_id: str
    poi_id: str
    seq: int
    issued_ns: int
    data_until_ns: int
    valid_until_ns: int
    horizon_class: HorizonClass
    intervals: tuple[Interval, ...]
    calibration: tuple[Calibration, ...]
    skill: tuple[Skill, ...]
    aggregation: Aggregation
    provenance: Provenance
    fallback: Fallback
    quality: Quality
    valid_share: float
    regime: Literal["aperiodic", "periodic", "unsettled", "planned"] | None = None
    ramp_bounds: tuple[RampBound, ...] = ()
    oscillation: Oscillation | None = None
    flexibility: Flexibility | None = None
    planned_events: tuple[PlannedEvent, ...] = ()
    set_point_w: float | None = None
    """What the grid last asked for, while it holds."""
    signals: tuple[str, ...] = ()
    """Kinds of grid signals in hand."""
    degraded: tuple[str, ...] = ()
    """What is missing or late, in words a machine can compare."""


class ForecastOutcome(
    msgspec.Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """What came of one archived forecast interval: for the archive alone."""

    site_id: str
    node_id: str
    issued_ns: int
    horizon_class: HorizonClass
    start_ns: int
    t_ns: int
    """End of the frame that settled it."""
    outcome_w: float
    crps_w: float
    persistence_w: float
    climatology_w: float
    seasonal_w: float
    covered: bool
