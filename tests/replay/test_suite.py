"""The proof itself: it goes green for a perfect detector and red for every kind of bad one."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from replay.cli import main
from replay.errors import PlanError
from replay.suite.rows import Row
from replay.suite.suite import FOLDER, Suite, find_suite, load_suite, run_suite, shipped_names
from replay.suite.work import Order, _Told
from tests.replay import stand_ins

SMALL = """
[[case]]
family = "quiet"
limit = 1.5
name = "quiet"
racks = 40
site_days = 2.3
piece_h = 12.0
warm_s = 0

[[case]]
family = "steps"
name = "steps"
racks = 40
trials = 12
per_piece = 6
apart_s = 60.0
warm_s = 60.0

[[case]]
family = "partial"
name = "partial"
racks = 40
trials = 12
per_piece = 6
apart_s = 60.0
warm_s = 60.0

[[case]]
family = "delays"
name = "delays"
background = "real"
racks = 40
sizes = [2.0, 4.0]
trials = 6
per_piece = 12
apart_s = 120
warm_s = 420
calibration_h = 1.0
limit = 1.6

[[case]]
family = "tone-detection"
name = "tones"
racks = 40
strengths = [60.0]
trials = 4
per_piece = 4
longest_s = 40.0
rest_s = 60
warm_s = 60

[[case]]
family = "tone-delay"
name = "tone-delays"
racks = 40
bounds_s = [5.0]
trials = 4
per_piece = 4
rest_s = 60
warm_s = 60

[[case]]
family = "jobs"
name = "jobs"
racks = 40
job_racks = 20
hours = 1
warm_s = 60
"""


def _silent(_line: str) -> None:
    """No progress."""


@pytest.fixture
def small(tmp_path: Path) -> Suite:
    """Every family of steps and quiet, on a site small enough to simulate days of it."""
    (tmp_path / "small.toml").write_text(SMALL)
    return load_suite(tmp_path / "small.toml")


def _rows(suite: Suite, maker: type) -> list[Row]:
    return run_suite(suite, Order(1, 1, maker, _silent))


def _ours(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.goal is not None]


def test_an_oracle_keeps_every_limit(small: Suite) -> None:
    """All found, nothing for nothing, no delay, every rack named: the suite can be green."""
    rows = _ours(_rows(small, stand_ins.Oracle))
    assert [row.ok for row in rows] == [True] * len(rows)
    perfect = {"quiet": [0], "steps": [1], "partial": [1, 1, 1], "delays": [0, 0]}
    perfect |= {"tones": [1], "tone-delays": [0], "jobs": [1, 1, 0]}
    figures = [figure for case in perfect.values() for figure in case]
    assert list(perfect) == [case.name for case in small.case]
    assert [row.figure for row in rows] == pytest.approx(figures, abs=1e-6)
    assert max(row.counts.delay_s.p95 for row in rows if row.counts.hits) < 1e-6
    assert sum(row.counts.false_alarms for row in rows) == 0


def test_the_blind_miss_everything(small: Suite) -> None:
    """Without an event nothing is found, however short the row: its interval is below the limit."""
    rows = _ours(_rows(small, stand_ins.Blind))
    red = {(row.case, row.what) for row in rows if not row.widened().ok}
    green = {(row.case, row.what) for row in rows} - red
    assert {case for case, _what in red} == {c.name for c in small.case} - {"quiet"}
    assert green == {("quiet", rows[0].what), ("jobs", "other events per hour of training")}
    assert rows[1].counts.misses == 12


def test_the_late_are_told_so(small: Suite) -> None:
    """A minute after each onset is too late for a bound, and for no share of what was found."""
    rows = _ours(_rows(small, stand_ins.Late))
    red = {row.case for row in rows if not row.widened().ok}
    assert red == {"delays", "tone-delays", "tones"}


def test_who_cries_wolf_is_over_the_bound(small: Suite) -> None:
    """An alarm every quarter of an hour is 96 a day, and seen to be, widened too."""
    (quiet,) = _ours(_rows(small.only("quiet"), stand_ins.Crying))
    assert quiet.figure == pytest.approx(96, rel=0.03)
    assert not quiet.ok
    assert not quiet.widened().ok


def test_the_wrong_racks_are_no_racks(small: Suite) -> None:
    """Naming all of 40 racks where 4 stepped has recall and no precision."""
    precision, recall = _ours(_rows(small.only("partial"), stand_ins.Careless))[-2:]
    assert precision.figure == pytest.approx(0.1)
    assert recall.figure == 1.0
    assert (precision.widened().ok, recall.ok) == (False, True)


def test_one_seed_one_answer_however_many_processes(small: Suite) -> None:
    """Two processes and one give the same rows; another seed gives other backgrounds."""
    few = small.only("steps")
    rows = [run_suite(few, Order(7, jobs, tell=_silent)) for jobs in (1, 2)]
    assert rows[0] == rows[1]
    assert run_suite(few, Order(8, 1, tell=_silent)) != rows[0]


def test_a_suite_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    """Unknown fields and families, a name twice, a case that is not there."""
    bad = tmp_path / "bad.toml"
    for text, words in (
        ('[[case]]\nfamily = "quiet"\nname = "a"\nrakcs = 3', "rakcs"),
        ('[[case]]\nfamily = "none"\nname = "a"', "none"),
        ('[[case]]\nfamily = "quiet"\nname = "a"\n' * 2, "twice"),
    ):
        bad.write_text(text)
        with pytest.raises(PlanError, match=words):
            load_suite(bad)
    with pytest.raises(PlanError, match="no case"):
        load_suite(FOLDER / "detectors.toml").only("nothing-like-it")
    assert find_suite("detectors") == FOLDER / "detectors.toml"
    assert find_suite("no-such-suite") is None


def test_the_door_says_seed_rows_and_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``replay score SUITE --json``: one object, its rows with the promised keys; exit 1 on red."""
    path = tmp_path / "tiny.toml"
    path.write_text(SMALL)
    code = main(["score", str(path), "--only", "steps", "--json", "--jobs", "1"])
    told = json.loads(capsys.readouterr().out)
    promised = (
        "truth hits misses false_alarms site_days false_alarms_per_site_day delay_s "
        "case what figure limit trials low high ok"
    )
    assert all(set(promised.split()) <= set(row) for row in told["rows"])
    assert code == (0 if told["ok"] else 1)
    assert {"suite", "seed", "wall_s", "rerolled", "rows"} <= set(told)
    again = ["score", str(path), "--only", "steps", "--seed", str(told["seed"]), "--jobs", "1"]
    assert main(again) == code
    assert f"seed {told['seed']}" in capsys.readouterr().out


