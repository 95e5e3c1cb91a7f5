"""The contracts of design §2: topics, records, schemas, examples, and guards that can fail."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from schemas import events, topics, topology
from schemas.contracts import digest, example_folder, schema_file, schemas_text, table
from schemas.refusal import Refused
from schemas.telemetry import MAX_BYTES, Slice
from schemas.topology import Topology
from tests.schemas import guards

ROOT = Path(__file__).parents[2]
JSON, EXAMPLES = ROOT / "schemas/json", ROOT / "schemas/examples"
TOPICS = pytest.mark.parametrize("topic", topics.TOPICS, ids=lambda t: t.name)
OURS = [t for t in topics.TOPICS if t.record is not Slice]
GRID = [t for t in OURS if t.name in {"grid.event.v1", "grid.state.v1", "grid.forecast.v1"}]
MESSAGES = [
    pytest.param(topic, path, id=f"{topic.name}-{path.stem}")
    for topic in OURS
    for path in sorted((EXAMPLES / example_folder(topic)).iterdir())
]


def example(name: str) -> str:
    """The text of a golden example."""
    return (EXAMPLES / name).read_text()


@TOPICS
def test_topic_is_complete(topic):
    """Every topic says its owner, retention and size, and has a schema and an example."""
    assert topic.carries
    assert topic.owner in {"site", "grid", "scheduler", "lockstep"}
    assert topic.name.endswith(f".v{topic.version}")
    assert topic.retention_s >= 86_400
    assert 0 < topic.max_message_bytes <= MAX_BYTES
    assert (JSON / schema_file(topic)).is_file()
    assert list((EXAMPLES / example_folder(topic)).iterdir())


def test_key_is_site_id():
    """What belongs to a site is keyed by it; only dead letters have another key."""
    assert {t.name for t in topics.TOPICS if t.key != "site_id"} == {"telemetry.deadletter.v1"}


def test_topics_are_those_of_the_design():
    """The ten topics of design §2, each once, and a level for each telemetry topic."""
    names = [t.name for t in topics.TOPICS]
    assert len(set(names)) == len(names) == 10
    assert set(topics.TELEMETRY) == set(topology.LEVELS)
    assert {t.name for t in topics.TOPICS if t.record is Slice} == set(topics.TELEMETRY.values())


def test_no_orphans():
    """Every schema file is used by a topic, every example folder by a topic."""
    used = {schema_file(t) for t in topics.TOPICS}
    assert {p.name for p in JSON.iterdir()} == used | {"digests.json"}
    folders = {example_folder(t) for t in topics.TOPICS} | {"topology"}
    held = {str(p.parent.relative_to(EXAMPLES)) for p in EXAMPLES.rglob("*") if p.is_file()}
    assert held == folders


def test_dead_letters_outlive_their_parents():
    """Dead letters: as large as the messages they stand for, kept at least a week and as long."""
    dead = topics.topic("telemetry.deadletter.v1")
    parents = [t for t in topics.TOPICS if t.record is Slice]
    assert {t.max_message_bytes for t in parents} == {dead.max_message_bytes}
    assert dead.retention_s >= max(7 * 86_400, *(t.retention_s for t in parents))


@pytest.mark.parametrize("name", sorted(schemas_text()))
def test_committed_schema_is_the_generated_one(name):
    """`python -m schemas --write` would change nothing."""
    assert (JSON / name).read_text() == schemas_text()[name], "run: python -m schemas --write"


def test_no_version_changes_in_silence():
    """
    What a v1 schema demands never changes once it is out.

    To change a record: add `<topic>.v2` beside v1 in schemas/topics.py with its own record,
    examples and digest, publish both for a retention period, then retire v1. Before the first
    release, and only then, the line in digests.json may be changed by hand instead.
    """
    made = {name: digest(text) for name, text in schemas_text().items()}
    assert json.loads((JSON / "digests.json").read_text()) == made


def test_digest_sees_demands_and_not_prose():
    """A new field, type or required name changes a digest; a description does not."""
    text = (JSON / "grid.event.v1.schema.json").read_text()
    schema = json.loads(text)
    event = schema["$defs"]["GridEvent"]
    event["description"] = "other words"
    assert digest(json.dumps(schema)) == digest(text)
    event["properties"]["title"] = {"type": "string"}
    assert digest(json.dumps(schema)) != digest(text)


@pytest.mark.parametrize(("topic", "path"), MESSAGES)
def test_example_keeps_its_contract(topic, path):
    """Every example validates, decodes, encodes to itself, and obeys the id and quantile rules."""
    assert guards.message(topic, path.read_text()) == []
    assert topics.decode(topic.name, path.read_bytes()) is not None


@pytest.mark.parametrize(("topic", "path"), MESSAGES)
def test_unknown_field_is_refused(topic, path):
    """A field that the contract does not name is refused, by the schema and by the codec."""
    whole = json.loads(path.read_text())
    (whole["data"] if topic.envelope == "cloudevent" else whole)["rack_id"] = "a001"
    text = json.dumps(whole)
    assert "Additional properties" in guards.message(topic, text)[0]
    with pytest.raises(Refused, match="unknown field `rack_id`"):
        topics.decode(topic.name, text.encode())


@pytest.mark.parametrize(
    ("name", "old", "new", "wrong"),
    [
        ("grid.event/v1/oscillation_closed.json", '"cedar:osc', '"cedar:ramp:osc', "event_id"),
        ("site.event/v1/ramp_open.json", '"open"', '"closed"', "closed_ns"),
        ("site.event/v1/ramp_open.json", '"onset_ns": 1', '"onset_ns": 0.1', "integer"),
        ("site.event/v1/ramp_open.json", '"quality": "good",', "", "quality"),
        ("grid.forecast/v1/fast.json", '"q50_w": 3', '"q50_w": 9', "monotone"),
        ("grid.state/v1/second.json", '"type": "grid.', '"type": "site.', "grid.state.v1"),
        ("grid.state/v1/second.json", '"subject": "cedar"', '"subject": "oak"', "subject"),
        ("grid.signal/v1/set_point.json", '"W"', '"MW"', "MW"),
        ("telemetry.deadletter/v1/rows.json", '"rating"', '"dislike"', "dislike"),
    ],
)
def test_guard_can_fail(name, old, new, wrong):
    """A message bent in one place is seen by the guard, which says what is wrong."""
    text = example(name)
    topic = next(t for t in OURS if name.startswith(example_folder(t)))
    bent = text.replace(old, new) if old == '"rating"' else text.replace(old, new, 1)
    assert guards.message(topic, text) == []
    assert wrong in " ".join(guards.message(topic, bent))


@pytest.mark.parametrize("topic", GRID, ids=lambda t: t.name)
def test_grid_sees_no_rack(topic):
    """Nothing in a grid-facing record names racks, jobs, channels or tenants; no example does."""
    assert guards.privacy(topic.record) == []
    site = Topology.load(EXAMPLES / "topology/cedar.toml")
    private = {n.id for n in site.nodes if n is not site.top}
    private |= {c.id for c in site.channels} | {c for n in site.nodes for c in n.cohorts}
    for path in (EXAMPLES / example_folder(topic)).iterdir():
        assert not [name for name in private if f'"{name}"' in path.read_text()]


def test_privacy_guard_can_fail():
    """The site's own event record would not pass as a grid-facing one."""
    found = guards.privacy(topics.topic("site.event.v1").record)
    assert "SiteEvent.channels is not for the grid" in found
    assert "Contributor.channel_id is not for the grid" in found
    assert "SiteEvent.node_id is not for the grid" in found


