"""The archive seen from outside: plain DuckDB reads it while it is written."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from pipeline import archive, commit_files, commits, inventory
from schemas.tables import TABLES
from tests.pipeline.archive_rows import RACKS, commit_second, event

NAME = "live-p0of1"
REPOSITORY = Path(__file__).parents[2]
SHELL = Path(sys.executable).with_name("duckdb")
COUNTS = "SELECT (SELECT count(*) FROM windows), (SELECT count(*) FROM event_log)"
UP_TO = """
    SELECT (SELECT count(*) FROM windows WHERE commit <= {n}) AS windows,
           (SELECT count(*) FROM event_log WHERE commit <= {n}) AS events,
           (SELECT count(DISTINCT (node_id, t0_ns)) FROM windows WHERE commit <= {n}) AS apart
"""


@pytest.fixture
def root(tmp_path):
    """An empty archive with its catalog."""
    archive.create(tmp_path)
    return tmp_path


def plain(root, *queries):
    """Ask the published catalog in a fresh read-only session, as a stranger would."""
    with duckdb.connect(str(root / "archive.duckdb"), read_only=True) as con:
        return [con.execute(sql).fetchall() for sql in queries]


def shell(root, sql):
    """Ask the published catalog with the duckdb command line."""
    command = [SHELL, "-readonly", "-json", root / "archive.duckdb", "-c", sql]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_stranger_gets_a_consistent_growing_answer_while_a_writer_commits(root):
    """Plain DuckDB, from Python and the shell, sees whole commits only, and ever more of them."""
    command = [sys.executable, "-m", "tests.pipeline.archive_rows", str(root), NAME, "400"]
    seen, asked = [(0, 0)], 0
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL) as writer:
        while writer.poll() is None:
            ((n,),) = plain(root, "SELECT coalesce(max(commit), 0) FROM commits")[0]
            rows = [tuple(shell(root, UP_TO.format(n=n))[0].values())] if asked % 4 == 0 else []
            rows += plain(root, UP_TO.format(n=n))[0]
            for windows, events, apart in rows:
                assert windows == apart == RACKS * events
                assert events == max(n - 1, 0)
            assert archive.query(root, COUNTS)[1][0][0] >= seen[-1][0]
            seen += [row[:2] for row in rows]
            asked += 1
    assert writer.returncode == 0
    assert asked >= 5
    assert seen == sorted(seen)
    assert plain(root, COUNTS)[0] == [(400 * RACKS, 400)]


def test_the_sql_door_cuts_all_tables_at_one_instant(root):
    """One query over several tables never sees a commit in one table and not in the other."""
    command = [sys.executable, "-m", "tests.pipeline.archive_rows", str(root), NAME, "300"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL) as writer:
        while writer.poll() is None:
            windows, events = archive.query(root, COUNTS)[1][0]
            assert windows == RACKS * events
    assert archive.query(root, COUNTS)[1] == [(300 * RACKS, 300)]


def test_the_cut_is_taken_before_the_tables_are_read(root, monkeypatch):
    """A commit that lands between the reading of two tables is in neither."""
    writer = commits.Writer.claim(root, NAME)
    commit_second(writer, 0)
    newest = commit_files.newest_numbers

    def then_another_commit(folder):
        cut = newest(folder)
        commit_second(writer, 1)
        return cut

    monkeypatch.setattr(commit_files, "newest_numbers", then_another_commit)
    assert archive.query(root, COUNTS)[1] == [(RACKS, 1)]


def test_events_is_the_latest_state_and_event_log_every_row(root):
    """Three states of one event are three rows of the log and one event, the newest."""
    writer = commits.Writer.claim(root, NAME)
    for second, state in enumerate(("open", "update", "closed")):
        row = {**event(second, state=state), "event_id": "e"}
        writer.commit(
            {"events": [row]},
            offsets={},
            read_offsets={},
            archived_until_ns={"site-a": row["produced_ns"]},
        )
    log, latest = plain(
        root,
        "SELECT state, writer, commit FROM event_log ORDER BY updated_ns",
        "SELECT state, channels, contributors[1].amplitude_w FROM events",
    )
    assert log == [("open", NAME, 2), ("update", NAME, 3), ("closed", NAME, 4)]
    assert latest == [("closed", ["c1", "c2"], 1.5)]


def test_instants_have_a_nanosecond_twin(root):
    """Every instant has its TIMESTAMP_NS beside it, to the last nanosecond, without a zone."""
    row = event(0, opened_ns=1_700_000_000_123_456_789)
    commits.Writer.claim(root, NAME).commit(
        {"events": [row]}, offsets={}, read_offsets={}, archived_until_ns={"site-a": 10**9}
    )
    sql = "SELECT typeof(opened_utc), opened_utc::VARCHAR, closed_utc FROM events"
    assert plain(root, sql)[0] == [("TIMESTAMP_NS", "2023-11-14 22:13:20.123456789", None)]


def test_an_empty_archive_answers(root):
    """Every view answers before the first commit, with no row."""
    for view in archive.VIEWS:
        assert plain(root, f"FROM {view}")[0] == []
        assert archive.query(root, f"FROM {view}")[1] == []


def test_a_column_says_its_unit(root):
    """The catalog carries unit and meaning of each column."""
    sql = (
        "SELECT comment FROM duckdb_columns() WHERE column_name = 'amplitude_w' "
        "AND schema_name = 'meaning'"
    )
    assert plain(root, sql)[0] == [("W: zero to peak",), ("W: zero to peak",)]


def test_several_processes_may_create_it_at_once(tmp_path):
    """Six processes that create the same archive all succeed, and it is one archive."""
    root = tmp_path / "new"
    with multiprocessing.get_context("spawn").Pool(6) as pool:
        pool.map(archive.create, [root] * 6)
    assert plain(root, COUNTS)[0] == [(0, 0)]
    assert [p.name for p in (root / "tmp").iterdir() if p.suffix] == []
    assert list((root / "tmp" / "writer=!").iterdir()) == []


def test_create_again_leaves_the_catalog_alone(root):
    """A second start republishes nothing when nothing changed."""
    before = (root / "archive.duckdb").stat().st_ino
    archive.create(root)
    assert (root / "archive.duckdb").stat().st_ino == before


def test_a_moved_or_damaged_archive_is_published_again(tmp_path):
    """The catalog follows the folder; a damaged one is replaced; a dead session's log is gone."""
    archive.create(tmp_path / "old")
    commit_second(commits.Writer.claim(tmp_path / "old", NAME), 0)
    root = (tmp_path / "old").rename(tmp_path / "it's new")
    archive.create(root)
    assert plain(root, COUNTS)[0] == [(RACKS, 1)]
    (root / "archive.duckdb").unlink()
    (root / "archive.duckdb").write_bytes(b"not a catalog")
    (root / "archive.duckdb.wal").write_bytes(b"stale")
    archive.create(root)
    assert plain(root, COUNTS)[0] == [(RACKS, 1)]
    assert not (root / "archive.duckdb.wal").exists()
    assert (root / "archive.duckdb").stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("COPY (SELECT 1) TO '{root}/live/x.csv'", "the SQL door takes one SELECT and writes no"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO '{root}/live/x.csv'", "the SQL door takes one SELE"),
        ("SELECT 1; CREATE TABLE t (a INT)", "the SQL door takes one SELECT and writes nothing"),
        ("ATTACH '{root}/x.duckdb'", "the SQL door takes one SELECT and writes nothing"),
        ("SET enable_external_access = true", "the SQL door takes one SELECT and writes nothing"),
        ("SELECT * FROM read_text('/etc/hostname')", "Cannot access file"),
        ("SELECT * FROM '{root}/archive.duckdb'", "the query failed: "),
        ("SELECT nope FROM windows", 'the query failed: Binder Error: Referenced column "nope"'),
        ("SELEC 1", "the query cannot be read: Parser Error: syntax error"),
        ("SELECT * FROM range(11)", "the query gives more than 10 rows; add a LIMIT or aggregate"),
        (
            "SELECT count(*) FROM range(100000000000) a, range(9) b WHERE a.range % 7 = b.range",
            "the query took longer than 1 s; narrow it by time or node",
        ),
        ("SELECT count(DISTINCT range) FROM range(900000000)", "needs more than 64 MiB of memory"),
    ],
)
def test_the_sql_door_reads_the_views_and_nothing_else(root, sql, words):
    """No file is written, none but the archive's is read, and every refusal is one sentence."""
    limits = archive.Limits(rows=10, run_s=1.0, memory_bytes=64 << 20)
    before = sorted(root.rglob("*"))
    with pytest.raises(archive.QueryError) as caught:
        archive.query(root, sql.format(root=root), limits=limits)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(root.rglob("*")) == before


