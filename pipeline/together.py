"""How far the leaves of a site move together: coincidence, effective sources, concentration."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from operators.diversity import DiversityState
from pipeline.engine_state import ArrayDevice
from pipeline.layout import SiteLayout
from pipeline.second_stage import Second
from pipeline.side_by_side import as_slice

__all__ = ["Together"]


class Together:
    """Diversity of one site, once a grid second."""

    def __init__(self, layout: SiteLayout, device: ArrayDevice) -> None:
        self._device, self._kernels = device, device.kernels()
        self._rows = as_slice(layout.channel_nodes[layout.leaves.start : layout.leaves.stop])

    def step(
        self, state: DiversityState, seconds: list[Second]
    ) -> tuple[list[Second], DiversityState]:
        """The same seconds, with how their leaves fall together; and the new state."""
        if not seconds:
            return seconds, state
        rows, up = self._rows, self._device.upload
        x_w = up(np.stack([second.mean_w[rows] for second in seconds], axis=1))
        valid = up(np.stack([second.share[rows] > 0 for second in seconds], axis=1))
        found, state = self._kernels.together(x_w, valid, state)
        each = np.stack([self._device.download(measure)[0] for measure in found], axis=1).tolist()
        told = [
            second._replace(together=_told(*measures))
            for second, measures in zip(seconds, each, strict=True)
        ]
        return told, state


def _told(factor: float, together: float, apart: float, most: float) -> dict[str, Any]:
    """As a state tells it."""
    return {
        "coincidence_factor": factor,
        "diversity_factor": 1 / factor if factor else None,
        "ramp_coincidence_factor": together or None,
        "effective_sources": _coarse(apart),
        "move_concentration": math.ceil(100 * most) / 100 or None,
    }


def _coarse(count: float) -> float | None:
    """Rounded down to 1, 2, 5, 10, 20, …; None below 1."""
    if count < 1:
        return None
    decade = 10.0 ** math.floor(math.log10(count))
    return max(step * decade for step in (1, 2, 5) if step * decade <= count)
