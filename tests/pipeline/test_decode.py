"""What is refused by the message and what by the row, and with which word."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pipeline.decode import HEAD_BYTES, Cause, Decoder, Message, Rows, dead_letter
from schemas.telemetry import ARROW, Refused, Slice, encode_arrow, encode_ndjson
from schemas.topics import TELEMETRY
from schemas.units import Rate
from tests.pipeline.site import T0_NS, topology
from tests.pipeline.tiny import Gate, tiny

GOOD = Slice(
    "t1", "rack", "ga", 3, T0_NS, Rate(10), ("ca01", "ca03"), np.full((2, 2), 5e3, np.float32)
)


@pytest.fixture
def decoder():
    """Knows the usual site."""
    return Decoder({"t1": topology()})


def message(piece, *, level="rack", encode=encode_arrow):
    """A slice as a message on its topic."""
    return Message(TELEMETRY[level], 2, 7, encode(piece), "")


def decode(decoder, **changes):
    """Decode the good slice with some fields changed."""
    return decoder.decode(message(dataclasses.replace(GOOD, **changes)))


@pytest.mark.parametrize("encode", [encode_arrow, encode_ndjson])
def test_rows_are_found_by_name(decoder, encode):
    """Each row comes with its channel's place in the level, in either form of the message."""
    rows = decoder.decode(message(GOOD, encode=encode))
    assert isinstance(rows, Rows)
    assert rows.index.tolist() == [0, 2]
    np.testing.assert_array_equal(rows.power_w, GOOD.power_w)
    assert rows.refused == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"site_id": "elsewhere"}, "site"),
        ({"gateway_id": "gz"}, "gateway"),
        ({"gateway_id": "gp"}, "level"),
        ({"level": "pdu"}, "level"),
        ({"level": "moon"}, "level"),
        ({"rate": Rate(20)}, "rate"),
        ({"rate": Rate(1, 4), "power_w": GOOD.power_w[:, :1]}, "rate"),
    ],
)
def test_a_message_that_fits_no_gateway_is_refused(decoder, changes, reason):
    """Unknown site or gateway, another level or rate than declared: the message, never raised."""
    found = decode(decoder, **changes)
    assert isinstance(found, Refused)
    assert found.reason == reason


def test_no_bytes_raise_nothing(decoder):
    """Whatever the bytes, decode answers."""
    rng, value = np.random.default_rng(0), encode_arrow(GOOD)
    for k in range(300):
        bad = bytearray(value)
        for at in rng.integers(0, len(bad), 1 + k % 5):
            bad[at] = rng.integers(0, 256)
        found = decoder.decode(Message(TELEMETRY["rack"], 0, k, bytes(bad), ARROW))
        assert isinstance(found, Rows | Refused)


@pytest.mark.parametrize(
    ("names", "values", "refused"),
    [
        (("ca01", "nobody"), (1.0, 1.0), {"nobody": "channel"}),
        (("ca01", "cb01"), (1.0, 1.0), {"cb01": "channel"}),
        (("ca01", "cp1"), (1.0, 1.0), {"cp1": "channel"}),
        (("ca01", "ca03"), (1.0, np.inf), {"ca03": "infinite"}),
        (("ca01", "ca03"), (-np.inf, 1.0), {"ca01": "infinite"}),
        (("ca01", "ca03"), (150e3, 150.1e3), {"ca03": "rating"}),
        (("ca01", "ca03"), (-151e3, np.nan), {"ca01": "rating"}),
        (("nobody", "ca03"), (np.inf, 1e9), {"nobody": "channel", "ca03": "rating"}),
    ],
)
def test_a_bad_row_is_left_out_and_named(decoder, names, values, refused):
    """Unknown or another's channel, infinite, above 3 x rating: the row; the rest is used."""
    power_w = np.array([[1.0, v] for v in values], np.float32)
    rows = decode(decoder, channel_ids=names, power_w=power_w)
    assert isinstance(rows, Rows)
    assert {r.channel_id: r.reason for r in rows.refused} == refused
    kept = [n for n in names if n not in refused]
    assert rows.index.tolist() == [{"ca01": 0, "ca03": 2}[n] for n in kept]
    assert rows.power_w.shape == (len(kept), 2)


def test_without_a_rating_there_is_no_rating_check():
    """Any finite power passes where no rating is known; infinity does not."""
    decoder = Decoder({"tiny": tiny({"g": Gate()})})
    piece = Slice(
        "tiny", "rack", "g", 0, T0_NS, Rate(10), ("cg1", "cg2"),
        np.array([[3e38], [np.inf]], np.float32),
    )  # fmt: skip
    rows = decoder.check(piece)
    assert rows.index.tolist() == [0]
    assert [r.reason for r in rows.refused] == ["infinite"]


def test_a_missing_value_is_no_bad_value(decoder):
    """NaN passes as missing, also a whole row of it."""
    rows = decode(decoder, power_w=np.full((2, 2), np.nan, np.float32))
    assert isinstance(rows, Rows)
    assert rows.refused == ()
    assert np.isnan(rows.power_w).all()


def test_other_names_from_the_same_gateway_are_looked_up_again(decoder):
    """What was resolved for one list of channels is not used for another."""
    for names, index in ((("ca01", "ca03"), [0, 2]), (("ca04", "ca02"), [3, 1])) * 2:
        rows = decode(decoder, channel_ids=names)
        assert isinstance(rows, Rows)
        assert rows.index.tolist() == index


def test_a_dead_letter_says_where_what_and_how_much():
    """Reason, place, full size, and the first KiB only."""
    value = bytes(range(256)) * 20
    letter = dead_letter(Message("t", 3, 9, value), Cause("late", "why", (), 5), "s")
    assert (letter.reason, letter.detail, letter.samples, letter.site_id) == ("late", "why", 5, "s")
    assert (letter.topic, letter.partition, letter.offset) == ("t", 3, 9)
    assert (letter.size, letter.head) == (len(value), value[:HEAD_BYTES])
    assert dead_letter(Message("t", 3, 9, None), Cause("empty", "")).size == 0


@pytest.mark.parametrize(
    ("volts", "reason"),
    [((230e3, 115e3), None), ((230e3, -1.0), "voltage"), ((np.inf, 1.0), "voltage"),
     ((230e3, 700e3), "voltage")],
)  # fmt: skip
def test_voltage_is_a_share_of_the_nominal_one(volts, reason):
    """Per unit by the site file; what is negative, infinite or absurd is told, its power used."""
    site = topology(nominal_v=230e3)
    piece = Slice(
        "t1", "substation", "gs", 3, T0_NS, Rate(50), ("cs",), np.full((1, 2), 5e3, np.float32),
        voltage_v=np.array([volts], np.float32),
    )  # fmt: skip
    rows = Decoder({"t1": site}).decode(message(piece, level="substation"))
    assert [r.reason for r in rows.refused] == ([reason] if reason else [])
    expected = [[np.nan] * 2] if reason else [[1.0, 0.5]]
    np.testing.assert_array_equal(rows.voltage_pu, np.array(expected, np.float32))
    np.testing.assert_array_equal(rows.power_w, [[5e3, 5e3]])
    (rows,) = [Decoder({"t1": topology()}).decode(message(piece, level="substation"))]
    assert np.isnan(rows.voltage_pu).all()
