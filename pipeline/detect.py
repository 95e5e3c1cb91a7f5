"""What the detectors are set to: one frozen record, defaults from docs/operators.md."""

from __future__ import annotations

import msgspec

__all__ = ["DetectSettings"]


class DetectSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds and windows of the detectors; shares are of the site's reference power."""

    lags_s: tuple[float, ...] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    """Spans over which power is compared."""
    ramp_factor: float = 4.5
    """A ramp opens at this many noise scales (median of the quiet seconds' largest change)."""
    ramp_floor_share: float = 0.02
    """And at no less than this share, on PDUs and the substation."""
    rack_floor_share: float = 0.04
    """The same for a single rack, where racks are watched (sites of at most 64 channels)."""
    ramp_hold_s: float = 0.4
    """A change must last this long: shorter spikes and dips open nothing."""
    ramp_off: float = 0.5
    """A trigger goes off below this share of the threshold that switched it on."""
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
    warm_s: int = 10
    """Quiet seconds a threshold must rest on before it may open anything."""
    hold_share: float = 0.9
    """An event sits at the lowest node that holds this share of what moved."""
    oscillation_window_s: float = 20.0
    """Length of the spectrum's window."""
    oscillation_on: float = 14.0
    """Power over expected power at which one row is suspect; half of it keeps an event open."""
    oscillation_floor_share: float = 0.003
    """Amplitude below which one row is not suspect."""
    oscillation_hops: int = 3
    """Seconds in a row a line must be suspect before it opens."""
    oscillation_close_s: int = 5
    """Seconds without the line after which an oscillation closes."""
    votes_on: float = 10.0
    """Power over expected power at which a leaf votes for a frequency."""
    votes_least: int = 3
    """Least votes that make a frequency suspect."""
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
