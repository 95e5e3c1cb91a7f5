"""Small traces for tests, and slices as values that compare."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from replay.source import Trace
from schemas.telemetry import Slice

TRACES = Path(__file__).parents[2] / "replay" / "traces"
ISONE = TRACES / "isone_case3" / "isone_case3_P_MW_30Hz.csv.gz"
SITE = """
[site]
id = "yard"
[[node]]
id = "poi"
level = "substation"
[[node]]
id = "rack-{n}"
level = "rack"
parent = "poi"
count = 2
[[channel]]
id = "rack-{n}"
node_id = "rack-{n}"
count = 2
[[channel]]
id = "poi"
node_id = "poi"
[[gateway]]
id = "racks"
level = "rack"
rate_hz = 10
[[gateway]]
id = "meter"
level = "substation"
rate_hz = 2
"""


def csv_file(folder: Path, text: str, name: str = "trace.csv") -> Path:
    """Write a file of a trace."""
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def rows(count: int, step_s: float = 0.1, columns: str = "a_W") -> str:
    """Text of a wide CSV of ``count`` rows that count up."""
    width = columns.count(",") + 1
    rows = (f"{i * step_s:.6f}" + f",{i}" * width for i in range(count))
    return "\n".join([f"t_s,{columns}", *rows]) + "\n"


def power_of(trace: Trace, channel: int = 0) -> np.ndarray:
    """All samples of one channel of a one-gateway trace."""
    return np.concatenate([s.power_w[channel] for s in trace.slices() if not s.end])


def plain(slices: Iterable[Slice]) -> list[tuple[Any, ...]]:
    """Slices as values that compare, NaN equal to NaN."""
    return [
        (
            s.site_id,
            s.level,
            s.gateway_id,
            s.seq,
            s.t0_ns,
            s.rate,
            s.channel_ids,
            s.end,
            s.power_w.dtype.str,
            s.power_w.shape,
            s.power_w.tobytes(),
        )
        for s in slices
    ]
