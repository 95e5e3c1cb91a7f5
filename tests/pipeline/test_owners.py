"""Who may write what: site owners, partition counts, and the snapshots a writer keeps."""

from __future__ import annotations

import msgspec
import pytest

from pipeline import archive, commit_files, commits, formats
from pipeline.lane import Message
from schemas.events import WorkloadHint
from tests.pipeline import site as sites
from tests.pipeline.archive_rows import commit_second
from tests.pipeline.lanes import eventful
from tests.pipeline.site import open_lane

NAME = "live-p0of1"


@pytest.fixture
def root(tmp_path):
    """An empty archive."""
    formats.create_layout(tmp_path)
    return tmp_path


def test_a_site_belongs_to_the_writer_that_first_archived_it(root):
    """Another writer is refused with site, owner and the way out, and archives nothing."""
    commit_second(commits.Writer.claim(root, NAME), 0)
    with pytest.raises(commits.SiteOwned) as caught:
        commit_second(commits.Writer.claim(root, "replay-site-a"), 7)
    assert str(caught.value) == (
        f"site site-a belongs to writer live-p0of1 in archive {root}, not to replay-site-a; "
        "go on with that writer or use another archive folder"
    )
    assert commits.newest_commit(root, "replay-site-a").rows == {}
    commits.own_sites(root, NAME, ["site-a"])


def test_the_first_of_two_owners_wins_whole(root):
    """The owner's entry appears with its content, so that a second writer never reads half."""
    commits.own_sites(root, "live-p1of2", ["a", "b"])
    assert (root / "owners" / "site=a").read_text() == "live-p1of2"
    with pytest.raises(commits.SiteOwned, match=r"^site b belongs to writer live-p1of2"):
        commits.own_sites(root, NAME, ["c", "b"])
    assert list((root / "tmp").glob("owner-*")) == []


def test_a_site_that_cannot_be_a_file_is_refused(root):
    """A site's name never leaves the owners' folder."""
    with pytest.raises(commits.CommitError, match=r"^site_id '../x' is not"):
        commits.own_sites(root, NAME, ["../x"])


def test_another_number_of_partitions_is_refused(root):
    """The archive keeps the partition count it was written with, and names the way out."""
    commits.check_partitions(root, 4)
    commits.Writer.claim(root, commits.live_writer(0, 4))
    commits.Writer.claim(root, commits.replay_writer("site-of9"))
    commits.check_partitions(root, 4)
    with pytest.raises(commits.OtherCount) as caught:
        commits.check_partitions(root, 8)
    assert str(caught.value) == (
        f"archive {root} was written with 4 partitions (writer live-p0of4), the topics have 8; "
        "stop all workers and run archive repartition --partitions 8"
    )


@pytest.mark.parametrize("name", ["", "!", "../x", ".hidden", "a" * 81])
def test_a_bad_writer_name_is_refused(root, name):
    """A writer's name is a plain file name, and never the schema's own."""
    with pytest.raises(commits.CommitError, match=r"^writer name"):
        commits.Writer.claim(root, name)


def test_a_folder_without_an_archive_is_refused(tmp_path):
    """A claim never makes an archive by mistake."""
    with pytest.raises(commits.CommitError, match=r"^there is no archive at"):
        commits.Writer.claim(tmp_path / "typo", NAME)


def test_an_archive_with_other_tables_is_refused(root):
    """An archive that another version made is not written to."""
    first = commit_files.commit_path(root, "!", commit_files.SCHEMA_N)
    (first / "events.parquet").write_bytes((first / "windows.parquet").read_bytes())
    with pytest.raises(commits.CommitError, match="has another table events than this version"):
        formats.create_layout(root)


def kept(root):
    """Commits whose snapshot lies on disk."""
    return sorted(int(p.parent.name[7:]) for p in root.glob("live/writer=*/*/snapshot.bin"))


def test_the_last_two_snapshots_are_kept(root):
    """A third snapshot lets the first go; the newest is the one that is loaded, with its commit."""
    writer = commits.Writer.claim(root, NAME)
    for second in range(6):
        commit_second(writer, second, snapshot=b"%d" % second if second % 2 == 0 else None)
    assert kept(root) == [4, 6]
    data, record = commits.load_snapshot(root, NAME)
    assert (data, record.n) == (b"4", 6)
    assert record.read_offsets == {"telemetry.rack.v1": 5}


def test_a_vanished_snapshot_falls_to_the_one_before(root):
    """A reader that finds the newest snapshot gone takes the next, and none is None."""
    writer = commits.Writer.claim(root, NAME)
    assert commits.load_snapshot(root, NAME) is None
    commit_second(writer, 0, snapshot=b"0")
    commit_second(writer, 1, snapshot=b"1")
    (commit_files.commit_path(root, NAME, 3) / "snapshot.bin").unlink()
    assert commits.load_snapshot(root, NAME)[0] == b"0"
    (commit_files.commit_path(root, NAME, 2) / "snapshot.bin").unlink()
    assert commits.load_snapshot(root, NAME) is None


