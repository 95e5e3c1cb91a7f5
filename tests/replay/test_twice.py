"""The same trace twice into one archive changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.detect import DetectSettings
from pipeline.device import choose
from pipeline.verify import verify
from replay.cli import DEMO
from replay.runner import Runner
from replay.source import open_trace
from schemas.tables import TABLES

INFERENCE = DEMO.parent / "inference" / "Llama-3.1-405B_num_gpus_8_max_num_seqs_96.csv.gz"


@pytest.mark.parametrize("path", [DEMO, INFERENCE], ids=["demo", "inference"])
def test_replayed_twice_is_replayed_once(path: Path, tmp_path: Path) -> None:
    """Row counts and checksums of every table stay, nothing is written, and it is said."""
    once = None
    for turn in range(2):
        runner = Runner(open_trace(path), tmp_path, choose("cpu"), DetectSettings())
        result = runner.run()
        found = verify(tmp_path)
        assert found.findings == []
        assert (result.archived > 0) == (turn == 0)
        assert result.windows > 0
        once = once or found
        assert (found.rows, found.checksums) == (once.rows, once.checksums)
    assert once is not None
    if path == DEMO:
        assert [table for table in TABLES if not once.rows[table]] == []
        assert len(set(once.checksums.values())) == len(TABLES)
