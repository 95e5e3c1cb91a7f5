"""The parts of the suite: intervals, backgrounds, scenes, yardsticks, rows, the page."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from replay.errors import PlanError
from replay.suite import intervals, yardsticks
from replay.suite.backgrounds import Noise, Serving
from replay.suite.page import fill
from replay.suite.rows import Goal, Row
from replay.suite.scene import Scene
from replay.suite.table import lines


def test_intervals_are_those_of_the_tables() -> None:
    """Clopper-Pearson and Garwood against figures printed in their textbooks."""
    assert intervals.share(0, 10) == pytest.approx((0.0, 0.3085), abs=1e-4)
    assert intervals.share(990, 1000) == pytest.approx((0.98168, 0.99519), abs=1e-5)
    assert intervals.rate(0, 1.0) == pytest.approx((0.0, 2.9957), abs=1e-3)
    assert intervals.rate(10, 2.0) == pytest.approx((2.7127, 8.4811), abs=1e-3)
    values = np.arange(100.0)
    low, high = intervals.mean(values)
    assert low < 49.5 < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 10, rel=0.1)


def test_backgrounds_are_the_real_thing() -> None:
    """Racks draw what they should on average, roll on without a seam, and are redrawn in time."""
    rng = np.random.default_rng(3)
    serving = Serving(40, rng)
    minutes = [serving.minute() for _ in range(61)]
    assert all(x.shape == (40, 601) for x in minutes)
    whole = np.concatenate([x[:, :-1] for x in minutes], axis=1)
    assert whole.mean() == pytest.approx(40e3, rel=0.02)
    seams = np.concatenate([x[:, -1:] - y[:, :1] for x, y in itertools.pairwise(minutes)])
    assert np.abs(seams).max() < 1.0
    noise = Noise(3, 10.0, rng)
    assert noise.minute()[:, -1] == pytest.approx(noise.minute()[:, 0])


def test_a_scene_adds_up() -> None:
    """The POI's meter reads the racks' sum, and PDUs are theirs, injections and all."""
    rng = np.random.default_rng(4)
    scene = Scene(Noise(40, 5.0, rng), 40, 30, rng)
    blocks = list(scene.blocks(120, 1))
    racks_w = np.concatenate([b.power_w["rack"] for b in blocks], axis=1)
    assert scene.node_w.shape == (3, 1200)
    assert scene.node_w[1] == pytest.approx(racks_w[:20].sum(axis=0))
    assert scene.node_w[0] == pytest.approx(racks_w.sum(axis=0), rel=1e-3)


def test_yardsticks_do_what_they_say() -> None:
    """A step crosses the dP/dt alarm once, at its sample; a swing trips the RMS within 15 s."""
    power_w = np.full(6000, 100.0)
    power_w[3000:] += 1.0
    assert yardsticks.dpdt(power_w, 100.0) == pytest.approx([300.1])
    rng = np.random.default_rng(5)
    t_s = np.arange(6000) / 10
    swing = rng.standard_normal(6000) + np.where(t_s >= 400, 10 * np.sin(2 * math.pi * t_s), 0)
    (alarm,) = yardsticks.rms(swing)
    assert 400 < alarm < 410
    assert len(yardsticks.rms(rng.standard_normal(6000))) == 0


def test_a_row_is_judged_by_what_it_says() -> None:
    """The figure, or the bound, against its limit; an unknown figure keeps none."""
    row = Row(case="a", what="b", figure=1.2, trials=3, low=0.9, high=1.7, goal=Goal(1.0))
    assert (row.ok, row.widened().ok) == (False, True)
    assert not Row(case="a", what="b", figure=None, trials=0, goal=Goal(1.0)).ok
    assert "MISSED" in lines([row])[1]
    assert lines([row])[-1] == "0 of 1 limits kept"
    assert row.as_json()["limit"] == 1.0
    one = Row(case="a", what="b", figure=9.0, trials=1, low=math.nan, high=math.nan, goal=Goal(1.0))
    assert not one.widened().ok
    assert one.as_json()["high"] is None


def test_a_page_is_filled_case_by_case(tmp_path: Path) -> None:
    """Rows replace those of the same cases and leave the others; without marks one sentence."""
    page = tmp_path / "page.md"
    page.write_text("# A\n<!-- suite s -->\n<!-- end of suite -->\nrest\n")
    rows = [Row(case=c, what="w", figure=2.0, trials=3, goal=Goal(1.0)) for c in ("a", "b")]
    fill(page, "s", rows, "2026-11-25, seed 1")
    fill(page, "s", [rows[1]], "2026-11-26, seed 2")
    lines_now = page.read_text().splitlines()
    assert [x.split("|")[1].strip() for x in lines_now if x.startswith("| ")] == ["case", "a", "b"]
    assert [x.endswith("seed 2 |") for x in lines_now if x.startswith(("| a", "| b"))] == [
        False,
        True,
    ]
    assert "**missed**" in page.read_text()
    assert (lines_now[0], lines_now[-1]) == ("# A", "rest")
    with pytest.raises(PlanError, match="suite other"):
        fill(page, "other", rows, "")
