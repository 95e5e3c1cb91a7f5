"""Rows that explain the others years later: the site file and the rules in force, with digests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from importlib import metadata
from typing import Any

import msgspec

from pipeline.detect import DetectSettings
from pipeline.evidence_state import EvidenceSettings
from pipeline.layout import SiteLayout
from schemas.topology import Topology

__all__ = ["dimension_rows"]


def dimension_rows(
    layout: SiteLayout, detect: DetectSettings, evidence: EvidenceSettings, from_ns: int
) -> dict[str, Callable[[], list[dict[str, Any]]]]:
    """
    What makes the rows of ``topologies`` and ``rules`` for a site whose computation begins.

    Parameters
    ----------
    layout : SiteLayout
        Of the site.
    detect, evidence : settings
        In force.
    from_ns : int, ns
        End of the first grid second that is computed with them.
    """
    return {
        "topologies": partial(_topology, layout, from_ns),
        "rules": partial(_rules, layout.site_id, detect, evidence, from_ns),
    }


def _topology(layout: SiteLayout, from_ns: int) -> list[dict[str, Any]]:
    topology = layout.topology
    nodes = [
        {
            "node_id": node.id,
            "level": node.level,
            "parent": node.parent,
            "rating_w": node.rating_w,
            "cohorts": list(node.cohorts),
        }
        for node in topology.nodes
    ]
    row = {
        "site_id": layout.site_id,
        "digest": layout.digest,
        "valid_from_ns": from_ns,
        "authority": topology.site.authority,
        "authority_peak_w": topology.site.authority_peak_w,
        "nodes": nodes,
        "channels": _channels(topology),
        "site_file": topology.dumps(),
        "produced_ns": from_ns,
    }
    return [row]


def _channels(topology: Topology) -> list[dict[str, Any]]:
    rates, owner = {g.id: str(g.rate) for g in topology.gateways}, topology.channel_gateway
    return [
        {
            "channel_id": channel.id,
            "node_id": channel.node_id,
            "level": topology.node_by_id[channel.node_id].level,
            "gateway_id": owner[channel.id],
            "rate_hz": rates[owner[channel.id]],
            "resolution_w": channel.resolution_w,
            "averaging_s": channel.averaging_s,
            "poll_s": channel.poll_s,
        }
        for channel in topology.channels
    ]


def _rules(
    site_id: str, detect: DetectSettings, evidence: EvidenceSettings, from_ns: int
) -> list[dict[str, Any]]:
    try:
        version = metadata.version("lockstep")
    except metadata.PackageNotFoundError:
        version = "source"
    settings = msgspec.json.encode({"detect": detect, "evidence": evidence}).decode()
    row = {
        "site_id": site_id,
        "digest": hashlib.sha256(f"{version}\n{settings}".encode()).hexdigest(),
        "valid_from_ns": from_ns,
        "software_version": version,
        "pre_s": evidence.pre_s,
        "post_s": evidence.post_s,
        "settings": settings,
        "produced_ns": from_ns,
    }
    return [row]
