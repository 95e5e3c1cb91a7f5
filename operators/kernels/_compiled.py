"""How kernels are compiled: ahead of their first call, cached on disk, no rounding left open."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import numba
from numba import types

__all__ = ["alone", "b1", "compiled", "f4", "f8", "i8", "inner", "read", "spread", "u8"]

b1, i8, u8 = types.boolean, types.int64, types.uint64
f4, f8 = types.float32, types.float64
"""What is remembered, and what is computed with."""

_SETTINGS = {"nogil": True, "error_model": "numpy", "fastmath": False}
"""No ``fastmath`` and no parallel reductions: the order of additions is the code's."""


SOURCES = hashlib.sha256(
    b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
).hexdigest()
"""Of all kernels: compiled code on disk counts while none of them has changed."""


def read(dtype: Any, ndim: int) -> Any:
    """The type of an array that is only read; any C-contiguous one will do."""
    return types.Array(dtype, ndim, "C", readonly=True)


def compiled(*signatures: Any) -> Any:
    """A kernel for exactly these argument types, compiled (or loaded) where it is defined."""
    return functools.partial(_made, list(signatures))


def _made(signatures: list[Any], function: Any) -> Any:
    made = numba.njit(**_SETTINGS)(function)
    made.enable_caching()
    # Numba asks for the age of the function's own file only; what it calls may be in another
    made._cache._cache_file._source_stamp = SOURCES
    for signature in signatures:
        made.compile(signature)
    made.disable_compile()
    return made


inner = numba.njit(**_SETTINGS)
"""A part of kernels, compiled with each that calls it."""

spread = numba.njit(inline="always", **_SETTINGS)
"""As `inner`, written out where it is called: for a few lines within a loop."""


def alone(job: Any, count: int, numbers: int) -> None:
    """All rows at once, by the caller: how rows are shared where there is nobody else."""
    del numbers
    job(0, count)
