"""``python -m schemas`` shows the table of topics; with ``--write`` it writes ``schemas/json``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from schemas.contracts import schemas_text, table

JSON = Path(__file__).parent / "json"


def main(arguments: list[str] | None = None) -> int:
    """Show the table of topics, or write the JSON Schemas; the digests are changed by hand only."""
    parser = argparse.ArgumentParser(prog="python -m schemas", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write schemas/json/*.schema.json")
    if not parser.parse_args(arguments).write:
        sys.stdout.write(table())
        return 0
    JSON.mkdir(exist_ok=True)
    for name, text in schemas_text().items():
        (JSON / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{JSON.name}/{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
