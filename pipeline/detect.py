"""What the detectors are set to: one frozen record, defaults from docs/operators.md."""

from __future__ import annotations

import msgspec

__all__ = ["DetectSettings"]


class DetectSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds and windows of the detectors; shares are of the site's reference power."""

    lags_s: tuple[float, ...] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    ramp_factor: float = 4.5
    ramp_floor_share: float = 0.02
    rack_floor_share: float = 0.04
    ramp_off: float = 0.5
    ramp_close_s: float = 5.0
    moved_factor: float = 1.5
    moved_floor_share: float = 0.05
    synchrony_min: float = 0.5
    synchrony_channels: int = 3
    warm_s: int = 10
    hold_share: float = 0.9
    oscillation_window_s: float = 20.0
    oscillation_on: float = 14.0
    oscillation_floor_share: float = 0.003
    oscillation_hops: int = 3
    oscillation_close_s: int = 5
    votes_on: float = 10.0
    votes_least: int = 3
    votes_share: float = 0.05
    votes_floor_share: float = 1e-4
    diversity_window_s: int = 60
    forecast_every_s: int = 5
