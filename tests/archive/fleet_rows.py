"""The rows of `fleet`'s three sites, and an archive made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import archive, commits
from schemas.tables import (
    EVENTS,
    FORECASTS,
    OUTCOMES,
    RULES,
    STATES,
    TOPOLOGIES,
    WAVEFORMS,
    WINDOWS,
)
from schemas.units import NS_PER_S
from tests.archive.fleet import (
    BEGIN,
    MONTH,
    OWN,
    PDUS,
    POST_S,
    PRE_S,
    SECONDS,
    SITES,
    Fleet,
    fleet,
    ns,
    null,
)

__all__ = ["fill"]

NOTHING = (None, float("nan"), 5.0)
"""What a second without a valid sample may hold."""


def _dimensions() -> dict[str, pa.Table]:
    """Two site files of each site, the second from midnight on, and the rules."""
    sites, rules = [], []
    for site in SITES:
        for k, begin in enumerate((BEGIN, MONTH)):
            nodes = [
                {"node_id": "poi", "level": "substation", "parent": None, "rating_w": 1e8},
                *(
                    {"node_id": f"pdu-{p}", "level": "pdu", "parent": "poi", "rating_w": None}
                    for p in range(PDUS + k)
                ),
            ]
            channels = [
                {"channel_id": f"pdu-{p}.{part}", "node_id": f"pdu-{p}", "level": "pdu"}
                for p in range(PDUS)
                for part in "ab"
            ]
            channels.append({"channel_id": OWN, "node_id": "poi", "level": "substation"})
            dates = {"valid_from_ns": ns(begin), "produced_ns": ns(begin + 1)}
            row = {"site_id": site, "digest": f"d{k}", "authority": "X", "site_file": ""}
            sites.append({**row, **dates, "nodes": nodes, "channels": channels})
        rules.append(
            {
                "site_id": site, "digest": "r", "software_version": "1", "settings": "{}",
                "pre_s": PRE_S, "post_s": POST_S, "valid_from_ns": ns(BEGIN),
                "produced_ns": ns(BEGIN + 1),
            }
        )  # fmt: skip
    return {
        "topologies": pa.Table.from_pylist(sites, schema=TOPOLOGIES),
        "rules": pa.Table.from_pylist(rules, schema=RULES),
    }


def window_rows(truth: Fleet) -> pa.Table:
    """Rows of `windows`: grid connections and PDUs every second, racks every ten."""
    rows = [
        _window(site, "poi", "substation", t, 1)
        | {
            "mean_w": null(truth.mean_w[s, t]) or NOTHING[t % 3], "min_w": null(truth.min_w[s, t]),
            "max_w": null(truth.max_w[s, t]), "valid_share": truth.valid[s, t],
            "ramp_up_w_per_s": (t * 7919) % 1000 * 1e3,
            "ramp_down_w_per_s": (t * 104729) % 1000 * 1e3,
        }
        for s, site in enumerate(SITES)
        for t in np.flatnonzero(truth.there[s])
    ]  # fmt: skip
    for (site, node), power_w in truth.nodes.items():
        length_s = 10 if node.startswith("rack") else 1
        whole = power_w.reshape(-1, length_s)
        known = np.isfinite(whole)
        for k in np.flatnonzero(truth.there[SITES.index(site)][::length_s]):
            share = known[k].mean()
            mean_w = float(whole[k][known[k]].mean()) if share else None
            rows.append(
                _window(site, node, node[: node.index("-")], k * length_s, length_s)
                | {"mean_w": mean_w, "valid_share": share}
            )
    return pa.Table.from_pylist(rows, schema=WINDOWS)


def _window(site: str, node: str, level: str, t: int, length_s: int) -> dict[str, Any]:
    return {
        "site_id": site, "node_id": node, "level": level, "t0_ns": ns(t),
        "duration_ns": length_s * NS_PER_S, "produced_ns": ns(t + length_s),
    }  # fmt: skip


def _outcomes(truth: Fleet) -> list[dict[str, Any]]:
    """What came of every forecast: its median, with a loss of 1 W everywhere."""
    losses = ("crps_w", "persistence_w", "climatology_w", "seasonal_w")
    same = ("site_id", "node_id", "issued_ns", "horizon_class", "start_ns", "produced_ns")
    return [
        {name: row[name] for name in same}
        | {"outcome_w": row["q50_w"], "covered": True, **dict.fromkeys(losses, 1.0)}
        for row in truth.forecasts
    ]


def tables(truth: Fleet) -> dict[str, pa.Table]:
    """All rows, as the archive's tables have them."""
    return {
        "windows": window_rows(truth),
        "states": pa.Table.from_pylist(truth.states, schema=STATES),
        "forecasts": pa.Table.from_pylist(truth.forecasts, schema=FORECASTS),
        "outcomes": pa.Table.from_pylist(_outcomes(truth), schema=OUTCOMES),
        "events": pa.Table.from_pylist(truth.events, schema=EVENTS),
        "waveforms": pa.Table.from_pylist(truth.blocks, schema=WAVEFORMS),
        **_dimensions(),
    }


def fill(root: Path) -> None:
    """Make an archive of it: one writer a site, each in three commits."""
    archive.create(root)
    every = tables(fleet())
    for site in SITES:
        writer = commits.Writer.claim(root, f"replay-{site}")
        done_ns = 0
        for until_ns in (ns(2000), ns(3333), ns(SECONDS)):
            cut = {name: _part(table, site, done_ns, until_ns) for name, table in every.items()}
            writer.commit(cut, offsets={}, read_offsets={}, archived_until_ns={site: until_ns})
            done_ns = until_ns


def _part(table: pa.Table, site: str, from_ns: int, until_ns: int) -> pa.Table:
    produced_ns = table["produced_ns"].to_numpy()
    mine = np.array(table["site_id"].to_pylist()) == site
    return table.filter(pa.array(mine & (produced_ns > from_ns) & (produced_ns <= until_ns)))
