"""Forecasts on simulated days: what the command tells, and that nobody can win by remembering."""

from __future__ import annotations

import json

import numpy as np
import pytest

from replay import forecast_score
from replay.cli import main
from replay.forecast_run import Run
from replay.forecast_traces import FAMILIES, T0_NS, Announced, Family, Series, make
from replay.inference import Servers, load_library
from schemas.forecasts import PlannedEvent
from schemas.units import NS_PER_S

ROW = {
    *("family", "horizon_class", "horizon_s", "iteration_s", "crps_skill", "best_reference"),
    *("coverage_90", "n"),
}


def family(name):
    """One of the families by its name."""
    return next(one for one in FAMILIES if one.name == name)


def likeness(power_w, lag):
    """Correlation of a series with itself, ``lag`` ticks later."""
    return float(np.corrcoef(power_w[lag:], power_w[:-lag])[0, 1])


def test_no_trace_comes_round_again():
    """Servers that roll one trace for ever repeat exactly; ours draw anew and never do."""
    library = load_library()
    longest = int(library.lengths.max())
    rolled = Servers(library, 1, 1, np.random.default_rng(1)).relative(0, 4 * longest)[0]
    ours = make(family("inference_small"), 4 * longest / 36_000, 1).power_w
    lags = sorted({int(n) for n in library.lengths})
    assert max(likeness(rolled, lag) for lag in lags) > 0.999
    assert max(likeness(ours, lag) for lag in lags if lag > 1200) < 0.35


def test_a_family_is_drawn_from_its_seed():
    """The same seed, the same day; another seed, another one; hints where they are wanted."""
    one, two, other = (make(family("train_6s_5pct_hinted"), 1.0, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.power_w, two.power_w)
    assert one.hints == two.hints != ()
    assert not np.array_equal(one.power_w, other.power_w)
    assert make(family("train_2s_2pct"), 1.0, 3).hints == ()
    assert all(hint.t_ns <= hint.start_ns for hint in one.hints if hint.t_ns > T0_NS)


def test_the_command_tells_rows_checks_and_ramps(capsys, tmp_path):
    """One JSON object: every horizon of every class, promises with what was measured, ramps."""
    picture = tmp_path / "fan.png"
    name = "train_2s_2pct_hinted"
    args = ["forecast-score", "--hours", "2", "--family", name, "--every-s", "60", "--json"]
    code = main([*args, "--plot", str(picture)])
    told = json.loads(capsys.readouterr().out)
    assert set(told["rows"][0]) >= ROW
    plain = [row for row in told["rows"] if row["family"] == name]
    classes = {row["horizon_class"] for row in plain}
    assert classes == {"fast", "scada", "dispatch", "cop"}
    assert len([row for row in plain if row["horizon_class"] == "fast"]) == 45
    assert any(row["family"] == f"{name}:events" for row in told["rows"])
    assert {check["held"] for check in told["checks"]} <= {True, False}
    assert code == int(not all(check["held"] for check in told["checks"]))
    assert told["ramps"][name]["truth"] > 5
    assert picture.stat().st_size > 10_000


def test_wrong_usage_is_one_sentence(capsys):
    """A family that is not there, too short a day."""
    assert main(["forecast-score", "--family", "x"]) == 2
    assert "there is no family 'x'; use train_2s_0.5pct" in capsys.readouterr().err
    assert main(["forecast-score", "--hours", "1"]) == 2
    assert "--hours is 1; use 2 to 672" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("told_s", "change_w", "issued_s", "hits", "alarms"),
    [
        (500.0, -2e6, 480.0, 1, 0),
        (508.0, -2e6, 480.0, 0, 0),
        (500.0, 2e6, 480.0, 0, 1),
        (500.0, -2e6, 498.0, 0, 0),
        (900.0, -2e6, 880.0, 0, 1),
        (500.0, -1e5, 480.0, 0, 0),
    ],
)
def test_a_ramp_counts_only_in_time_and_of_its_sign(told_s, change_w, issued_s, hits, alarms):
    """Hit: told five seconds ahead, within five of the onset, same sign, a tenth of the site."""
    series = Series(Family("f"), np.full(20_000, 4e6), (), (Announced(400.0, 500.0, None, -2e6),))
    at_ns = T0_NS + round(told_s * NS_PER_S)
    event = PlannedEvent("job_stop", 0.9, 3, at_ns, at_ns, at_ns, change_q50_w=change_w)
    got = forecast_score.ramps(series, Run({}, [(issued_s, event)], {}))
    assert (got["truth"], got["hits"], got["false_alarms"]) == (1, hits, alarms)
