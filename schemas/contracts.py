"""The contracts in forms others read: JSON Schemas, their digests, the table of topics."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from schemas.telemetry import Line, Slice
from schemas.topics import TOPICS, Topic, message_type

__all__ = ["digest", "example_folder", "schema_file", "schemas_text", "table"]

DAY_S = 86_400
_PROSE = frozenset({"$id", "description", "title"})


def schema_file(topic: Topic) -> str:
    """Name of the topic's JSON Schema; the telemetry topics share that of one JSON line."""
    name = f"telemetry.v{topic.version}" if topic.record is Slice else topic.name
    return f"{name}.schema.json"


def example_folder(topic: Topic) -> str:
    """Folder of the topic's golden examples below ``schemas/examples``: ``site.event/v1``."""
    return f"{topic.name.removesuffix(f'.v{topic.version}')}/v{topic.version}"


def schemas_text() -> dict[str, str]:
    """Every JSON Schema as it stands in ``schemas/json``, by file name."""
    return {schema_file(topic): _text(_schema(topic)) for topic in TOPICS}


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _schema(topic: Topic) -> dict[str, Any]:
    """JSON Schema (2020-12) of one message: of one line where it is JSON lines."""
    schema = msgspec.json.schema(Line if topic.record is Slice else message_type(topic))
    if topic.envelope == "cloudevent":
        envelope = schema["$defs"][schema["$ref"].rpartition("/")[2]]
        envelope["properties"]["type"] = {"const": topic.name}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": schema_file(topic),
        **schema,
    }


def digest(text: str) -> str:
    """Digest of what a schema demands; descriptions may change, demands only in a new version."""
    return hashlib.sha256(json.dumps(_bare(json.loads(text)), sort_keys=True).encode()).hexdigest()


def _bare(schema: Any, *, names: bool = False) -> Any:
    """The schema without its prose; below ``properties`` and ``$defs`` the keys are names."""
    if isinstance(schema, list):
        return [_bare(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _bare(part, names=not names and key in {"properties", "$defs"})
        for key, part in schema.items()
        if names or key not in _PROSE
    }


def table() -> str:
    """The table of topics, in Markdown."""
    heads = ("topic", "carries", "owner", "key", "kept", "largest", "form", "schema")
    rows: list[tuple[str, ...]] = [heads, ("---",) * len(heads)]
    rows += [
        (
            f"`{t.name}`",
            t.carries,
            t.owner,
            f"`{t.key}`",
            f"{t.retention_s // DAY_S} d",
            f"{t.max_message_bytes >> 20} MiB",
            " or ".join(f"`{kind}`" for kind in t.content_types),
            f"`{schema_file(t)}`",
        )
        for t in TOPICS
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
