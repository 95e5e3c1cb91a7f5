"""What a lane acknowledges, and how a stream ends."""

from __future__ import annotations

import dataclasses
import random

import msgspec
import numpy as np
import pytest

from pipeline.commits import newest_commit
from schemas.telemetry import ARROW, Slice, encode_arrow, parse
from schemas.topics import TELEMETRY
from schemas.units import NS_PER_S, Rate
from tests.pipeline import site as sites
from tests.pipeline.lanes import contents, cut, drive, eventful, merged, span_end_ns
from tests.pipeline.site import T0_NS, Message, open_lane

NAME = "live-p0of1"


# ---- acknowledging


@pytest.mark.parametrize("seed", range(3))
def test_what_is_acknowledged_is_archived(site, stream, tmp_path, seed):
    """Below an acknowledged offset every message's samples lie in archived frames."""
    lane, rng = open_lane(tmp_path, site), random.Random(seed)
    ends_ns = {(m.topic, m.offset): span_end_ns(m) for m in stream}
    acked: dict[str, int] = {}
    left = list(merged(stream, seed))
    while left:
        n = rng.randint(1, 80)
        lane.feed(left[:n])
        left = left[n:]
        before, acked = acked, cut(lane, snapshot=rng.random() < 0.1) or acked
        record = newest_commit(tmp_path, NAME)
        assert record is not None
        until_ns = record.archived_until_ns.get("t1", 0)
        for topic, offset in acked.items():
            assert offset >= before.get(topic, 0)
            assert offset <= record.read_offsets[topic]
            assert all(ends_ns[topic, k] <= until_ns for k in range(offset))
    assert cut(lane, final=True) == {
        topic: sum(m.topic == topic for m in stream) for topic in TELEMETRY.values()
    }


def ahead(message: Message, offset: int, by_s: int, seq: int) -> Message:
    """The same slice with a clock that is ahead."""
    piece = parse(message.value, message.content_type)
    moved = Slice(
        piece.site_id, piece.level, piece.gateway_id, seq, piece.t0_ns + by_s * NS_PER_S,
        piece.rate, piece.channel_ids, piece.power_w,
    )  # fmt: skip
    return Message(message.topic, 0, offset, encode_arrow(moved), ARROW)


def test_a_held_message_blocks_acknowledgement_until_it_is_decided(site, stream, tmp_path):
    """An offset behind a message whose fate is open waits, over a kill, then goes on."""
    topic = TELEMETRY["substation"]
    early = [m for m in stream if span_end_ns(m) <= T0_NS + 20 * NS_PER_S]
    poi = [m for m in early if m.topic == topic]
    wrong = ahead(poi[40], len(poi), 3600, 9000)
    lane = open_lane(tmp_path, site)
    lane.feed([*early, wrong])
    acked = cut(lane, snapshot=True, final=True)
    assert acked is not None
    assert acked[topic] == len(poi)
    lane = open_lane(tmp_path, site)
    assert lane.start_offsets[topic] == len(poi) + 1
    later = [m for m in stream if m not in early]
    after = [m._replace(offset=m.offset + 1) if m.topic == topic else m for m in later]
    lane.feed(after)
    batch = lane.take(final=True)
    assert batch is not None
    assert lane.commit(batch)[topic] == 1 + sum(m.topic == topic for m in stream)
    letters = [m for m in batch.outgoing if m.topic == "telemetry.deadletter.v1"]
    (letter,) = [msgspec.json.decode(m.value) for m in letters]
    assert (letter["reason"], letter["offset"]) == ("clock", len(poi))


def test_a_site_that_stopped_makes_nobody_remember_what_others_send(tmp_path):
    """Its last, open second holds back what is acknowledged, over a kill; nothing else is kept."""
    both, stops_ns = (sites.topology("t1"), sites.topology("t2")), T0_NS + 20 * NS_PER_S
    still, going = (sites.site_slices(site, eventful()) for site in both)
    still = [p for p in still if not p.end and p.t0_ns < stops_ns and p.gateway_id != "gp"]
    pieces = sorted([*still, *going], key=lambda p: (p.end, p.t0_ns))
    stream = sites.as_messages(pieces)
    lane, topic, kept = open_lane(tmp_path, *both), TELEMETRY["rack"], []
    first = next(m.offset for m, p in zip(stream, pieces, strict=True) if p is still[0])
    for start in range(0, len(stream), 50):
        lane.feed(stream[start : start + 50])
        acked = cut(lane, snapshot=start == 900)
        kept.append(len(lane._ledger.receipts))
        assert not acked or acked.get(topic, first) == first
    assert kept[-1] <= len(still) < len(stream) / 3
    lane = open_lane(tmp_path, *both)
    assert len(lane._ledger.receipts) < len(still) + 50
    lane.feed(list(merged(stream, 1, lane.start_offsets)))
    assert cut(lane, final=True)[topic] == first


