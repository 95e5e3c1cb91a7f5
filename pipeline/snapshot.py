"""
The state's bit-exact codec: arrays, records and numbers to bytes and back, never pickle.

A snapshot is ``MAGIC``, a digest of the rest, the layout's name, and the state in msgpack with
arrays as extensions. Whoever reads it says which layout it expects (`layout_of`).

Errors
------
SnapshotError
    OtherLayout   written for another state than the one expected
    TornSnapshot  not a whole snapshot
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import math
import struct
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
import numpy as np

__all__ = [
    "OtherLayout",
    "SnapshotError",
    "TornSnapshot",
    "decode",
    "difference",
    "encode",
    "layout_of",
]

MAGIC = b"LKSTEP\x00\x01"
DIGEST_BYTES = 32
HEADER = struct.Struct("<I")
ARRAY, SCALAR, FLAGS = 1, 2, 3
"""Extensions; flags are an array of bool, eight in a byte."""

_LEARNED: dict[Any, msgspec.msgpack.Decoder[Any]] = {}
_LEARNING = threading.Lock()
"""msgspec learns a type at its first use; two threads that do so at once end the process."""

T = TypeVar("T")


class SnapshotError(Exception):
    """A snapshot that cannot be used; one sentence."""


class OtherLayout(SnapshotError):
    """Written for another state than the one expected."""


class TornSnapshot(SnapshotError):
    """Not a whole snapshot."""


def encode(state: Any, *, layout: str) -> bytes:
    """
    Write a state as bytes; `decode` gives it back bit for bit.

    Parameters
    ----------
    state : tree
        Dataclasses, NamedTuples, msgspec Structs, dicts, lists, tuples, int (64 bits), float,
        str, bool, None, bytes, NumPy arrays and scalars of any dtype but object.
    layout : str
        `layout_of` a freshly started state.

    Raises
    ------
    TypeError
        One sentence, when something in the state is none of these.
    """
    head = layout.encode()
    body = msgspec.msgpack.encode(state, enc_hook=_to_extension)
    rest = b"".join((HEADER.pack(len(head)), head, body))
    return b"".join((MAGIC, _digest(rest), rest))


def decode(data: bytes, type_: type[T], *, layout: str) -> T:
    """
    Read a state back.

    Arrays come back writable, C-ordered and with their own dtype, also where a field is annotated
    ``Any``. Records and tuples need their annotation: below ``Any`` they come back as lists and
    dicts (`difference` finds such a place).

    Parameters
    ----------
    data : bytes
        From `encode`.
    type_ : type
        Of the state.
    layout : str
        What the state of this program looks like.

    Raises
    ------
    TornSnapshot, OtherLayout
        One sentence.
    """
    rest = memoryview(data)[len(MAGIC) + DIGEST_BYTES :]
    if data[: len(MAGIC)] != MAGIC or data[len(MAGIC) :][:DIGEST_BYTES] != _digest(rest):
        msg = f"snapshot of {len(data)} bytes is torn or no snapshot; take the one before it"
        raise TornSnapshot(msg)
    (size,) = HEADER.unpack_from(rest)
    found = bytes(rest[HEADER.size : HEADER.size + size]).decode()
    if found != layout:
        msg = (
            f"snapshot has layout {found[:12]}, this program and topology have {layout[:12]}; "
            "start cold"
        )
        raise OtherLayout(msg)
    body = rest[HEADER.size + size :]
    decoder: msgspec.msgpack.Decoder[T] = _decoder(type_)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        msg = f"snapshot does not fit {getattr(type_, '__name__', type_)}: {error}; start cold"
        raise OtherLayout(msg) from error


def layout_of(state: Any) -> str:
    """Name a freshly started state's layout: sha256 over its sorted paths, dtypes and shapes."""
    lines = sorted(f"{path} {_kind(leaf)}" for path, leaf in _leaves(state, "$"))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def difference(a: Any, b: Any) -> str | None:
    """Return the first path at which two states are not the same type and bits, or None."""
    left, right = dict(_leaves(a, "$")), dict(_leaves(b, "$"))
    for path in sorted(left.keys() | right.keys()):
        if path not in left or path not in right:
            return f"{path}: only on one side"
        if _bits(left[path]) != _bits(right[path]):
            return f"{path}: {left[path]!r} and {right[path]!r}"
    return None


