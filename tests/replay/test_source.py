"""What `replay.source` promises: any form of a trace gives the same slices."""

import gzip
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from replay.errors import TraceError
from replay.source import find_traces, open_trace, write_native
from schemas.telemetry import encode_arrow, parse
from schemas.topology import Topology
from schemas.units import NS_PER_S, Rate
from tests.replay.trace_files import ISONE, SITE, csv_file, plain, power_of, rows


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
    expected = plain(traces[0].slices())
    assert len(expected) == 22
    for trace in traces:
        assert plain(trace.slices()) == expected, trace.path
        assert plain(trace.slices()) == expected, "a second reading"
        assert (trace.samples, trace.duration_s, trace.t0_ns) == (608, 20.5, t_ns[0])


def test_slices_pass_the_wire_unchanged(tmp_path: Path) -> None:
    """Every slice, the end of stream too, encodes to a message that reads back as itself."""
    for piece in open_trace(csv_file(tmp_path, rows(25, columns="a_W,b_kW"))).slices(0.5):
        assert plain([parse(encode_arrow(piece))]) == plain([piece])


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
    trace = open_trace(csv_file(tmp_path, f"t_s,{name}\n0,1\n1,2\n"))
    assert power_of(trace)[1] == expected_w
    assert next(trace.slices()).channel_ids == (name,)


@pytest.mark.parametrize(
    "text",
    [
        "t_s;a_W\n0;1\n1;2\n",
        "t_s\ta_W\n0\t1\n1\t2\n",
        "\ufefft_s, a_W\r\n0, 1\r\n1, 2\r\n",
        '"t_s","a_W"\n"0","1"\n"1","2"\n',
        "a_W,t_s\n1,0\n2,1\n",
    ],
)
def test_a_strangers_csv_just_works(tmp_path: Path, text: str) -> None:
    """Semicolons, tabs, a byte-order mark, blanks, quotes, the time in the last column."""
    trace = open_trace(csv_file(tmp_path, text))
    assert (power_of(trace).tolist(), next(trace.slices()).channel_ids) == ([1.0, 2.0], ("a_W",))


def test_a_suite_is_a_folder_of_traces(tmp_path: Path) -> None:
    """Each folder in it that holds a trace, by name; one trace is a suite of itself."""
    for name in ("b", "a", "empty"):
        (tmp_path / name).mkdir()
    files = [csv_file(tmp_path / name, rows(5)) for name in ("b", "a")]
    assert find_traces(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert find_traces(tmp_path / "a") == [tmp_path / "a"]
    assert find_traces(files[0]) == [files[0]]
    with pytest.raises(TraceError, match="neither a trace nor a folder of traces"):
        find_traces(tmp_path / "empty")


def test_a_unit_that_is_given_holds_for_every_column(tmp_path: Path) -> None:
    """``--unit kW`` and names that say nothing."""
    trace = open_trace(csv_file(tmp_path, "t_s,a,b\n0,1,2\n1,3,4\n"), unit="kW")
    assert [float(power_of(trace, k)[1]) for k in (0, 1)] == [3000.0, 4000.0]


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
    trace = open_trace(csv_file(tmp_path, f"{name},a_W\n{times[0]},1\n{times[1]},2\n"))
    assert (trace.t0_ns, next(trace.slices()).rate) == (t0_ns, Rate(2))


def test_uneven_stamps_go_to_the_nearest_slot_and_the_first_value_wins(tmp_path: Path) -> None:
    """At 10 Hz: 0.04 and 0.06 part, 0.31 and 0.33 share a slot, 0.5 and 0.6 stay empty."""
    stamps = [0.04, 0.06, 0.21, 0.31, 0.33, 0.42, 0.68, 0.8]
    text = "t_s,a_W\n" + "".join(f"{t},{i}\n" for i, t in enumerate(stamps))
    trace = open_trace(csv_file(tmp_path, text), rate=10)
    assert np.array_equal(
        power_of(trace), np.array([0, 1, 2, 3, 5, np.nan, np.nan, 6, 7], np.float32), equal_nan=True
    )
    assert trace.samples == 7


def test_an_empty_cell_does_not_take_the_slot(tmp_path: Path) -> None:
    """Two stamps share a slot and the first one is empty: the second is the first value."""
    trace = open_trace(csv_file(tmp_path, "t_s,a_W\n0,1\n0.10,\n0.11,7\n0.2,2\n"), rate=10)
    assert power_of(trace).tolist() == [1.0, 7.0, 2.0]


@pytest.mark.parametrize(
    ("count", "step_s", "rate"),
    [(51, 0.0334, "30"), (11, 0.66, "2"), (6, 1.3, "1"), (6, 1.4, "1/2"), (5, 4.1, "1/4")],
)
def test_the_nominal_rate_is_the_nearest(
    tmp_path: Path, count: int, step_s: float, rate: str
) -> None:
    """(N-1)/span to the nearest whole Hz; below 1 Hz to the nearest 1/n, in Hz."""
    trace = open_trace(csv_file(tmp_path, rows(count, step_s)))
    assert {str(s.rate) for s in trace.slices()} == {rate}


def test_below_one_hertz_a_slice_is_one_sample(tmp_path: Path) -> None:
    """A meter read every 4 s: slots count from 1970."""
    slices = list(open_trace(csv_file(tmp_path, rows(4, 4.0))).slices(0.1))
    assert [s.t0_ns // NS_PER_S for s in slices] == [0, 4, 8, 12, 16]
    assert [s.power_w.shape for s in slices] == [(1, 1)] * 4 + [(0, 0)]


@pytest.mark.parametrize("piece_s", [1.0, 0.5, 0.2, 0.1])
def test_pieces_are_cut_at_grid_seconds_and_within(tmp_path: Path, piece_s: float) -> None:
    """However fine the cut: the same samples, each piece within its part of a second."""
    file = csv_file(
        tmp_path, "t_s,a_W\n" + "".join(f"{0.7 + i / 30:.6f},{i}\n" for i in range(100))
    )
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
    with pytest.raises(TraceError, match=r"piece_s is .* 1 s divided by a whole number"):
        open_trace(csv_file(tmp_path, rows(5))).slices(piece_s)


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
    csv_file(tmp_path, rows(5))
    (tmp_path / "hints.jsonl").write_text('{"site_id":"s","t_ns":1,"hint":"job_start"}\n')
    trace = open_trace(tmp_path)
    assert (trace.hints[0].hint, trace.signals, trace.truth) == ("job_start", (), None)
    (tmp_path / "hints.jsonl").write_text('{"site_id":"s","t_ns":1,"hint":"party"}\n')
    with pytest.raises(TraceError, match=r"hints\.jsonl: Invalid enum value 'party'"):
        open_trace(tmp_path)


def test_a_site_is_inferred_with_one_node_a_column(tmp_path: Path) -> None:
    """Substation above all; the id is the stem, made safe, and 8 digits of the file's hash."""
    file = csv_file(tmp_path, rows(5, columns="poi_W,b_W"), name="hall 7+.csv")
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
    only = open_trace(csv_file(tmp_path, rows(5), name="x.csv"), level="substation", site_id="yard")
    assert only.topologies["yard"].channels[0].node_id == "poi"
