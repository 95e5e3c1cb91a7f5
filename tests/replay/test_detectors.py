"""The short form of the proof: every assertion of `replay score detectors`, in a few minutes."""

from __future__ import annotations

import os

import msgspec
import pytest

from operators import tones
from replay.suite.rows import Row
from replay.suite.suite import FOLDER, load_suite, run_suite
from replay.suite.table import lines
from replay.suite.work import Order

SUITE = load_suite(FOLDER / "detectors-short.toml")
BEHIND: dict[str, str] = {}
"""Cases the detectors do not keep yet; strict: one that is kept must leave this list."""


def _silent(_line: str) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """All rows; another seed with SCORE_SEED=n."""
    seed = int(os.environ.get("SCORE_SEED", "1"))
    found = run_suite(SUITE, Order(seed, 2, tell=_silent))
    print(f"seed {seed}", *lines(found), sep="\n")
    return found


CASES = [
    pytest.param(
        case.name,
        marks=[pytest.mark.xfail(reason=BEHIND[case.name])] if case.name in BEHIND else [],
    )
    for case in SUITE.case
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", CASES)
def test_what_was_promised_holds(rows: list[Row], name: str) -> None:
    """No row of the case has its limit outside its own 95 % interval."""
    judged = [row for row in rows if row.case == name]
    assert judged
    assert [row for row in judged if not row.ok] == []


DEAF = {"ramp_floor_share": 0.5}
SABOTAGE = [
    ("false-alarms-200", {"false_alarms_per_day": 1e4}, {"racks": 80, "site_days": 0.01}),
    ("step-1-percent", DEAF, {"racks": 80, "trials": 6, "per_piece": 6}),
    ("partial-step", DEAF, {"racks": 80, "trials": 6, "per_piece": 6}),
    ("delay-gaussian", DEAF, {"trials": 2, "per_piece": 6, "warm_s": 300, "apart_s": 120}),
    ("load-loss", {"dip_group_s": 1.0}, {"trials": 2}),
    ("isone-case-3", {"oscillation_floor_share": 1e9, "votes_floor_share": 1e9}, {}),
]


@pytest.mark.parametrize(("name", "detect", "smaller"), SABOTAGE, ids=[s[0] for s in SABOTAGE])
def test_every_promise_can_break(
    name: str, detect: dict[str, float], smaller: dict[str, float]
) -> None:
    """With settings that cannot work the engine's own rows go red, each of them."""
    (case,) = (case for case in SUITE.case if case.name == name)
    changed = msgspec.structs.replace(case, **smaller)
    settings = msgspec.structs.replace(SUITE.detect, **detect)
    suite = msgspec.structs.replace(SUITE, case=(changed,), detect=settings)
    (first, *_rest) = run_suite(suite, Order(1, 1, tell=_silent))
    assert not first.ok


def test_a_frequency_that_is_not_refined_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The periodogram's peak alone is many times the bound off."""
    (case,) = (case for case in SUITE.case if case.name == "frequency")
    monkeypatch.setattr(tones, "_STEPS", 0)
    found = run_suite(msgspec.structs.replace(SUITE, case=(case,)), Order(1, 1, tell=_silent))
    assert [row.ok for row in found] == [False] * len(found)
