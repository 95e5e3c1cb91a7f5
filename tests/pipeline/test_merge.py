"""Runs are merged, thinned and kept in step by whoever runs; no answer changes but what must go."""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest

from pipeline import archive, commit_files, commits, inventory, keeper, seal, sealed, tiers
from pipeline.clock import ManualClock
from pipeline.errors import UsageError
from pipeline.retain import retain
from pipeline.sealed import Run
from pipeline.settings import Archive
from pipeline.verify import verify
from schemas.units import NS_PER_S
from tests.pipeline.archive_rows import RACKS, SITE, commit_second, event, windows
from tests.pipeline.test_archive import COUNTS, plain

NAME = "live-p0of1"
DAY_S = 86_400


@pytest.fixture
def root(tmp_path):
    """An empty archive with its catalog."""
    archive.create(tmp_path)
    return tmp_path


def run(commits_, rows=100, size=1000):
    """A run of so many commits."""
    return Run(
        first=0, last=0, folder=str(random.random()), generation=1,
        rows={"windows": rows, "commits": commits_}, bytes=size,
    )  # fmt: skip


def test_twelve_of_a_level_become_one_of_the_next():
    """A day of a commit a second: few runs at any time, and each row is written few times."""
    runs, written, most = [], 0, 0
    for _ in range(DAY_S // 32):
        runs.append(run(32))
        while parts := tiers.due(runs):
            at = runs.index(parts[0])
            runs[at : at + len(parts)] = [run(sum(p.rows["commits"] for p in parts))]
            written += runs[at].rows["commits"]
        most = max(most, len(runs))
    assert sum(r.rows["commits"] for r in runs) == DAY_S // 32 * 32
    assert len(runs) < 35
    assert most < 40
    assert 2 * DAY_S < written < 4 * DAY_S


def test_a_merge_stays_within_its_limits():
    """Neither rows nor bytes beyond what fits beside everything else; full runs are left alone."""
    assert len(tiers.due([run(32, rows=199_000)] * 12)) == 5
    assert len(tiers.due([run(32, size=10 << 20)] * 12)) == 3
    assert tiers.due([run(32, rows=600_000)] * 200) == ()
    assert tiers.due([run(32)] * 11) == ()


def test_runs_of_all_sizes_do_not_pile_up():
    """Calls by hand leave runs of any length; there are never more than a crowd of them."""
    draw, runs = random.Random(4), []
    for _ in range(2000):
        runs.append(run(draw.choice([1, 3, 32, 400, 3600])))
        while parts := tiers.due(runs):
            at = runs.index(parts[0])
            runs[at : at + len(parts)] = [run(sum(p.rows["commits"] for p in parts))]
    assert len(runs) <= tiers.CROWD


def write(root, seconds):
    """Commit these seconds."""
    writer = commits.Writer.claim(root, NAME)
    for second in seconds:
        commit_second(writer, second)
    return writer


def test_merged_runs_hold_the_same_rows_and_go_when_nobody_reads_them(root, monkeypatch):
    """Every door gives the same before, between and after; an old session is told, then they go."""
    monkeypatch.setattr(tiers, "FAN", 3)
    clock = ManualClock(10**18)
    write(root, range(60))
    ask = [f"FROM {view} ORDER BY ALL" for view in ("windows", "event_log", "commits")]
    before = plain(root, *ask)
    for _ in range(9):
        seal.seal(root, keep=6, most=6, now_ns=clock.now_ns)
        assert plain(root, *ask) == [archive.query(root, sql)[1] for sql in ask] == before
    manifest = sealed.read(root)
    assert len(manifest.writers[NAME].runs) < 5
    assert len(manifest.retired) >= 6
    with duckdb.connect(str(root / "archive.duckdb"), read_only=True) as old:
        clock.advance(601)
        seal.seal(root, keep=6, now_ns=clock.now_ns)
        clock.advance(121)
        seal.seal(root, keep=6, now_ns=clock.now_ns)
        assert [old.execute(sql).fetchall() for sql in ask] == before
    assert sealed.read(root).retired == ()
    runs = sealed.read(root).writers[NAME].runs
    assert {p.name for p in (root / "sealed").glob("writer=*/*")} == {r.folder for r in runs}
    assert plain(root, *ask) == before
    assert verify(root).findings == []


def test_the_keeper_holds_the_tail_short(root):
    """Steps among commits: never more unsealed commits than are kept and one run's worth."""
    clock, settings = ManualClock(10**18), Archive(path=root)
    writer, tails = commits.Writer.claim(root, NAME), []
    for second in range(300):
        commit_second(writer, second, snapshot=b"s" if second % 60 == 0 else None)
        clock.advance(1)
        if second % settings.compact_every_s == 0:
            tails.append(len(commit_files.numbers(root, NAME)))
            assert keeper.step(settings, clock)
    assert 100 < max(tails) <= settings.keep_commits + keeper.LEAST + settings.compact_every_s
    assert inventory.info(root)["unsealed"] < max(tails)
    assert archive.query(root, COUNTS)[1] == [(300 * RACKS, 300)]
    assert commits.load_snapshot(root, NAME)[0] == b"s"
    with seal.locked(root / "sealed" / "lock", wait=False):
        assert not keeper.step(settings, clock)


def test_the_keeper_goes_on_after_what_went_wrong(root, caplog):
    """A failure is a warning in one sentence; zero seconds means that somebody else compacts."""
    path = root / "sealed" / "bound.json"
    path.write_bytes(b"{")

    async def work():
        with ThreadPoolExecutor(1) as io:
            await keeper.keep(Archive(path=root, compact_every_s=0), io, ManualClock())
            task = asyncio.create_task(
                keeper.keep(Archive(path=root, compact_every_s=0.001), io, ManualClock())
            )
            while len(caplog.records) < 2:
                await asyncio.wait({task}, timeout=0.001)
            task.cancel()

    asyncio.run(work())
    assert "archive not compacted" in caplog.text
    assert "bound.json is damaged" in caplog.text


def test_rows_go_by_age_and_kind_of_their_own_time(root):
    """Rack windows past their age leave; what is younger, of another kind, or unsealed stays."""
    writer = commits.Writer.claim(root, NAME)
    for day in range(10):
        end_ns = (day * DAY_S + 1) * NS_PER_S
        pdu = {**windows(day * DAY_S)[0], "node_id": "p", "level": "pdu"}
        writer.commit(
            {"windows": [*windows(day * DAY_S), pdu], "events": [event(day * DAY_S)]},
            offsets={},
            read_offsets={},
            archived_until_ns={SITE: end_ns},
        )
        seal.seal(root, keep=1, grace_s=0, now_ns=lambda: 10**18)
    ask = "SELECT level, count(*) FROM windows GROUP BY ALL ORDER BY ALL"
    session = duckdb.connect(str(root / "archive.duckdb"), read_only=True)
    done = retain(root, {"rack_windows": 4.5}, now_ns=lambda: 10**18)
    assert (done.runs, done.rows) == (5, {"windows": 5 * RACKS})
    assert archive.query(root, ask)[1] == [("pdu", 10), ("rack", 5 * RACKS)]
    assert session.execute(ask).fetchall() == [("pdu", 10), ("rack", 10 * RACKS)]
    session.close()
    assert plain(root, ask)[0] == [("pdu", 10), ("rack", 5 * RACKS)]
    assert archive.query(root, "SELECT count(*) FROM event_log")[1] == [(10,)]
    assert retain(root, {"rack_windows": 4.5}, now_ns=lambda: 10**18) == (0, {})
    assert retain(root, {"events": 0}, now_ns=lambda: 10**18).rows == {"events": 9}
    assert verify(root).findings == []
    assert commit_second(writer, 3).rows == {}


@pytest.mark.parametrize(
    ("ages", "words"),
    [({"windows": 3}, "archive.retain names 'windows'"), ({"events": -1}, "is -1 days")],
)
def test_ages_that_mean_nothing_are_refused(root, ages, words):
    """One sentence that names the kinds there are."""
    with pytest.raises(UsageError, match=words):
        retain(root, ages, now_ns=lambda: 0)
