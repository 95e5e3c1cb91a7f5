"""What the engine remembers of a site, what a block produces, and where arrays live."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, Protocol

from operators import diversity, noise, oscillations
from operators.kernels import Kernels
from pipeline.cause_state import CauseTrack
from pipeline.history import Ticks
from pipeline.load_loss_state import LossTrack
from pipeline.oscillation_state import OscillationTrack
from pipeline.outlook_state import OutlookState
from pipeline.ramp_state import RampTrack
from pipeline.second_stage import WindowState
from pipeline.step_state import StepTrack
from schemas.events import SiteEvent, SiteState
from schemas.forecasts import Forecast, ForecastOutcome

__all__ = ["ArrayDevice", "EngineState", "Outcome", "moved"]


class ArrayDevice(Protocol):
    """Where arrays live: one copy up and one copy down per block."""

    def upload(self, array: Any) -> Any:
        """Host to device."""

    def download(self, array: Any) -> Any:
        """Device to host."""

    def kernels(self) -> Kernels:
        """What computes there."""


class Outcome(NamedTuple):
    """All that one block produced; every row knows the end of the frame that made it."""

    events: list[SiteEvent]
    windows: list[dict[str, Any]]
    states: list[SiteState]
    forecasts: list[Forecast | ForecastOutcome]


@dataclasses.dataclass
class EngineState:
    """One site's memory; arrays live on the device, the rest on the host."""

    history: list[Ticks]
    noise: noise.NoiseState
    peaks: list[Any]
    """Leaves' peaks of the seconds since the last whole ten, which `noise` does not have yet."""
    known_s: Any
    """Seconds behind what is known of a leaf's noise, those too; (leaf,) int16, on the host."""
    moved_threshold_w: Any
    steps: StepTrack
    diversity: diversity.DiversityState
    spectra: dict[str, oscillations.OscillationState]
    pending: list[dict[str, Any]]
    reference_w: float
    warming: int
    end_ns: int
    ramp_track: RampTrack
    tone_track: OscillationTrack
    windows: WindowState
    outlook: OutlookState
    losses: LossTrack
    causes: CauseTrack


_ON_DEVICE = ("noise", "moved_threshold_w", "diversity")


def moved(state: EngineState, move: Any) -> EngineState:
    """The same state with its arrays moved up to the device, or down."""

    def each(value: Any) -> Any:
        if not isinstance(value, tuple):
            return move(value)
        record: Any = type(value)
        return record(*(field if isinstance(field, int) else move(field) for field in value))

    spectra = {name: each(spectrum) for name, spectrum in state.spectra.items()}
    fields = {name: each(getattr(state, name)) for name in _ON_DEVICE}
    history = [each(part) for part in state.history]
    return dataclasses.replace(state, spectra=spectra, history=history, **fields)
