"""A run as a picture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from replay.cli import DEMO

HOUSE = DEMO.parents[2]


def _run(*words: str, before: str = "pass") -> subprocess.CompletedProcess[str]:
    program = f"import sys; {before}; from replay.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=HOUSE,
    )


def test_a_plot_shows_power_events_and_forecast(tmp_path: Path) -> None:
    """``--plot`` writes a picture whose words name the site, the kinds and the frequency."""
    done = _run("demo", "--plot", str(tmp_path / "demo.svg"), "--archive", str(tmp_path / "a"))
    assert done.returncode == 0, done.stderr
    drawn = (tmp_path / "demo.svg").read_text()
    words = (
        "ashburn-1: power",
        "synchronized_ramp",
        "oscillation",
        "1.40 Hz",
        "forecast 10 s ahead",
    )
    assert [word for word in words if f"<!-- {word}" not in drawn] == []


def test_without_matplotlib_the_sentence_says_what_to_install(tmp_path: Path) -> None:
    """The extra is missing: one sentence, exit 1, no traceback."""
    done = _run(
        "demo", "--plot", str(tmp_path / "x.png"), before="sys.modules['matplotlib.figure'] = None"
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: a plot needs matplotlib; install it with: pip install 'lockstep[plot]'\n"
    )
