"""
Write into docs/sql.md what its queries print: ``python -m tests.sql_page``.

Replays the shipped trace into a new archive, asks it every query of the page, and replaces what
stands below each.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.cli import main as pipeline
from replay.cli import main as replay

__all__ = ["PAGE", "demo", "printed", "queries"]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "sql.md"
BLOCK = re.compile(
    r"^```\n(\$ python -m pipeline (sql [^\n]*)\n)(.*?)^```", re.MULTILINE | re.DOTALL
)


def queries() -> Iterator[tuple[str, str]]:
    """Each query's words, and what the page shows below it."""
    for match in BLOCK.finditer(PAGE.read_text()):
        yield match[2], match[3]


def demo(folder: Path) -> Path:
    """Archive of the shipped trace, made anew."""
    with contextlib.redirect_stdout(io.StringIO()):
        if replay(["demo", "--archive", str(folder)]):
            msg = "the demo failed"
            raise RuntimeError(msg)
    return folder


def printed(words: str, archive: Path) -> str:
    """What the door prints, or its error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        pipeline([*shlex.split(words), "--archive", str(archive)])
    return (out.getvalue() + err.getvalue()).rstrip("\n") + "\n"


def main() -> int:
    """Ask and replace."""
    with tempfile.TemporaryDirectory(prefix="lockstep-sql-") as name:
        archive = demo(Path(name) / "archive")
        text = PAGE.read_text()
        text = BLOCK.sub(lambda m: f"```\n{m[1]}{printed(m[2], archive)}```", text)
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
