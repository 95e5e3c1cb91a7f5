"""A simulated campus as a trace folder: native samples, topologies, and the truth about them."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from replay import campus_file
from replay.campus import Campus
from replay.errors import PlanError
from replay.inference import load_library
from replay.native import slice_end_ns, write_native
from replay.plan import Plan, default_plan, load_plan
from replay.truth import save_truth
from schemas.telemetry import Slice
from schemas.topology import LEVELS, TopologyError

__all__ = ["default_plan", "load_plan", "simulate", "write_topologies"]

_MAX_DURATION_S = 90_000


def simulate(folder: Path | str, plan: Plan, seed: int = 0) -> dict[str, Any]:
    """
    Write a campus as a trace: ``trace.parquet``, ``topology.toml``, ``truth.json``.

    Several sites have one ``topology-<site>.toml`` each. The same plan and seed give the same
    bytes.

    Parameters
    ----------
    folder : Path
        Made where it is missing; a trace in it is replaced.
    plan : Plan
        From `load_plan` or `default_plan`.
    seed : int
        What all random draws come from.

    Returns
    -------
    dict
        ``folder, sites, channels, samples, truth`` (their numbers).

    Raises
    ------
    PlanError
        One sentence, when the plan cannot be simulated.
    """
    _check(plan)
    folder = Path(folder)
    library = load_library()
    campuses = [
        Campus(plan, site, site_id, library=library, seed=[seed, number])
        for number, (site, site_id) in enumerate(_sites(plan))
    ]
    try:
        topologies = {campus.site_id: campus_file.topology(campus) for campus in campuses}
    except TopologyError as error:
        raise PlanError(str(error)) from error
    truth = [one for campus in campuses for one in campus_file.truth(campus)]
    folder.mkdir(parents=True, exist_ok=True)
    written = write_native(folder / "trace.parquet", _slices(plan, campuses))
    write_topologies(folder, topologies)
    save_truth(folder / "truth.json", truth)
    return {
        "folder": str(folder),
        "sites": len(campuses),
        "channels": sum(len(topology.channels) for topology in topologies.values()),
        "samples": written.samples,
        "truth": len(truth),
    }


def write_topologies(folder: Path, topologies: dict[str, Any]) -> None:
    """Write ``topology.toml`` for one site, ``topology-<site>.toml`` for each of several."""
    for old in folder.glob("topology*.toml"):
        old.unlink()
    for site_id, topology in topologies.items():
        name = "topology.toml" if len(topologies) == 1 else f"topology-{site_id}.toml"
        (folder / name).write_text(topology.dumps(), encoding="utf-8")


def _sites(plan: Plan) -> list[tuple[Any, str]]:
    return [
        (site, site.id if site.count == 1 else f"{site.id}-{n}")
        for site in plan.site
        for n in range(1, site.count + 1)
    ]


def _slices(plan: Plan, campuses: list[Campus]) -> Iterator[Slice]:
    pieces = round(1 / plan.slice_s)
    for s in range(plan.duration_s):
        keyed = [
            (
                (slice_end_ns(piece), LEVELS.index(piece.level), piece.site_id, piece.gateway_id),
                piece,
            )
            for campus in campuses
            for piece in campus.slices(s, pieces)
        ]
        yield from (piece for _, piece in sorted(keyed, key=operator.itemgetter(0)))


def _check(plan: Plan) -> None:
    ids = [site_id for _, site_id in _sites(plan)]
    if not ids or len(set(ids)) < len(ids):
        msg = f"the plan has {len(ids)} sites; it needs one at least, each with an id of its own"
        raise PlanError(msg)
    if plan.t0_ns < 0:
        msg = f"t0 is {plan.t0!r}; times count from 1970"
        raise PlanError(msg)
    if not 2 <= plan.duration_s <= _MAX_DURATION_S:
        msg = f"duration_s is {plan.duration_s}; use 2-{_MAX_DURATION_S}"
        raise PlanError(msg)
    if not 0.001 <= plan.slice_s <= 1 or abs(round(1 / plan.slice_s) * plan.slice_s - 1) > 1e-9:
        msg = f"slice_s is {plan.slice_s}; use 1 s divided by a whole number, 0.001 at least"
        raise PlanError(msg)
    for site in plan.site:
        if min(site.pdus, site.racks_per_pdu, site.servers, site.count) < 1 or site.racks > 100_000:
            msg = (
                f"site {site.id}: pdus, racks_per_pdu, servers, count are 1 or more, "
                f"racks 100000 or fewer"
            )
            raise PlanError(msg)
        for hz in (site.rack_hz, site.pdu_hz or 1, site.substation_hz or 1):
            if not 1 <= hz <= 4000:
                msg = f"site {site.id}: a rate is {hz} Hz; use 1-4000, or 0 for no meters"
                raise PlanError(msg)
        _check_events(plan, site)


def _check_events(plan: Plan, site: Any) -> None:
    for event in (*site.ramp, *site.oscillation):
        end_s = max(event.onset_s, getattr(event, "recovers_s", None) or 0.0) + event.duration_s
        if not (event.onset_s >= 0 and event.duration_s > 0 and end_s <= plan.duration_s):
            msg = (
                f"site {site.id}: the event at {event.onset_s} s ends at {end_s} s; "
                f"the trace lasts {plan.duration_s} s"
            )
            raise PlanError(msg)
        if not 0 < event.racks <= 1 or (event.pdu is not None and not 1 <= event.pdu <= site.pdus):
            msg = (
                f"site {site.id}: the event at {event.onset_s} s takes {event.racks} of the racks "
                f"of PDU {event.pdu}; use a share up to 1 and a PDU of 1-{site.pdus}"
            )
            raise PlanError(msg)
    for job in site.job:
        if (
            job.racks < 1
            or job.period_s <= 0
            or job.edge_s <= 0
            or not 0 < job.communicate_share < 1
        ):
            msg = (
                f"site {site.id}: a job has racks {job.racks}, period_s {job.period_s}, edge_s "
                f"{job.edge_s}, communicate_share {job.communicate_share}; all are above 0, the "
                f"share below 1"
            )
            raise PlanError(msg)
