"""A site's minutes as the engine's blocks: background, injections, meters, and the truth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from pipeline.align_state import Block
from replay.suite.backgrounds import Background
from replay.suite.sites import RACK_HZ, grouping, layout_of
from schemas.units import NS_PER_S

__all__ = ["T0_NS", "Injection", "Scene", "nodes_named"]

T0_NS = 1_772_409_600 * NS_PER_S
"""2026-03-02T00:00:00Z: when every scene begins."""
METER_NOISE_SHARE = 1e-4
"""Noise of the POI's meter, standard deviation over the site's power."""


class Injection(Protocol):
    """Power added to some racks, a function of time alone."""

    @property
    def racks(self) -> Any:
        """Rows of the racks it moves."""

    def added_w(self, t_s: Any) -> Any:
        """Power added to each of ``racks`` at ``t_s``: (rack, time), or one number for all."""


class Scene:
    """
    One site from ``T0_NS`` on.

    After a run ``node_w`` holds what the POI (row 0) and the PDUs drew, tick by tick, summed here
    and not by the engine, and ``meter_w`` what the POI's meter read: yardsticks, the known-shift
    CUSUM and recomputations work on them.
    """

    def __init__(
        self, background: Background, racks: int, poi_hz: int, rng: np.random.Generator
    ) -> None:
        self.layout = layout_of(racks, poi_hz)
        self.injections: list[Injection] = []
        self._background, self._group, self._poi_hz = background, grouping(racks), poi_hz
        self._rng = rng
        self._parts: list[Any] = []
        self._read: list[Any] = []

    @property
    def site_id(self) -> str:
        """The site's id."""
        return self.layout.site_id

    @property
    def node_w(self) -> Any:
        """Tick means of the POI and the PDUs so far; (node, tick) W."""
        return np.concatenate(self._parts, axis=1)

    @property
    def meter_w(self) -> Any:
        """What the POI's meter read so far, at its own rate; (time,) W."""
        return np.concatenate(self._read)

    def blocks(self, seconds: int, block_s: int) -> Iterator[Block]:
        """``seconds`` (a multiple of 60) of the scene in blocks of ``block_s`` grid seconds."""
        for minute in range(seconds // 60):
            racks_w, poi_w = self._minute(60 * minute)
            for s in range(0, 60, block_s):
                power_w = {
                    "rack": racks_w[:, s * RACK_HZ : (s + block_s) * RACK_HZ],
                    "substation": poi_w[:, s * self._poi_hz : (s + block_s) * self._poi_hz],
                }
                yield Block(
                    T0_NS + (60 * minute + s) * NS_PER_S,
                    block_s * RACK_HZ,
                    power_w,
                    {level: np.ones(x.shape, bool) for level, x in power_w.items()},
                    {},
                    restart=False,
                )

    def _minute(self, from_s: int) -> tuple[Any, Any]:
        """Racks (rack, 600) and the POI's meter (1, 60 poi_hz) of the minute, W."""
        base_w = self._background.minute()
        poi_w = self._meter(base_w.sum(axis=0))
        racks_w = base_w[:, :-1]
        t_s = from_s + np.arange(60 * RACK_HZ) / RACK_HZ
        at_s = from_s + np.arange(60 * self._poi_hz) / self._poi_hz
        for one in self.injections:
            racks_w[one.racks] += one.added_w(t_s)
            added_w = one.added_w(at_s)
            poi_w += added_w.sum(axis=0) if np.ndim(added_w) == 2 else added_w * len(one.racks)
        poi_w += (METER_NOISE_SHARE * self._group.site_w) * self._rng.standard_normal(poi_w.shape)
        pdus_w = np.add.reduceat(racks_w, self._group.starts, axis=0)
        per_tick = self._poi_hz // RACK_HZ
        ticks_w = poi_w.reshape(-1, per_tick).mean(axis=1)
        self._parts.append(np.concatenate([ticks_w[None, :], pdus_w]))
        self._read.append(poi_w)
        return racks_w, poi_w[None, :]

    def _meter(self, sum_w: Any) -> Any:
        """The racks' sum, at its own rate, read at the POI's: straight lines in between."""
        per_tick = self._poi_hz // RACK_HZ
        if per_tick == 1:
            return sum_w[:-1].copy()
        share = np.arange(per_tick) / per_tick
        return (sum_w[:-1, None] * (1 - share) + sum_w[1:, None] * share).reshape(-1)


def nodes_named(racks: int) -> tuple[str, ...]:
    """Names of the rows of `Scene.node_w`."""
    return ("poi", *(f"pdu-{n + 1}" for n in range(grouping(racks).pdus)))
