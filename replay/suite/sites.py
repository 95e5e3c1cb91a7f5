"""The suite's sites: racks under PDUs under a metered POI, as a site file would say it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from pipeline.layout import SiteLayout
from schemas.topology import Topology

__all__ = ["RACKS_PER_PDU", "RACK_HZ", "RACK_W", "Grouping", "grouping", "layout_of"]

RACK_HZ = 10
RACK_W = 40e3
"""Mean power of a rack of eight servers, W."""
RACKS_PER_PDU = 20


class Grouping:
    """Which racks stand under which PDU: rows in the order of the engine's rack channels."""

    def __init__(self, racks: int) -> None:
        self.racks = racks
        self.starts = np.arange(0, racks, RACKS_PER_PDU)
        self.pdus = len(self.starts)
        self.site_w = racks * RACK_W
        self.names = tuple(
            f"rack-{row // RACKS_PER_PDU + 1}-{row % RACKS_PER_PDU + 1}" for row in range(racks)
        )

    def under(self, pdu: int) -> np.ndarray:
        """Rows of the racks of PDU ``pdu``, from 0."""
        first = int(self.starts[pdu])
        return np.arange(first, min(first + RACKS_PER_PDU, self.racks))


@lru_cache(maxsize=8)
def grouping(racks: int) -> Grouping:
    """The racks of a site of this size."""
    return Grouping(racks)


@lru_cache(maxsize=8)
def layout_of(racks: int, poi_hz: int) -> SiteLayout:
    """The engine's layout: racks at 10 Hz, PDUs as their sums, the POI with a meter of its own."""
    lines = ["[site]", f'id = "suite-{racks}"', *_node("poi", "substation", None, 0)]
    for pdu in range(1, grouping(racks).pdus + 1):
        count = len(grouping(racks).under(pdu - 1))
        lines += _node(f"pdu-{pdu}", "pdu", "poi", 0)
        lines += _node(f"rack-{pdu}-{{n}}", "rack", f"pdu-{pdu}", count)
        lines += ["[[channel]]", f'id = "rack-{pdu}-{{n}}"', f'node_id = "rack-{pdu}-{{n}}"']
        lines += [f"count = {count}"]
    lines += ["[[channel]]", 'id = "poi"', 'node_id = "poi"']
    for level, rate_hz in (("rack", RACK_HZ), ("substation", poi_hz)):
        lines += ["[[gateway]]", f'id = "{level}-gw"', f'level = "{level}"', f"rate_hz = {rate_hz}"]
    return SiteLayout(Topology.parse("\n".join(lines)))


def _node(name: str, level: str, parent: str | None, count: int) -> list[str]:
    above = [] if parent is None else [f'parent = "{parent}"']
    return ["[[node]]", f'id = "{name}"', f'level = "{level}"', *above, f"count = {count}"]
