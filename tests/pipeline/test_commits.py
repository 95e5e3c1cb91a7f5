"""The directory commit: all or nothing, exactly once, one living writer of a name."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from pipeline import commit_files, commits, formats, rows
from schemas.tables import TABLES, file_stem
from schemas.units import NS_PER_S
from tests.pipeline import archive_rows
from tests.pipeline.archive_rows import SITE, archived, commit_second, event, windows

NAME = "live-p0of1"
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path):
    """An empty archive."""
    formats.create_layout(tmp_path)
    return tmp_path


class Crash(BaseException):
    """The process died here."""


def crash_at(monkeypatch, step):
    """Die before the ``step``-th touch of the disk; returns the count of touches so far."""
    seen = [0]

    def dying(function):
        def touch(*args, **kwargs):
            seen[0] += 1
            if seen[0] == step:
                raise Crash
            return function(*args, **kwargs)

        return touch

    for owner, name in (
        (os, "fsync"),
        (rows, "write"),
        (Path, "rename"),
        (Path, "mkdir"),
        (Path, "unlink"),
        (Path, "open"),
    ):
        monkeypatch.setattr(owner, name, dying(getattr(owner, name)))
    return seen


def expected(seconds, make):
    """What the archive must hold: the keys of these seconds' rows, each once."""
    made = [row for second in range(seconds) for row in make(second)]
    return sorted((row["produced_ns"], row["node_id"]) for row in made)


def events(second):
    """Rows of the events table in one second."""
    return [event(second)]


def keys(root, table):
    """What the archive holds."""
    return [(row["produced_ns"], row["node_id"]) for row in archived(root, table)]


def test_a_commit_is_all_or_nothing_wherever_it_dies(root, monkeypatch):
    """Dying at any touch of the disk leaves the old or the new commit; nothing lost, none twice."""
    commit_second(commits.Writer.claim(root, NAME), 0, snapshot=b"0")
    second, died, seen = 1, True, [0]
    while died:
        writer = commits.Writer.claim(root, NAME)
        with monkeypatch.context() as patch:
            seen = crash_at(patch, step=second)
            try:
                commit_second(writer, second, snapshot=b"%d" % second)
                died = False
            except Crash:
                pass
        visible = commits.newest_commit(root, NAME).archived_until_ns[SITE] // NS_PER_S
        assert visible in {second, second + 1}
        assert len(archived(root, "events")) == visible
        assert len(archived(root, "windows")) == visible * archive_rows.RACKS
        commit_second(commits.Writer.claim(root, NAME), second)  # the replay after the restart
        second += 1
    assert seen[0] >= 10
    assert keys(root, "windows") == expected(second, windows)
    assert keys(root, "events") == expected(second, events)


def test_the_older_of_two_writers_is_fenced(root):
    """Of two processes with one name the older cannot commit, and says so in one sentence."""
    old = commits.Writer.claim(root, NAME)
    commit_second(old, 0)
    new = commits.Writer.claim(root, NAME)
    assert new.newest.claim
    assert new.newest.offsets == {"telemetry.rack.v1": 1}
    with pytest.raises(commits.Fenced) as caught:
        commit_second(old, 1)
    assert str(caught.value) == (
        "writer live-p0of1 is fenced at commit 3: another process has claimed the name and goes "
        "on from there; stop this one"
    )
    commit_second(new, 1)
    assert keys(root, "windows") == expected(2, windows)


@pytest.mark.parametrize("draft_lost", [False, True])
def test_the_rename_itself_is_the_fence(root, monkeypatch, draft_lost):
    """A claim that lands while the old owner is about to rename still wins; its rows are gone."""
    old = commits.Writer.claim(root, NAME)
    rename = Path.rename

    def overtaken(self, target):
        monkeypatch.setattr(Path, "rename", rename)
        if not draft_lost:
            monkeypatch.setattr(commits.shutil, "rmtree", lambda *_, **__: None)
        commits.Writer.claim(root, NAME)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", overtaken)
    with pytest.raises(commits.Fenced):
        commit_second(old, 0)
    assert commits.newest_commit(root, NAME).claim
    assert archived(root, "windows") == []


def test_an_owner_that_commits_during_the_claim_is_carried_forward(root, monkeypatch):
    """A claim that loses the race for a number takes the next one, with what was just committed."""
    old = commits.Writer.claim(root, NAME)
    publish = commit_files.publish

    def overtaken(*args):
        monkeypatch.setattr(commit_files, "publish", publish)
        commit_second(old, 0)
        return publish(*args)

    monkeypatch.setattr(commit_files, "publish", overtaken)
    new = commits.Writer.claim(root, NAME)
    assert (new.newest.n, new.newest.archived_until_ns) == (3, {SITE: NS_PER_S})


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_number_at_or_below_the_sealed_bound_is_void(root, monkeypatch, when):
    """A zombie whose number was sealed and freed is fenced, even if its rename goes through."""
    zombie = commits.Writer.claim(root, NAME)
    bound = root / "sealed" / "bound.json"
    sealed = msgspec.json.encode({"writers": {NAME: {"bound": 9}}})
    rename = Path.rename

    def sealed_meanwhile(self, target):
        done = rename(self, target)
        bound.write_bytes(sealed)
        return done

    if when == "before":
        bound.write_bytes(sealed)
    else:
        monkeypatch.setattr(Path, "rename", sealed_meanwhile)
    with pytest.raises(commits.Fenced):
        commit_second(zombie, 0)
    monkeypatch.undo()
    assert commits.newest_commit(root, NAME) is None
    assert commits.Writer.claim(root, NAME).newest.n == 10


