"""The short form of the proof: every assertion of `replay score detectors`, in a few minutes."""

from __future__ import annotations

import os

import pytest

from replay.suite.rows import Row
from replay.suite.suite import FOLDER, load_suite, run_suite
from replay.suite.table import lines

SUITE = load_suite(FOLDER / "detectors-short.toml")
BEHIND = {
    "step-1-percent": "steps below 2 % of the site open nothing",
    "delay-gaussian": "steps below 2 % of the site open nothing",
    "isone-case-3": "amplitude of the 20-s window, not of the peak",
}
"""Cases the detectors do not keep yet; strict: one that is kept must leave this list."""


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """All rows; another seed with SCORE_SEED=n."""
    seed = int(os.environ.get("SCORE_SEED", "1"))
    found = run_suite(SUITE, seed, 2, tell=lambda _line: None)
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
