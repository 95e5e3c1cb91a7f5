"""Known answers of the likelihood ratio over windows."""

import numpy as np
import pytest

from operators import steps


def ratio(z, *, since=10_000, baseline=1e12, sigma=1.0, limit=1.0):
    """One channel's view; ``z`` (time,) after a silent past."""
    whole = np.concatenate([np.zeros(steps.TAIL), z])[None, :]
    return steps.likelihood_ratio(
        whole,
        np.array([sigma]),
        np.full((1, len(z)), since),
        np.array([baseline]),
        np.full((1, len(steps.GROUPS)), limit),
    )


def test_box_sums_are_sums():
    """Every window's sum is that of its samples."""
    z = np.random.default_rng(1).standard_normal((2, steps.TAIL + 300))
    for window, sums in zip(steps.WINDOWS, steps.box_sums(z), strict=True):
        for t in (0, 17, 299):
            end = steps.TAIL + t + 1
            assert sums[:, t] == pytest.approx(z[:, end - window : end].sum(axis=1))


def test_windows_are_in_groups():
    """Each window is in one group, in order."""
    places = [place for start, stop in steps.GROUPS for place in range(start, stop)]
    assert places == list(range(len(steps.WINDOWS)))


def test_a_step_is_found_by_the_window_that_spans_it():
    """24 samples after a step of 1 sigma the best window is 24, its G is the root of 24."""
    view = ratio(np.concatenate([np.zeros(50), np.ones(24)]))
    assert view.up[0, -1] == pytest.approx(np.sqrt(24))
    assert steps.WINDOWS[view.up_window[0, -1]] == 24
    assert view.down[0].tolist() == [0.0] * 74


def test_down_is_apart_from_up():
    """A fall is a fall: its ratio is in ``down``, in units of the threshold."""
    view = ratio(np.array([0.0, -8.0]), sigma=2.0, limit=2.0)
    assert view.down[0, -1] == pytest.approx(2.0)
    assert view.up[0, -1] == 0.0


def test_no_window_reaches_over_a_reset():
    """Two samples after a reset only windows 1 and 2 speak."""
    z = np.full(10, 3.0)
    view = ratio(z, since=2)
    assert view.up[0, -1] == pytest.approx(3 * np.sqrt(2))
    assert steps.WINDOWS[view.up_window[0, -1]] == 2


def test_a_short_baseline_asks_for_more():
    """A mean over as many samples as the window halves G squared."""
    view = ratio(np.concatenate([np.zeros(50), np.ones(64)]), baseline=64)
    far = steps.WINDOWS.index(64)
    assert view.greatest[0, 3:, -1].max() <= np.sqrt(32) + 1e-9
    assert far in range(*steps.GROUPS[4])


@pytest.mark.parametrize(("sigma", "baseline"), [(0.0, 100.0), (1.0, 0.0)])
def test_what_is_not_known_says_nothing(sigma, baseline):
    """Without a noise or a baseline no shift is large."""
    view = ratio(np.full(20, 1e9), sigma=sigma, baseline=baseline)
    assert view.up.max() == view.down.max() == view.greatest.max() == 0.0


def test_white_noise_is_standard_normal_in_every_group():
    """The maxima of G^2/2 over 100 samples follow Gumbel's law of scale 1: those passed once in
    1,000 blocks lie within 1.2 of what the places in the pipeline foretell.
    """
    from pipeline.step_stage import GAUSSIAN

    z = np.random.default_rng(2).standard_normal((32, steps.TAIL + 40_000))
    rows = np.ones(32)
    view = steps.likelihood_ratio(
        z, rows, np.full((32, 40_000), 10_000), rows * 1e12, np.ones((32, len(steps.GROUPS)))
    )
    blocks = view.greatest.reshape(32, len(steps.GROUPS), 400, 100).max(axis=3) ** 2 / 2
    for group, (_, _, place) in enumerate(GAUSSIAN):
        passed = np.quantile(blocks[:, group], 0.999)
        assert passed == pytest.approx(place + np.log(1000), abs=1.2)
