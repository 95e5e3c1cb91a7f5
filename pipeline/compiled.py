"""Where compiled kernels are kept: found where an image has them, written where one can write."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import operators

__all__ = ["KEPT", "keep_place"]

KEPT = "NUMBA_CACHE_DIR"
"""Names the folder; Numba reads it once, when it is imported."""


def keep_place() -> Path | None:
    """
    See to it that compiled kernels have a folder that can be written to; returns a new one.

    Numba keeps them beside the source, or in the folder named by `KEPT`. An image's is read-only:
    a copy of it, in the folder for temporary files, is as good. Machine code is of one CPU type; on
    another it is compiled at start, which takes a minute.
    """
    named = os.environ.get(KEPT)
    beside = Path(operators.__file__).parent / "kernels"
    if os.access(named or beside, os.W_OK) or (named and not Path(named).exists()):
        return None
    folder = Path(tempfile.mkdtemp(prefix="lockstep-kernels-"))
    if named:
        shutil.copytree(named, folder, dirs_exist_ok=True)
    os.environ[KEPT] = str(folder)
    return folder
