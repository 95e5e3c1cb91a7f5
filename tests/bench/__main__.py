"""
The baseline figures of this machine: ``make bench``, or ``python -m tests.bench``.

Prints them and writes ``build/bench.json``. What they mean: docs/performance.md.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import msgspec

from pipeline.device import choose
from tests.bench import archive, forecasts, parts, paths, queries, writing
from tests.bench.figures import Figure, machine, table

OUT = Path(__file__).resolve().parents[2] / "build" / "bench.json"
RACKS = (48, 1000)
BROKER_RACKS = 1000


def main() -> int:
    """Run the sections asked for; exit status 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--no-broker", action="store_true", help="leave the broker out")
    parser.add_argument(
        "--archive-share",
        type=float,
        default=0.1,
        help="size of the archive that is asked; 1: 10 M window rows and 100 M samples",
    )
    parser.add_argument("--out", type=Path, default=OUT, help="where the JSON goes")
    parser.add_argument("--day-commits", type=int, default=2000, help="86400: the whole day")
    args = parser.parse_args()
    device = choose(args.device)
    facts = {**machine(), "device": device.line.removeprefix("device: ")}
    for name, value in facts.items():
        print(f"{name:16} {value}")
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as name:
        folder = Path(name)
        sections: list[Callable[[], Iterable[Figure]]] = [
            parts.parse_cost,
            partial(parts.commit_cost, folder),
            partial(archive.sample_bytes, folder),
            partial(writing.bulk, folder),
            partial(writing.live, folder),
            partial(writing.day_of_commits, folder, args.day_commits),
            partial(parts.engine_cost, device),
            forecasts.forecast_cost,
            *(partial(paths.in_process, folder, racks, device) for racks in RACKS),
            partial(paths.lane_alone, folder, BROKER_RACKS, device),
            partial(queries.section, folder, args.archive_share),
        ]
        if not args.no_broker:
            sections.append(partial(paths.through_broker, folder, BROKER_RACKS))
        for section in sections:
            found = list(section())
            figures += found
            print("", *table(found), sep="\n", flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    told = {"machine": facts, "figures": figures}
    args.out.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
    print(f"\nwritten to {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
