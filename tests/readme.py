"""
Write into README what its commands print: ``python -m tests.readme``.

Runs the commands below one after the other in an empty folder and replaces what stands under each.
"""

import datetime as dt
import math
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
SQL = "select kind, node_id, onset_utc, depth_w, freq_hz from events order by onset_ns"
COMMANDS = {
    "make demo": ["replay", "demo", "--live"],
    "make setup && .venv/bin/python -m replay demo --archive archive": [
        "replay",
        "demo",
        "--archive",
        "archive",
    ],
    "python -m replay run my.csv --unit kW": ["replay", "run", "my.csv", "--unit", "kW"],
    f'python -m pipeline sql "{SQL}"': ["pipeline", "sql", SQL],
    "python -m replay simulate campus --seed 1": ["replay", "simulate", "campus", "--seed", "1"],
    "python -m replay score campus": ["replay", "score", "campus"],
}


def main() -> int:
    """Run and replace; a command that README does not show is an error."""
    text = (HOUSE / "README.md").read_text()
    with tempfile.TemporaryDirectory(prefix="lockstep-readme-") as name:
        _example(Path(name) / "my.csv")
        for shown, words in COMMANDS.items():
            pattern = re.compile(
                rf"^(\$ {re.escape(shown)}\n)(.*?)(?=^\$ |^```)", re.MULTILINE | re.DOTALL
            )
            printed = _run(words, Path(name))
            text, count = pattern.subn(lambda m, p=printed: m[1] + p, text)
            if count != 1:
                print(f"error: README shows {shown!r} {count} times; once is right")
                return 1
    (HOUSE / "README.md").write_text(text)
    return 0


def _run(words: list[str], folder: Path) -> str:
    env = {k: v for k, v in os.environ.items() if k != "KAFKA_BOOTSTRAP_SERVERS"}
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**env, "PYTHONPATH": str(HOUSE)},
        capture_output=True,
        text=True,
        check=False,
    )
    print(f"{done.returncode}  {' '.join(words)}  {done.stderr.strip()}")
    return re.sub(r"\S*/lockstep-\w+", "lockstep-…", done.stdout).rstrip("\n") + "\n"


def _example(path: Path) -> None:
    """Two halls for 300 s at 10 Hz, kW: one drops at 200 s, one swings from 80 s to 140 s."""
    draw, begin = random.Random(3), dt.datetime(2026, 11, 23, 9, tzinfo=dt.UTC)
    lines = ["time,hall-a,hall-b"]
    for k in range(3000):
        t_s = k / 10
        a_kw = 800 + draw.gauss(0, 2) - 300 * (t_s > 200)
        b_kw = 650 + draw.gauss(0, 2) + 25 * _grown(t_s) * math.sin(1.8 * math.pi * t_s)
        stamp = (begin + dt.timedelta(seconds=t_s)).isoformat()
        lines.append(f"{stamp},{a_kw:.1f},{b_kw:.1f}")
    path.write_text("\n".join(lines) + "\n")


def _grown(t_s: float) -> float:
    """Share of the swing that is there: it grows and fades for 10 s."""
    return min(max(min(t_s - 80, 140 - t_s) / 10, 0), 1)


if __name__ == "__main__":
    raise SystemExit(main())
