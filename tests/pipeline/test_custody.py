"""Verify, repair, repartition, backup: the archive in other hands, and after accidents."""

from __future__ import annotations

import json
import shutil

import pytest

from pipeline import archive, commit_files, commits, formats, repartition, seal, sealed
from pipeline.backup import backup
from pipeline.cli import main
from pipeline.errors import UsageError
from pipeline.repair import repair
from pipeline.verify import verify
from schemas.tables import file_stem
from tests.pipeline.archive_rows import RACKS, SITE, commit_second, event
from tests.pipeline.test_archive import COUNTS, plain

NAME = "live-p0of1"
WINDOWS = f"{file_stem('windows')}.parquet"


@pytest.fixture
def root(tmp_path):
    """Thirty seconds of one writer, the older half sealed."""
    root = tmp_path / "archive"
    archive.create(root)
    writer = commits.Writer.claim(root, NAME)
    for second in range(30):
        commit_second(writer, second)
    for _ in range(2):
        seal.seal(root, keep=10, most=10, grace_s=600, now_ns=lambda: 10**18)
    return root


def path_of(root, n):
    """Directory of one commit."""
    return commit_files.commit_path(root, NAME, n)


def test_a_whole_archive_is_found_whole(root, capsys):
    """Commits, runs and rows are counted; the command says so and ends with 0."""
    done = verify(root)
    assert (done.runs, done.findings) == (2, [])
    assert (done.rows["windows"], done.rows["events"]) == (30 * RACKS, 30)
    assert main(["archive", "verify", "--archive", str(root)]) == 0
    assert main(["archive", "verify", "--archive", str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.split("\n\n")[-1])["findings"] == []


def damaged(root, case):
    """One accident each."""
    run = sealed.read(root).writers[NAME].runs[0]
    folder = sealed.run_path(root, NAME, run.folder)
    match case:
        case "a file is cut":
            (path_of(root, 25) / WINDOWS).write_bytes(b"PAR1")
        case "a file is gone":
            (path_of(root, 25) / WINDOWS).unlink()
        case "a commit is gone":
            shutil.rmtree(path_of(root, 25))
        case "a record is gone":
            (path_of(root, 25) / "commit.json").unlink()
        case "a run's file is gone":
            (folder / WINDOWS).unlink()
        case "a run's file is cut inside":
            data = bytearray((folder / WINDOWS).read_bytes())
            data[100:400] = bytes(300)
            (folder / WINDOWS).write_bytes(bytes(data))
        case "an owner is gone":
            (root / "owners" / f"site={SITE}").unlink()
        case "rows are there twice":
            record = json.loads((path_of(root, 31) / "commit.json").read_text())
            shutil.copytree(path_of(root, 31), path_of(root, 32))
            (path_of(root, 32) / "commit.json").write_text(json.dumps(record | {"n": 32}))
        case "a mark goes back":
            record = json.loads((path_of(root, 31) / "commit.json").read_text())
            record["archived_until_ns"] = {SITE: 5}
            (path_of(root, 31) / "commit.json").write_text(json.dumps(record))


FOUND = {
    "a file is cut": "cannot be read",
    "a file is gone": "cannot be read",
    "a commit is gone": "commits 25 to 25 are missing",
    "a record is gone": "commit.json is missing",
    "a run's file is gone": "cannot be read",
    "a run's file is cut inside": "cannot be read",
    "an owner is gone": "is of nobody",
    "rows are there twice": "has two rows of",
    "a mark goes back": "was archived until",
}


@pytest.mark.parametrize("case", FOUND)
def test_an_accident_is_found_and_named(root, capsys, case):
    """Whatever is lost, damaged or doubled is named, and the command ends with 1."""
    damaged(root, case)
    assert FOUND[case] in " ".join(finding.what for finding in verify(root).findings)
    assert main(["archive", "verify", "--archive", str(root)]) == 1
    assert FOUND[case].split()[0] in capsys.readouterr().out


def test_repair_makes_anew_what_can_be_and_sets_aside_what_cannot(root):
    """Catalog, list of runs, owners and format come back; a damaged file's rows are named lost."""
    counts = plain(root, COUNTS)[0]
    (root / "archive.duckdb").unlink()
    (root / "sealed" / "bound.json").write_bytes(b"{")
    (root / "format.json").write_bytes(b"")
    (root / "owners" / f"site={SITE}").unlink()
    done = repair(root)
    assert done.lost == []
    assert len(done.mended) == 4
    assert plain(root, COUNTS)[0] == archive.query(root, COUNTS)[1] == counts
    assert verify(root).findings == []
    damaged(root, "a file is cut")
    done = repair(root)
    assert len(done.lost) == 1
    assert f"{RACKS} rows of windows" in done.lost[0]
    assert plain(root, COUNTS)[0] == [(29 * RACKS, 30)]
    assert len(list((root / "damaged").rglob(WINDOWS))) == 1
    assert verify(root).findings == []
    assert commit_second(commits.Writer.claim(root, NAME), 30).rows["windows"] == RACKS


def test_repair_prefers_the_run_that_holds_the_others(root, monkeypatch):
    """A list made anew names a merged run, or what it was merged from, never both."""
    monkeypatch.setattr("pipeline.tiers.FAN", 2)
    seal.seal(root, keep=2, most=8, now_ns=lambda: 10**18)
    assert sealed.read(root).retired
    counts = plain(root, COUNTS)[0]
    (root / "sealed" / "bound.json").unlink()
    repair(root)
    assert plain(root, COUNTS)[0] == counts
    assert verify(root).findings == []


def test_repartition_moves_the_sites_and_nothing_is_archived_twice(root):
    """The new writers know how far each site is; the old are fenced; an open event is closed."""
    old = commits.Writer.claim(root, NAME)
    with pytest.raises(commits.OtherCount, match="run archive repartition --partitions 3"):
        commits.check_partitions(root, 3)
    done = repartition.repartition(root, 3)
    assert (done.left, done.sites, done.closed) == ([NAME], 1, 30)
    commits.check_partitions(root, 3)
    with pytest.raises(commits.OtherCount):
        commits.check_partitions(root, 1)
    with pytest.raises(commits.Fenced):
        commit_second(old, 30)
    with pytest.raises(commits.OtherCount, match="moved on"):
        commits.Writer.claim(root, NAME)
    writer = commits.Writer.claim(root, "live-p2of3")
    assert commit_second(writer, 12).rows == {}
    assert commit_second(writer, 30).rows == {"windows": RACKS, "events": 1}
    other = commits.Writer.claim(root, "live-p0of3")
    with pytest.raises(commits.SiteOwned):
        commit_second(other, 31)
    assert plain(root, "SELECT count(*) FROM windows")[0] == [(31 * RACKS,)]
    states = "SELECT quality, count(*) FROM events GROUP BY ALL ORDER BY ALL"
    assert plain(root, states)[0] == [("good", 1), ("state_lost", 30)]
    assert verify(root).findings == []
    assert repartition.repartition(root, 3).left == []
    assert repartition.repartition(root, 1).left == [f"live-p{k}of3" for k in range(3)]
    assert commit_second(commits.Writer.claim(root, NAME), 31).rows["windows"] == RACKS


def test_a_repartition_that_died_is_done_again(root, monkeypatch):
    """Before the old writer has left, both counts are refused; the next call ends it."""
    monkeypatch.setattr(commits.Writer, "leave", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        repartition.repartition(root, 2)
    monkeypatch.undo()
    with pytest.raises(commits.OtherCount):
        commits.check_partitions(root, 2)
    assert repartition.repartition(root, 2).left == [NAME]
    commits.check_partitions(root, 2)
    assert verify(root).findings == []


@pytest.mark.parametrize("how", ["command", "plain copy"])
def test_a_copy_is_an_archive_of_its_own(root, tmp_path, how):
    """A copy opens where it lies, with every row, and can be written on; the original stays."""
    copy = tmp_path / "copy"
    if how == "command":
        assert main(["archive", "backup", "--archive", str(root), "--to", str(copy)]) == 0
        with pytest.raises(UsageError, match="is not empty"):
            backup(root, copy)
    else:
        shutil.copytree(root, copy)
        archive.create(copy)
    shutil.move(root, tmp_path / "elsewhere")
    assert plain(copy, COUNTS)[0] == archive.query(copy, COUNTS)[1] == [(30 * RACKS, 30)]
    assert verify(copy).findings == []
    assert commit_second(commits.Writer.claim(copy, NAME), 30).rows["windows"] == RACKS
    assert formats.format_of(copy) == formats.format_of(tmp_path / "elsewhere")
    assert event(0)["site_id"] == SITE
