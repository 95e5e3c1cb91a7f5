"""What a sensor can show: its averaging window and poll rate, as a response over frequency."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["Sensor", "worst"]

LEAST_GAIN = 0.5
"""Below this share of a line's amplitude the sensor does not show it: up to 0.60 / averaging."""
NYQUIST_SHARE = 0.45
"""Share of the poll rate up to which lines are not folded images of others."""


class Sensor(NamedTuple):
    """A moving average of ``averaging_s``, read every ``poll_s``; 0 where neither is known."""

    averaging_s: float = 0.0
    poll_s: float = 0.0

    def gain(self, freq_hz: Any) -> Any:
        """Shown share of the amplitude, ``|sinc(f averaging)|``; the shape of ``freq_hz``."""
        return np.abs(np.sinc(np.asarray(freq_hz) * self.averaging_s))

    def observable(self, freq_hz: Any) -> Any:
        """True where a line would be seen for what it is, in the first lobe and below Nyquist."""
        freq_hz = np.asarray(freq_hz)
        inside = freq_hz * self.averaging_s < 1.0
        polled = freq_hz * self.poll_s <= NYQUIST_SHARE
        return inside & polled & (self.gain(freq_hz) >= LEAST_GAIN)

    def trusted(self, freq_hz: Any) -> Any:
        """True where a line is no folded image: what is seen there is real, if too small."""
        return np.asarray(freq_hz) * self.poll_s <= NYQUIST_SHARE

    def correction(self, freq_hz: Any) -> Any:
        """Factor from the amplitude shown to the true one; 1 where that cannot be known."""
        gain = self.gain(freq_hz)
        return np.where(self.observable(freq_hz), 1 / np.maximum(gain, LEAST_GAIN), 1.0)


def worst(sensors: list[Sensor]) -> Sensor:
    """What a sum over these sensors can show."""
    return Sensor(
        max((s.averaging_s for s in sensors), default=0.0),
        max((s.poll_s for s in sensors), default=0.0),
    )
