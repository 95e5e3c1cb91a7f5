"""CUDA sources compiled and launched through a CuPy that is handed in."""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np

__all__ = ["OPTIONS", "SUBJECTS", "THREADS", "WARP", "Launcher", "sources", "whole"]

SUBJECTS = {
    "frame": (
        "frame_planes", "tree_sums", "frame_view", "leaf_peaks", "ring_push", "ring_advance",
    ),
    "seconds": ("stretch_stats", "frame_means", "slower", "remember", "noise_scale"),
    "scan": ("scan", "two_threshold"),
    "spectra": ("window_moves", "look"),
    "diversity": ("leaf_moves", "site_seconds", "site_diversity"),
    "unison": ("snapshots", "unit_rows", "gram", "leading_vector", "channel_parts", "shares"),
}  # fmt: skip
"""Kernels by the file in ``operators/kernels/cuda`` they are in."""
OPTIONS = ("--std=c++17", "--fmad=false")
"""No fused multiply-add: but for logarithms, exponentials and FFTs all bits are the reference's."""
WARP, THREADS = 32, 128


def sources() -> Any:
    """Return the folder of the CUDA sources."""
    return resources.files("operators.kernels") / "cuda"


class Launcher:
    """
    Every kernel by its name.

    Parameters
    ----------
    cupy : module
        CuPy, or what stands in for it: ``RawModule``, ``empty``, ``ascontiguousarray``.

    Notes
    -----
    CuPy passes pointers as they are. Whoever calls `__call__` gives C-contiguous arrays of the type
    the source names, and NumPy scalars: ``np.int32`` for ``int``, ``np.int64`` for ``long long``.
    """

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        folder = sources()
        options = (*OPTIONS, f"-I{folder}")
        self._functions: dict[str, Any] = {}
        self._modules = {
            subject: cupy.RawModule(
                code=(folder / f"{subject}.cu").read_text("ascii"), options=options
            )
            for subject in SUBJECTS
        }

    def load(self) -> None:
        """Compile, or take from CuPy's cache, all of them."""
        for names in SUBJECTS.values():
            for name in names:
                self._function(name)

    def _function(self, name: str) -> Any:
        if name not in self._functions:
            [subject] = [subject for subject, names in SUBJECTS.items() if name in names]
            function = self._modules[subject].get_function(name)
            function.compile()  # nothing is left for the first launch: it may be captured
            self._functions[name] = function
        return self._functions[name]

    def __call__(
        self, name: str, grid: tuple[int, ...], args: tuple[Any, ...], *, shared: int = 0
    ) -> None:
        """Launch ``grid`` blocks of `THREADS` threads; nothing to do for an empty grid."""
        if 0 not in grid:
            self._function(name)(grid, (THREADS,), args, shared_mem=shared)

    def threads(self, name: str, count: int, *args: Any) -> None:
        """Launch at least ``count`` threads."""
        self(name, (-(-count // THREADS),), args)

    def warps(self, name: str, count: int, *args: Any, planes: int = 1) -> None:
        """Launch at least ``count`` warps, for each of ``planes``."""
        self(name, (-(-count * WARP // THREADS), planes), args)


def whole(value: int) -> np.int32:
    """Return a C ``int``; a size beyond one is an error here and not a wrong index there."""
    if not -(2**31) <= value < 2**31:
        msg = f"{value} does not fit a 32-bit size; take smaller blocks of time"
        raise ValueError(msg)
    return np.int32(value)
