"""What `replay.source` promises: any form gives the same slices, what cannot be used is said."""

import gzip
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from replay.errors import TraceError
from replay.source import Trace, open_trace, write_native
from schemas.telemetry import Slice, encode_arrow, parse
from schemas.topology import Topology
from schemas.units import NS_PER_S, Rate

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


def _csv(folder: Path, text: str, name: str = "trace.csv") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def _rows(count: int, step_s: float = 0.1, columns: str = "a_W") -> str:
    width = columns.count(",") + 1
    rows = (f"{i * step_s:.6f}" + f",{i}" * width for i in range(count))
    return "\n".join([f"t_s,{columns}", *rows]) + "\n"


def _power(trace: Trace, channel: int = 0) -> np.ndarray:
    return np.concatenate([s.power_w[channel] for s in trace.slices() if not s.end])


def _plain(slices: Iterable[Slice]) -> list[tuple[Any, ...]]:
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


def test_the_field_recording_opens_as_one_site_of_35_channels_within_a_second() -> None:
    """The ISO-NE file as it is: 30 Hz from uneven stamps, MW from its names, cut at seconds."""
    start_s = time.perf_counter()
    trace = open_trace(ISONE)
    slices = list(trace.slices())
    assert time.perf_counter() - start_s < 1.0
    assert trace.sites == ("isone_case3_P_MW_30Hz-cbf66042",)
    assert (trace.channels, trace.duration_s, trace.t0_ns) == (35, 180.0, 0)
    assert trace.samples == 35 * 5400 - 63
    assert [s.t0_ns for s in slices] == [k * NS_PER_S for k in range(181)]
    assert {s.power_w.shape for s in slices[:-1]} == {(35, 30)}
    assert slices[0].power_w[0, 0] == np.float32(-53.6793e6)
    assert {s.rate for s in slices} == {Rate(30)}


def test_wide_long_and_native_give_equal_slices(tmp_path: Path) -> None:
    """One recording with holes in it, three forms, CSV and Parquet: the same bytes."""
    rng = np.random.default_rng(1)
    power_w = rng.normal(5e4, 1e3, (3, 205)).astype(np.float32).astype(float)
    power_w[1, 40:47] = np.nan
    t_ns = 1_772_546_400 * NS_PER_S + 300_000_000 + np.arange(205) * 100_000_000
    names = ["a_W", "b_W", "c_W"]
    wide = pa.table({"t_ns": t_ns, **dict(zip(names, power_w, strict=True))})
    long = pa.table(
        {
            "t_ns": np.repeat(t_ns, 3),
            "channel_id": names * 205,
            "power_w": power_w.T.ravel(),
        }
    )
    pq.write_table(wide, tmp_path / "wide.parquet")
    pa_csv.write_csv(wide, tmp_path / "wide.csv")
    pq.write_table(long, tmp_path / "long.parquet")
    pa_csv.write_csv(long, tmp_path / "long.csv")
    traces = [
        open_trace(tmp_path / name, site_id="yard")
        for name in ("wide.csv", "wide.parquet", "long.csv", "long.parquet")
    ]
    write_native(tmp_path / "native.parquet", traces[0].slices())
    traces.append(open_trace(tmp_path / "native.parquet"))
    expected = _plain(traces[0].slices())
    assert len(expected) == 22
    for trace in traces:
        assert _plain(trace.slices()) == expected, trace.path
        assert _plain(trace.slices()) == expected, "a second reading"
        assert (trace.samples, trace.duration_s, trace.t0_ns) == (608, 20.5, t_ns[0])


def test_slices_pass_the_wire_unchanged(tmp_path: Path) -> None:
    """Every slice, the end of stream too, encodes to a message that reads back as itself."""
    for piece in open_trace(_csv(tmp_path, _rows(25, columns="a_W,b_kW"))).slices(0.5):
        assert _plain([parse(encode_arrow(piece))]) == _plain([piece])


@pytest.mark.parametrize(
    ("name", "expected_w"),
    [
        ("power_total_W", 2.0),
        ("power_w", 2.0),
        ("P_MW|S1_L1", 2e6),
        ("kW_rack1", 2e3),
        ("hall 3 [kW]", 2e3),
        ("p_mw", 2e6),
        ("W", 2.0),
    ],
)
def test_the_unit_is_read_from_the_name(tmp_path: Path, name: str, expected_w: float) -> None:
    """Before or after, in words of its own; the channel keeps the column's name."""
    trace = open_trace(_csv(tmp_path, f"t_s,{name}\n0,1\n1,2\n"))
    assert _power(trace)[1] == expected_w
    assert next(trace.slices()).channel_ids == (name,)


