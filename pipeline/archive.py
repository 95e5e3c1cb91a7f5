"""
The archive's front: layout, the published catalog of views, read-only queries.

The only file that imports duckdb. The Parquet commits (`commits`) are the archive;
``archive.duckdb`` is a small, disposable catalog of views over them, replaced in one rename.

Errors
------
ArchiveError
    QueryError  a query that was refused, failed, or went past its limits
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
import threading
from collections.abc import Generator, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from pipeline import formats
from pipeline.durable import fsync_folder, locked
from pipeline.errors import LockstepError
from pipeline.views import VIEWS, definitions, pinned, template, text
from schemas.tables import FORMAT

__all__ = [
    "VIEWS",
    "ArchiveError",
    "Limits",
    "QueryError",
    "batches",
    "create",
    "existing",
    "publish",
    "query",
]

CATALOG = "archive.duckdb"
MIB = 1 << 20


class ArchiveError(LockstepError):
    """The archive could not be made or read; one sentence."""


class QueryError(ArchiveError):
    """A query that was refused, failed, or went past its limits; one sentence."""


class Limits(NamedTuple):
    """What one query may take."""

    rows: int = 100_000
    run_s: float = 60.0
    memory_bytes: int = 1024 * MIB
    threads: int = 2


def create(root: Path) -> None:
    """
    Make the archive, or make ready the one that is there; safe when many do it at once.

    The catalog is published again where it is missing, damaged, or speaks of another folder or
    other views.

    Raises
    ------
    ArchiveError, pipeline.commits.CommitError
        One sentence.
    """
    root = _checked(root)
    formats.create_layout(root)
    if not _current(root):
        publish(root)


def publish(root: Path) -> None:
    """
    Replace ``archive.duckdb`` in one rename; open sessions keep the one they have.

    Raises
    ------
    ArchiveError
        One sentence.
    """
    root = _checked(root)
    draft = root / "tmp" / f"catalog-{secrets.token_hex(8)}.duckdb"
    try:
        with locked(root / "tmp" / "catalog-lock", wait=True):  # no older one over a newer
            for left in (root / "tmp").glob("catalog-*.duckdb*"):
                left.unlink()
            _write_catalog(root, draft)
            draft.chmod(0o444)
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            (root / f"{CATALOG}.wal").unlink(missing_ok=True)  # a dead session's would be applied
            draft.rename(root / CATALOG)
            fsync_folder(root)
    except (duckdb.Error, OSError) as error:
        draft.unlink(missing_ok=True)
        msg = f"catalog of archive {root} could not be published: {_first_line(error)}"
        raise ArchiveError(msg) from error


def _write_catalog(root: Path, draft: Path) -> None:
    draft.write_bytes(_template())
    statements = list(definitions(root))
    told = "\n".join([*template(), *statements])
    _make(draft, [*statements, f"CREATE TABLE catalog_of AS SELECT {text(told)} AS definition"])


@cache
def _template() -> bytes:
    """A catalog of the questions, which take longer to bind than to copy."""
    with tempfile.TemporaryDirectory(prefix="lockstep-catalog-") as name:
        path = Path(name) / CATALOG
        _make(path, template())
        return path.read_bytes()


def _make(path: Path, statements: Iterable[str]) -> None:
    """Run statements in a database file."""
    with contextlib.closing(duckdb.connect()) as con:
        # 1.0 is what every duckdb since reads
        con.execute(f"ATTACH {text(path)} AS archive (STORAGE_VERSION 'v1.0.0')")
        con.execute("USE archive")
        con.execute("BEGIN")  # each statement by itself would be fsynced
        con.execute("\n;\n".join(statements))  # one after the other, without the interpreter
        con.execute("COMMIT")
        con.execute("CHECKPOINT archive")
        con.execute("USE memory")
        con.execute("DETACH archive")


def query(root: Path, sql: str, *, limits: Limits | None = None) -> tuple[list[str], list[Any]]:
    """
    Answer one SELECT over the archive as it stands at one instant, across all tables.

    Parameters
    ----------
    root : Path
        The archive.
    sql : str
        One SELECT (or VALUES, SHOW, DESCRIBE); it sees the views and no other file.
    limits : Limits, optional
        Rows, seconds, bytes and threads.

    Returns
    -------
    columns : list of str
    rows : list of tuple

    Raises
    ------
    QueryError
        One sentence.
    """
    limits = limits or Limits()
    with _asked(root, sql, limits) as result:
        columns = [column[0] for column in result.description or ()]
        rows = result.fetchmany(limits.rows + 1)
    if len(rows) > limits.rows:
        more = "add a LIMIT or aggregate, or write them to a file with `archive export`"
        msg = f"the query gives more than {limits.rows} rows; {more}"
        raise QueryError(msg)
    return columns, rows


def batches(root: Path, sql: str, *, limits: Limits | None = None) -> Generator[Any]:
    """
    Like `query`, as Arrow: first the schema, then record batches of at most ``limits.rows`` rows.

    The rows are never in memory all at once, unless the SELECT itself has to sort them.
    """
    limits = limits or Limits()
    with _asked(root, sql, limits) as result:
        reader = result.to_arrow_reader(limits.rows)
        yield reader.schema
        yield from reader


@contextlib.contextmanager
def _asked(root: Path, sql: str, limits: Limits) -> Iterator[Any]:
    """Run one SELECT; the time for it runs until the rows are taken."""
    root = existing(root)
    _check_select(sql)
    with _failures_as_sentences(limits), contextlib.closing(duckdb.connect()) as con:
        _open(con, root, sql, limits)
        timer = threading.Timer(limits.run_s, con.interrupt)
        timer.start()
        try:
            yield con.execute(sql)
        finally:
            timer.cancel()


def _fingerprint(root: Path) -> str:
    return "\n".join([*template(), *definitions(root)])


def _current(root: Path) -> bool:
    path = root / CATALOG
    if not path.exists():
        return False
    try:
        with contextlib.closing(duckdb.connect()) as con:
            con.execute(f"ATTACH {text(path)} AS archive (READ_ONLY)")
            found = con.execute("SELECT definition FROM archive.catalog_of").fetchall()
    except duckdb.Error:
        return False  # damaged: it is disposable
    return found == [(_fingerprint(root),)]


def _open(con: Any, root: Path, sql: str, limits: Limits) -> None:
    """Give a fresh in-memory session the views, all cut at one instant, and lock it."""
    con.execute(f"SET memory_limit = '{limits.memory_bytes // MIB} MiB'")
    con.execute(f"SET threads = {limits.threads}")
    con.execute("SET temp_directory = ''")
    con.execute("SET enable_progress_bar = false")  # it would go to standard output
    con.execute(f"SET allowed_directories = [{text(root / 'live')}, {text(root / 'sealed')}]")
    con.execute("SET enable_external_access = false")
    for statement in pinned(root, sql):
        con.execute(statement)
    con.execute("SET lock_configuration = true")


def _check_select(sql: str) -> None:
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        msg = f"the query cannot be read: {_first_line(error)}"
        raise QueryError(msg) from error
    if [s.type for s in statements] != [duckdb.StatementType.SELECT]:
        msg = "the SQL door takes one SELECT and writes nothing; for more, use the duckdb shell"
        raise QueryError(msg)


@contextlib.contextmanager
def _failures_as_sentences(limits: Limits) -> Iterator[None]:
    try:
        yield
    except duckdb.InterruptException as error:
        msg = f"the query took longer than {limits.run_s:g} s; narrow it by time or node"
        raise QueryError(msg) from error
    except duckdb.OutOfMemoryException as error:
        size = f"{limits.memory_bytes // MIB} MiB"
        msg = f"the query needs more than {size} of memory; narrow it by time or node"
        raise QueryError(msg) from error
    except duckdb.CatalogException as error:
        msg = f"the query failed: {_first_line(error)}; `sql --views` lists what there is"
        raise QueryError(msg) from error
    except duckdb.Error as error:
        msg = f"the query failed: {_first_line(error)}"
        raise QueryError(msg) from error


def _checked(root: Path) -> Path:
    root = Path(root).absolute()
    if any(letter in str(root) for letter in "*?[]{}"):
        msg = f"archive folder {root} has one of * ? [ ] {{ }} in its name; use another name"
        raise ArchiveError(msg)
    return root.resolve()


def existing(root: Path) -> Path:
    """Return the archive's folder, absolute; refuse one without an archive in a sentence."""
    root = _checked(root)
    found = formats.format_of(root)
    if found is None:
        msg = f"there is no archive at {root}; name the folder of one"
        raise QueryError(msg)
    if found.format < FORMAT:
        create(root)
    return root


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
