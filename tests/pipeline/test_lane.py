"""One partition from messages to commits: the same rows whatever happens on the way."""

from __future__ import annotations

import random

import pytest

from schemas.telemetry import parse
from schemas.topics import TELEMETRY
from tests.pipeline import site as sites
from tests.pipeline.lanes import (
    contents,
    cut,
    drive,
    eventful,
    merged,
    undisturbed,
)
from tests.pipeline.site import open_lane

NAME = "live-p0of1"


@pytest.fixture(scope="module")
def truth(site, stream, tmp_path_factory):
    """What an undisturbed run archives."""
    return undisturbed(tmp_path_factory.mktemp("truth"), site, stream)


def test_the_undisturbed_run_has_something_to_lose(truth):
    """Windows, states, forecasts and events of both families are there to be compared."""
    assert len(truth["states"]) == 50
    assert len(truth["windows"]) == 50 * 3 + 5 * 8
    assert len(truth["forecasts"]) > 50
    text = " ".join(truth["events"])
    assert "synchronized_ramp" in text
    assert "'oscillation'" in text
    assert "end_of_stream" in text


# ---- the cut of the stream


@pytest.mark.parametrize(
    ("piece_s", "seed", "batch"), [(0.1, 1, 7), (0.2, 2, 1), (0.2, 3, 400), (1.0, 4, 33)]
)
def test_interleaving_pieces_and_batches_change_nothing(
    site, truth, tmp_path, piece_s, seed, batch
):
    """Any interleaving of gateways, piece length and batch size: the same archive, bit for bit."""
    pieces = sites.shuffled(sites.site_slices(site, eventful(), piece_s), seed)
    drive(open_lane(tmp_path, site), sites.as_messages(pieces), batch)
    assert contents(tmp_path) == truth


def test_bulk_without_a_cut_gives_the_same(site, truth, tmp_path):
    """Everything fed at once and committed once: the same archive, bit for bit."""
    pieces = sites.shuffled(sites.site_slices(site, eventful(), 1.0), 5)
    drive(open_lane(tmp_path, site), sites.as_messages(pieces), 10**6)
    assert contents(tmp_path) == truth


def test_replay_without_bytes_gives_the_same(site, truth, tmp_path):
    """`feed_slices`, replay's short cut, archives what the bytes would have."""
    lane = open_lane(tmp_path, site, writer="replay-t1", resume=False)
    lane.feed_slices(sites.site_slices(site, eventful(), 1.0))
    cut(lane, final=True)
    assert contents(tmp_path) == truth


def test_a_site_laid_out_early_is_nobodys_until_it_speaks(site, truth, tmp_path):
    """`prepare` owns nothing and changes nothing; the first slice makes the site the writer's."""
    lane = open_lane(tmp_path, site, writer="replay-t1", resume=False)
    lane.prepare()
    assert not list((tmp_path / "owners").glob("site=*"))
    lane.feed_slices(sites.site_slices(site, eventful(), 1.0))
    cut(lane, final=True)
    assert [path.name for path in (tmp_path / "owners").glob("site=*")] == [f"site={site.site.id}"]
    assert contents(tmp_path) == truth


# ---- kills


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_is_invisible(site, stream, truth, tmp_path, seed):
    """Killed at random instants, each time reading on elsewhere: every row once, bit for bit."""
    rng = random.Random(seed)
    for life in range(6):
        lane = open_lane(tmp_path, site)
        left = list(merged(stream, 100 * seed + life, lane.start_offsets))
        stop = len(left) if life == 5 else rng.randint(0, min(len(left), 500))
        at = 0
        while at < stop:
            step = rng.randint(1, 60)
            lane.feed(left[at : min(at + step, stop)])
            at += step
            if rng.random() < 0.7:
                cut(lane, snapshot=rng.random() < 0.2)
        if rng.random() < 0.3:
            lane.take()  # published, and killed before the commit
    cut(lane, final=True)
    assert contents(tmp_path) == truth