def test_shipped_suites_say_the_same_things() -> None:
    """The short form has the cases of the long one, with the same limits, and is widened."""
    assert set(shipped_names()) >= {"detectors", "detectors-short"}
    whole, short = (load_suite(FOLDER / f"{n}.toml") for n in ("detectors", "detectors-short"))
    assert short.widened
    assert not whole.widened
    limits = {
        c.name: (type(c), getattr(c, "least", None), getattr(c, "limit", None)) for c in whole.case
    }
    for case in short.case:
        found = (type(case), getattr(case, "least", None), getattr(case, "limit", None))
        assert found == limits[case.name]


def test_what_is_kept_is_not_done_again(small: Suite, tmp_path: Path) -> None:
    """A second run reads every piece: it gives the same rows with a detector that cannot run."""
    few = small.only("steps")
    order = Order(7, 1, stand_ins.Oracle, _silent, tmp_path / "kept")
    rows = run_suite(few, order)
    assert len(list((tmp_path / "kept").glob("steps-*.json"))) == 2
    assert run_suite(few, order._replace(maker=_never)) == rows
    with pytest.raises(AssertionError):
        run_suite(few, order._replace(maker=_never, seed=8))


def _never(*_given: object) -> stand_ins.Blind:
    raise AssertionError


def test_time_left_goes_by_how_long_pieces_of_each_case_take():
    """A case of which no piece is done is reckoned by its weight; kept pieces say nothing."""
    few, many = (
        SimpleNamespace(name=name, pieces=lambda n=n: n, weight=lambda w=w: w)
        for name, n, w in (("few", 3, 1.0), ("many", 10, 2.0))
    )
    lines = []
    told = _Told([few, many], Order(1, 2, tell=lines.append))
    for case, took_s in ((few, 4.0), (few, None), (many, 20.0)):
        told.one(case, took_s)
    left_s = [line.partition("about ")[2].partition(" s left")[0] for line in lines]
    assert left_s == ["44", "42", "92"]  # (2 x 4 + 10 x 8) / 2, (4 + 80) / 2, (4 + 9 x 20) / 2
