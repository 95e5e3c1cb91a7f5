"""
A look at an Arrow stream's frames before Arrow reads them.

Arrow expands what a sender compressed, and joins dictionaries a sender sent in pieces: a message
of 1 MiB could ask for gigabytes. Both are refused here, from the frames' headers alone, as is a
stream that was cut short or goes on after its end. Formats: Arrow's ``Message.fbs``, FlatBuffers.
"""

from __future__ import annotations

import struct

from schemas.refusal import Refused

__all__ = ["screen"]

MAX_DICTIONARIES = 16
_PREFIX = struct.Struct("<Ii")
_U16, _I32, _U32, _I64 = (struct.Struct(f"<{code}") for code in "HiIq")
_CONTINUES = 0xFFFFFFFF
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_NAMES = {_SCHEMA: "schema", _DICTIONARY: "dictionary", _BATCH: "record batch"}


def screen(value: bytes) -> int:
    """
    Check that ``value`` is schema, whole dictionaries, one uncompressed record batch, end.

    Returns the number of the schema's metadata entries, so that one sent twice can be told.

    Raises
    ------
    Refused
        ``unreadable``, with the sentence.
    struct.error
        When a header points outside the bytes.
    """
    at, kinds, entries = 0, [], 0
    while True:
        marker, size = _PREFIX.unpack_from(value, at)
        if marker != _CONTINUES or size < 0:
            raise Refused("unreadable", f"no Arrow stream frame at byte {at}; send an IPC stream")
        at += _PREFIX.size
        if size == 0:
            break
        kind, body, found = _frame(value, at)
        entries = max(entries, found)
        kinds.append(kind)
        at += size + body
        if len(kinds) > MAX_DICTIONARIES + 2:
            break
    _check_order(kinds)
    if at != len(value):
        raise Refused("unreadable", f"{len(value) - at} bytes after the end of the Arrow stream")
    return entries


def _check_order(kinds: list[int]) -> None:
    """Schema first, the one record batch last, between them a few dictionaries."""
    pieces = max(len(kinds) - 2, 0)
    if kinds != [_SCHEMA, *[_DICTIONARY] * pieces, _BATCH] or pieces > MAX_DICTIONARIES:
        found = ", ".join(_NAMES.get(kind, "other") for kind in kinds[:5])
        text = f"the stream holds {found or 'nothing'}; send schema, dictionaries, one record batch"
        raise Refused("unreadable", text)


def _frame(value: bytes, at: int) -> tuple[int, int, int]:
    """Kind, body length and number of schema metadata entries of the frame's header at ``at``."""
    message = at + _U32.unpack_from(value, at)[0]
    kind_at, header_at, body_at = (_field(value, message, slot) for slot in (1, 2, 3))
    kind = value[kind_at] if kind_at else 0
    body = _I64.unpack_from(value, body_at)[0] if body_at else 0
    if body < 0 or not header_at:
        raise Refused("unreadable", "an Arrow frame has no header or a negative length")
    header = header_at + _U32.unpack_from(value, header_at)[0]
    if kind == _SCHEMA:
        listed_at = _field(value, header, 2)
        if not listed_at:
            return kind, body, 0
        listed = listed_at + _U32.unpack_from(value, listed_at)[0]
        return kind, body, _U32.unpack_from(value, listed)[0]
    if kind == _DICTIONARY:
        delta_at, batch_at = _field(value, header, 2), _field(value, header, 1)
        if not batch_at or (delta_at and value[delta_at]):
            raise Refused("unreadable", "a dictionary in pieces; send each dictionary whole")
        header = batch_at + _U32.unpack_from(value, batch_at)[0]
    if kind in {_DICTIONARY, _BATCH} and _field(value, header, 3):
        raise Refused("unreadable", "the Arrow body is compressed; let the topic compress")
    return kind, body, 0


def _field(value: bytes, table: int, slot: int) -> int:
    """Where a FlatBuffers table keeps field number ``slot``; 0 when it is absent."""
    vtable = table - _I32.unpack_from(value, table)[0]
    if vtable < 0:
        raise Refused("unreadable", "an Arrow header points before the message")
    at = 4 + 2 * slot
    if at >= _U16.unpack_from(value, vtable)[0]:
        return 0
    offset: int = _U16.unpack_from(value, vtable + at)[0]
    return table + offset if offset else 0