def _decoder(type_: Any) -> msgspec.msgpack.Decoder[Any]:
    with _LEARNING:
        if type_ not in _LEARNED:
            _LEARNED[type_] = msgspec.msgpack.Decoder(type_, ext_hook=_from_extension)
        return _LEARNED[type_]


def _digest(data: Any) -> bytes:
    return hashlib.sha256(data).digest()


def _to_extension(value: Any) -> msgspec.msgpack.Ext:
    if not isinstance(value, np.ndarray | np.generic) or value.dtype.hasobject:
        what = getattr(value, "dtype", type(value).__name__)
        msg = f"a state cannot hold {what}; use numbers, text, records or arrays of numbers"
        raise TypeError(msg)
    if isinstance(value, np.ndarray) and value.dtype == bool:
        code, raw = FLAGS, np.packbits(value).tobytes()
    else:
        code, raw = ARRAY if isinstance(value, np.ndarray) else SCALAR, value.tobytes()
    head = f"{_descr(value.dtype)};{','.join(map(str, value.shape))}".encode()
    return msgspec.msgpack.Ext(code, b"".join((HEADER.pack(len(head)), head, raw)))


def _from_extension(code: int, data: memoryview) -> Any:
    (size,) = HEADER.unpack_from(data)
    start = HEADER.size + size
    descr, shape = bytes(data[HEADER.size : start]).decode().rsplit(";", 1)
    dtype = _dtype(descr)
    sizes = tuple(int(n) for n in shape.split(",")) if shape else ()
    raw = np.frombuffer(data[start:], np.uint8).copy()  # writable, and aligned again
    if code == FLAGS:
        return np.unpackbits(raw, count=math.prod(sizes)).view(bool).reshape(sizes)
    array = raw.view(dtype).reshape(sizes) if dtype.itemsize else np.zeros(sizes, dtype)
    return array if code == ARRAY else array[()]


@functools.cache
def _descr(dtype: np.dtype[Any]) -> str:
    return repr(np.lib.format.dtype_to_descr(dtype))


@functools.cache
def _dtype(descr: str) -> np.dtype[Any]:
    return np.lib.format.descr_to_dtype(ast.literal_eval(descr))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every leaf with its path; a container is a leaf too, for its type and its size."""
    children: Any = None
    if isinstance(value, dict):
        children = [(f"{path}[{key!r}]", child) for key, child in value.items()]
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        children = [(f"{path}.{n}", getattr(value, n)) for n in value._fields]
    elif isinstance(value, list | tuple):
        children = [(f"{path}[{i}]", child) for i, child in enumerate(value)]
    elif isinstance(value, msgspec.Struct):
        children = [(f"{path}.{n}", getattr(value, n)) for n in value.__struct_fields__]
    elif dataclasses.is_dataclass(value):
        children = [(f"{path}.{f.name}", getattr(value, f.name)) for f in dataclasses.fields(value)]
    if children is None:
        yield path, value
        return
    yield path, type(value)
    for at, child in children:
        yield from _leaves(child, at)


def _kind(leaf: Any) -> str:
    if isinstance(leaf, np.ndarray):
        return f"array {_descr(leaf.dtype)} {leaf.shape}"
    return leaf.__qualname__ if isinstance(leaf, type) else type(leaf).__qualname__


def _bits(leaf: Any) -> Any:
    """What two leaves must share to be the same, bit for bit."""
    if isinstance(leaf, np.ndarray | np.generic):
        return type(leaf), _descr(leaf.dtype), leaf.shape, leaf.tobytes()
    if isinstance(leaf, float):
        return float, struct.pack("<d", leaf)
    return type(leaf), leaf
