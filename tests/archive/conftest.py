"""One archive of three sites, made once; questions through the SQL door."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline import archive
from tests.archive import fleet as of
from tests.archive.fleet_rows import fill

Ask = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """Folder of the archive."""
    folder = tmp_path_factory.mktemp("fleet")
    fill(folder)
    return folder


@pytest.fixture(scope="session")
def ask(root) -> Ask:
    """Rows of a SELECT, as dicts."""

    def asked(sql: str) -> list[dict[str, Any]]:
        columns, rows = archive.query(root, sql)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    return asked


@pytest.fixture(scope="session")
def truth() -> of.Fleet:
    """What went into it."""
    return of.fleet()
