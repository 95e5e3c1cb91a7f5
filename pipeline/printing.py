"""What the doors print: JSON for scripts, tables for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

__all__ = ["CELL_MAX", "dump", "flat", "table"]

CELL_MAX = 60


def dump(value: Any) -> None:
    """Print one JSON value and nothing else."""
    text = msgspec.json.encode(value, enc_hook=str)
    print(json.dumps(msgspec.json.decode(text), indent=2, ensure_ascii=False))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text.replace("\n", " ")


def flat(fields: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested fields as lines of a table."""
    for key, value in fields.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", None if value in ({}, []) else value


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], most: int = CELL_MAX) -> None:
    """Print rows below their heads, cells cut at ``most`` characters."""
    cells = [list(map(str, head)), *([_cell(value) for value in row] for row in rows)]
    cells = [[c if len(c) <= most else f"{c[: most - 1]}…" for c in row] for row in cells]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())
    print()
