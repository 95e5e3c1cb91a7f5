"""Rows on their way into Parquet."""

from __future__ import annotations

import pyarrow.parquet as pq

from pipeline import rows
from schemas.tables import KEYS, TABLES
from tests.pipeline.archive_rows import event


def test_the_same_rows_give_the_same_bytes(tmp_path):
    """A commit's Parquet file depends on its rows alone."""
    table = rows.as_table("events", [event(0), event(1)])
    for name in ("a", "b"):
        rows.write(table, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert pq.ParquetFile(tmp_path / "a").read().cast(TABLES["events"]) == table


def test_every_table_names_site_and_frame_and_its_columns_their_unit():
    """Each table has site_id and produced_ns, a key of its own columns, and documented columns."""
    for name, schema in TABLES.items():
        assert {"site_id", "produced_ns", *KEYS[name]} <= set(schema.names)
        assert all(field.metadata[b"doc"] for field in schema)
        for field in schema:
            if field.name.endswith("_ns"):
                assert field.metadata[b"unit"].startswith(b"ns")
