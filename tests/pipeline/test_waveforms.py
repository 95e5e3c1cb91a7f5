"""Samples on a grid come back bit for bit; rounded ones within half of what was stated."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.waveforms import decoded, quantised

RNG = np.random.default_rng(3)
GRIDS = {
    "whole W": np.rint(RNG.normal(80e3, 500, 1000)),
    "0.1 W": np.rint(RNG.normal(700, 50, 1000) * 10) / 10,
    "kW of a large site": np.rint(RNG.normal(840e6, 1e6, 1000) / 1e3) * 1e3,
    "a converter's step": 17.3125 + 0.375 * np.rint(RNG.normal(0, 300, 1000)),
    "one value": np.full(100, 482.25),
    "negative": -np.rint(RNG.normal(4e6, 1e3, 500)),
}


@pytest.mark.parametrize("name", GRIDS)
def test_samples_on_a_grid_come_back_bit_for_bit(name):
    """The step is found without being told, gaps stay gaps, and the codes are small."""
    samples_w = GRIDS[name].astype(np.float32)
    samples_w[[3, 50]] = np.nan
    found = quantised(samples_w, None)
    assert found is not None
    assert np.array_equal(decoded(found), samples_w, equal_nan=True)
    assert np.nanmax(found.codes) - np.nanmin(found.codes) < 20_000
    assert np.array_equal(np.isnan(found.codes), np.isnan(samples_w))


def test_the_largest_step_is_taken():
    """Tens of watts are kept as tens, not as tenths."""
    found = quantised((np.rint(RNG.normal(8e3, 50, 200)) * 10).astype(np.float32), None)
    assert found.scale_w == 10.0


def test_samples_on_no_grid_are_kept_as_they_are():
    """Nothing is rounded that nobody allowed to be rounded."""
    samples_w = (1e-3 * RNG.normal(0, 1, 1000)).astype(np.float32)
    samples_w[0] = 1e5
    assert quantised(samples_w, None) is None
    assert quantised(samples_w, 1e-4) is None


@pytest.mark.parametrize("step_w", [1.0, 0.25, 1000.0])
def test_a_stated_resolution_is_kept(step_w):
    """Rounded to what the meter resolves, to half a step, whatever the last digits were."""
    samples_w = RNG.normal(4500, 300, 1000).astype(np.float32)
    found = quantised(samples_w, step_w)
    assert found.scale_w == step_w
    assert np.abs(decoded(found) - samples_w).max() <= step_w / 2 * (1 + 1e-6)
