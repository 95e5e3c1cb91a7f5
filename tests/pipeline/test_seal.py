"""Sealing moves rows from commits into sorted files; nobody who reads or writes can tell."""

from __future__ import annotations

import duckdb
import pytest

from pipeline import archive, commit_files, commits, inventory, recovery, seal, sealed, views
from pipeline.cli import main
from schemas.tables import KEYS, file_stem
from schemas.units import NS_PER_S
from tests.pipeline.archive_rows import RACKS, SITE, commit_second, event
from tests.pipeline.test_archive import COUNTS, plain, shell
from tests.pipeline.test_commits import Crash, crash_at

NAME = "live-p0of1"
NOW = [10**18]
WINDOWS = f"{file_stem('windows')}.parquet"


@pytest.fixture
def root(tmp_path):
    """An empty archive with its catalog; its clock stands at 10**18 ns."""
    archive.create(tmp_path)
    NOW[0] = 10**18
    return tmp_path


def compact(root, *, keep=2, grace_s=600.0, **more):
    """Seal on the test's clock."""
    return seal.seal(root, keep=keep, grace_s=grace_s, now_ns=lambda: NOW[0], **more)


def write(root, seconds, name=NAME, **more):
    """Claim and commit these seconds."""
    writer = commits.Writer.claim(root, name)
    for second in seconds:
        commit_second(writer, second, **more)
    return writer


def contents(root):
    """All rows of every view, as the SQL door, a plain session and the shell give them."""
    ask = {view: f"FROM {view} ORDER BY ALL" for view in archive.VIEWS}
    door = {view: archive.query(root, sql)[1] for view, sql in ask.items()}
    strangers = {view: plain(root, sql)[0] for view, sql in ask.items()}
    cli = {view: shell(root, sql) for view, sql in ask.items()}
    assert door == strangers
    return door, cli


def directories(root, name=NAME):
    """Numbers of the commit directories on disk."""
    return commit_files.present(root, name)


def doubled(root):
    """Rows of any table whose key is there twice."""
    found = {}
    for table, key in KEYS.items():
        columns = ", ".join(key)
        sql = f"SELECT {columns} FROM {views.log_of(table)} GROUP BY ALL HAVING count(*) > 1"  # noqa: S608
        found[table] = archive.query(root, sql)[1]
    return {table: rows for table, rows in found.items() if rows}


def test_every_row_of_every_view_is_the_same_before_and_after(root):
    """Sealing, the end of the grace and the deletion change no row of any view, for anybody."""
    write(root, range(20))
    writer = commits.Writer.claim(root, "replay-site-b")
    for second in range(9):
        row = event(second, "site-b")
        state = {"site_id": "site-b", "t_ns": second, "quality": "good"}
        state["produced_ns"] = row["produced_ns"]
        writer.commit(
            {"events": [row], "states": [state]},
            offsets={"a": second},
            read_offsets={},
            archived_until_ns={"site-b": row["produced_ns"]},
        )
    before = contents(root)
    columns = [archive.query(root, f"DESCRIBE {view}") for view in archive.VIEWS]
    done = compact(root)
    assert done.commits == {NAME: 19, "replay-site-b": 8}
    assert done.rows == {NAME: 18 * (RACKS + 1), "replay-site-b": 14}
    assert contents(root) == before
    NOW[0] += 601 * NS_PER_S
    assert compact(root).removed == 0  # sessions are told, nothing goes yet
    assert contents(root) == before
    NOW[0] += 121 * NS_PER_S
    assert compact(root).removed == 19 + 8
    assert contents(root) == before
    assert directories(root) == [20, 21]
    assert [archive.query(root, f"DESCRIBE {view}") for view in archive.VIEWS] == columns
    assert inventory.info(root)["rows"]["windows"] == 20 * RACKS
    assert inventory.info(root)["unsealed"] == 4
    moved = root.rename(root.with_name("moved"))
    archive.create(moved)
    assert contents(moved) == before