def test_a_unit_that_is_given_holds_for_every_column(tmp_path: Path) -> None:
    """``--unit kW`` and names that say nothing."""
    trace = open_trace(_csv(tmp_path, "t_s,a,b\n0,1,2\n1,3,4\n"), unit="kW")
    assert [float(_power(trace, k)[1]) for k in (0, 1)] == [3000.0, 4000.0]


@pytest.mark.parametrize(
    ("stamp", "t0_ns"),
    [
        ("t_ns\n1772546400000000000\n1772546400500000000", 1_772_546_400 * NS_PER_S),
        ("t_s\n7.25\n7.75", 7_500_000_000),
        ("relative_time_s\n0\n0.5", 0),
        ("time\n2026-03-03T14:00:00Z\n2026-03-03T14:00:00.5Z", 1_772_546_400 * NS_PER_S),
        ("time\n2026-03-03 14:00:00\n2026-03-03 14:00:00.5", 1_772_546_400 * NS_PER_S),
        ("time\n2026-03-03T15:00:00+01:00\n2026-03-03T15:00:00.5+01:00", 1_772_546_400 * NS_PER_S),
    ],
)
def test_every_time_column_counts_from_1970(tmp_path: Path, stamp: str, t0_ns: int) -> None:
    """Nanoseconds, seconds, relative seconds and ISO time; each on the grid of its rate."""
    name, *times = stamp.split("\n")
    trace = open_trace(_csv(tmp_path, f"{name},a_W\n{times[0]},1\n{times[1]},2\n"))
    assert (trace.t0_ns, next(trace.slices()).rate) == (t0_ns, Rate(2))


def test_uneven_stamps_go_to_the_nearest_slot_and_the_first_value_wins(tmp_path: Path) -> None:
    """At 10 Hz: 0.04 and 0.06 part, 0.31 and 0.33 share a slot, 0.5 and 0.6 stay empty."""
    stamps = [0.04, 0.06, 0.21, 0.31, 0.33, 0.42, 0.68, 0.8]
    text = "t_s,a_W\n" + "".join(f"{t},{i}\n" for i, t in enumerate(stamps))
    trace = open_trace(_csv(tmp_path, text), rate=10)
    assert np.array_equal(
        _power(trace), np.array([0, 1, 2, 3, 5, np.nan, np.nan, 6, 7], np.float32), equal_nan=True
    )
    assert trace.samples == 7


def test_an_empty_cell_does_not_take_the_slot(tmp_path: Path) -> None:
    """Two stamps share a slot and the first one is empty: the second is the first value."""
    trace = open_trace(_csv(tmp_path, "t_s,a_W\n0,1\n0.10,\n0.11,7\n0.2,2\n"), rate=10)
    assert _power(trace).tolist() == [1.0, 7.0, 2.0]


@pytest.mark.parametrize(
    ("count", "step_s", "rate"),
    [(51, 0.0334, "30"), (11, 0.66, "2"), (6, 1.3, "1"), (6, 1.4, "1/2"), (5, 4.1, "1/4")],
)
def test_the_nominal_rate_is_the_nearest(
    tmp_path: Path, count: int, step_s: float, rate: str
) -> None:
    """(N-1)/span to the nearest whole Hz; below 1 Hz to the nearest 1/n, in Hz."""
    trace = open_trace(_csv(tmp_path, _rows(count, step_s)))
    assert {str(s.rate) for s in trace.slices()} == {rate}


