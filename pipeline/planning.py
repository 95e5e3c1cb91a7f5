"""``archive plan``: intervals of each site as a planner loads them, grown by named scenarios."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pipeline.errors import UsageError
from pipeline.exports import Scope
from pipeline.views import text

__all__ = ["Scenario", "plan_sql", "scenarios"]

MEASURED = "measured"
SCALED = (
    *("mean_w", "max_w", "min_w", "p95_w", "ramp_up_w_per_min", "ramp_down_w_per_min"),
    "mileage_w",
)
"""What grows with the load; the coincidence factor and the valid share do not."""


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    How load grows.

    Attributes
    ----------
    growth_per_year : float, 1
        0.1: a tenth more each year, compounding, counted from the base year.
    factors : dict of year to float
        Or the factor of each year by itself.
    sites : tuple of str
        Which sites grow; empty: all. The others stay as measured.
    """

    growth_per_year: float | None = None
    factors: dict[str, float] = {}
    sites: tuple[str, ...] = ()

    def factor(self, year: int, base: int) -> float | None:
        """Factor of a year; None where it is not named."""
        if self.growth_per_year is not None:
            return (1 + self.growth_per_year) ** (year - base)
        return self.factors.get(str(year))


def scenarios(given: list[str], file: Path | None) -> dict[str, Scenario]:
    """
    Scenarios by name, from ``NAME=RATE`` and from a TOML file with one table each.

    Raises
    ------
    UsageError
        One sentence.
    """
    found: dict[str, Scenario] = {}
    if file is not None:
        try:
            found = msgspec.toml.decode(file.read_bytes(), type=dict[str, Scenario])
        except OSError as error:
            msg = f"{file}: {error.strerror}; name a TOML file with scenarios"
            raise UsageError(msg) from error
        except (msgspec.DecodeError, ValueError) as error:
            msg = f"{file}: {error}; a scenario has growth_per_year or factors, and sites"
            raise UsageError(msg) from error
    for entry in given:
        name, _, rate = entry.partition("=")
        try:
            found[name] = Scenario(growth_per_year=float(rate))
        except ValueError as error:
            msg = f"--scenario is {entry!r}; use NAME=RATE as in high=0.15, a rate per year"
            raise UsageError(msg) from error
    for name, scenario in found.items():
        _check(name, scenario)
    return found


def _check(name: str, scenario: Scenario) -> None:
    rate = scenario.growth_per_year
    if not name or name == MEASURED:
        msg = f"a scenario cannot be called {name!r}; give it another name"
        raise UsageError(msg)
    if (rate is None) == (not scenario.factors):
        msg = f"scenario {name} needs growth_per_year or factors, one of them"
        raise UsageError(msg)
    if rate is not None and not -1 < rate < 10:
        msg = f"scenario {name} grows by {rate} a year; use a rate above -1 and below 10"
        raise UsageError(msg)
    for year, factor in scenario.factors.items():
        if not year.isdigit() or not 0 < factor < 1000:
            msg = f"scenario {name} has factor {factor} in {year!r}; use years, and factors above 0"
            raise UsageError(msg)


def plan_sql(
    interval_s: int, scope: Scope, named: dict[str, Scenario], years: list[int], base: int
) -> str:
    """
    SQL of the plan: the measured intervals, then each scenario and year.

    Parameters
    ----------
    interval_s : int, s
        Length of an interval.
    scope : Scope
        Which time and site.
    named : dict
        Scenarios by name.
    years : list of int
        Years that scenarios with a rate are written for.
    base : int
        Year in which the load is as measured.
    """
    rows = [(MEASURED, base, "NULL", 1.0)]
    for name, scenario in named.items():
        mine = years if scenario.growth_per_year is not None else map(int, scenario.factors)
        for year in mine:
            factor = scenario.factor(year, base)
            if factor is not None:
                only = f"[{', '.join(map(text, scenario.sites))}]" if scenario.sites else "NULL"
                rows.append((name, year, only, factor))
    values = ", ".join(
        f"({text(n)}, {year}, CAST({only} AS VARCHAR[]), {factor!r})"
        for n, year, only, factor in rows
    )
    edges = [("from_utc", scope.from_utc), ("until_utc", scope.until_utc)]
    cut = "".join(f", {name} := {text(value)}" for name, value in edges if value is not None)
    scaled = ", ".join(f"{column} * grown AS {column}" for column in SCALED)
    mine_only = "" if scope.site is None else f" QUALIFY site_id = {text(scope.site)}"
    return (
        f"SELECT scenario, year, grown AS factor, site_id, t0_ns, t0_utc, {scaled}, "  # noqa: S608
        "CASE WHEN sum_w IS NOT NULL THEN sum(mean_w * grown) OVER (PARTITION BY k, t0_ns) END "
        "AS sum_w, coincidence_factor, valid_share FROM (SELECT *, "
        "CASE WHEN growing IS NULL OR site_id IN growing THEN factor ELSE 1.0 END AS grown "
        f"FROM planning(interval_s := {interval_s}{cut}), (SELECT row_number() OVER () AS k, * "
        f"FROM (VALUES {values}) AS v(scenario, year, growing, factor)) AS s)"
        f"{mine_only} ORDER BY k, site_id, t0_ns"
    )
