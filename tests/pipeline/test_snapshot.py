"""The state's codec: what comes back is the same, bit for bit."""

from __future__ import annotations

import dataclasses
import struct
import subprocess
import sys
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from pipeline import snapshot


class Tail(NamedTuple):
    """An operator's state, as operators write it."""

    tail_w: Any
    seen: int
    known: np.ndarray | None = None


class Gate(msgspec.Struct):
    """A gateway's state."""

    seq: int
    held: tuple[bytes, ...]


@dataclasses.dataclass
class Site:
    """A site's state."""

    tails: dict[str, Tail]
    gates: list[Gate]
    scale: np.ndarray
    by_slot: dict[int, tuple[float, ...]]
    rest: Any = None


def nan_with(payload):
    """NaN that carries a payload."""
    return struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_0000 | payload))[0]


NAN32 = np.array([0x7F800ABC, 0xFFC12345], np.uint32).view(np.float32)  # signalling, quiet

ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.arange(6, dtype=np.int64).reshape(2, 3).T,
    np.arange(20, dtype=np.float32)[::3],
    np.array([True, False, True]),
    np.array(3.5, np.float32),
    np.array(7, np.uint8),
    np.empty((0, 4)),
    np.empty((3, 0), np.int16),
    NAN32,
    np.array([-0.0, np.inf, -np.inf, nan_with(77)]),
    np.array([1, 2], ">i4"),
    np.array([1 + 2j]),
    np.array(["rack", "pdu"]),
    np.zeros(3, "U0"),
    np.array([5], "M8[ns]"),
    np.array([(1, 2.5)], [("slot", "i8"), ("power_w;x", "f4")]),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.float32(1.25),
    np.float64(2.5),
    np.int64(-1),
    np.bool_(True),
    np.array(True),
    np.zeros((0, 3), bool),
    np.asfortranarray(np.arange(27).reshape(3, 9) % 2 == 0),
]


def again(state, type_):
    """There and back."""
    return snapshot.decode(snapshot.encode(state, layout="l"), type_, layout="l")


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}-{a.shape}")
def test_every_array_comes_back_bit_for_bit(array):
    """Dtype, shape, NaN payload and sign of zero survive, under Any as under an annotation."""
    for found in (again(Tail(array, 1), Tail).tail_w, again(array, type(array))):
        assert type(found) is type(array)
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert found.tobytes() == array.tobytes()
    assert snapshot.difference(Tail(array, 1), again(Tail(array, 1), Tail)) is None


def site():
    """A state with all that a state may hold."""
    tail = Tail(NAN32.reshape(1, 2), 2**62, np.arange(3.0))
    return Site(
        tails={"rack": tail, "pdu": Tail(np.zeros((2, 0)), 0)},
        gates=[Gate(7, (b"\x00\xff", b"")), Gate(-1, ())],
        scale=np.arange(12.0).reshape(3, 4)[:, ::2],
        by_slot={-5: (nan_with(3), -0.0), 10: ()},
        rest={"a": [1, 2.5, "x", None, True, b"b"], "b": np.arange(2)},
    )


def test_a_whole_state_comes_back_bit_for_bit():
    """Records in dicts and lists, numbers, bytes and arrays come back with their types."""
    found = again(site(), Site)
    assert snapshot.difference(site(), found) is None
    assert isinstance(found.tails["rack"], Tail)
    assert snapshot.encode(found, layout="l") == snapshot.encode(site(), layout="l")


def test_arrays_come_back_writable():
    """A kernel may write into the state that was loaded, without touching the bytes."""
    data = snapshot.encode(np.zeros(3), layout="l")
    snapshot.decode(data, np.ndarray, layout="l")[:] = 1
    assert snapshot.decode(data, np.ndarray, layout="l").sum() == 0


def test_difference_names_the_place():
    """One flipped payload bit, another dtype or a lost type is found, with its path."""
    one, two = site(), site()
    two.by_slot[-5] = (nan_with(4), -0.0)
    assert snapshot.difference(one, two).startswith("$.by_slot[-5][0]: ")
    two = site()
    two.scale = two.scale.astype(np.float32)
    assert snapshot.difference(one, two).startswith("$.scale: ")
    lost = again(dataclasses.replace(one, rest=one.tails["rack"]), Site)
    assert snapshot.difference(dataclasses.replace(one, rest=one.tails["rack"]), lost)
    assert snapshot.difference(1, 1.0)


def test_a_torn_snapshot_is_detected():
    """Any cut and any flipped byte is found before anything is decoded."""
    data = snapshot.encode(site(), layout="l")
    torn = [data[:n] for n in range(0, len(data), 7)]
    torn += [data[:n] + bytes([data[n] ^ 1]) + data[n + 1 :] for n in range(0, len(data), 5)]
    for bad in torn:
        with pytest.raises(snapshot.TornSnapshot, match="is torn or no snapshot; take the one"):
            snapshot.decode(bad, Site, layout="l")


def test_another_layout_is_refused_with_a_sentence():
    """A snapshot of another topology or program is not forced into this one."""
    data = snapshot.encode(site(), layout="a" * 64)
    with pytest.raises(snapshot.OtherLayout) as caught:
        snapshot.decode(data, Site, layout="b" * 64)
    assert str(caught.value) == (
        "snapshot has layout aaaaaaaaaaaa, this program and topology have bbbbbbbbbbbb; start cold"
    )
    with pytest.raises(snapshot.OtherLayout, match=r"does not fit Gate: .*; start cold"):
        snapshot.decode(snapshot.encode(site(), layout="l"), Gate, layout="l")
    with pytest.raises(snapshot.OtherLayout, match="does not fit ndarray"):
        snapshot.decode(snapshot.encode("x", layout="l"), np.ndarray, layout="l")


def test_the_layout_follows_paths_dtypes_and_shapes_not_values():
    """Same shape, same name; another dtype, shape, field or key, another name."""
    base = snapshot.layout_of(site())
    same = site()
    same.scale[:] = 9.0
    assert snapshot.layout_of(same) == base
    changed = [
        dataclasses.replace(site(), scale=np.zeros((3, 2), np.float32)),
        dataclasses.replace(site(), scale=np.zeros((4, 2))),
        dataclasses.replace(site(), gates=[]),
        dataclasses.replace(site(), rest=None),
    ]
    assert len({base, *map(snapshot.layout_of, changed)}) == 5


@pytest.mark.parametrize("value", [object(), {1, object()}, np.array([None]), 1j, 2**70])
def test_what_a_state_cannot_hold_is_refused(value):
    """Nothing is pickled: an unknown object is an error when it is written, not when read."""
    with pytest.raises((TypeError, OverflowError)):
        snapshot.encode({"a": value}, layout="l")


AT_ONCE = """
import sys, threading
from pipeline import snapshot
from pipeline.lane_state import LaneState
sys.setswitchinterval(1e-6)
data, gate = snapshot.encode(LaneState({}, {}, {}, 0), layout="l"), threading.Barrier(8)
def read():
    gate.wait()
    snapshot.decode(data, LaneState, layout="l")
threads = [threading.Thread(target=read) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_several_lanes_may_read_their_first_snapshots_at_once():
    """Each opens in a thread of its own; msgspec learning a type twice at once ends the process."""
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", AT_ONCE], check=False).returncode == 0