def test_snapshots_survive_a_claim_and_a_claim_clears_stale_ones(root):
    """The kept two go over to the new owner; one that a killed process left behind goes."""
    writer = commits.Writer.claim(root, NAME)
    for second in range(3):
        commit_second(writer, second, snapshot=b"%d" % second)
    (commit_files.commit_path(root, NAME, 2) / "snapshot.bin").write_bytes(b"left")
    new = commits.Writer.claim(root, NAME)
    assert kept(root) == [3, 4]
    assert new.newest.snapshots == (3, 4)
    commit_second(new, 3, snapshot=b"3")
    assert kept(root) == [4, 6]


def test_commits_are_listed_in_order(root):
    """Whoever walks through a writer's commits meets them oldest first."""
    writer = commits.Writer.claim(root, NAME)
    for second in range(30):
        commit_second(writer, second)
    assert commit_files.numbers(root, NAME) == list(range(1, 32))


def test_idle_gateways_stay_on_record_until_replaced(root):
    """What a recomputation must obey is carried from commit to commit and over a claim."""
    idle = [commits.Idle("site-a", "gw-1", 5, None)]
    commit_second(commits.Writer.claim(root, NAME), 0, idle=idle)
    writer = commits.Writer.claim(root, NAME)
    commit_second(writer, 1)
    assert list(writer.newest.idle) == idle
    commit_second(writer, 2, idle=[])
    assert commits.newest_commit(root, NAME).idle == ()


def test_a_claim_clears_what_the_dead_left(root):
    """Half-made commits of the same name are removed at the claim, those of others are not."""
    commits.Writer.claim(root, NAME)
    mine = root / "tmp" / f"writer={NAME}" / "00000002-dead"
    other = root / "tmp" / "writer=live-p1of2" / "00000002-alive"
    for folder in (mine, other):
        folder.mkdir(parents=True)
        (folder / "windows.parquet").write_bytes(b"half")
    commits.Writer.claim(root, NAME)
    assert not mine.exists()
    assert other.exists()


def test_carry_false_voids_offsets_but_not_what_is_archived(root):
    """Another cluster starts at no offset and no snapshot, but its rows face the same mark."""
    commit_second(commits.Writer.claim(root, NAME, origin={"cluster": "a"}), 0, snapshot=b"a")
    writer = commits.Writer.claim(root, NAME, carry=False, origin={"cluster": "b"})
    assert (writer.newest.offsets, writer.newest.origin) == ({}, {"cluster": "b"})
    assert commit_second(writer, 0).rows == {}
    assert commits.load_snapshot(root, NAME) is None
    assert kept(root) == []


def test_a_slow_claim_spares_what_a_younger_owner_is_writing(root, monkeypatch):
    """A claim that is itself overtaken before it clears up removes nothing of the new owner's."""
    publish = commit_files.publish
    young = root / "tmp" / f"writer={NAME}" / "00000003-young"

    def overtaken(*args):
        publish(*args)
        young.mkdir()

    monkeypatch.setattr(commit_files, "publish", overtaken)
    commits.Writer.claim(root, NAME)
    assert young.exists()


def test_a_site_that_comes_in_a_second_partition_is_refused_message_by_message(tmp_path):
    """Slices and hints are dead letters that say where the site is; the partition goes on."""
    one, two = sites.topology("t1"), sites.topology("t2")
    stream = {
        site.site.id: sites.as_messages(sites.site_slices(site, eventful())) for site in (one, two)
    }
    first, second = (open_lane(tmp_path, one, two, writer=f"live-p{k}of2") for k in range(2))
    first.feed(stream["t1"][:100])
    second.feed(stream["t2"][:100])
    hint = WorkloadHint(site_id="t1", t_ns=0, hint="job_stop")
    stray = [m._replace(offset=m.offset + 1000) for m in stream["t1"][100:103]]
    second.feed([*stray, Message("workload.hint.v1", 1, 0, msgspec.json.encode(hint), "")])
    second.feed(stream["t2"][100:200])
    batch = second.take(final=True)
    letters = [msgspec.json.decode(m.value) for m in batch.outgoing if "deadletter" in m.topic]
    assert [letter["reason"] for letter in letters] == ["site"] * 4
    assert {letter["detail"] for letter in letters} == {
        "site t1 is in partition 0; give all its messages the same key"
    }
    assert set(second.commit(batch)) >= {stray[0].topic}
    assert {row["site_id"] for row in batch.tables["states"]} == {"t2"}


def test_a_site_of_a_replay_ends_the_worker(tmp_path):
    """It is no message that is wrong there, but the folder."""
    archive.create(tmp_path)
    commits.own_sites(tmp_path, "replay-t1", ["t1"])
    lane = open_lane(tmp_path, sites.topology("t1"))
    with pytest.raises(commits.SiteOwned, match="use another archive folder"):
        lane.feed(sites.as_messages(sites.site_slices(sites.topology("t1"), eventful()))[:1])
