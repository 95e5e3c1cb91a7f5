"""How far the leaves of a site move together: coincidence, effective sources, concentration."""

from __future__ import annotations

import math
from typing import Any

from operators.diversity import DiversityState
from pipeline.engine_state import ArrayDevice
from pipeline.layout import SiteLayout
from pipeline.second_stage import Second

__all__ = ["Together"]


class Together:
    """Diversity of one site, once a grid second."""

    def __init__(self, layout: SiteLayout, device: ArrayDevice) -> None:
        self._layout, self._device, self._kernels = layout, device, device.kernels()

    def step(
        self, state: DiversityState, second: Second
    ) -> tuple[float, dict[str, Any], DiversityState]:
        """Coincidence factor of the leaves, how their moves fall together, and the new state."""
        leaves, home = self._layout.leaves, self._device.download
        rows = self._layout.channel_nodes[leaves.start : leaves.stop]
        x = self._device.upload(second.mean_w[rows][:, None])
        v = self._device.upload(second.share[rows][:, None] > 0)
        found, state = self._kernels.together(x, v, state)
        factor, together, apart, most = (float(home(y)[0, 0]) for y in found)
        moves = {
            "ramp_coincidence_factor": together or None,
            "effective_sources": _coarse(apart),
            "move_concentration": math.ceil(100 * most) / 100 or None,
        }
        return factor, moves, state


def _coarse(count: float) -> float | None:
    """Rounded down to 1, 2, 5, 10, 20, …; None below 1."""
    if count < 1:
        return None
    decade = 10.0 ** math.floor(math.log10(count))
    return max(step * decade for step in (1, 2, 5) if step * decade <= count)
