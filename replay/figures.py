"""Figures: matplotlib where it is installed, a picture file or one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from replay.errors import ReplayError

__all__ = ["new_figure", "save"]


def new_figure(width_in: float, height_in: float) -> Any:
    """
    An empty figure.

    Raises
    ------
    ReplayError
        One sentence, when matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  an extra: lockstep[plot]
    except ImportError as error:
        msg = "a plot needs matplotlib; install it with: pip install 'lockstep[plot]'"
        raise ReplayError(msg) from error
    return Figure(figsize=(width_in, height_in), layout="constrained")


def save(figure: Any, path: Path) -> None:
    """
    Write a figure to a file: PNG, SVG or PDF by its ending.

    Raises
    ------
    ReplayError
        One sentence, when the file cannot be written.
    """
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be written ({error}); name a .png, .svg or .pdf"
        raise ReplayError(msg) from error