def test_the_sql_door_lists_its_views(root):
    """SHOW and DESCRIBE work in the SQL door."""
    columns, rows = archive.query(root, "SHOW TABLES")
    assert columns == ["name"]
    assert {name for (name,) in rows} == set(archive.VIEWS)
    assert ("t0_utc", "TIMESTAMP_NS") in [
        row[:2] for row in archive.query(root, "DESCRIBE windows")[1]
    ]


def test_info_says_what_the_archive_holds(root):
    """Writers, rows by table, events, span and bytes."""
    writer = commits.Writer.claim(root, NAME)
    for second in range(3):
        commit_second(writer, second, snapshot=b"s")
    found = inventory.info(root)
    assert found["writers"] == {
        NAME: {
            "n": 4,
            "archived_until_ns": {"site-a": 3 * 10**9},
            "offsets": {"telemetry.rack.v1": 3},
            "snapshots": [3, 4],
            "unsealed": 4,
        }
    }
    assert found["rows"] == {**dict.fromkeys(TABLES, 0), "windows": 3 * RACKS, "events": 3}
    assert (found["events"], found["from_ns"], found["until_ns"]) == (3, 0, 3 * 10**9)
    assert found["bytes"] > 1000


@pytest.mark.parametrize("ask", [inventory.info, lambda root: archive.query(root, "SELECT 1")])
def test_a_folder_without_an_archive_is_said_to_be_none(tmp_path, ask):
    """Reading never makes an archive, and names the folder."""
    with pytest.raises(archive.QueryError, match=r"^there is no archive at .*typo"):
        ask(tmp_path / "typo")
    assert not (tmp_path / "typo").exists()


def test_a_folder_that_a_glob_would_misread_is_refused(tmp_path):
    """A name with * ? [ ] in it is refused with a sentence."""
    with pytest.raises(archive.ArchiveError, match="has one of"):
        archive.create(tmp_path / "a[1]")
