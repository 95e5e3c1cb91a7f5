"""What the tests of the operators share."""

import numpy as np
import pytest


@pytest.fixture
def rows():
    """Any array, on any device, as nested lists."""
    return lambda array: np.asarray(array.get() if hasattr(array, "get") else array).tolist()
