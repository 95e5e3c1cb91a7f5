"""Reading ahead and committing behind change neither order nor errors."""

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.clock import Spent
from pipeline.commits import Fenced
from pipeline.detect import DetectSettings
from pipeline.device import choose
from replay.beside import Commits, ahead
from replay.cli import DEMO
from replay.runner import Runner
from replay.source import open_trace


def test_items_come_in_their_order_from_another_thread() -> None:
    """What is read ahead is what was there, and it was read elsewhere."""
    threads = set()

    def source():
        for n in range(50):
            threads.add(threading.get_ident())
            yield n

    assert list(ahead(source())) == list(range(50))
    assert threading.get_ident() not in threads


def test_an_error_comes_where_it_was() -> None:
    """What came before a row that cannot be used is handed out before the error is raised."""

    def source():
        yield from (1, 2, 3)
        raise ValueError("bad row")

    found = []
    with pytest.raises(ValueError, match="bad row"):
        found.extend(ahead(source()))
    assert found == [1, 2, 3]


def test_reading_stops_where_nobody_asks_on() -> None:
    """At most two items wait: a trace larger than memory is no more in it than that."""
    read = []

    def source():
        for n in range(100):
            read.append(n)
            yield n

    items = ahead(source())
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    items.close()
    assert len(read) <= 6


def refuse(*_args, **_more):
    """Commit nothing."""
    raise Fenced("writer is fenced")


def test_a_failed_commit_is_told_with_the_next_cut() -> None:
    """Nothing is computed on and on behind a writer that is fenced."""
    lane = SimpleNamespace(take=lambda final: object(), commit=refuse)
    with Commits([lane], Spent()) as commits:
        commits.cut()
        with pytest.raises(Fenced):
            commits.cut()


def test_the_final_cut_waits_until_it_is_durable() -> None:
    """A writer fenced in the last commit is an error of the run, not of a thread nobody hears."""
    lane = SimpleNamespace(take=lambda final: object(), commit=refuse)
    with Commits([lane], Spent()) as commits, pytest.raises(Fenced):
        commits.cut(final=True)


def test_the_time_is_told_by_stage(tmp_path: Path) -> None:
    """Reading, alignment, engine, evidence and archive; what one thread does fits into the wall."""
    result = Runner(open_trace(DEMO), tmp_path, choose("cpu"), DetectSettings()).run()
    stages_s = result.run_fields()["stages_s"]
    assert set(stages_s) == {
        "read", "decode_align", "engine", "evidence", "archive", "wait_read", "wait_archive"
    }  # fmt: skip
    assert all(value >= 0 for value in stages_s.values())
    mine = sum(value for name, value in stages_s.items() if name not in {"read", "archive"})
    assert mine == pytest.approx(result.wall_s, rel=1e-6)
    assert stages_s["engine"] > 0.2 * result.wall_s
