"""A hostile telemetry message: nothing but Refused escapes, and memory stays bounded."""

import itertools
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import _arrow
from schemas.telemetry import (
    ARROW,
    MAX_BYTES,
    NDJSON,
    Refused,
    RowRefusal,
    encode_arrow,
    encode_ndjson,
    parse,
)
from tests.schemas.slices import EXAMPLES, GOLDEN, LISTS, META, arrow, piece, refusal

HOSTILE = {
    "no bytes": b"",
    "only an end": b"\xff\xff\xff\xff\0\0\0\0",
    "no batch": lambda: arrow(batches=0),
    "two batches": lambda: arrow(batches=2),
    "lz4 body": lambda: arrow(options=pa.ipc.IpcWriteOptions(compression="lz4")),
    "zstd body": lambda: arrow(options=pa.ipc.IpcWriteOptions(compression="zstd")),
    "key twice": lambda: arrow(pa.KeyValueMetadata([*META.items(), ("unit", "kW")])),
    "no power": lambda: arrow(channel_id=pa.array(["a"])),
    "no names": lambda: arrow(power_w=pa.array([[1.0]], LISTS)),
    "null name": lambda: arrow(
        channel_id=pa.array([None], pa.string()), power_w=pa.array([[1.0]], LISTS)
    ),
    "names are numbers": lambda: arrow(channel_id=pa.array([1]), power_w=pa.array([[1.0]], LISTS)),
    "power is text": lambda: arrow(channel_id=pa.array(["a"]), power_w=pa.array([["1.0"]])),
    "power is nulls": lambda: arrow(channel_id=pa.array(["a"]), power_w=pa.array([[None] * 10])),
    "power is nested": lambda: arrow(channel_id=pa.array(["a"]), power_w=pa.array([[[1.0]]])),
    "power in a dictionary": lambda: arrow(
        channel_id=pa.array(["a"]),
        power_w=pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), pa.array([[1.0]], LISTS)),
    ),
    "run-end encoded": lambda: arrow(
        channel_id=pa.RunEndEncodedArray.from_arrays([200_000], pa.array(["a"])),
        power_w=pa.nulls(200_000, LISTS),
    ),
    "scale is null": lambda: arrow(
        channel_id=pa.array(["a"]),
        power_i16=pa.array([[1]], pa.list_(pa.int16())),
        scale_w=pa.array([None], pa.float64()),
        offset_w=pa.array([0.0]),
    ),
    "scale is infinite": lambda: arrow(
        channel_id=pa.array(["a"]),
        power_i16=pa.array([[1]], pa.list_(pa.int16())),
        scale_w=pa.array([np.inf]),
        offset_w=pa.array([0.0]),
    ),
    "deep JSON": b'{"version":"1","z":' + b"[" * 200_000,
    "broken JSON": b'{"version":',
    "two slices": encode_ndjson(piece()) + encode_ndjson(piece(seq=8)),
    "not text": b'{"version":"\xff"}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_message_is_refused(name):
    """What would expand, nest, repeat or contradict itself is refused with a sentence."""
    value = HOSTILE[name]
    assert refusal(value() if callable(value) else value) in {"unreadable", "empty"}


def test_dictionary_in_pieces_is_refused():
    """Delta dictionaries would be joined at our cost; each dictionary comes whole."""
    schema = pa.schema(
        [("channel_id", pa.dictionary(pa.int32(), pa.string())), ("power_w", LISTS)], META
    )
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        for words in (["a"], ["a", "b"]):
            names = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), pa.array(words))
            writer.write_batch(pa.record_batch([names, pa.array([[1.0]], LISTS)], schema=schema))
    frames = [f.serialize().to_pybytes() for f in pa.ipc.MessageReader.open_stream(sink.getvalue())]
    assert len(frames) == 5  # schema, dictionary, batch, delta, batch
    whole = b"\xff\xff\xff\xff\0\0\0\0"
    assert parse(b"".join(frames[:3]) + whole).channel_ids == ("a",)
    with pytest.raises(Refused, match="in pieces"):
        parse(b"".join([*frames[:2], *frames[3:]]) + whole)


def test_every_cut_of_a_message_is_refused():
    """No beginning of an Arrow message is taken for a whole one, nor one with bytes after."""
    whole = encode_arrow(piece())
    for size in range(1, len(whole)):
        assert refusal(whole[:size], ARROW) == "unreadable"
    assert refusal(whole + b"\0") == "unreadable"


