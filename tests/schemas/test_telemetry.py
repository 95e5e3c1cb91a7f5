"""The telemetry message: both forms say the same, and what is wrong with one is said."""

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from schemas.telemetry import (
    ARROW,
    NDJSON,
    Refused,
    RowRefusal,
    encode_arrow,
    encode_ndjson,
    parse,
)
from schemas.topology import Topology
from schemas.units import Rate
from tests.schemas.slices import EXAMPLES, GOLDEN, LISTS, META, arrow, piece, refusal, same


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: f"{p.parts[-3]}-{p.stem}")
def test_golden_forms_agree(path):
    """Arrow bytes and JSON lines of the same example parse to the same slice, of its topic."""
    one, twin = parse(path.read_bytes()), parse(path.with_suffix(".ndjson").read_bytes())
    assert same(one, twin)
    assert path.parts[-3] == f"telemetry.{one.level}"
    assert one.end == (path.stem == "end_of_stream")


def test_golden_forms_are_all_there():
    """Among them: power, scaled and plain, voltage, an end of stream; a JSON twin of each."""
    assert {p.stem for p in GOLDEN} == {"power_w", "power_i16", "end_of_stream", "voltage_v"}
    assert {p.with_suffix(".ndjson") for p in GOLDEN} == set(
        EXAMPLES.glob("telemetry.*/v1/*.ndjson")
    )


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: f"{p.parts[-3]}-{p.stem}")
def test_golden_examples_fit_the_topology(path):
    """Site, gateway, level, rate and channels of the examples are those of cedar.toml."""
    one, site = parse(path.read_bytes()), Topology.load(EXAMPLES / "topology/cedar.toml")
    gateway = site.gateway_by_id[one.gateway_id]
    assert (site.site.id, gateway.level, gateway.rate) == (one.site_id, one.level, one.rate)
    assert {site.channel_gateway[name] for name in one.channel_ids} <= {gateway.id}


@pytest.mark.parametrize("encode", [encode_arrow, encode_ndjson])
@pytest.mark.parametrize("kind", ["", "text/plain"])
def test_round_trip(encode, kind):
    """What is encoded is parsed again, whether the header says the form or the first byte must."""
    own = ARROW if encode is encode_arrow else f"{NDJSON}; charset=utf-8"
    for sent in (
        piece(),
        piece((), np.zeros((0, 0)), end=True),
        piece(voltage_v=np.array([[230e3, np.nan, 1.0], [np.nan] * 3], np.float32)),
        piece(rate=Rate(1, 4), power=((1,), (2,))),
    ):
        assert same(parse(encode(sent), kind), sent)
        assert same(parse(encode(sent), own), sent)


def test_arrow_values_are_not_copied():
    """The uniform float32 form is a view of the message's own bytes."""
    value = encode_arrow(piece())
    got = parse(value).power_w
    where = np.frombuffer(value, np.uint8).__array_interface__["data"][0]
    assert where <= got.__array_interface__["data"][0] < where + len(value)


def test_names_are_recognised_by_every_byte():
    """A remembered channel column is used again for equal bytes only, whatever the order."""
    columns = [("a", "b"), ("b", "a"), ("a", "c"), ("a", "b")]
    for names in columns:
        assert parse(encode_arrow(piece(names))).channel_ids == names
    first, again = (parse(encode_arrow(piece(names))).channel_ids for names in (columns[0],) * 2)
    assert first is again
    many = [f"rack-{i:04d}" for i in range(100)]
    for first_name in ("rack-000x", "rack-000y"):
        names = (first_name, *many)
        assert parse(encode_arrow(piece(names, np.ones((101, 1))))).channel_ids == names
    plain = {"channel_id": pa.array(["a", "b"]), "power_w": pa.array([[1.0], [2.0]], LISTS)}
    assert parse(arrow(**plain)).channel_ids == ("a", "b")


def test_integer_form():
    """power_i16 is value * scale_w + offset_w, null stays missing, each row with its own scale."""
    got = parse(
        arrow(
            channel_id=pa.array(["a", "b"]).dictionary_encode(),
            power_i16=pa.array([[1, None], [-3, 4]], pa.list_(pa.int16())),
            scale_w=pa.array([10.0, 0.5]),
            offset_w=pa.array([100.0, 0.0]),
        )
    )
    np.testing.assert_array_equal(got.power_w, [[110.0, np.nan], [-1.5, 2.0]])
    assert got.power_w.dtype == np.float32


def test_rows_of_another_length_are_left_out():
    """The commonest length counts; short, long, empty and null rows are named."""
    rows = [[1.0], [2.0, 3.0], None, [], [4.0, 5.0], [1.0, 2.0, 3.0]]
    got = parse(arrow(channel_id=pa.array(list("abcdef")), power_w=pa.array(rows, LISTS)))
    assert got.channel_ids == ("b", "e")
    np.testing.assert_array_equal(got.power_w, [[2, 3], [4, 5]])
    assert got.refused == tuple(RowRefusal(c, "length") for c in "acdf")


