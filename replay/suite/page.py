"""The rows on a page of the documentation: a Markdown table between two marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from replay.errors import PlanError
from replay.suite.rows import Row
from replay.suite.table import cells

__all__ = ["fill"]

_HEAD = "| case | what | by | figure | 95 % interval | limit | trials | delay | note | run |"
_RULE = "|---|---|---|---|---|---|---|---|---|---|"


def fill(page: Path, suite: str, rows: Sequence[Row], run: str) -> None:
    """
    Write the rows between a page's marks, in place of those of the same cases.

    Parameters
    ----------
    page : Path
        Holds the lines ``<!-- suite NAME -->`` and ``<!-- end of suite -->``.
    suite : str
        The suite's name.
    rows : sequence of Row
        Of some of its cases, or all.
    run : str
        Date and seed: the last column.

    Raises
    ------
    PlanError
        The page cannot be read, or has no such marks.
    """
    begin, end = f"<!-- suite {suite} -->\n", "<!-- end of suite -->"
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"{page}: {error.strerror}; name a page that has the marks of the suite"
        raise PlanError(msg) from error
    before, found, rest = text.partition(begin)
    old, closed, after = rest.partition(end)
    if not (found and closed):
        msg = f"{page}: no lines {begin.strip()} and {end}; put them where the table belongs"
        raise PlanError(msg)
    fresh = {row.case for row in rows}
    kept = [line for line in old.splitlines() if line.startswith("| ") and line != _HEAD]
    kept = [line for line in kept if line.split("|")[1].strip() not in fresh]
    table = [_HEAD, _RULE, *kept, *(_line(row, run) for row in rows)]
    page.write_text(before + begin + "\n".join(table) + "\n" + closed + after, encoding="utf-8")


def _line(row: Row, run: str) -> str:
    verdict, *rest = cells(row)
    rest[5] = f"{rest[5]} **missed**" if verdict == "MISSED" else rest[5]
    told = [cell.replace("<=", "≤").replace(">=", "≥").replace("|", "/") for cell in rest]
    return "| " + " | ".join([*told, run]) + " |"
