"""The records the grid and the site get: events, state, dead letters, signals, hints."""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.refusal import RowRefusal

__all__ = [
    "Band",
    "Contributor",
    "DeadLetter",
    "Dip",
    "Feeder",
    "GridEvent",
    "GridSignal",
    "Harmonic",
    "Ramp",
    "SiteEvent",
    "SiteState",
    "StepTest",
    "ToneTest",
    "WorkloadHint",
    "event_id",
    "family",
]

Kind = Literal["ramp", "synchronized_ramp", "oscillation", "load_loss"]
Family = Literal["ramp", "oscillation"]
EventState = Literal["open", "update", "closed"]
Cause = Literal["job_start", "job_end", "checkpoint", "restart", "fault", "unknown"]
Verdict = Literal["rode_through", "recovered", "permitted", "violation"]
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


class StepTest(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    What a step was judged by: enough to compute its statistic again from the node's tick means.

    With ``e[t] = x[t] - sum_k coefficients[k] x[t - k]`` and
    ``z = (e - (1 - sum coefficients) baseline_w) / sigma_w`` (at most ``clip``, where there is
    one), the statistic is ``|sum of z over the window| / sqrt(w (1 + w / b))``, w and b the ticks
    of ``window_s`` and ``baseline_s``; it must pass the event's threshold.
    """

    tick_s: float
    window_s: float
    coefficients: tuple[float, ...]
    sigma_w: float
    baseline_w: float
    baseline_s: float
    clip: float | None = None


class ToneTest(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The line that opened an oscillation; how to compute it again: ``docs/operators.md``."""

    window_s: float
    freq_hz: float
    rate_hz: float
    node_id: str
    channel_id: str | None = None
    summed: bool = False


class Harmonic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A multiple of an oscillation's frequency: its order, 2 and up; zero-to-peak amplitude, W."""

    order: int
    amplitude_w: float


class Dip(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    One voltage dip at the POI and what the site did in it.

    From the first sample below 0.9 pu to the first one back (``end_ns`` absent: not yet);
    ``residual_pu`` is the lowest voltage. ``lost_w`` is the power before less that after, absent
    until it is known, as is what follows. ``recovery_s`` from ``end_ns`` until 0.9 of the power
    before the event's first dip is back. ``verdict`` by ``rule``: *rode_through* (no loss),
    *recovered* in time, *permitted* (the curve let it go), *violation*; ``margin_s`` is how far on
    the right side of the rule, negative on the wrong one. ``source``: samples of a meter, or a
    signal of the grid.
    """

    onset_ns: int
    residual_pu: float
    source: Literal["measured", "signal"]
    end_ns: int | None = None
    lost_w: float | None = None
    recovery_s: float | None = None
    rule: str | None = None
    verdict: Verdict | None = None
    margin_s: float | None = None


class Feeder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A PDU that lost load in a dip: ``lost_w``, the most in any of an event's dips."""

    node_id: str
    lost_w: float


class _Event(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """
    What both sides may know of an event.

    ``opened_ns`` is event time: the newest sample that was needed to open it; ``statistic`` passed
    ``threshold`` then. ``end_ns``: nine tenths of the depth are reached; ``monotone_s``: until the
    way first went back; ``ramp_error_w_per_s``: standard error. Powers in W, signed by direction
    (``depth_w`` < 0 is a drop). A field that is not known is absent.

    Of oscillations: ``growth_per_s`` is the rate g of ``exp(g t)`` over the newest periods
    measured; ``origin`` says *forced* (a line with harmonics, or one that ends at once) or
    *natural* (one that rings down); ``resonance_hz`` is the site's configured mode that the line,
    or a harmonic of it, falls on; ``unison`` is the share of the leaves' swing that adds up, 0 to
    1; ``averaged`` says that no sensor shows this frequency in full: the true amplitude is larger.

    Of load loss: ``lost_share`` of the power before, ``dips`` joined by time, ``recovery_s`` from
    the end of the last dip until 0.9 of the power before the first is back (absent: not yet).

    Of ramps and load loss: ``cause``, and how often one said with this confidence is right.
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
    statistic: float | None = None
    threshold: float | None = None
    end_ns: int | None = None
    depth_w: float | None = None
    duration_s: float | None = None
    monotone_s: float | None = None
    ramp_w_per_s: float | None = None
    ramp_error_w_per_s: float | None = None
    synchrony: float | None = None
    onset_spread_s: float | None = None
    peak_share: float | None = None
    freq_hz: float | None = None
    amplitude_w: float | None = None
    damping_ratio: float | None = None
    merged_into: str | None = None
    growth_per_s: float | None = None
    origin: Literal["forced", "natural"] | None = None
    harmonics: tuple[Harmonic, ...] | None = None
    resonance_hz: float | None = None
    unison: float | None = None
    averaged: bool | None = None
    lost_share: float | None = None
    dips: tuple[Dip, ...] | None = None
    recovery_s: float | None = None
    cause: Cause | None = None
    cause_confidence: float | None = None


class SiteEvent(_Event, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """``site.event.v1``: an event in full, for the site's own operators."""

    node_id: str
    level: str
    channels: tuple[str, ...] | None = None
    contributors: tuple[Contributor, ...] | None = None
    step_test: StepTest | None = None
    tone_test: ToneTest | None = None
    feeders: tuple[Feeder, ...] | None = None
    groups: tuple[tuple[str, ...], ...] | None = None
    """Channels that swing together, where phases fall into several groups; the largest first."""


class GridEvent(_Event, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    ``grid.event.v1``: the same event as the grid may see it: the POI, no rack, job or tenant.

    ``channels`` and ``feeders`` are counts rounded down to 50, 100, 200, 500, …; absent below 50.
    """

    poi_id: str
    channels: int | None = None
    feeders: int | None = None


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
    """
    ``grid.state.v1``: once a grid second, what the POI does and how good the picture is.

    Over the last minute: ``ramp_coincidence_factor`` is the greatest move of the sum over the sum
    of the greatest moves, ``effective_sources`` how many that moved independently would be as
    smooth (rounded down to 1, 2, 5, 10, 20, …, so that it does not count racks),
    ``move_concentration`` the Herfindahl index of who moves (to 0.01, likewise).
    """

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
    ramp_coincidence_factor: float | None = None
    effective_sources: float | None = None
    move_concentration: float | None = None
    observable_max_hz: float | None = None
    unison: float | None = None


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