def test_integer_rows_keep_their_scale_when_others_go():
    """A row left out takes its own scale with it, not its neighbour's."""
    got = parse(
        arrow(
            channel_id=pa.array(["a", "b", "c"]),
            power_i16=pa.array([[1, 1], [1], [1, 1]], pa.list_(pa.int16())),
            scale_w=pa.array([1.0, 2.0, 4.0]),
            offset_w=pa.array([0.0, 0.0, 0.5]),
        )
    )
    np.testing.assert_array_equal(got.power_w, [[1, 1], [4.5, 4.5]])


@pytest.mark.parametrize("encode", [encode_arrow, encode_ndjson])
def test_a_channel_twice_counts_once(encode):
    """A channel's second row in one message is refused as `channel`; the first one is used."""
    got = parse(encode(piece(("a", "b", "a"), ((1,), (2,), (3,)))))
    assert got.channel_ids == ("a", "b")
    assert got.power_w[0, 0] == 1
    assert got.refused == (RowRefusal("a", "channel"),)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": "2"}, "version"),
        ({"version": None}, "version"),
        ({"unit": "kW"}, "unit"),
        ({"unit": None}, "unit"),
        ({"rate_hz": "0"}, "rate"),
        ({"rate_hz": "4001"}, "rate"),
        ({"rate_hz": "2/3"}, "rate"),
        ({"seq": "-1"}, "unreadable"),
        ({"seq": "1_000"}, "unreadable"),
        ({"t0_ns": "9223372036854775807"}, "unreadable"),
        ({"t0_ns": "9" * 5000}, "unreadable"),
        ({"t0_ns": "1.5e18"}, "unreadable"),
        ({"site_id": None}, "unreadable"),
        ({"end": "1"}, "unreadable"),
    ],
)
def test_metadata_is_checked(change, reason):
    """Each metadata key, bent or missing, gives its reason; an end has no rows."""
    meta = {k: v for k, v in {**META, **change}.items() if v is not None}
    assert refusal(arrow(meta)) == reason


def test_one_second_at_most():
    """A slice spans at most 1 s: eleven samples at 10 Hz are refused, ten are not."""
    assert parse(encode_arrow(piece(("a",), (range(10),)))).power_w.shape == (1, 10)
    assert refusal(encode_arrow(piece(("a",), (range(11),)))) == "length"
    assert refusal(encode_arrow(piece(("a",), ((1, 2),), rate=Rate(1, 60)))) == "length"
    assert refusal(arrow(channel_id=pa.array(["a"]), power_w=pa.array([[]], LISTS))) == "length"


def test_json_lines_say_which_line_differs():
    """A message is one slice: any metadata key that differs between lines is named."""
    lines = [msgspec.json.decode(line) for line in encode_ndjson(piece()).splitlines()]
    for key in ("site_id", "level", "gateway_id", "unit", "rate_hz"):
        bent = [lines[0], {**lines[1], key: "x"}]
        with pytest.raises(Refused, match=key):
            parse(b"\n".join(msgspec.json.encode(line) for line in bent))


def test_beyond_float32_is_infinite_and_silent():
    """A JSON number above float32 becomes Inf, without a warning; decode refuses it."""
    line = {**META, "seq": 7, "t0_ns": 1, "channel_id": "a", "power_w": [1e300]}
    assert np.isinf(parse(msgspec.json.encode(line)).power_w).all()


BAD_VOLTS = {
    "another type": pa.array([[1, 2, 3], [1, 2, 3]], pa.list_(pa.int32())),
    "text": pa.array(["230 kV", "230 kV"]),
    "too short": pa.array([[1.0, 2.0], [1.0]], LISTS),
}


@pytest.mark.parametrize("name", BAD_VOLTS)
def test_power_is_not_lost_over_a_voltage(name):
    """A voltage that cannot be read is told row by row; the power beside it counts."""
    power = pa.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], LISTS)
    columns = {"channel_id": pa.array(["a", "b"]), "power_w": power, "voltage_v": BAD_VOLTS[name]}
    found = parse(arrow(**columns))
    assert found.refused == (RowRefusal("a", "voltage"), RowRefusal("b", "voltage"))
    np.testing.assert_array_equal(found.power_w, [[1, 2, 3], [4, 5, 6]])
    assert np.isnan(found.voltage_v).all()


def test_a_voltage_is_of_its_own_row():
    """Beside a row refused for its length, and where a row has none."""
    power = pa.array([[1.0, 2.0], [9.0], [3.0, 4.0], [5.0, 6.0]], LISTS)
    volts = pa.array([[11.0, None], [9.0], None, [15.0, 16.0]], LISTS)
    found = parse(arrow(channel_id=pa.array(list("abcd")), power_w=power, voltage_v=volts))
    assert found.refused == (RowRefusal("b", "length"),)
    np.testing.assert_array_equal(found.voltage_v, [[11, np.nan], [np.nan] * 2, [15, 16]])
