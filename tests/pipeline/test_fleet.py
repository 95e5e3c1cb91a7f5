"""A fleet's forecast out of an archive: quantiles of the sum, as the sites err together."""

from __future__ import annotations

import json

import numpy as np
import pytest

from operators.futures import NORMAL
from pipeline import archive
from pipeline.cli import main
from pipeline.commits import Writer
from pipeline.fleet import FleetError, fleet_forecast
from schemas.units import NS_PER_S

T0_NS = 1_772_496_000 * NS_PER_S
STEP_NS = 300 * NS_PER_S
ISSUES = 120
NAMES = ("q05_w", "q10_w", "q25_w", "q50_w", "q75_w", "q90_w", "q95_w")


def two_sites(root, together):
    """120 dispatch forecasts N(5 MW, 0.2 MW) of two sites; their errors are equal, or are not."""
    archive.create(root)
    rng = np.random.default_rng(3)
    shared = rng.standard_normal(ISSUES + 1)
    for site in ("oak", "elm"):
        errors = shared if together else rng.standard_normal(ISSUES + 1)
        forecasts, outcomes = [], []
        for k in range(ISSUES):
            at_ns = T0_NS + k * STEP_NS
            key = {
                "site_id": site,
                "node_id": "poi",
                "issued_ns": at_ns,
                "horizon_class": "dispatch",
            }
            key |= {"start_ns": at_ns, "produced_ns": at_ns}
            quantiles = dict(zip(NAMES, (5e6 + 2e5 * np.array(NORMAL)).tolist(), strict=True))
            more = {"data_until_ns": at_ns, "valid_until_ns": at_ns + 2 * STEP_NS}
            fixed = {"duration_ns": STEP_NS, "method": "climatology", "coverage_n": 0}
            forecasts.append({**key, **quantiles, **more, **fixed})
            if k < ISSUES - 1:
                losses = dict.fromkeys(
                    ("crps_w", "persistence_w", "climatology_w", "seasonal_w"), 1.0
                )
                y_w = 5e6 + 2e5 * float(errors[k])
                late = {"produced_ns": at_ns + STEP_NS}
                outcomes.append({**key, "outcome_w": y_w, "covered": True, **losses, **late})
        writer = Writer.claim(root, f"replay-{site}")
        writer.commit(
            {"forecasts": forecasts, "outcomes": outcomes},
            offsets={},
            read_offsets={},
            archived_until_ns={site: T0_NS + ISSUES * STEP_NS},
        )
    archive.publish(root)
    return root


@pytest.mark.parametrize(("together", "factor"), [(True, 2.0), (False, 2**0.5)])
def test_the_width_of_a_sum_follows_how_sites_err(tmp_path, together, factor):
    """In step the widths add up; independent sites' add up by squares; both keep what they say."""
    [row] = fleet_forecast(two_sites(tmp_path / "a", together), ["oak", "elm"], "dispatch")
    width_w = row.quantiles_w[-1] - row.quantiles_w[0]
    assert width_w == pytest.approx(factor * 2e5 * 2 * 1.645, rel=0.2)
    assert row.quantiles_w[3] == pytest.approx(1e7, rel=0.01)
    assert list(row.quantiles_w) == sorted(row.quantiles_w)
    assert row.n == ISSUES - 1
    assert row.coverage_90 == pytest.approx(0.9, abs=1.96 * (0.09 / row.scored) ** 0.5 + 0.01)


def test_the_command_tells_it_and_says_what_is_missing(tmp_path, capsys):
    """A row a horizon with its record; a site that is not there is one sentence."""
    root = two_sites(tmp_path / "a", together=False)
    assert main(["fleet", "oak,elm", "--archive", str(root), "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert (row["horizon_s"], row["members"]) == (300.0, ISSUES - 1)
    assert main(["fleet", "oak,ash", "--archive", str(root)]) == 1
    assert "no instant has a dispatch forecast of all of ash, oak" in capsys.readouterr().err
    with pytest.raises(FleetError, match="is no site id"):
        fleet_forecast(root, ["o'ak"], "dispatch")
