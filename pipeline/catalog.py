"""
The archive's questions: views and macros over its tables, one ``pipeline/sql/<name>.sql`` each.

A file is a comment in TOML and one SELECT. The comment gives ``title``, ``parameters`` (default,
unit, meaning) and ``columns`` (unit, meaning). Of each file become

- a table macro: ``FROM ramp_mileage(from_utc := '2026-03-03', site := 'ashburn-1')``
- a view of the same name where every parameter has a default: ``FROM ramp_mileage``.

Both are bound to tables without rows first (`stubs`): binding to the real ones costs a look at
every commit, each time.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from schemas.tables import UTC_NS

__all__ = ["Column", "Question", "definitions", "needed", "questions"]

FOLDER = Path(__file__).with_name("sql")
WORD = re.compile(r"[a-z_][a-z0-9_]*")
HEADER = re.compile(r"/\*\n(.*?)\*/\n(.*)", re.DOTALL)
SPAN = {
    "from_utc": ["NULL", UTC_NS, "nothing before; text, date or timestamp, UTC"],
    "until_utc": ["NULL", UTC_NS, "nothing from here on"],
    "site": ["NULL", "", "one site_id; NULL: all"],
}


class Column(NamedTuple):
    """A column or a parameter; ``default`` is SQL, None where there is none."""

    name: str
    unit: str
    doc: str
    default: str | None = None

    @property
    def comment(self) -> str:
        """What the catalog says of it: unit and meaning."""
        return f"{self.unit}: {self.doc}".lstrip(": ")


class Question(NamedTuple):
    """One file: what it answers, what it takes, what it gives."""

    name: str
    title: str
    parameters: tuple[Column, ...]
    columns: tuple[Column, ...]
    select: str
    names: frozenset[str]
    """Every word of the SELECT: what it can lean on."""

    @property
    def is_view(self) -> bool:
        """Whether it can be asked without arguments."""
        return all(p.default is not None for p in self.parameters)


@cache
def questions() -> dict[str, Question]:
    """All of them by name, those that others lean on first."""
    found = {path.stem: _read(path) for path in sorted(FOLDER.glob("*.sql"))}
    ordered: dict[str, Question] = {}

    def visit(name: str) -> None:
        if name not in ordered:
            for other in sorted(found[name].names & found.keys() - {name}):
                visit(other)
            ordered[name] = found[name]

    for name in found:
        visit(name)
    return ordered


def _read(path: Path) -> Question:
    match = HEADER.fullmatch(path.read_text())
    if not match:
        msg = f"{path}: a question is a comment in TOML and one SELECT"
        raise ValueError(msg)
    head, select = tomllib.loads(match[1]), match[2].strip().removesuffix(";")
    given = head.get("parameters", {}) | (SPAN if head.get("span", True) else {})
    code = re.sub(r"'[^']*'|--[^\n]*", " ", select.lower())
    return Question(
        path.stem,
        " ".join(head["title"].split()),
        tuple(_column(name, *of) for name, of in given.items()),
        tuple(_column(name, "", *of) for name, of in head["columns"].items()),
        select,
        frozenset(WORD.findall(code)),
    )


def _column(name: str, default: str, unit: str, doc: str) -> Column:
    return Column(name, unit, doc, default or None)


def needed(sql: str, tables: Iterable[str]) -> set[str]:
    """Names of the questions and tables that a query can lean on, directly or through others."""
    known, every = set(tables), questions()
    wanted: set[str] = set()
    waiting = set(WORD.findall(sql.lower())) & (known | every.keys())
    while waiting:
        name = waiting.pop()
        wanted.add(name)
        if name in every:
            waiting |= (every[name].names & (known | every.keys())) - wanted
    return wanted


def definitions(only: Iterable[str] | None = None) -> Iterator[str]:
    """SQL of the macros, views and comments, in an order in which each finds what it leans on."""
    wanted = set(questions() if only is None else only)
    for head, body in SCALARS.items():
        yield f"CREATE MACRO {head} AS {body}"
    for name, question in questions().items():
        if name in wanted:
            yield from _define(name, question)


SCALARS = {
    "in_ns(seconds)": "CASE WHEN seconds >= 1 AND seconds = floor(seconds) "
    "THEN CAST(seconds AS BIGINT) * 1000000000 "
    "ELSE error('a span is a whole number of seconds, at least 1') END",
    "floor_ns(t_ns, seconds)": "t_ns // in_ns(seconds) * in_ns(seconds)",
    "ns_since(instant)": "coalesce(epoch_ns(CAST(instant AS TIMESTAMP_NS)), -9223372036854775808)",
    "ns_before(instant)": "coalesce(epoch_ns(CAST(instant AS TIMESTAMP_NS)), 9223372036854775807)",
}
"""What turns spans and ``from_utc``, ``until_utc`` into ns: constants, so that they prune files."""


def _define(name: str, question: Question) -> Iterator[str]:
    takes = ", ".join(
        f"{p.name} := {p.default}" if p.default else p.name for p in question.parameters
    )
    yield f"CREATE MACRO {name}({takes}) AS TABLE {question.select}"
    yield f"COMMENT ON MACRO TABLE {name} IS {_text(question.title)}"
    if question.is_view:
        yield f"CREATE VIEW {name} AS FROM {name}()"
        yield f"COMMENT ON VIEW {name} IS {_text(question.title)}"
        for column in question.columns:
            yield f"COMMENT ON COLUMN {name}.{column.name} IS {_text(column.comment)}"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
