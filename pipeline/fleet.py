"""A fleet's forecast: quantiles of the sum of its sites, from forecasts and outcomes archived."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from operators import joint
from pipeline import archive
from pipeline.errors import LockstepError
from schemas.units import NS_PER_S

__all__ = ["FEWEST", "FleetError", "FleetRow", "as_rows", "fleet_forecast"]

FEWEST = 20
"""Common outcomes below which the sites are taken to err independently."""
MEMBERS = 500
APART_NS = {"fast": 5 * NS_PER_S, "scada": 5 * NS_PER_S}
"""Sites issue the quick classes in turn: issues within this belong together."""
QUANTILES = ("q05_w", "q10_w", "q25_w", "q50_w", "q75_w", "q90_w", "q95_w")
SQL = """
select f.site_id, f.issued_ns, f.start_ns, f.duration_ns, o.outcome_w, {quantiles}
from forecasts f left join outcomes o
  on o.site_id = f.site_id and o.node_id = f.node_id and o.issued_ns = f.issued_ns
  and o.horizon_class = f.horizon_class and o.start_ns = f.start_ns
where f.horizon_class = '{name}' and f.site_id in ({sites})
order by f.issued_ns, f.start_ns, f.site_id
"""
MAX_ROWS = 5_000_000


class FleetError(LockstepError):
    """The archive cannot give the fleet's forecast; one sentence."""


class FleetRow(NamedTuple):
    """
    One interval of the fleet: quantiles of its mean power, W, by joint sampling.

    ``n`` common outcomes carry the dependence (0: taken as independent); ``coverage_90`` is how
    often the fleet's own 90 % interval held over ``scored`` of them, each forecast from what lay
    before it.
    """

    issued_ns: int
    start_ns: int
    duration_ns: int
    quantiles_w: tuple[float, ...]
    n: int
    scored: int
    coverage_90: float | None


class _Table(NamedTuple):
    """One horizon: ``quantiles_w`` (issue, site, 7), ``outcome_w`` (issue, site), times."""

    issued_ns: Any
    start_ns: Any
    duration_ns: int
    quantiles_w: Any
    outcome_w: Any


def fleet_forecast(root: Path, site_ids: Sequence[str], horizon_class: str) -> list[FleetRow]:
    """
    The newest forecast of several sites together, one row a horizon.

    Parameters
    ----------
    root : Path
        An archive that holds all of them.
    site_ids : sequence of str
        The fleet; each has the form that site files allow.
    horizon_class : {"fast", "scada", "dispatch", "cop"}
        Which class.

    Raises
    ------
    FleetError
        One sentence, when no instant has a forecast of every site.
    """
    sites = sorted(set(site_ids))
    wrong = [site for site in sites if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", site)]
    if wrong or not sites:
        msg = f"{wrong[0] if wrong else 'nothing'!r} is no site id; name sites with commas"
        raise FleetError(msg)
    names = ", ".join(f"'{site}'" for site in sites)
    sql = SQL.format(quantiles=", ".join(QUANTILES), name=horizon_class, sites=names)
    _names, rows = archive.query(root, sql, limits=archive.Limits(rows=MAX_ROWS))
    tables = _tables(rows, sites, APART_NS.get(horizon_class, 1))
    if not tables:
        msg = (
            f"no instant has a {horizon_class} forecast of all of {', '.join(sites)}; "
            "name sites that are in the archive"
        )
        raise FleetError(msg)
    return [_row(table) for table in tables]


def as_rows(rows: Sequence[FleetRow]) -> list[dict[str, Any]]:
    """The same with a column a quantile, for tables and scripts."""
    return [
        {
            "horizon_s": (row.start_ns + row.duration_ns - row.issued_ns) / NS_PER_S,
            **dict(zip(QUANTILES, row.quantiles_w, strict=True)),
            "coverage_90": row.coverage_90,
            "n": row.scored,
            "members": row.n,
            "issued_ns": row.issued_ns,
            "start_ns": row.start_ns,
            "duration_ns": row.duration_ns,
        }
        for row in rows
    ]


def _tables(rows: Sequence[Any], sites: list[str], apart_ns: int) -> list[_Table]:
    """Rows by horizon, with only the instants that every site has."""
    place = {site: k for k, site in enumerate(sites)}
    found: dict[tuple[int, int], dict[int, dict[int, Any]]] = {}
    for row in rows:
        ahead_ns = row[2] - row[1]
        together = found.setdefault((ahead_ns, row[3]), {}).setdefault(row[1] // apart_ns, {})
        together[place[row[0]]] = row
    tables = []
    for (_ahead_ns, duration_ns), by_issue in sorted(found.items()):
        whole = [
            [of[k] for k in range(len(sites))] for of in by_issue.values() if len(of) == len(sites)
        ]
        if not whole:
            continue
        values = np.array([[row[5:] for row in issue] for issue in whole], dtype=float)
        outcome_w = np.array([[row[4] for row in issue] for issue in whole], dtype=float)
        times = np.array([[issue[0][1], issue[0][2]] for issue in whole], dtype=np.int64)
        tables.append(_Table(times[:, 0], times[:, 1], duration_ns, values, outcome_w))
    return tables


def _row(table: _Table) -> FleetRow:
    known = np.flatnonzero(~np.isnan(table.outcome_w).any(axis=1))
    rank = joint.ranks(table.quantiles_w[known], table.outcome_w[known])
    held = []
    for k, issue in enumerate(known):
        settled = table.start_ns[known[:k]] + table.duration_ns <= table.issued_ns[issue]
        before = rank[:k][settled][-MEMBERS:]
        if len(before) >= FEWEST:
            low_w, *_, high_w = joint.summed(table.quantiles_w[issue], before)
            held.append(low_w <= table.outcome_w[issue].sum() <= high_w)
    members = rank[-MEMBERS:] if len(rank) >= FEWEST else _independent(table.quantiles_w.shape[1])
    quantiles_w = joint.summed(table.quantiles_w[-1], members)
    return FleetRow(
        int(table.issued_ns[-1]),
        int(table.start_ns[-1]),
        table.duration_ns,
        tuple(float(q) for q in quantiles_w),
        len(rank) if len(rank) >= FEWEST else 0,
        len(held),
        float(np.mean(held)) if held else None,
    )


def _independent(sites: int) -> Any:
    """Ranks (member, site) that fill the unit cube evenly: multiples of irrational steps."""
    steps = np.sqrt(
        [p for p in range(2, 8 * sites + 10) if all(p % q for q in range(2, p))][:sites]
    )
    return (0.5 + np.arange(1, MEMBERS + 1)[:, None] * steps[None, :]) % 1.0
