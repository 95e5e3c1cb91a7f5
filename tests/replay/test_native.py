"""What the native form promises: messages come back as they were written."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from replay.errors import TraceError
from replay.source import open_trace, write_native
from schemas.telemetry import Slice
from schemas.units import NS_PER_S, Rate
from tests.replay.trace_files import ISONE, plain


def _slice(seq: int, t0_s: float, gateway: str = "g", **more: Any) -> Slice:
    names = more.pop("names", ("a", "b"))
    power_w = more.pop("power_w", np.full((len(names), 2), seq, np.float32))
    t0_ns = round(t0_s * NS_PER_S)
    return Slice("yard", more.pop("level", "rack"), gateway, seq, t0_ns, Rate(10), names, power_w)


def test_native_messages_keep_each_gateways_order_and_cuts(tmp_path: Path) -> None:
    """Recorded as they came: sorted by end across gateways, never within one, late or not."""
    came = [_slice(4, 1.0), _slice(5, 1.2), _slice(6, 0.4), _slice(7, 1.4)]
    meter = [_slice(9, t, "m", level="pdu", names=("p",)) for t in (1.0, 1.2, 1.4)]
    meter = [
        _slice(9 + k, p.t0_ns / NS_PER_S, "m", level="pdu", names=("p",))
        for k, p in enumerate(meter)
    ]
    write_native(tmp_path / "trace.parquet", [*came, *meter])
    trace = open_trace(tmp_path)
    got = [(s.gateway_id, s.seq, s.end) for s in trace.slices()]
    assert got == [
        ("g", 4, False),
        ("m", 9, False),
        ("g", 5, False),
        ("g", 6, False),
        ("m", 10, False),
        ("g", 7, False),
        ("m", 11, False),
        ("g", 8, True),
        ("m", 12, True),
    ]
    assert (trace.channels, trace.samples) == (3, 22)
    assert trace.topologies["yard"].levels == ("rack", "pdu")


def test_a_foreign_native_file_reads_like_our_own(tmp_path: Path) -> None:
    """Plain strings, no summary, tiny row groups that cut messages, nulls for missing."""
    slices = [_slice(k, k / 5, names=tuple("abc")) for k in range(7)]
    slices[3].power_w[1, 1] = np.nan
    write_native(tmp_path / "ours.parquet", slices)
    rows = [
        {
            "site_id": s.site_id,
            "gateway_id": s.gateway_id,
            "level": s.level,
            "channel_id": name,
            "seq": s.seq,
            "t0_ns": s.t0_ns,
            "rate_hz": "10",
            "power_w": [None if np.isnan(v) else float(v) for v in row],
        }
        for s in slices
        for name, row in zip(s.channel_ids, s.power_w, strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "foreign.parquet", row_group_size=2)
    ours, foreign = (open_trace(tmp_path / f"{name}.parquet") for name in ("ours", "foreign"))
    assert plain(foreign.slices()) == plain(ours.slices())
    assert foreign.samples == ours.samples == 41


def test_native_rows_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    """No finite power, a slice above a second, nothing at all."""
    nothing = np.full((2, 2), np.nan, np.float32)
    for slices, words in (
        ([_slice(0, 0, power_w=nothing)], "no finite power"),
        ([_slice(0, 0, power_w=np.zeros((2, 11), np.float32))], "11-11 samples a row at 10 Hz"),
        ([], "no rows"),
    ):
        write_native(tmp_path / "trace.parquet", slices)
        with pytest.raises(TraceError, match=words):
            list(open_trace(tmp_path).slices())


def test_writing_the_same_slices_gives_the_same_bytes(tmp_path: Path) -> None:
    """A trace can be compared by its hash."""
    for name in ("one", "two"):
        write_native(tmp_path / name, open_trace(ISONE).slices())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_names_of_channels_are_made_once(tmp_path: Path) -> None:
    """Messages of one gateway share one tuple of names: no work a row."""
    write_native(tmp_path / "trace.parquet", [_slice(k, k / 5) for k in range(50)])
    trace = open_trace(tmp_path)
    assert len({id(s.channel_ids) for s in trace.slices() if not s.end}) == 1


def test_a_trace_that_was_cut_short_leaves_the_old_one(tmp_path: Path) -> None:
    """Whoever reads while another writes, or after it died, sees a whole trace."""
    file = tmp_path / "trace.parquet"
    write_native(file, [_slice(0, 0.0)])

    def dying() -> Iterator[Slice]:
        yield _slice(1, 1.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_native(file, dying())
    assert [s.seq for s in open_trace(tmp_path).slices()] == [0, 1]


def test_voltages_come_back(tmp_path: Path) -> None:
    """Where a slice has voltages it has them again, gaps too; where none, none."""
    volts = np.array([[1.0, np.nan], [2.0, 3.0]], np.float32)
    sent = [_slice(1, 0.0), dataclasses.replace(_slice(2, 0.2), voltage_v=volts), _slice(3, 0.4)]
    write_native(tmp_path / "trace.parquet", sent)
    got = [piece.voltage_v for piece in open_trace(tmp_path).slices()]
    assert [v is None for v in got] == [True, False, True, True]
    np.testing.assert_array_equal(got[1], volts)
