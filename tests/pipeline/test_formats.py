"""Archives of older formats: opened, asked, written on and sealed, without touching their rows."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from pipeline import archive, commits, formats, inventory, seal, sealed
from pipeline.verify import verify
from schemas.tables import FORMAT
from tests.pipeline.archive_rows import RACKS, commit_second
from tests.pipeline.test_archive import plain
from tests.pipeline.test_seal import doubled

OLD = Path(__file__).parent / "archives" / "format-1.tar.xz"
"""Written by the first format's code: a live writer with a snapshot, a replay half sealed."""
HELD = {"windows": 430, "event_log": 16, "events": 14, "states": 50, "forecasts": 63, "commits": 58}
SUMS = """SELECT count(*), fsum(mean_w)::BIGINT, min(t0_ns), max(produced_ns), count(synchrony)
FROM windows"""


@pytest.fixture
def root(tmp_path):
    """An archive of format 1 as its last writer left it, its catalog lost."""
    with tarfile.open(OLD) as packed:
        packed.extractall(tmp_path, filter="data")
    return tmp_path / "v1"


def counts(ask):
    """Rows by view."""
    return {view: ask(f"SELECT count(*) FROM {view}") for view in HELD}  # noqa: S608


def test_an_old_archive_is_opened_asked_and_written_on(root):
    """All its rows are there, what it lacks is null; new rows stand beside, in every door."""
    assert formats.format_of(root) == formats.Format(1, 1)
    assert {
        v: rows[0][0] for v, rows in counts(lambda q: archive.query(root, q)[1]).items()
    } == HELD
    assert formats.format_of(root) == formats.Format(FORMAT, 1)
    before = archive.query(root, SUMS)[1]
    assert before[0][4] == 0
    held = verify(root)
    assert (held.findings, held.rows["windows"]) == ([], HELD["windows"])
    writer = commits.Writer.claim(root, "replay-site-a")
    assert commit_second(writer, 11).rows == {}
    assert commit_second(writer, 12).rows == {"windows": RACKS, "events": 1}
    assert plain(root, "SELECT count(*) FROM windows")[0] == [(HELD["windows"] + RACKS,)]
    assert archive.query(root, SUMS)[1] == plain(root, SUMS)[0]
    assert doubled(root) == {}
    for _ in range(3):
        seal.seal(root, keep=1, grace_s=0, now_ns=lambda: 2 * 10**18)
    assert sealed.read(root).writers["replay-site-a"].runs[-1].format == FORMAT
    assert plain(root, "SELECT count(*) FROM windows")[0] == [(HELD["windows"] + RACKS,)]
    assert archive.query(root, SUMS)[1] == plain(root, SUMS)[0]
    assert doubled(root) == {}
    assert verify(root).findings == []


def test_a_writer_of_the_old_program_goes_on_beside_the_new_one(root):
    """A worker that has not been restarted yet commits its old files; they count as well."""
    archive.create(root)
    path = next((root / "live" / "writer=live-p0of2").glob("commit=*/windows.parquet"))
    late = path.parents[1] / "commit=00000046"
    late.mkdir()
    record = json.loads((path.parent / "commit.json").read_text()) | {"n": 46}
    (late / "commit.json").write_text(json.dumps(record))
    (late / "windows.parquet").write_bytes(path.read_bytes())
    rows = record["rows"]["windows"]
    assert plain(root, "SELECT count(*) FROM windows")[0] == [(HELD["windows"] + rows,)]


def test_bringing_up_twice_or_halfway_changes_nothing(root, monkeypatch):
    """A migration that died before its last step is done again; a second one does nothing."""
    monkeypatch.setattr(formats, "_write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        archive.create(root)
    monkeypatch.undo()
    archive.create(root)
    generation = sealed.read(root).generation
    archive.create(root)
    assert sealed.read(root).generation == generation
    assert {v: rows[0][0] for v, rows in counts(lambda q: plain(root, q)[0]).items()} == HELD


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"format": 99, "oldest": 1}', "is of format 99, this program knows formats up to"),
        ("{", "format.json is damaged"),
    ],
)
def test_a_newer_or_damaged_format_is_refused(tmp_path, text, words):
    """Nobody reads or writes what he does not know, and says so in a sentence."""
    archive.create(tmp_path)
    (tmp_path / "format.json").write_text(text)
    for does in (archive.create, inventory.info):
        with pytest.raises(commits.CommitError, match=words):
            does(tmp_path)
