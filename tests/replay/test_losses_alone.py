"""Sites of the suite's load losses on which something else was told beside the loss."""

import pytest

from pipeline.detect import DetectSettings
from replay.suite.case import Setup
from replay.suite.drive import lockstep
from replay.suite.faults import Faults

CASE = Faults(name="load-loss", trials=60)


@pytest.mark.parametrize("number", [0, 17])
def test_one_event_and_no_other(number: int) -> None:
    """
    A load that returns in stairs is no oscillation (0), and a fall whose onset is put 0.8 s before
    its dip is the loss (17).
    """
    told = CASE.work(Setup(DetectSettings(), lockstep), CASE.rng(2026, number))
    assert told["event"], told["told"]