RECORDS = [t.record for t in OURS]
RECORDS += [topology.Site, topology.Node, topology.Channel, topology.Gateway, topics.Topic]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.__name__)
def test_every_number_has_its_unit(record):
    """The last word of a numeric field is its unit, or it is a listed count, share or ratio."""
    assert guards.units(record) == []


def test_unit_guard_can_fail():
    """A number without a unit is seen, in the record and in a record within it."""

    class Inner(msgspec.Struct):
        power_mw: float

    class Outer(msgspec.Struct):
        speed: float | None
        inner: tuple[Inner, ...]

    assert guards.units(Outer) == ["Outer.speed has no unit", "Inner.power_mw has no unit"]


def test_grid_event_says_what_the_site_event_says():
    """The grid gets the same events: same fields but the node, the channels and their names."""
    site, grid = (
        set(topics.topic(f"{w}.event.v1").record.__struct_fields__) for w in ("site", "grid")
    )
    private = {"node_id", "level", "contributors", "groups", "step_test", "tone_test"}
    assert site - grid == private
    assert grid - site == {"poi_id"}


@pytest.mark.parametrize("topic", OURS, ids=lambda t: t.name)
def test_decode_refuses_and_never_raises_otherwise(topic):
    """Bytes that are no such message end as Refused, deep nesting and stray surrogates included."""
    path = next((EXAMPLES / example_folder(topic)).iterdir())
    good = path.read_bytes()
    bad = [b"", b"\xff", b"[]", good[:-3], b'{"a":' * 60_000, b'{"x":"\\ud800"}', b"1" * 5000]
    for value in [*bad, b"[" * (MAX_BYTES + 1)]:
        with pytest.raises(Refused):
            topics.decode(topic.name, value)


def test_cloud_event_is_what_the_example_is():
    """`cloud_event` writes the golden bytes again, id and event time included."""
    name = "grid.event.v1"
    whole = json.loads(example("grid.event/v1/oscillation_closed.json"))
    record = topics.decode(name, json.dumps(whole).encode())
    value = topics.cloud_event(name, record, id_=whole["id"], time_ns=record.updated_ns)
    assert json.loads(value) == whole


@pytest.mark.parametrize(
    "path", sorted((EXAMPLES / "site.event/v1").iterdir()), ids=lambda p: p.stem
)
def test_event_id_is_what_the_rule_says(path):
    """`event_id` makes the ids of the examples: ramps and load loss are one family."""
    event = topics.decode("site.event.v1", path.read_bytes())
    site_id, family, frame_end_ns, rank = event.event_id.split(":")
    assert events.event_id(site_id, event.kind, int(frame_end_ns), int(rank)) == event.event_id
    assert int(frame_end_ns) >= event.opened_ns >= event.onset_ns
    assert events.family("load_loss") == events.family("synchronized_ramp") == "ramp"
    assert family == events.family(event.kind)


def test_docs_hold_the_table_of_topics():
    """docs/topics.md shows the table as `python -m schemas` prints it."""
    run = [sys.executable, "-m", "schemas"]
    printed = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed == table()
    assert printed in (ROOT / "docs/topics.md").read_text(), "paste what python -m schemas prints"
