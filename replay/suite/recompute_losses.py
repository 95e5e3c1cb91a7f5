"""What opened a load loss, and what each dip took, once more: from the power as it was metered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from pipeline.align_state import Block
from replay.suite.recompute import EXACT, again
from replay.suite.rows import Row, share_row
from replay.suite.sites import RACK_HZ
from schemas.events import Dip, SiteEvent
from schemas.units import NS_PER_S

__all__ = ["Metered", "loss_rows"]

_TICK_NS = NS_PER_S // RACK_HZ
_BEFORE_S, _UNTIL_S = 2, 1.25
_LEAST_SHARE, _LEAST_SPREADS = 0.01, 3.0


class Metered:
    """The power of a site that starts at time 0, kept while its blocks go to the detectors."""

    def __init__(self, racks_per_pdu: int) -> None:
        self._racks_per_pdu = racks_per_pdu
        self._poi_w: list[Any] = []
        self._rack_w: list[Any] = []

    def kept(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks as they come."""
        for block in blocks:
            self._poi_w.append(block.power_w["substation"][0])
            self._rack_w.append(block.power_w["rack"])
            yield block

    def ratios(self, event: SiteEvent) -> tuple[list[float], list[float]]:
        """
        Its statistic over its threshold, and of each dip what was lost over the least that counts.

        A step is judged at the POI or a PDU: the one that comes nearest at its baseline. Lost
        is the mean of the 2 s before a dip less that of a second, from 0.25 s after its end; it
        counts from 1 % and from 3 standard deviations of the ticks before.
        """
        poi_w = np.concatenate(self._poi_w)
        ticks_w = poi_w.reshape(-1, len(self._poi_w[0]) // RACK_HZ).mean(axis=1)
        dips = [_lost(poi_w, ticks_w, dip) for dip in event.dips or () if dip.lost_w]
        if event.step_test is None:
            return dips[:1], dips
        rack_w = np.concatenate(self._rack_w, axis=1)
        pdu_w = rack_w.reshape(-1, self._racks_per_pdu, rack_w.shape[1]).sum(axis=1)
        return [again((ticks_w, *pdu_w), event, 0) / (event.threshold or np.inf)], dips


def _lost(poi_w: Any, ticks_w: Any, dip: Dip) -> float:
    onset = dip.onset_ns // _TICK_NS
    before_w = ticks_w[onset - _BEFORE_S * RACK_HZ : onset]
    rate = len(poi_w) // (len(ticks_w) // RACK_HZ)
    until_ns = (dip.end_ns or dip.onset_ns) + round(_UNTIL_S * NS_PER_S)
    stop = -(-until_ns // _TICK_NS) * rate // RACK_HZ
    lost_w = before_w.mean() - poi_w[stop - rate : stop].mean()
    return float(lost_w / max(_LEAST_SHARE * before_w.mean(), _LEAST_SPREADS * before_w.std()))


def loss_rows(case: str, events: list[float], dips: list[float]) -> list[Row]:
    """Share of the load losses, and of the dips said to have taken load, that hold once more."""
    rows = []
    for what, found in (
        ("load losses whose statistic, recomputed, exceeds its threshold", events),
        ("dips whose loss, recomputed, is more than the least that counts", dips),
    ):
        sure = sum(x > EXACT for x in found)
        note = f"least {min(found, default=0.0):.4f} of it"
        rows.append(share_row(case, what, (sure, len(found)), 1.0, note=note))
    return rows
