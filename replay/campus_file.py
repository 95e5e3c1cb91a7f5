"""What a simulated site says about itself: its topology, and the truth about its power."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from replay.campus import Campus, numbered
from replay.fault_truth import losses
from replay.truth import Truth
from replay.workload import SETTLE_S
from schemas.topology import Channel, Gateway, Node, Site, Topology
from schemas.units import NS_PER_S

__all__ = ["topology", "truth"]

_ONE_PDU = 0.9
"""Share of an event's power that makes it the event of one PDU."""
_FEWEST = 3
"""Channels that make a ramp a synchronized one."""


def topology(campus: Campus) -> Topology:
    """The site's file; a node and its channel share one id."""
    site = campus.site
    pdus = numbered("pdu", site.pdus)
    jobs = {int(r): f"job-{n}" for n, racks in enumerate(campus.job_racks(), 1) for r in racks}
    nodes = [Node("poi", "substation", None, site.racks * site.rack_rating_w)]
    nodes += [Node(p, "pdu", "poi", site.racks_per_pdu * site.rack_rating_w) for p in pdus]
    for i, rack in enumerate(campus.rack_ids):
        parent = pdus[i // site.racks_per_pdu]
        cohorts = (jobs[i],) if i in jobs else ()
        nodes.append(Node(rack, "rack", parent, site.rack_rating_w, cohorts))
    channels = [
        Channel(name, name, nominal_v=site.nominal_v if meter.level == "substation" else None)
        for meter in campus.meters
        for name in meter.channel_ids
    ]
    gateways = [
        Gateway(meter.gateway_id, meter.level, str(meter.rate), meter.channel_ids)
        for meter in campus.meters
    ]
    head = Site(
        campus.site_id,
        site.authority,
        site.authority_peak_w,
        site.short_circuit_va,
        site.x_over_r,
        site.modes_hz,
    )
    return Topology(head, tuple(nodes), tuple(channels), tuple(gateways))


def truth(campus: Campus) -> list[Truth]:
    """Every injected event, and every change of a job that matters to the site's power."""
    found = []
    for move in campus.moves:
        together = move.synchronized and len(move.racks) >= _FEWEST
        when = (move.onset_s, move.duration_s)
        one = _moved(campus, move.racks, when, move.depth_w * len(move.racks), together)
        found.append(msgspec.structs.replace(one, cause=move.cause))
    for swing in campus.swings:
        together_w = abs(np.exp(1j * swing.phase_rad).sum()) * swing.amplitude_w
        when = (swing.onset_s, swing.duration_s)
        found.append(_swung(campus, swing.racks, when, together_w, swing.freq_hz))
    return [*found, *losses(campus), *_of_jobs(campus)]


def _of_jobs(campus: Campus) -> list[Truth]:
    """Starts, stops, checkpoints and faults as ramps; the iterations as one oscillation a job."""
    found = []
    least_w = campus.plan.truth_share * campus.site_w
    for training, racks in zip(campus.jobs, campus.job_racks(), strict=True):
        job, changes = training.job, training.changes()
        active_w = (training.mean_w - job.idle_w) * job.racks
        for change in changes:
            depth_w = (change.after - change.before) * active_w
            if abs(depth_w) >= least_w and change.onset_s < campus.plan.duration_s:
                when = (change.onset_s, SETTLE_S + job.spread_s)
                one = _moved(campus, racks, when, depth_w, job.racks >= _FEWEST)
                found.append(msgspec.structs.replace(one, cause=change.cause))
        last_s = changes[-1].onset_s if changes and changes[-1].after == 0 else np.inf
        length_s = min(last_s, campus.plan.duration_s) - job.start_s
        amplitude_w = training.amplitude_w * job.racks
        if amplitude_w >= least_w / 4 and length_s > 0:
            when = (job.start_s, length_s)
            found.append(_swung(campus, racks, when, amplitude_w, 1 / job.period_s))
    return found


def _moved(
    campus: Campus, racks: Any, when: tuple[float, float], depth_w: float, together: bool
) -> Truth:
    return Truth(
        kind="synchronized_ramp" if together else "ramp",
        depth_w=round(float(depth_w), 1),
        **_place(campus, racks, when),
    )


def _swung(
    campus: Campus, racks: Any, when: tuple[float, float], amplitude_w: float, freq_hz: float
) -> Truth:
    return Truth(
        kind="oscillation",
        amplitude_w=round(float(amplitude_w), 1),
        freq_hz=round(freq_hz, 6),
        **_place(campus, racks, when),
    )


def _place(campus: Campus, racks: Any, when: tuple[float, float]) -> dict[str, Any]:
    """Where and when: the lowest node that holds 90 % of the racks moved, onset and end."""
    onset_s, length_s = when
    counts = np.bincount(campus.pdu_of(racks), minlength=campus.site.pdus)
    most = int(counts.argmax())
    node = numbered("pdu", campus.site.pdus)[most]
    if len(racks) == 1:
        node = campus.rack_ids[int(racks[0])]
    elif counts[most] < _ONE_PDU * len(racks):
        node = "poi"
    return {
        "site_id": campus.site_id,
        "node_id": node,
        "onset_ns": campus.plan.t0_ns + round(onset_s * NS_PER_S),
        "end_ns": campus.plan.t0_ns + round((onset_s + length_s) * NS_PER_S),
        "channels": tuple(campus.rack_ids[int(rack)] for rack in racks),
    }
