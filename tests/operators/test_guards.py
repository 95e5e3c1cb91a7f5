"""What an operator says of input that it cannot use."""

import re

import numpy as np
import pytest

from operators import noise, ramps, segments, synchrony, trigger

PLAN = segments.plan([[0, 2], [1], [2, 1, 0]], 3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda x, ok: ramps.start(x, tail=1),
            "x_w must be (channel, time), got shape (3,)",
        ),
        (
            lambda x, ok: noise.start(x),
            "peak_w must be (channel, time), got shape (3,)",
        ),
        (
            lambda x, ok: synchrony.moved(x, ok, x),
            "diff_w must be (channel, time), got shape (3,)",
        ),
        (
            lambda x, ok: trigger.two_threshold(x, ok, threshold_on=2, threshold_off=1),
            "statistic must be (channel, time), got shape (3,)",
        ),
        (
            lambda x, ok: segments.segment_sums(x, PLAN),
            "x_w must be (..., 3, time), got shape (3,)",
        ),
    ],
)
def test_wrong_shape_message(call, words):
    """The message names the argument, the shape expected and the shape given."""
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        call(np.zeros(3), np.zeros(3, bool))


def test_integers_are_refused():
    """Integers are no power: one sentence says what to pass."""
    with pytest.raises(TypeError) as caught:
        ramps.start(np.zeros((2, 3), np.int64), tail=1)
    assert str(caught.value) == "x_w must be float32 or float64, got int64"
