"""The site file: what it says, its compact forms, and one sentence for what is wrong with it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.topology import Channel, Gateway, Node, Site, Topology, TopologyError
from schemas.units import Rate

EXAMPLE = Path(__file__).parents[2] / "schemas/examples/topology/cedar.toml"
TEXT = EXAMPLE.read_text()


@pytest.fixture
def cedar() -> Topology:
    """The example site."""
    return Topology.load(EXAMPLE)


def test_example_is_what_it_says(cedar):
    """120 racks, two PDUs and a POI; three levels, each with one rate."""
    assert [len(cedar.level_channels[level]) for level in cedar.levels] == [120, 2, 1]
    assert cedar.levels == ("rack", "pdu", "substation")
    assert cedar.top.id == "cedar-poi"
    assert cedar.level_rate == {"rack": Rate(10), "pdu": Rate(100), "substation": Rate(1000)}
    assert cedar.channel_gateway["b060.p"] == "gw-row-b"
    assert cedar.gateway_by_id["gw-row-a"].lateness_ns == 200_000_000


def test_compact_form_is_written_out(cedar):
    """`count` with {n:03d} makes a001 … a060, in the file's order, in every text of the entry."""
    racks = [n for n in cedar.nodes if n.parent == "pdu-a"]
    assert [racks[0].id, racks[-1].id, len(racks)] == ["a001", "a060", 60]
    text = TEXT.replace('cohorts = ["row-a", "job-4711"]', 'cohorts = ["rack-{n}", "hall"]')
    assert Topology.parse(text).node_by_id["a007"].cohorts == ("rack-7", "hall")


def test_round_trip(cedar):
    """What is dumped is read back as the same site, every entry written out."""
    again = Topology.parse(cedar.dumps())
    for part in ("site", "nodes", "channels", "gateways"):
        assert getattr(again, part) == getattr(cedar, part)


@given(name=st.text(min_size=1, max_size=8), number=st.floats(1e-9, 1e30))
def test_round_trip_of_odd_names(name, number):
    """Any text is an id and any number a rating: control characters, quotes, emoji, exponents."""
    site = Topology(
        Site("s", authority=name, modes_hz=(number,)),
        (Node(name, "substation", rating_w=number, cohorts=(name,)),),
        (Channel(name, name, averaging_s=0.0, poll_s=number),),
        (Gateway("g", "substation", "1/4", lateness_s=0.0),),
    )
    again = Topology.parse(site.dumps())
    assert (again.site, again.nodes, again.channels) == (site.site, site.nodes, site.channels)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('id = "cedar"', 'id = "ce dar"', "must match"),
        ('id = "cedar"', f'id = "{"c" * 65}"', "must match"),
        ('id = "cedar"', 'id = "cedar"\nowner = "x"', "unknown field `owner`"),
        ('level = "pdu"', 'level = "row"', "Invalid enum value 'row'"),
        ('id = "pdu-b"', 'id = "pdu-a"', "node 'pdu-a' stands twice"),
        ('parent = "cedar-poi"\n', "", "one node without a parent"),
        ('parent = "cedar-poi"', 'parent = "elm"', "parent 'elm' is not in the file"),
        ('parent = "cedar-poi"', 'parent = "a001"', "go up"),
        ('node_id = "pdu-a"', 'node_id = "pdu-z"', "node 'pdu-z' is not in the file"),
        ('channels = ["b*"]', 'channels = ["c*"]', "no rack channel matches 'c*'"),
        ('channels = ["b*"]', 'channels = ["*"]', "name one"),
        ('channels = ["b*"]', 'channels = ["b00*"]', "no rack gateway sends it"),
        ("rate_hz = 10\n", "rate_hz = 20\n", "one rate a level"),
        ("rate_hz = 100\n", "rate_hz = 0\n", "use a whole number 1-4000"),
        ("lateness_s = 0.2", "lateness_s = 61.0", "lateness_s is 61.0"),
        ("lateness_s = 0.2", "lateness_s = nan", "lateness_s is nan"),
        ("rating_w = 8e6", "rating_w = -8e6", "node pdu-a: rating_w is -8000000.0"),
        ("rating_w = 8e6", "rating_w = inf", "rating_w is inf"),
        ("authority_peak_w = 11.8e9", "authority_peak_w = nan", "authority_peak_w is nan"),
        ("poll_s = 0.1", "poll_s = -0.1", "poll_s is -0.1"),
        ("count = 60", "count = 200_001", "count is 200001"),
        ("{n:03d}.p", "a.p", "stands twice"),
        ("[site]", "[site", "topology: "),
        ("[[gateway]]", "[[gate]]", "unknown field `gate`"),
    ],
)
def test_what_is_wrong_is_said(old, new, sentence):
    """Each mistake in a site file gives one sentence that names the place."""
    assert old in TEXT
    count = -1 if old in {"{n:03d}.p", "[[gateway]]"} else 1
    with pytest.raises(TopologyError) as caught:
        Topology.parse(TEXT.replace(old, new, count))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_said(tmp_path):
    """A file that is not there gives one sentence with its path."""
    with pytest.raises(TopologyError, match=r"nowhere\.toml: No such file"):
        Topology.load(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("text", [b"\xff\xfe", b"a = " + b"[" * 5000, b""])
def test_bytes_that_are_no_site_file(text):
    """Bytes of another kind, or nested without end, give a sentence and nothing else."""
    with pytest.raises(TopologyError):
        Topology.parse(text)