def test_rows_refused_in_a_held_message_are_told_when_it_is_used(site, stream, tmp_path):
    """A bad row is no less bad for having waited: its dead letter comes with the decision."""
    piece = parse(stream[0].value, stream[0].content_type)
    lane = open_lane(tmp_path, site)
    lane.feed_slices([piece])
    for k in range(3):
        names = (*piece.channel_ids[1:], "nobody")
        t0_ns = piece.t0_ns + (600 + k) * NS_PER_S
        some = np.ones((len(names), 10), np.float32)
        lane.feed_slices([
            Slice("t1", piece.level, piece.gateway_id, 50 + k, t0_ns, Rate(10), names, some)
        ])  # fmt: skip
    batch = lane.take(final=True)
    assert batch is not None
    letters = [m for m in batch.outgoing if m.topic == "telemetry.deadletter.v1"]
    assert [msgspec.json.decode(m.value)["reason"] for m in letters] == ["channel"] * 3


def test_a_repeat_with_a_bad_row_is_told_once(site, stream, tmp_path):
    """Dropped and counted like any repeat: its bad row had its dead letter the first time."""
    piece = parse(stream[0].value, stream[0].content_type)
    bad = dataclasses.replace(piece, channel_ids=(*piece.channel_ids[1:], "nobody"))
    lane = open_lane(tmp_path, site)
    lane.feed_slices([bad, bad])
    batch = lane.take(final=True)
    assert batch is not None
    assert lane.counters.values["repeats"] == 1
    assert [m.topic for m in batch.outgoing].count("telemetry.deadletter.v1") == 1


# ---- idle, and the end


def silent_messages(site, *, back_s):
    """PDU meters fall silent at 15 s and come back; everything else goes on."""
    parts, pieces = eventful(), []
    for name, x in parts.items():
        for piece in sites.gateway_slices(site, name, x, 0.2):
            at_s = (piece.t0_ns - T0_NS) / NS_PER_S
            if name != "gp" or piece.end or at_s < 15 or at_s >= back_s:
                pieces.append(piece)
    return sites.as_messages(sorted(pieces, key=lambda p: (p.end, p.t0_ns)))


