"""The truth about load lost in dips: which dips are one event, how much, when it is back."""

from __future__ import annotations

import itertools

import numpy as np

from replay.campus import Campus, numbered
from replay.injections import Move
from replay.plan import Fault
from replay.truth import Truth
from schemas.units import NS_PER_S

__all__ = ["losses"]

GROUP_S = 60.0
"""Dips this close together are one event."""
_STEP_S = 0.01
_BACK_SHARE = 0.9


def losses(campus: Campus) -> list[Truth]:
    """One load loss for each group of dips in which load was lost."""
    moves = {fault.onset_s: m for fault, m in campus.trips}
    found = []
    for group in _groups(campus.site.fault):
        lost = [moves[fault.onset_s] for fault in group if fault.onset_s in moves]
        if lost:
            found.append(_truth(campus, group, lost))
    return found


def _groups(faults: tuple[Fault, ...]) -> list[list[Fault]]:
    groups: list[list[Fault]] = []
    for fault in sorted(faults, key=lambda f: f.onset_s):
        last = groups[-1][-1] if groups else None
        if last is not None and fault.onset_s - last.onset_s - last.duration_s <= GROUP_S:
            groups[-1].append(fault)
        else:
            groups.append([fault])
    return groups


def _truth(campus: Campus, group: list[Fault], lost: list[list[Move]]) -> Truth:
    racks = np.unique(np.concatenate([moves[0].racks for moves in lost]))
    onset_s, last_s = lost[0][0].onset_s, group[-1].onset_s + group[-1].duration_s
    at_s = np.arange(onset_s, campus.plan.duration_s, _STEP_S)
    missing_w = np.zeros(len(at_s))
    for move in itertools.chain(*lost):
        added_w = np.broadcast_to(move.added_w(at_s), (len(move.racks), len(at_s)))
        missing_w -= added_w.sum(axis=0)
    low = missing_w > (1 - _BACK_SHARE) * campus.site_w
    over_s = max(float(at_s[low][-1]) + _STEP_S, last_s) if low.any() else last_s
    back = over_s < campus.plan.duration_s - 1
    pdus = np.unique(campus.pdu_of(racks))
    one = len(pdus) == 1
    return Truth(
        kind="load_loss",
        site_id=campus.site_id,
        node_id=numbered("pdu", campus.site.pdus)[int(pdus[0])] if one else "poi",
        onset_ns=_ns(campus, onset_s),
        end_ns=_ns(campus, over_s),
        depth_w=-round(float(missing_w.max()), 1),
        channels=tuple(campus.rack_ids[int(rack)] for rack in racks),
        dips_ns=tuple(_ns(campus, fault.onset_s) for fault in group),
        recovery_s=round(over_s - last_s, 3) if back else None,
        cause="fault",
    )


def _ns(campus: Campus, at_s: float) -> int:
    return campus.plan.t0_ns + round(at_s * NS_PER_S)
