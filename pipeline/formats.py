"""
The archive's format: an archive is made, or brought up from an older format without a rewrite.

``format.json`` says which format the archive has and which is the oldest its files may have. Old
files keep their names and columns; the views fill in what they lack, and whenever they are merged
they are written in the new format. Older programs may go on committing meanwhile.
"""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from pipeline import commit_files as files
from pipeline import rows, sealed
from pipeline.commit_files import CommitError, CommitRecord, Fenced
from pipeline.durable import fsync_folder, locked, write_durably
from schemas.tables import FORMAT, TABLES, file_stems

__all__ = ["Format", "create_layout", "format_of", "migrate"]

NAME = "format.json"


class Format(msgspec.Struct, frozen=True):
    """``format.json``."""

    format: int
    oldest: int
    """Files of this format and later may lie in the archive."""


DECODER = msgspec.json.Decoder(Format)


def format_of(root: Path) -> Format | None:
    """
    Return the format of the archive there, or None where there is none.

    Raises
    ------
    CommitError
        One sentence, when it is damaged or newer than this program.
    """
    path = root / NAME
    try:
        found = DECODER.decode(path.read_bytes())
    except FileNotFoundError:
        first = files.commit_path(root, files.SCHEMA_WRITER, 0)
        return Format(1, 1) if first.exists() else None
    except msgspec.MsgspecError as error:
        msg = f"{path} is damaged ({error}); restore it from a backup"
        raise CommitError(msg) from error
    if found.format > FORMAT:
        msg = (
            f"archive {root} is of format {found.format}, this program knows formats up to "
            f"{FORMAT}; use a newer one"
        )
        raise CommitError(msg)
    return found


def create_layout(root: Path) -> None:
    """
    Make the archive's directories and its zero-row first commit; safe when many do it at once.

    Raises
    ------
    CommitError
        One sentence, when the archive there has other tables than `schemas.tables` or is of a
        newer format, or the disk refuses.
    """
    found = format_of(root)
    try:
        for part in ("live/writer=!", "owners", "sealed", "tmp"):
            (root / part).mkdir(parents=True, exist_ok=True)
        if found is not None and found.format < FORMAT:
            migrate(root)
        first = _first(root)
        if not (root / "sealed" / "bound.json").exists():
            sealed.open_generation(root, 0, first)
        if found is None:
            _write(root, Format(FORMAT, FORMAT))
    except OSError as error:
        msg = f"archive {root} cannot be made: {error.strerror}; choose a folder one can write to"
        raise CommitError(msg) from error
    for name, schema in _zero_rows().items():
        if not rows.has_schema(first / f"{name}.parquet", schema):
            msg = (
                f"archive {root} has another table {name} than this version writes; "
                "use another archive folder"
            )
            raise CommitError(msg)


def migrate(root: Path) -> None:
    """
    Bring an archive of an older format up to this one: new zero-row files, a new generation.

    No row is touched; a session that is open keeps its views. Safe to do twice and at any instant.
    """
    with locked(root / "sealed" / "lock", wait=True):
        found = format_of(root)
        if found is None or found.format >= FORMAT:
            return
        first = _first(root)
        manifest = sealed.read(root)
        generation = manifest.generation + 1
        sealed.open_generation(root, generation, first)
        sealed.write(root, msgspec.structs.replace(manifest, generation=generation, format=FORMAT))
        _write(root, Format(FORMAT, found.oldest))


def _first(root: Path) -> Path:
    """The zero-row commit of this format, made where it is missing."""
    first = files.commit_path(root, files.SCHEMA_WRITER, files.SCHEMA_N)
    if not first.exists():
        tables = {name: schema.empty_table() for name, schema in _zero_rows().items()}
        record = CommitRecord(writer=files.SCHEMA_WRITER, n=files.SCHEMA_N)
        with contextlib.suppress(Fenced):  # another process was faster
            files.publish(root, record, tables, None)
        fsync_folder(root / "live")
        fsync_folder(root)
    return first


def _zero_rows() -> dict[str, Any]:
    """Schema by file name, old names too."""
    found = {}
    for table, schema in TABLES.items():
        for stem, (_, columns) in file_stems(table).items():
            fields = [field for field in schema if field.name in columns]
            found[stem] = pa.schema(fields)
    return found


def _write(root: Path, form: Format) -> None:
    draft = root / "tmp" / f"format-{secrets.token_hex(8)}"
    write_durably(draft, msgspec.json.encode(form))
    draft.rename(root / NAME)
    fsync_folder(root)
