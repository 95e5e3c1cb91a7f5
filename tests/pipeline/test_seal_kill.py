"""Sealing among writers, readers and SIGKILLs."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline import archive, seal, sealed
from pipeline.clock import SystemClock
from tests.pipeline.archive_rows import RACKS
from tests.pipeline.test_archive import COUNTS, plain
from tests.pipeline.test_seal import doubled

NAME = "live-p0of1"
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path):
    """An empty archive with its catalog."""
    archive.create(tmp_path)
    return tmp_path


def test_a_writer_commits_and_strangers_ask_while_it_is_sealed(root):
    """Fresh sessions of every kind see whole seconds, ever more of them, and never an error."""
    command = [sys.executable, "-m", "tests.pipeline.archive_rows", str(root), NAME, "500"]
    seen, stop, errors = [(0, 0)], threading.Event(), []

    def sealing():
        try:
            while not stop.is_set():
                seal.seal(root, keep=3, grace_s=3.0, most=25, now_ns=SystemClock().now_ns)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    thread = threading.Thread(target=sealing)
    thread.start()
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL) as writer:
        while writer.poll() is None:
            windows, events = archive.query(root, COUNTS)[1][0]
            assert windows == RACKS * events
            seen.append((windows, events))
            ((n,),) = plain(root, "SELECT count(*) FROM windows")[0]
            assert n % RACKS == 0
            assert n >= windows
    stop.set()
    thread.join()
    assert errors == []
    assert seen == sorted(seen)
    runs = sealed.read(root).writers[NAME].runs  # few, where they were merged meanwhile
    assert max(run.generation for run in runs) >= 3
    assert plain(root, COUNTS)[0] == archive.query(root, COUNTS)[1] == [(500 * RACKS, 500)]


@pytest.mark.long
def test_sealer_and_writer_killed_at_random_lose_and_double_nothing(root):
    """After 20 SIGKILLs of the sealer, the writer killed too: every row is there, none twice."""
    draw = random.Random(11)
    tests = "tests.pipeline."
    writing = [sys.executable, "-m", tests + "archive_rows", str(root), NAME, "100000"]
    sealing = [sys.executable, "-m", tests + "archive_seal", str(root), "3", "0.1", "7"]
    pipe = {"cwd": REPOSITORY, "stdout": subprocess.PIPE, "text": True}
    acked, sealed_by_killed, removed = -1, 0, 0
    for _ in range(20):
        with subprocess.Popen(writing, **pipe) as writer, subprocess.Popen(sealing, **pipe) as by:
            assert by.stdout.readline() == "ready\n"
            assert writer.stdout.readline() == "ready\n"
            with pytest.raises(subprocess.TimeoutExpired):
                by.wait(timeout=draw.uniform(0.1, 2.5))
            for process in draw.sample([writer, by], 2):
                process.kill()
            said = [line for line in writer.stdout.read().split("\n")[:-1] if line]
            did = [tuple(map(int, x.split())) for x in by.stdout.read().split("\n")[:-1] if x]
        sealed_by_killed += sum(n for n, _ in did)
        removed += sum(n for _, n in did)
        acked = int(said[-1]) if said else acked
        found = archive.query(root, COUNTS)[1][0]
        assert plain(root, COUNTS)[0] == [found]
        assert found == (RACKS * found[1], found[1])
        assert found[1] > acked
        assert doubled(root) == {}
    for _ in range(3):
        seal.seal(root, keep=1, grace_s=0, now_ns=SystemClock().now_ns)
    assert archive.query(root, COUNTS)[1] == plain(root, COUNTS)[0] == [found]
    assert doubled(root) == {}
    assert {p.name.split("-")[0] for p in (root / "tmp").iterdir()} <= {
        "catalog",
        f"writer={NAME}",
        "writer=!",
        "writer=live",
    }
    assert min(sealed_by_killed, removed, acked) > 30
