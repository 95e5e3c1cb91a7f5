"""The records the grid and the site get: events, state, dead letters, signals, hints."""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.refusal import RowRefusal

__all__ = [
    "Band",
    "Contributor",
    "DeadLetter",
    "GridEvent",
    "GridSignal",
    "Ramp",
    "SiteEvent",
    "SiteState",
    "WorkloadHint",
    "event_id",
    "family",
]

Kind = Literal["ramp", "synchronized_ramp", "oscillation", "load_loss"]
Family = Literal["ramp", "oscillation"]
EventState = Literal["open", "update", "closed"]
Quality = Literal["good", "gap", "warming", "state_lost", "end_of_stream"]


def family(kind: str) -> Family:
    """Ramps and load loss are one family, oscillations the other."""
    return "oscillation" if kind == "oscillation" else "ramp"


def event_id(site_id: str, kind: str, frame_end_ns: int, rank: int) -> str:
    """The deterministic id: site, family, end of the opening frame, rank within it."""
    return f"{site_id}:{family(kind)}:{frame_end_ns}:{rank}"


class Contributor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One channel's part in an oscillation; ``amplitude_w`` zero to peak, phase at window start."""

    channel_id: str
    amplitude_w: float
    phase_rad: float


class _Event(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """
    What both sides may know of an event.

    ``opened_ns`` is event time: the newest sample that was needed to open it. Powers in W,
    signed by direction (``depth_w`` < 0 is a drop). A field that is not known is absent.
    """

    event_id: str
    kind: Kind
    site_id: str
    state: EventState
    onset_ns: int
    opened_ns: int
    updated_ns: int
    quality: Quality
    closed_ns: int | None = None
    depth_w: float | None = None
    duration_s: float | None = None
    ramp_w_per_s: float | None = None
    synchrony: float | None = None
    onset_spread_s: float | None = None
    peak_share: float | None = None
    freq_hz: float | None = None
    amplitude_w: float | None = None
    damping_ratio: float | None = None
    merged_into: str | None = None


class SiteEvent(_Event, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """``site.event.v1``: an event in full, for the site's own operators."""

    node_id: str
    level: str
    channels: tuple[str, ...] | None = None
    contributors: tuple[Contributor, ...] | None = None


class GridEvent(_Event, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    ``grid.event.v1``: the same event as the grid may see it: the POI, no rack, job or tenant.

    ``channels`` is a count rounded down to 50, 100, 200, 500, …; absent below 50.
    """

    poi_id: str
    channels: int | None = None


class Ramp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Largest rise and fall of the POI's 1-s means within the trailing window, W."""

    window_s: int
    up_w: float
    down_w: float


class Band(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Strongest line in a band of the POI's power: zero-to-peak amplitude, or not observable."""

    low_hz: float
    high_hz: float
    observable: bool
    amplitude_w: float | None = None


class SiteState(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """``grid.state.v1``: once a grid second, what the POI does and how good the picture is."""

    site_id: str
    poi_id: str
    t_ns: int
    power_w: float
    reference_w: float
    valid_share: float
    quality: Quality
    ramp_envelope: tuple[Ramp, ...] = ()
    bands: tuple[Band, ...] = ()
    synchrony: float | None = None
    coincidence_factor: float | None = None
    diversity_factor: float | None = None
    observable_max_hz: float | None = None


class DeadLetter(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """``telemetry.deadletter.v1``: what could not be used, why, and its first KiB (base64)."""

    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    size: int
    head: bytes
    site_id: str | None = None
    rows: tuple[RowRefusal, ...] = ()
    samples: int | None = None


class GridSignal(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """``grid.signal.v1``: what the grid tells a site; acts from the next unclosed frame."""

    site_id: str
    t_ns: int
    signal: Literal["frequency", "voltage", "reserve", "price", "set_point", "emergency"]
    value: float
    unit: Literal["Hz", "V", "pu", "W", "per_MWh", "level"]
    until_ns: int | None = None


class WorkloadHint(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """``workload.hint.v1``: what the scheduler knows ahead; acts from the next unclosed frame."""

    site_id: str
    t_ns: int
    hint: Literal["job_start", "job_stop", "checkpoint", "maintenance"]
    cohort_id: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    period_s: float | None = None
    power_change_w: float | None = None
