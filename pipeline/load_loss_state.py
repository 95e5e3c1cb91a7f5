"""What is remembered of voltage dips and of the load lost in them."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, NamedTuple

import numpy as np

from operators._arrays import widen
from pipeline.align_state import Block, Said
from pipeline.layout import SiteLayout
from schemas.events import SiteEvent

__all__ = ["DipSeen", "LossTrack", "Metered", "OpenLoss", "start"]


class Metered(NamedTuple):
    """Samples of the substation in one block: power (time,) W, voltage (time,) pu; or None."""

    power_w: Any
    volts: Any

    @classmethod
    def of(cls, layout: SiteLayout, block: Block) -> Metered:
        """What the POI's own meters read; power only where voltage was read too."""
        rows = layout.nodes[layout.top].channels
        if not rows or block.voltage_pu is None:
            return cls(None, block.voltage_pu)
        first = layout.level_rows["substation"].start
        parts_w = block.power_w["substation"][[row - first for row in rows]]
        return cls(np.add.reduce(widen(parts_w), axis=0), block.voltage_pu)


@dataclasses.dataclass
class DipSeen:
    """
    One dip. ``power_w`` and ``volts`` (time,), ``per_s`` a second, are the POI's since the onset.

    They are kept until it is known what was lost; -1 and NaN: not known yet.
    """

    onset_ns: int
    source: str
    residual_pu: float
    before_w: float
    asked_w: float
    """What must come back: the power before the first of the dips that it belongs to."""
    least_w: float
    """A smaller difference is no loss."""
    per_s: float
    power_w: Any
    volts: Any
    end_ns: int = -1
    settled: bool = False
    weighed: bool = False
    """The open load loss knows who lost how much in it."""
    lost_w: float = 0.0
    fell_ns: int = -1
    rule: str = ""
    left_s: float = 0.0
    recovered_ns: int = -1
    verdict: str = ""
    margin_s: float | None = None


@dataclasses.dataclass
class OpenLoss:
    """The load loss that is open. Its dips are those of the track from ``first_ns`` on."""

    base: SiteEvent
    """The ramp that it is, as it was told last."""
    first_ns: int
    before_w: float
    """Power before its first dip."""
    lowest_w: float
    leaf_w: Any
    """(leaf,): the most that each lost in a dip."""
    feeder_w: Any
    """(node,): the same of PDUs; 0 elsewhere."""
    opened: bool = False
    recovered_ns: int = -1


@dataclasses.dataclass
class LossTrack:
    """``ring_w`` (tick,): the POI's newest ticks, up to ``end_ns``."""

    ring_w: Any
    end_ns: int = -1
    measured_ns: int = -1
    """When voltage was measured last."""
    signal_pu: float = 1.0
    signal_until_ns: int = -1
    said: list[Said] = dataclasses.field(default_factory=list)
    dips: list[DipSeen] = dataclasses.field(default_factory=list)
    loss: OpenLoss | None = None
    ramps: dict[str, SiteEvent] = dataclasses.field(default_factory=dict)
    """Falls that are open and told, by id."""
    owned: list[str] = dataclasses.field(default_factory=list)
    """Ramps that are part of a load loss: they are not told."""

    def __deepcopy__(self, memo: dict[int, Any]) -> LossTrack:
        """Copy what is written to; what was said and told is shared."""
        dips = [
            dataclasses.replace(dip, power_w=copy.copy(dip.power_w), volts=copy.copy(dip.volts))
            for dip in self.dips
        ]
        loss = self.loss
        if loss is not None:
            leaf_w, feeder_w = copy.copy(loss.leaf_w), copy.copy(loss.feeder_w)
            loss = dataclasses.replace(loss, leaf_w=leaf_w, feeder_w=feeder_w)
        return dataclasses.replace(
            self, ring_w=copy.copy(self.ring_w), dips=dips, loss=loss,
            said=list(self.said), ramps=dict(self.ramps), owned=list(self.owned),
        )  # fmt: skip


def start(ring: int) -> LossTrack:
    """Nothing seen; the ring holds so many ticks."""
    return LossTrack(np.full(ring, np.nan))