def test_replaying_twice_changes_nothing_and_says_so(root):
    """Rows produced at or before the high-water mark are dropped and counted, from any offset."""
    writer = commits.Writer.claim(root, NAME)
    assert commit_second(writer, 0).rows == {"windows": 20, "events": 1}
    again = commit_second(commits.Writer.claim(root, NAME), 0)
    assert again.rows == {}
    assert again.dropped == {"windows": 20, "events": 1}
    assert keys(root, "windows") == expected(1, windows)


def test_only_the_new_part_of_a_commit_is_written(root):
    """The rule holds row by row and site by site, in a batch of several sites."""
    writer = commits.Writer.claim(root, NAME)
    commit_second(writer, 0)
    mixed = windows(0) + windows(1) + windows(0, "site-b")
    batch = pa.RecordBatch.from_pylist(mixed, schema=TABLES["windows"])
    done = writer.commit(
        {"windows": [batch.slice(0, 30), batch.slice(30)]},
        offsets={},
        read_offsets={},
        archived_until_ns={SITE: 2 * NS_PER_S, "site-b": NS_PER_S},
    )
    assert done.rows == {"windows": 40}
    assert done.dropped == {"windows": 20}


def test_the_high_water_mark_never_goes_back(root):
    """An older mark, as a recomputation has it, leaves the archive's as it is."""
    writer = commits.Writer.claim(root, NAME)
    commit_second(writer, 4)
    assert commit_second(writer, 1).dropped == {"windows": 20, "events": 1}
    assert writer.newest.archived_until_ns == {SITE: 5 * NS_PER_S}


@pytest.mark.parametrize(
    ("table", "row", "words"),
    [
        (
            "windows",
            windows(5)[0],
            "produced at 6000000000 ns but site site-a is archived until 1000000000 ns; raise arch",
        ),
        ("windows", {"mean_W": 1}, "table windows has no column 'mean_W'; see schemas/tables.py"),
        ("power", {}, "the archive has no table 'power'; use one of windows, events, states, "),
        ("states", {"t_ns": 1}, "column site_id of table states is null in a row; it must be"),
    ],
)
def test_rows_that_would_be_lost_or_doubled_are_refused(root, table, row, words):
    """Rows ahead of the mark, misspelt columns and unknown tables are bugs, and are said so."""
    writer = commits.Writer.claim(root, NAME)
    with pytest.raises(rows.RowError) as caught:
        writer.commit(
            {table: [row]}, offsets={}, read_offsets={}, archived_until_ns={SITE: NS_PER_S}
        )
    assert words in str(caught.value)
    assert commits.newest_commit(root, NAME).n == 1


def test_a_full_disk_shows_nothing_and_says_so(root, monkeypatch):
    """A disk that refuses ends in one sentence, with nothing visible and nothing left behind."""
    writer = commits.Writer.claim(root, NAME)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rows, "write", full)
    with pytest.raises(commits.CommitError, match=r"^commit 2 of writer .*No space left on device"):
        commit_second(writer, 0)
    monkeypatch.undo()
    assert list((root / "tmp" / f"writer={NAME}").iterdir()) == []
    assert commit_second(writer, 0).n == 2


def test_everything_is_on_disk_before_it_is_visible(root, monkeypatch):
    """Each file of a commit and its folder are fsynced before the rename, the parent after it."""
    writer, done = commits.Writer.claim(root, NAME), []
    fsync, rename = os.fsync, Path.rename

    def recorded_fsync(handle):
        done.append(Path(f"/proc/self/fd/{handle}").resolve().name)
        fsync(handle)

    def recorded_rename(self, target):
        done.append(target.name)
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "rename", recorded_rename)
    commit_second(writer, 0, snapshot=b"s")
    shown = done.index("commit=00000002")
    draft = next(name for name in done if name.startswith("00000002-"))
    files = {p.name for p in commit_files.commit_path(root, NAME, 2).iterdir()}
    tables = {f"{file_stem(table)}.parquet" for table in ("windows", "events")}
    assert files == tables | {"commit.json", "snapshot.bin"}
    assert files <= set(done[: done.index(draft)])
    assert done.index(draft) < shown
    assert done[shown + 1] == f"writer={NAME}"


@pytest.mark.long
def test_a_writer_killed_at_random_loses_and_doubles_nothing(root):
    """After 25 SIGKILLs at random instants every acknowledged row is there, and no row twice."""
    draw = random.Random(7)
    command = [sys.executable, "-m", "tests.pipeline.archive_rows", str(root), NAME, "100000"]
    acked = -1
    for _ in range(25):
        with subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "ready\n"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=draw.uniform(0.0, 0.12))
            process.kill()
            said = [line for line in process.stdout.read().split("\n")[:-1] if line]
        acked = int(said[-1]) if said else acked
        newest = commits.newest_commit(root, NAME)
        done = newest.archived_until_ns.get(SITE, 0) // NS_PER_S
        assert acked < done or acked == -1
        assert keys(root, "windows") == expected(done, windows)
        assert keys(root, "events") == expected(done, events)
        assert bool(done) == (commits.load_snapshot(root, NAME) is not None)
    assert acked > 20