def test_below_one_hertz_a_slice_is_one_sample(tmp_path: Path) -> None:
    """A meter read every 4 s: slots count from 1970."""
    slices = list(open_trace(_csv(tmp_path, _rows(4, 4.0))).slices(0.1))
    assert [s.t0_ns // NS_PER_S for s in slices] == [0, 4, 8, 12, 16]
    assert [s.power_w.shape for s in slices] == [(1, 1)] * 4 + [(0, 0)]


@pytest.mark.parametrize("piece_s", [1.0, 0.5, 0.2, 0.1])
def test_pieces_are_cut_at_grid_seconds_and_within(tmp_path: Path, piece_s: float) -> None:
    """However fine the cut: the same samples, each piece within its part of a second."""
    file = _csv(tmp_path, "t_s,a_W\n" + "".join(f"{0.7 + i / 30:.6f},{i}\n" for i in range(100)))
    trace = open_trace(file)
    slices = [s for s in trace.slices(piece_s) if not s.end]
    assert np.concatenate([s.power_w[0] for s in slices]).tolist() == list(range(100))
    assert [s.seq for s in slices] == list(range(len(slices)))
    assert max(s.power_w.shape[1] for s in slices) == round(30 * piece_s)
    inner = [s.t0_ns / NS_PER_S / piece_s for s in slices[1:]]
    assert np.allclose(inner, np.rint(inner), atol=1e-6)


@pytest.mark.parametrize("piece_s", [0.3, 0.0, 2.0])
def test_a_piece_that_does_not_divide_a_second_is_refused(tmp_path: Path, piece_s: float) -> None:
    """Cuts are at grid seconds, so a piece divides one."""
    with pytest.raises(TraceError, match="piece_s is .* 1 s divided by a whole number"):
        open_trace(_csv(tmp_path, _rows(5))).slices(piece_s)


def test_a_folder_sends_each_column_through_its_gateway(tmp_path: Path) -> None:
    """By end time, then level from the rack up; ends of stream last, at the site's end."""
    (tmp_path / "topology.toml").write_text(SITE)
    rows = [f"{i / 10},{i},{10 * i},{i if i % 5 == 0 else ''}" for i in range(20)]
    with gzip.open(tmp_path / "trace.csv.gz", "wt") as file:
        file.write("\n".join(["t_s,rack-1_W,kW|rack-2,poi_MW".replace("kW|", "kW_"), *rows]))
    (tmp_path / "truth.json").write_text(
        '[{"kind":"ramp","site_id":"yard","node_id":"poi","onset_ns":1,"end_ns":2,"channels":3}]'
    )
    trace = open_trace(tmp_path)
    slices = list(trace.slices())
    order = [("racks", 0), ("meter", 0), ("racks", 1), ("meter", 1), ("racks", 2), ("meter", 2)]
    assert [(s.gateway_id, s.seq) for s in slices] == order
    assert [(s.end, s.t0_ns) for s in slices[-2:]] == [(True, 2 * NS_PER_S)] * 2
    assert slices[1].power_w.tolist() == [[0.0, 5e6]]
    assert slices[0].channel_ids == ("rack-1", "rack-2")
    assert slices[0].power_w[1, 1] == 1e4
    assert trace.truth is not None
    assert (trace.name, trace.truth[0].channels, trace.hints) == (tmp_path.name, 3, ())


def test_hints_and_signals_beside_the_trace_come_with_it(tmp_path: Path) -> None:
    """JSON lines, one record each; what is none is refused."""
    _csv(tmp_path, _rows(5))
    (tmp_path / "hints.jsonl").write_text('{"site_id":"s","t_ns":1,"hint":"job_start"}\n')
    trace = open_trace(tmp_path)
    assert (trace.hints[0].hint, trace.signals, trace.truth) == ("job_start", (), None)
    (tmp_path / "hints.jsonl").write_text('{"site_id":"s","t_ns":1,"hint":"party"}\n')
    with pytest.raises(TraceError, match=r"hints\.jsonl: Invalid enum value 'party'"):
        open_trace(tmp_path)


def test_a_site_is_inferred_with_one_node_a_column(tmp_path: Path) -> None:
    """Substation above all; the id is the stem, made safe, and 8 digits of the file's hash."""
    file = _csv(tmp_path, _rows(5, columns="poi_W,b_W"), name="hall 7+.csv")
    trace = open_trace(file, level="pdu")
    (topology,) = trace.topologies.values()
    assert topology.site.id.startswith("hall-7--")
    assert topology.site.id == open_trace(file).sites[0]
    assert len(topology.site.id) == len("hall-7--") + 8
    assert {n.id: (n.level, n.parent) for n in topology.nodes} == {
        "poi": ("substation", None),
        "poi_W": ("pdu", "poi"),
        "b_W": ("pdu", "poi"),
    }
    assert Topology.parse(topology.dumps()).site.id == topology.site.id
    only = open_trace(_csv(tmp_path, _rows(5), name="x.csv"), level="substation", site_id="yard")
    assert only.topologies["yard"].channels[0].node_id == "poi"


@pytest.mark.parametrize(
    ("text", "words", "how"),
    [
        ("t_s,a_W\n0,1\n", "1 rows; a trace needs at least two", {}),
        ("t_s,a_W\n0,1\n2,1\n1,1\n", "time is not increasing at row 3", {}),
        ("t_s,a_W\n0,1\n0,2\n", "time is not increasing at row 2", {}),
        ("t_s,a_W\n0,1\n,2\n", "'t_s' is empty in 1 rows", {}),
        ("t_s,a\n0,1\n1,2\n", "column 'a' names no unit", {}),
        ("t_s,a_mW\n0,1\n1,2\n", "column 'a_mW' names no unit", {}),
        ("t_s,P_MW|x_W\n0,1\n1,2\n", "names several units", {}),
        ("t_s,a_W\n0,\n1,\n", "no finite power", {}),
        ("t_s,a_W\n0,inf\n1,nan\n", "no finite power", {}),
        ("t_s,a_W\n0,on\n1,off\n", "column 'a_W' holds string, not power", {}),
        ("when,a_W\n0,1\n1,2\n", "no time column among 'when, a_W'", {}),
        ("time,a_W\nnoon,1\nnight,2\n", "'time' is not ISO 8601", {}),
        ("t_s,a_W\n-1,1\n1,2\n", "before 1970", {}),
        ("t_s\n0\n1\n", "only a time column", {}),
        ("t_s,a_W,a_W\n0,1,1\n1,2,2\n", "column 'a_W' stands twice", {}),
        ("t_s,a_W\n0,1\n0.0001,2\n", "1e+04 readings a second", {}),
        ("t_s,a_W\n0,1\n9999,2\n", "a rate is 1/3600-4000 Hz", {}),
        ("t_s,a_W\n0,1\n1,2\n", "rate_hz is '7.5'", {"rate": 7.5}),
        ("t_s,a_W\n0,1\n1,2\n", "readings over 4001 slots of 4000 Hz", {"rate": 4000}),
        ("t_s,a_W,b_W\n0,1,1\n1,2,2\n", "2 channels at level substation", {"level": "substation"}),
        ("t_s,a_W\n0,1\n1,2\n", "level 'hall'", {"level": "hall"}),
        ("t_s,a_W\n0,1\n1,2\n", "unit 'GW'", {"unit": "GW"}),
        ("t_s,channel_id,power_w\n0,a,1\n0,a,2\n", "not increasing at row 2 in channel 'a'", {}),
        ("t_s,channel_id,power_w,x\n0,a,1,1\n1,a,2,1\n", "one power column", {}),
        ("t_s,a_W\n0,1\n1\n", "not readable as CSV", {}),
        ("", "not readable as CSV", {}),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(
    tmp_path: Path, text: str, words: str, how: dict[str, Any]
) -> None:
    """File and fault are named; nothing is guessed."""
    with pytest.raises(TraceError) as refusal:
        open_trace(_csv(tmp_path, text), **how)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_missing_and_unreadable_files_are_refused(tmp_path: Path) -> None:
    """No such path, an empty folder, bytes that are no Parquet, a topology that is none."""
    with pytest.raises(TraceError, match="no such file or folder"):
        open_trace(tmp_path / "nowhere")
    with pytest.raises(TraceError, match=r"holds one of trace\.parquet"):
        open_trace(tmp_path)
    with pytest.raises(TraceError, match="not readable as Parquet"):
        open_trace(_csv(tmp_path, "no", name="x.parquet"))
    _csv(tmp_path, _rows(5))
    (tmp_path / "topology.toml").write_text("[site]\nid = 3\n")
    with pytest.raises(TraceError, match="Expected `str`"):
        open_trace(tmp_path)
    (tmp_path / "topology.toml").write_text(SITE)
    with pytest.raises(TraceError, match="column 'a_W' is no channel of yard"):
        open_trace(tmp_path)
    with pytest.raises(TraceError, match=r"its site is .*, not yard"):
        open_trace(TRACES / "demo", site_id="yard")


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
    assert _plain(foreign.slices()) == _plain(ours.slices())
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
