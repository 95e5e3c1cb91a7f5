"""A load loss, and a dip, as the records that leave the process."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from pipeline.layout import SiteLayout
from pipeline.load_loss_state import DipSeen, LossTrack, OpenLoss
from pipeline.ramp_record import peak_share
from schemas.events import Dip, Feeder, SiteEvent, event_id
from schemas.units import NS_PER_S

__all__ = ["record", "unseen"]

RANK = 2
"""Of a load loss that no ramp opened: a tick opens two ramps at most, one a direction."""


def record(
    layout: SiteLayout, track: LossTrack, loss: OpenLoss, state: Any, time_ns: int
) -> SiteEvent:
    """The open load loss as it stands."""
    dips = tuple(_dip(d) for d in track.dips if d.onset_ns >= loss.first_ns)
    depth_w = loss.before_w - loss.lowest_w
    names = layout.nodes
    rows = sorted(np.flatnonzero(loss.feeder_w).tolist(), key=lambda r: -loss.feeder_w[r])
    feeders = tuple(Feeder(names[row].id, float(loss.feeder_w[row])) for row in rows)
    last_ns, back_ns = track.dips[-1].end_ns, loss.recovered_ns
    return msgspec.structs.replace(
        loss.base,
        kind="load_loss",
        state=state,
        updated_ns=time_ns,
        closed_ns=time_ns if state == "closed" else None,
        depth_w=-depth_w,
        peak_share=peak_share(layout, depth_w),
        lost_share=min(depth_w / loss.before_w, 1.0) if loss.before_w > 0 else None,
        dips=dips,
        feeders=feeders or None,
        recovery_s=(back_ns - last_ns) / NS_PER_S if back_ns >= 0 else None,
        merged_into=None,
    )


def unseen(layout: SiteLayout, dip: DipSeen, row: int, time_ns: int) -> SiteEvent:
    """What stands in for the ramp of a load loss that no ramp shows."""
    node = layout.nodes[row]
    return SiteEvent(
        event_id=event_id(layout.site_id, "load_loss", time_ns, RANK),
        kind="load_loss",
        site_id=layout.site_id,
        node_id=node.id,
        level=node.level,
        state="open",
        onset_ns=dip.fell_ns,
        opened_ns=time_ns,
        updated_ns=time_ns,
        quality="good",
        statistic=dip.lost_w / dip.least_w,
        threshold=1.0,
        depth_w=-dip.lost_w,
    )


def _dip(dip: DipSeen) -> Dip:
    """The dip as an event tells it."""
    back = dip.recovered_ns >= 0
    return Dip(
        onset_ns=dip.onset_ns,
        residual_pu=round(dip.residual_pu, 4),
        source=dip.source,  # type: ignore[arg-type]
        end_ns=dip.end_ns if dip.end_ns >= 0 else None,
        lost_w=dip.lost_w if dip.settled else None,
        recovery_s=(dip.recovered_ns - dip.end_ns) / NS_PER_S if back else None,
        rule=dip.rule or None,
        verdict=dip.verdict or None,  # type: ignore[arg-type]
        margin_s=dip.margin_s,
    )
