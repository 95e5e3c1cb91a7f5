"""Known answers of the magnitude."""

import numpy as np
import pytest

from operators import magnitude


def test_share_of_the_peak(xp, rows):
    """40 MW of a 20 GW authority is 0.2 %, whatever the sign."""
    assert rows(magnitude.peak_share(xp.asarray([40e6, -40e6]), 20e9)) == [0.002, 0.002]


def test_a_peak_of_nothing_is_refused():
    """A peak of zero is refused."""
    with pytest.raises(ValueError, match="authority_peak_w must be above 0, got 0"):
        magnitude.peak_share(np.ones(1), 0)
