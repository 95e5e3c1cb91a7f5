"""The quick way into a site file says what TOML says, or nothing."""

import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import topology
from schemas._site_text import as_json
from schemas.topology import Topology

DEMO = Path(topology.__file__).parents[1] / "replay" / "traces" / "demo" / "topology.toml"
VALUES = (
    *(
        '"a"',
        '"a#b"',
        '"é{n:03d}"',
        '""',
        '"a\\"b"',
        '"a\\u00e9"',
        "'a'",
        '"""a"""',
        '"a", b = "c"',
    ),
    *("1", "-0", "0", "01", "1.5", "1.", ".5", "1e5", "1.5e-7", "1E5", "+1", "1_000", "0x1f"),
    *("true", "false", "null", "inf", "nan", "[]", "[1, 2.5]", "[1,2]", '["a", "b"]', "[[1], [2]]"),
    *("[1, ]", "[1", "{a = 1}", "1 # one", "1979-05-27", '"\t"', '"\x7f"', "1, 2", '1}, {"b": 2'),
)
KEYS = ("id", "rating_w", "id ", "a.b", '"id"', "id-2")
HEADS = ("[site]", "[[node]]", "[[channel]]", "[[gateway]]", "[node]", "[other]", "", "# no", " ")
LINES = st.one_of(
    st.sampled_from(HEADS),
    st.builds("{} = {}".format, st.sampled_from(KEYS), st.sampled_from(VALUES)),
    st.builds("{} = {}".format, st.sampled_from(KEYS[:2]), st.integers(-(10**17), 10**17)),
    st.builds("{} = {!r}".format, st.sampled_from(KEYS[:2]), st.floats(allow_nan=False)),
    st.builds('{} = "{}"'.format, st.sampled_from(KEYS[:2]), st.text(max_size=4)),
    st.text(max_size=6),
)


@settings(max_examples=1500, deadline=None)
@given(lines=st.lists(LINES, max_size=5), head=st.sampled_from(["[site]", "[site]\n[[node]]", ""]))
def test_what_is_read_is_what_toml_reads(lines, head):
    """Any text: left to TOML's own reader, or the same keys and values, of the same types."""
    text = "\n".join([head, *lines])
    plain = as_json(text)
    if plain is not None:
        assert repr(sorted_(msgspec.json.decode(plain))) == repr(sorted_(tomllib.loads(text)))


def sorted_(value):
    """Keys in one order; numbers and texts as they are."""
    if isinstance(value, dict):
        return {key: sorted_(value[key]) for key in sorted(value)}
    return [sorted_(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("value", VALUES)
def test_every_odd_value(value):
    """Each by itself: the same as TOML, or left to it."""
    text = f"[site]\nid = {value}"
    plain = as_json(text)
    if plain is not None:
        assert repr(msgspec.json.decode(plain)) == repr(tomllib.loads(text))


def test_a_site_that_was_written_out_takes_it():
    """What `Topology.dumps` writes is read quickly, so that a large site starts quickly."""
    text = Topology.load(DEMO).dumps()
    plain = as_json(text)
    assert plain is not None
    assert msgspec.json.decode(plain) == tomllib.loads(text)
    assert as_json(text + "# a comment\n") is None
