"""What the archive costs: bytes of raw samples, rows a second in bulk, a live flush."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import rows
from pipeline.align import Aligner
from pipeline.decode import Decoder
from pipeline.detect import DetectSettings
from pipeline.evidence import Evidence
from pipeline.evidence_state import EvidenceSettings
from pipeline.layout import SiteLayout
from replay.source import open_trace
from schemas.events import SiteEvent
from schemas.topology import Topology
from tests.bench.figures import Figure

__all__ = ["sample_bytes"]

TRACES = Path(__file__).resolve().parents[2] / "replay" / "traces"
STATED_W = {"inference": 1.0, "isone_case3": 1000.0}
"""Resolution: of a server's power supply readings, and of six digits of 100 MW and more."""


def sample_bytes(folder: Path) -> Iterator[Figure]:
    """Bytes a raw sample takes in the archive, whole traces long, as compacted files hold them."""
    found: dict[str, list[Any]] = defaultdict(list)
    for path in sorted(TRACES.glob("*/*.csv.gz")):
        name = path.parent.name
        family = path.name.partition("_num")[0] if name == "inference" else name
        found[family].append(pa.Table.from_batches(list(_waveforms(path, STATED_W[name]))))
    for family, tables in found.items():
        order = [("site_id", "ascending"), ("channel_id", "ascending"), ("t0_ns", "ascending")]
        file = folder / f"{family}.parquet"
        rows.write(pa.concat_tables(tables).sort_by(order), file)
        samples = sum(sum(table["n"].to_pylist()) for table in tables)
        step_w = STATED_W.get(family, STATED_W["inference"])
        what = f"raw samples, {family}"
        note = f"{len(tables)} traces, {samples} samples, lossless to {step_w:g} W"
        yield Figure(what, _codes_bytes(file) / samples, "bytes/sample", note)
        size = file.stat().st_size
        yield Figure(f"{what}, whole file", size / samples, "bytes/sample", f"{size} bytes")


def _codes_bytes(file: Path) -> int:
    parquet = pq.ParquetFile(str(file)).metadata
    groups = [parquet.row_group(k) for k in range(parquet.num_row_groups)]
    columns = [group.column(k) for group in groups for k in range(group.num_columns)]
    return sum(c.total_compressed_size for c in columns if c.path_in_schema.startswith("codes."))


def _waveforms(path: Path, step_w: float) -> Iterator[Any]:
    """All of a trace as one event's evidence, its meters' resolution stated."""
    [site] = open_trace(path).topologies.values()
    stated = tuple(msgspec.structs.replace(c, resolution_w=step_w) for c in site.channels)
    topology = Topology(site.site, site.nodes, stated, site.gateways)
    trace = open_trace(path, topology=topology)
    layout = SiteLayout(topology)
    settings = EvidenceSettings(most_s=1e6, channels=10_000)
    evidence = Evidence(layout, DetectSettings(), settings)
    aligner, decoder = Aligner(layout), Decoder({topology.site.id: topology})
    top = layout.nodes[layout.top]
    whole = SiteEvent(
        event_id="all", kind="ramp", site_id=layout.site_id, node_id=top.id, level=top.level,
        state="open", onset_ns=trace.t0_ns, opened_ns=trace.t0_ns, updated_ns=trace.t0_ns,
        quality="good",
    )  # fmt: skip
    events, end_ns = [whole], 0
    for piece in trace.slices(1.0):
        aligner.push(decoder.check(piece), 0)
        for block in aligner.advance(()):
            end_ns = int(layout.tick_ends_ns(block.t0_ns, block.ticks)[-1])
            batch = evidence.step(block, events, end_ns)
            events = []
            if batch is not None:
                yield batch
    batch = evidence.finish([], end_ns + 1)
    if batch is not None:
        yield batch
