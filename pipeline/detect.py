"""What the detectors are set to: one frozen record, defaults from docs/operators.md."""

from __future__ import annotations

import msgspec

from pipeline.ride_through import CurveName

__all__ = ["DetectSettings"]


class DetectSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds and windows of the detectors; shares are of the site's reference power."""

    false_alarms_per_day: float = 1.0
    """Budget of the whole site, for all detectors together: every threshold follows from it."""
    ramp_floor_share: float = 0.001
    """A change smaller than this share of the site's power opens nothing."""
    rack_floor_share: float = 0.04
    """The same for a single rack, where racks are watched (sites of at most 64 channels); a site of
    n leaves has at least this times n^(-3/4)."""
    ramp_hold_s: float = 0.4
    """Where noise has heavy tails a change must last this long: spikes and dips open nothing."""
    ramp_close_s: float = 10.0
    """Calm seconds after which a ramp closes."""
    moved_factor: float = 1.5
    """A leaf moved when it changed by this many noise scales within a second."""
    moved_floor_share: float = 0.05
    """And by no less than this share of its own power."""
    synchrony_min: float = 0.5
    """Synchrony from which a ramp is a synchronized one."""
    synchrony_channels: int = 3
    """And at least as many leaves."""
    synchrony_chance: float = 1e-3
    """Chance, at most, that so many leaves move the same way by themselves."""
    ride_through: CurveName = "ercot"
    """The curve that load loss is judged by: ercot, caiso or itic."""
    dip_group_s: float = 60.0
    """Voltage dips this close together are one event."""
    warm_s: int = 5
    """Quiet seconds a threshold must rest on before it may open anything."""
    hold_share: float = 0.9
    """An event sits at the lowest node that holds this share of what moved."""
    oscillation_hops: int = 3
    """Seconds in a row a line of one leaf must be suspect in a short window before it opens."""
    oscillation_floor_share: float = 0.0005
    """Amplitude below which a line opens nothing, as a share of the site's reference power."""
    oscillation_close_s: int = 5
    """Seconds without the line after which an oscillation closes."""
    votes_least: int = 3
    """Least leaves that make a frequency suspect together."""
    votes_share: float = 0.05
    """And at least this share of the leaves."""
    votes_floor_share: float = 1e-4
    """Sum of the voters' amplitudes below which votes do not count."""
    diversity_window_s: int = 60
    """Window of coincidence and diversity factor."""
    forecast_every_s: int = 5
    """Seconds between forecasts."""
    forecast_min_racks: int = 50
    """Racks a site must have for its forecasts to leave it; the archive has them either way."""
    forecast_job_share: float = 0.1
    """Share of the racks above which one job keeps the site's forecasts in the house."""
    forecast_consent: bool = False
    """True: the site agrees that the grid sees what its jobs do; the two limits do not hold."""
