"""What the CUDA sources run on: the CPU in three orders of the threads, a GPU if there is one."""

from typing import Any

import pytest

from tests.cuda.on_cpu import Cupy, need_compiler

ORDERS = (0, 1, 2)


@pytest.fixture(params=[*ORDERS, pytest.param("gpu", marks=pytest.mark.gpu)])
def cupy(request: pytest.FixtureRequest) -> Any:
    """CuPy, or what stands in for it with the threads in one of three orders."""
    if request.param == "gpu":
        return pytest.importorskip("cupy")
    need_compiler()
    return Cupy(order=request.param)
