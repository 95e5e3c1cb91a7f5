"""A reader of COMTRADE 2013 records by the letter of the standard, written without the writer."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

MISSING = {"BINARY": -(2**15), "BINARY32": -(2**31), "FLOAT32": -3.4028234663852886e38}
LETTER = {"BINARY": "h", "BINARY32": "i", "FLOAT32": "f"}


class Read(NamedTuple):
    """Values are None where missing; times are ns since 1970, UTC."""

    station: str
    device: str
    ft: str
    rate_hz: float
    start_ns: int
    trigger_ns: int
    values: dict[str, list[float | None]]
    units: set[str]
    steps: dict[str, float]
    times_ns: list[int]
    status: list[int]
    clock: list[str]


def read(cfg: Path) -> Read:
    """Read ``.cfg`` and the ``.dat`` beside it."""
    raw = cfg.read_bytes()
    assert raw.count(b"\n") == raw.count(b"\r\n")
    lines = [line.split(",") for line in raw.decode().splitlines()]
    (station, device, year), (total, analog, digital) = lines[0], lines[1]
    assert year == "2013"
    assert analog.endswith("A")
    assert digital == "1D"
    n = int(analog[:-1])
    assert int(total) == n + 1
    heads = lines[2 : 2 + n]
    assert [len(head) for head in heads] == [13] * n
    rest = lines[2 + n :]
    assert rest[0][0] == "1"
    line_hz, nrates, (rate, last), start, trigger = rest[1], rest[2], rest[3], rest[4], rest[5]
    assert float(line_hz[0]) > 0
    assert nrates == ["1"]
    ft, mult, codes, quality = rest[6][0], float(rest[7][0]), rest[8], rest[9]
    rows = _rows(cfg.with_suffix(".dat"), ft, n)
    assert [row[0] for row in rows] == list(range(1, int(last) + 1))
    values: dict[str, list[float | None]] = {}
    for k, head in enumerate(heads):
        a, b, low, high = (float(head[i]) for i in (5, 6, 8, 9))
        stored = [row[2][k] for row in rows]
        assert all(low <= x <= high for x in stored if x is not None)
        values[head[1]] = [None if x is None else a * x + b for x in stored]
    begin_ns = _ns(start)
    return Read(
        station, device, ft, float(rate), begin_ns, _ns(trigger), values,
        {head[4] for head in heads}, {head[1]: float(head[5]) for head in heads},
        [begin_ns + round(row[1] * mult * 1000) for row in rows], [row[3] for row in rows],
        [*codes, *quality],
    )  # fmt: skip


def _rows(dat: Path, ft: str, n: int) -> list[tuple[int, int, list[Any], int]]:
    if ft == "ASCII":
        found = []
        for line in dat.read_text().splitlines():
            cells = line.split(",")
            assert len(cells) == n + 3
            x = [None if cell == "99999" else float(cell) for cell in cells[2:-1]]
            found.append((int(cells[0]), int(cells[1]), x, int(cells[-1])))
        return found
    form = f"<II{n}{LETTER[ft]}H"
    data = dat.read_bytes()
    assert len(data) % struct.calcsize(form) == 0
    rows = []
    for number, stamp, *x, status in struct.iter_unpack(form, data):
        rows.append((number, stamp, [None if v == MISSING[ft] else v for v in x], status))
    return rows


def _ns(cells: list[str]) -> int:
    found = datetime.strptime(",".join(cells), "%d/%m/%Y,%H:%M:%S.%f").replace(tzinfo=UTC)
    whole = found - datetime(1970, 1, 1, tzinfo=UTC)
    return (whole.days * 86_400 + whole.seconds) * 10**9 + whole.microseconds * 1000
