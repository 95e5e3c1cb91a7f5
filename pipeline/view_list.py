"""``sql --views``: what can be asked, with parameters, columns and units; needs no archive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline import catalog
from pipeline.errors import UsageError
from pipeline.views import TABLE_VIEWS, VIEWS
from schemas.tables import TABLES

__all__ = ["described", "listed"]


def listed() -> list[dict[str, Any]]:
    """Every view and macro: ``name, what, takes``; the tables first."""
    tables = [{"name": name, "what": what, "takes": ""} for name, what in TABLE_VIEWS.items()]
    rest = sorted(catalog.questions().values(), key=lambda question: question.name)
    return tables + [
        {"name": q.name, "what": q.title, "takes": ", ".join(p.name for p in q.parameters)}
        for q in rest
    ]


def described(name: str) -> list[dict[str, Any]]:
    """
    Parameters and columns of one: ``name, is, unit, default, what``.

    Raises
    ------
    UsageError
        One sentence, when there is none of that name.
    """
    question = catalog.questions().get(name)
    if question is not None:
        takes = [_row(p, "parameter", p.default or "needed") for p in question.parameters]
        return takes + [_row(c, "column", "") for c in question.columns]
    if name not in TABLE_VIEWS:
        near = [n for n in (*VIEWS, *catalog.questions()) if name.lower() in n]
        hint = f"; did you mean {near[0]}" if near else "; `sql --views` lists them"
        msg = f"there is no view {name!r}{hint}"
        raise UsageError(msg)
    return [_row(column, "column", "") for column in _columns(name)]


def _row(column: catalog.Column, what: str, default: str) -> dict[str, Any]:
    said = {"name": column.name, "is": what, "unit": column.unit, "default": default}
    return {**said, "what": column.doc}


def _columns(name: str) -> Iterator[catalog.Column]:
    table = {"event_log": "events"}.get(name, name)
    for field in TABLES.get(table, ()):
        yield catalog.Column(field.name, *(field.metadata[k].decode() for k in (b"unit", b"doc")))