def test_kills_after_an_idle_gateway_are_invisible(site, tmp_path):
    """Recomputed twice from a state before the silence: the same archive, whatever the order."""
    stream = silent_messages(site, back_s=30.0)
    pdus = {TELEMETRY["pdu"]}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for root in (whole, killed):
        lane = open_lane(root, site)
        for k, message in enumerate(stream):
            at_s = (span_end_ns(message) - T0_NS) / NS_PER_S
            lane.set_quiet(pdus if 20 < at_s < 30 else (), at_s)
            lane.feed([message])
            if k % 50 == 49:
                cut(lane, snapshot=root is killed and at_s < 12)
            if root is killed and at_s > 35:
                break
        if root is whole:
            cut(lane, final=True)
    for life in range(3):
        lane = open_lane(killed, site)
        left = list(merged(stream, life, lane.start_offsets))
        for at in range(0, len(left) if life == 2 else 3 * len(left) // 4, 40):
            lane.feed(left[at : at + 40])
            cut(lane)
    cut(lane, final=True)
    assert contents(killed) == contents(whole)
    record = newest_commit(killed, NAME)
    assert record is not None
    assert [(i.gateway_id, i.to_ns) for i in record.idle] == [("gp", T0_NS + 30 * NS_PER_S)]


def test_a_site_that_began_after_the_snapshot_obeys_what_was_idle(tmp_path):
    """The snapshot has one site of two; of the other, PDU meters had gone idle and came late."""
    both, back_ns = (sites.topology("t1"), sites.topology("t2")), T0_NS + 30 * NS_PER_S
    before, pieces = (sites.site_slices(site, eventful()) for site in both)
    held = [p for p in pieces if p.gateway_id == "gp" and p.t0_ns >= back_ns - 15 * NS_PER_S]
    came_ns = {id(p): max(p.t0_ns, back_ns) for p in held}
    pieces.sort(key=lambda p: (p.end, came_ns.get(id(p), p.t0_ns)))
    stream = sites.as_messages([*before, *pieces])
    for root in (tmp_path / "whole", tmp_path / "killed"):
        lane = open_lane(root, *both)
        lane.feed(stream[: len(before)])
        cut(lane, snapshot=True)
        for k, (message, piece) in enumerate(zip(stream[len(before) :], pieces, strict=True)):
            at_s = (came_ns.get(id(piece), piece.t0_ns) - T0_NS) / NS_PER_S
            if root.name == "killed" and at_s > 35:
                lane = open_lane(root, *both)
                lane.feed(list(merged(stream, 1, lane.start_offsets)))
                break
            lane.set_quiet({TELEMETRY["pdu"]} if 20 < at_s < 30 else (), at_s)
            lane.feed([message])
            if k % 50 == 49:
                cut(lane)
        cut(lane, final=True)
    assert newest_commit(tmp_path / "whole", NAME).idle
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.parametrize("wrong_s", [-3600, 7200])
def test_a_gateway_that_sends_nothing_of_use_blinds_no_site(site, tmp_path, wrong_s):
    """PDU meters whose clock is wrong from 10 s on: every message a dead letter; they are idle."""
    pieces = sites.site_slices(site, eventful())
    turns_ns, by_ns = T0_NS + 10 * NS_PER_S, wrong_s * NS_PER_S
    wrong = [
        dataclasses.replace(p, t0_ns=p.t0_ns + by_ns * (1 + p.seq % 2))
        if p.gateway_id == "gp" and not p.end and p.t0_ns >= turns_ns
        else p
        for p in pieces
    ]
    lane = open_lane(tmp_path, site)
    for message, piece in zip(sites.as_messages(wrong), pieces, strict=True):
        if piece.end:
            break
        at_s = (piece.t0_ns - T0_NS) / NS_PER_S
        lane.set_quiet(TELEMETRY.values() if at_s > 5 else (), at_s)
        lane.feed([message])
    cut(lane, final=True)
    record = newest_commit(tmp_path, NAME)
    assert record.archived_until_ns["t1"] >= T0_NS + 45 * NS_PER_S
    assert [(i.gateway_id, i.from_ns, i.to_ns) for i in record.idle] == [("gp", turns_ns, None)]
    assert lane.counters.values["deadletters"] > 30


def test_a_site_that_stands_still_keeps_no_other_from_being_saved(tmp_path):
    """What is not in a snapshot yet is counted by the site that came furthest, not the last."""
    both = sites.topology("t1"), sites.topology("t2")
    going, still = (sites.as_messages(sites.site_slices(site, eventful())) for site in both)
    lane = open_lane(tmp_path, *both)
    lane.feed_slices(parse(m.value, m.content_type) for m in [*still[:100], *going[:100]])
    cut(lane)
    before = lane.counters.unsaved_ns
    lane.feed_slices(parse(m.value, m.content_type) for m in going[100:900])
    cut(lane)
    assert lane.counters.unsaved_ns - before > 30 * NS_PER_S
    lane.feed_slices(parse(m.value, m.content_type) for m in going[900:])
    cut(lane, snapshot=True)
    assert lane.counters.unsaved_ns == 0


def test_a_cold_start_does_not_wait_for_a_gateway_that_was_idle(site, tmp_path):
    """A gateway that is still silent after a cold start goes idle again; the site goes on."""
    stream = silent_messages(site, back_s=1e9)
    data = [m for m in stream if not parse(m.value, m.content_type).end]
    lane = open_lane(tmp_path, site)
    lane.feed([m for m in data if span_end_ns(m) < T0_NS + 30 * NS_PER_S])
    lane.set_quiet({TELEMETRY["pdu"]}, 5.0)
    lane.feed([])
    cut(lane, final=True)
    changed = type(site).parse(site.dumps().replace("50000.0", "60000.0"))
    lane = open_lane(tmp_path, changed)
    lane.set_quiet({TELEMETRY["pdu"]}, 5.0)
    lane.feed([m for m in data if span_end_ns(m) >= T0_NS + 29 * NS_PER_S])
    cut(lane, final=True)
    record = newest_commit(tmp_path, NAME)
    assert record is not None
    assert record.archived_until_ns["t1"] == T0_NS + 50 * NS_PER_S


def test_an_end_of_stream_is_committed_when_nothing_else_is_due(site, tmp_path):
    """Racks' partial window at the end reaches the archive without waiting for a shutdown."""
    parts = {name: x[:, : 12 * x.shape[1] // 50] for name, x in eventful().items()}
    stream = sites.as_messages(sites.site_slices(site, parts))
    data = [m for m in stream if not parse(m.value, m.content_type).end]
    lane = open_lane(tmp_path, site)
    lane.feed(data)
    cut(lane)
    lane.feed([m for m in stream if m not in data])
    assert cut(lane) is not None
    record = newest_commit(tmp_path, NAME)
    assert record is not None
    assert record.archived_until_ns["t1"] == T0_NS + 12 * NS_PER_S + 1
    assert sum("'duration_ns', 10000000000" in row for row in contents(tmp_path)["windows"]) == 16
    assert cut(lane) is None


def test_racks_partial_window_says_its_share(site, tmp_path):
    """The end of stream after 12 s closes the racks' second window with a share of 0.2."""
    parts = {name: x[:, : 12 * x.shape[1] // 50] for name, x in eventful().items()}
    lane = open_lane(tmp_path, site)
    drive(lane, sites.as_messages(sites.site_slices(site, parts)))
    rows = [r for r in contents(tmp_path)["windows"] if "'level', 'rack'" in r]
    assert sum("('valid_share', 0.2)" in r for r in rows) == 8
    assert sum("('valid_share', 1.0)" in r for r in rows) == 8