def test_sigterm_and_start_again_is_invisible(site, stream, truth, tmp_path):
    """A last commit with a snapshot, then a new owner: it reads on where the old one stopped."""
    lane = open_lane(tmp_path, site)
    lane.feed(stream[:333])
    cut(lane, snapshot=True, final=True)
    lane = open_lane(tmp_path, site)
    read = {topic: sum(m.topic == topic for m in stream[:333]) for topic in TELEMETRY.values()}
    assert lane.start_offsets == read
    drive(lane, [m for m in stream if m.offset >= read[m.topic]])
    assert contents(tmp_path) == truth


def test_feeding_the_stream_twice_changes_nothing_and_says_so(site, stream, truth, tmp_path):
    """Offsets read before are skipped and counted, by the same owner and by the next."""
    lane = open_lane(tmp_path, site)
    drive(lane, stream)
    drive(lane, stream)
    assert lane.counters.values["skipped_offsets"] == len(stream)
    assert lane.counters.values["messages"] == len(stream)
    lane = open_lane(tmp_path, site)
    drive(lane, list(merged(stream, 1)))
    values = lane.counters.values
    assert values["skipped_offsets"] + values["messages"] == len(stream)
    assert values["archived_windows"] == values["archived_events"] == 0
    assert contents(tmp_path) == truth


def test_a_second_replay_computes_everything_and_archives_nothing(site, truth, tmp_path):
    """Replaying a trace twice into one archive: windows are computed, none is written."""
    for turn in range(2):
        lane = open_lane(tmp_path, site, writer="replay-t1", resume=False)
        lane.feed_slices(sites.site_slices(site, eventful(), 1.0))
        cut(lane, final=True)
        assert lane.counters.values["windows"] == len(truth["windows"])
        assert (lane.counters.values["archived_windows"] == 0) == (turn == 1)
    assert contents(tmp_path) == truth


def test_a_stream_sent_again_under_new_offsets_changes_nothing(site, stream, truth, tmp_path):
    """A producer that repeats its last messages: dropped and counted, no dead letter."""
    lane = open_lane(tmp_path, site)
    data = [m for m in stream if not parse(m.value, m.content_type).end]
    lane.feed(data)
    next_offset = {topic: sum(m.topic == topic for m in data) for topic in TELEMETRY.values()}
    again = []
    for message in data[-100:]:
        again.append(message._replace(offset=next_offset[message.topic]))
        next_offset[message.topic] += 1
    lane.feed(again)
    ends = [m for m in stream if parse(m.value, m.content_type).end]
    for message in ends:
        lane.feed([message._replace(offset=next_offset[message.topic])])
        next_offset[message.topic] += 1
    cut(lane, final=True)
    assert lane.counters.values["repeats"] == 100
    assert lane.counters.values["deadletters"] == 0
    assert contents(tmp_path) == truth


def test_offsets_that_jump_are_counted_as_lost(site, stream, tmp_path):
    """What the broker deleted before it was read is said, not hidden."""
    lane = open_lane(tmp_path, site)
    racks = [m for m in stream if m.topic == TELEMETRY["rack"]]
    lane.feed([racks[0], racks[5]])
    assert lane.counters.values["lost_offsets"] == 4


def test_a_topic_far_ahead_is_held_back_unless_all_are(site, tmp_path):
    """Racks 40 s ahead of the meters are held back; when every topic is ahead, none is."""
    lane = open_lane(tmp_path, site)
    parts = sites.power(40)
    pieces = [p for p in sites.site_slices(site, parts, 1.0) if not p.end]
    messages = sites.as_messages(pieces)
    racks = [m for m in messages if m.topic == TELEMETRY["rack"]]
    lane.feed(racks[:20])
    assert lane.ahead == frozenset()
    lane.feed(racks[20:])
    assert lane.ahead == {TELEMETRY["rack"]}
    lane.feed([m for m in messages if m.topic == TELEMETRY["pdu"]])
    assert lane.ahead == {TELEMETRY["rack"], TELEMETRY["pdu"]}
    lane.feed([m for m in messages if m.topic == TELEMETRY["substation"]][:1])
    assert lane.ahead == {TELEMETRY["rack"], TELEMETRY["pdu"]}
    lane.feed([m for m in messages if m.topic == TELEMETRY["substation"]][1:])
    assert lane.ahead == frozenset()