def test_size_limit():
    """One MiB passes, one byte more does not; None is an empty message."""
    assert refusal(b"{" * (MAX_BYTES + 1)) == "oversize"
    assert refusal(b"{" * MAX_BYTES) == "unreadable"
    assert refusal(None) == "empty"


def test_memory_is_bounded():
    """A long name in 200,000 rows is held once: 100 GB asked for, a few MB used."""
    names = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(100_000, np.int8)), pa.array(["x" * 500_000])
    )
    value = arrow(channel_id=names, power_w=pa.array([[]] * 100_000, LISTS))
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        assert refusal(value) == "length"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 * MAX_BYTES
    assert pa.total_allocated_bytes() - before < 4 * MAX_BYTES


def test_remembered_names_are_bounded(monkeypatch):
    """Whoever sends ever new names does not fill our memory: past the limit all is forgotten."""
    memory = _arrow._Memory()
    monkeypatch.setattr(_arrow, "_memory", memory)
    monkeypatch.setattr(_arrow._Memory, "LIMIT_BYTES", 20_000)
    for i in range(100):
        parse(encode_arrow(piece((f"a{i}", "b"))))
        assert memory.held_bytes <= 20_000 + 2_000
    assert 0 < len(memory.known) < 20


def test_texts_in_refusals_are_bounded():
    """A name of half a MiB does not travel on in a refusal or its sentence."""
    long = "x" * 400_000
    got = parse(encode_arrow(piece((long, "b", "c"), ((1,), (2,), (3,))))).refused
    assert got == ()
    rows = pa.array([[1.0], [2.0, 3.0], [2.0, 3.0]], LISTS)
    got = parse(arrow(channel_id=pa.array([long, "b", "c"]), power_w=rows)).refused
    assert got == (RowRefusal("x" * 64, "length"),)
    assert refusal(arrow({**META, "unit": long})) == "unit"
    assert refusal(arrow(**{long: pa.array([1])})) == "unreadable"


SEEDS = [p.read_bytes() for p in itertools.chain(GOLDEN, EXAMPLES.glob("telemetry.*/v1/*.ndjson"))]


@st.composite
def mutants(draw) -> bytes:
    """A golden message with a few bytes, words or stretches changed."""
    value = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(value) - 1, 0)))
        patch = draw(st.sampled_from([b"\0", b"\xff", b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0" * 8]))
        patch = draw(st.one_of(st.just(patch), st.binary(min_size=1, max_size=9)))
        cut = draw(st.sampled_from([len(patch), len(patch), 0, len(patch) + 8]))
        value[at : at + cut] = patch
    return bytes(value)


def outcome(value: bytes, content_type: str) -> None:
    """Parse; what comes back is a slice whose shape fits its names, or Refused."""
    try:
        got = parse(value, content_type)
    except Refused:
        return
    assert got.power_w.shape[0] == len(got.channel_ids) == len(set(got.channel_ids))
    assert got.power_w.dtype == np.float32
    assert got.end or 0 < got.power_w.shape[1] <= got.rate.samples
    float(np.nansum(np.abs(got.power_w.astype(np.float64))))


@settings(max_examples=1500, deadline=None)
@given(value=mutants(), kind=st.sampled_from(["", ARROW, NDJSON]))
def test_mutated_message_parses_or_is_refused(value, kind):
    """Whatever is changed in a good message, the answer is a sound slice or Refused."""
    with np.errstate(all="ignore"):
        outcome(value, kind)


@settings(max_examples=300, deadline=None)
@given(value=st.binary(max_size=400), kind=st.sampled_from(["", ARROW, NDJSON]))
def test_random_bytes_are_refused(value, kind):
    """Random bytes never raise anything but Refused."""
    outcome(value, kind)
    outcome(b"\xff\xff\xff\xff" + value, kind)
    outcome(b'{"version":"1",' + value, kind)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: f"{p.parts[-3]}-{p.stem}")
def test_every_byte_bent(path):
    """Each byte of a message bent in turn; among them types Arrow reads but cannot wrap."""
    value = path.read_bytes()
    for at, bent in itertools.product(range(len(value)), (0, 11, 255)):
        with np.errstate(all="ignore"):
            outcome(value[:at] + bytes([bent]) + value[at + 1 :], ARROW)