def test_the_grace_begins_when_a_catalog_shows_the_run(root, monkeypatch):
    """A sealer that dies before it could publish leaves the old sessions their whole grace."""
    write(root, range(9))
    monkeypatch.setattr(archive, "publish", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        compact(root, grace_s=600)
    monkeypatch.undo()
    with duckdb.connect(str(root / "archive.duckdb"), read_only=True) as old:
        assert old.execute(COUNTS).fetchall() == [(9 * RACKS, 9)]
        NOW[0] += 601 * NS_PER_S
        for _ in range(3):
            compact(root)
        assert old.execute(COUNTS).fetchall() == [(9 * RACKS, 9)]
        assert len(directories(root)) == 10
    NOW[0] += 601 * NS_PER_S
    compact(root)
    NOW[0] += 121 * NS_PER_S
    assert compact(root).removed == 8


def test_an_expired_session_is_told_and_never_answers_with_rows_missing(root):
    """Within the grace an old session sees every row; after it, each view is an explicit error."""
    write(root, range(9))
    with duckdb.connect(str(root / "archive.duckdb"), read_only=True) as old:
        for _ in range(4):  # a writer that the old catalog does not name
            commits.Writer.claim(root, "replay-site-c")
        compact(root, keep=1)
        assert old.execute("SELECT count(*) FROM commits").fetchall() == [(14,)]
        NOW[0] += 601 * NS_PER_S
        compact(root)
        compact(root)
        for view in archive.VIEWS:
            with pytest.raises(duckdb.IOException, match="expired-open-the-archive-again"):
                old.execute(f"FROM {view}")
    assert archive.query(root, COUNTS)[1] == plain(root, COUNTS)[0] == [(9 * RACKS, 9)]


def test_the_newest_commits_and_the_kept_snapshots_stay(root):
    """Keep is obeyed, the newest is never sealed, most bounds a call; kept snapshots stay."""
    writer = write(root, range(10))
    commit_second(writer, 10, snapshot=b"one")  # commit 12
    for second in range(11, 40):
        commit_second(writer, second)
    commit_second(writer, 40, snapshot=b"two")
    assert compact(root, keep=1, most=4).commits == {NAME: 4}
    assert compact(root, keep=1).commits == {NAME: 37}
    for _ in range(3):
        compact(root, keep=1, grace_s=0)
    assert (commit_files.numbers(root, NAME), directories(root)) == ([42], [12, 42])
    assert [data for data, _ in commits.snapshots(root, NAME)] == [b"two", b"one"]
    commit_second(writer, 41, snapshot=b"three")
    for _ in range(3):
        compact(root, keep=1, grace_s=0)
    assert directories(root) == [42, 43]
    with pytest.raises(seal.UsageError, match="use at least 1"):
        compact(root, keep=0)


def test_a_writer_goes_on_after_its_commits_were_sealed(root):
    """A claim counts on, marks and snapshots are there, and a replay adds nothing."""
    write(root, range(12), snapshot=b"state")
    compact(root, keep=1, grace_s=0)
    for _ in range(2):
        compact(root, keep=1, grace_s=0)
    assert directories(root) == [12, 13]
    before = archive.query(root, "FROM windows ORDER BY ALL")[1]
    for turn in range(2):
        writer = commits.Writer.claim(root, NAME)
        assert writer.newest.n == 14 + turn * 13
        assert writer.newest.archived_until_ns == {SITE: 12 * NS_PER_S}
        assert commits.load_snapshot(root, NAME)[0] == b"state"
        for second in range(12):
            assert commit_second(writer, second).rows == {}
        compact(root, keep=1, grace_s=0)
    assert archive.query(root, "FROM windows ORDER BY ALL")[1] == before
    assert doubled(root) == {}


def test_a_zombie_that_commits_into_a_freed_number_is_fenced_and_unseen(root, monkeypatch):
    """Its directory may appear at a deleted number; it counts nowhere and is deleted."""
    zombie = write(root, range(2))
    write(root, range(2, 12))
    for _ in range(3):
        compact(root, keep=1, grace_s=0)
    assert zombie.newest.n + 1 not in directories(root)
    monkeypatch.setattr(commit_files, "refuse_taken", lambda *_: None)  # it had looked before
    with pytest.raises(commits.Fenced):
        commit_second(zombie, 2)
    assert zombie.newest.n + 1 in directories(root)
    assert archive.query(root, COUNTS)[1] == plain(root, COUNTS)[0] == [(12 * RACKS, 12)]
    NOW[0] += 121 * NS_PER_S
    assert compact(root, keep=1).removed == 1


def test_an_open_event_is_found_in_a_sealed_file(root):
    """Newest rows count, sealed or not: an event closed after its sealing is not open."""
    writer = commits.Writer.claim(root, NAME)
    for second, (event_id, state) in enumerate(
        [("a", "open"), ("b", "open"), ("c", "open"), ("c", "closed"), ("b", "closed")]
    ):
        row = event(second, event_id=event_id, state=state)
        writer.commit(
            {"events": [row]},
            offsets={},
            read_offsets={},
            archived_until_ns={SITE: row["produced_ns"]},
        )
    for _ in range(3):
        compact(root, keep=1, grace_s=0)
    assert directories(root) == [6]
    assert [e.event_id for e in recovery.open_events(root, NAME)] == ["a"]


def test_of_two_sealers_one_works_and_the_other_says_so(root, capsys):
    """The lock is the archive's; the command says so in a sentence and does not fail."""
    with seal.locked(root / "sealed" / "lock", wait=False):
        assert main(["archive", "compact", "--archive", str(root)]) == 0
        assert "another sealer is at work in archive" in capsys.readouterr().out
        with pytest.raises(seal.Busy):
            compact(root)
    assert main(["archive", "compact", "--archive", str(root), "--json"]) == 0


def test_a_catalog_is_made_and_put_in_place_under_one_lock(root, monkeypatch):
    """Otherwise a worker's, made before a seal, could replace the sealer's and never be told."""
    definitions = archive.definitions

    def asked(folder):
        with pytest.raises(BlockingIOError), seal.locked(root / "tmp" / "catalog-lock", wait=False):
            pass
        return definitions(folder)

    monkeypatch.setattr(archive, "definitions", asked)
    archive.publish(root)


def test_a_commit_that_lost_rows_is_not_sealed(root):
    """A file that is gone or damaged is named; its commit stays; other writers are sealed."""
    write(root, range(5))
    for _ in range(5):
        commits.Writer.claim(root, "replay-site-c")
    path = commit_files.commit_path(root, NAME, 3) / WINDOWS
    path.write_bytes(b"damaged")
    with pytest.raises(commits.CommitError, match=rf"{WINDOWS} cannot be read"):
        compact(root)
    path.unlink()
    with pytest.raises(commits.CommitError, match=rf"{WINDOWS} cannot be read"):
        compact(root)
    path.hardlink_to(commit_files.commit_path(root, "!", commit_files.SCHEMA_N) / WINDOWS)
    with pytest.raises(commits.CommitError, match=rf"{WINDOWS} has 0 rows, commit\.json says"):
        compact(root)
    assert list(sealed.read(root).writers) == ["replay-site-c"]
    assert plain(root, "SELECT count(*) FROM commits")[0] == [(6 + 5,)]


def test_a_damaged_manifest_is_named(root):
    """Neither a reader nor a writer goes on as if nothing were sealed."""
    write(root, range(5))
    (root / "sealed" / "bound.json").write_bytes(b"{")
    for ask in (lambda: archive.query(root, COUNTS), lambda: write(root, range(1))):
        with pytest.raises(sealed.SealedError, match=r"bound\.json is damaged"):
            ask()


@pytest.mark.long
def test_a_sealer_that_dies_before_any_touch_of_the_disk_changes_no_answer(root, monkeypatch):
    """Wherever it dies, every row is there once for everybody, and the next call goes on."""
    write(root, range(140))
    ask = [f"FROM {view} ORDER BY ALL" for view in ("windows", "event_log", "commits")]
    before = plain(root, *ask)
    step, died, seen = 1, True, [0]
    while died:
        with monkeypatch.context() as patch:
            seen = crash_at(patch, step=step)
            try:
                compact(root, most=1, grace_s=0)
                died = False
            except Crash:
                pass
        assert plain(root, *ask) == before
        assert [archive.query(root, sql)[1] for sql in ask] == before
        assert set(compact(root, most=1, grace_s=0).commits.values()) == {1}
        step += 1
    assert seen[0] >= 20
    assert plain(root, *ask) == before
