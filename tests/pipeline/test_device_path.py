"""The engine on another array library than NumPy: what a GPU needs of it, tried without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.device import Device
from replay.live import contents
from tests.pipeline.site import as_messages, open_lane, power, site_slices, topology


def _reference(xp: Any) -> Device:
    """Any library, with the operators themselves instead of compiled kernels."""
    return Device("reference", "device: reference", xp, xp.asarray, np.asarray)


@pytest.mark.parametrize("cut", [None, 180])
def test_another_library_gives_the_same_rows(tmp_path: Path, cut: int | None) -> None:
    """With every array in array-api-strict, over a restart too, the archive is the same."""
    site, parts = topology(), power(60)
    messages = as_messages(site_slices(site, parts, 0.5))
    strict = pytest.importorskip("array_api_strict")
    for name, device in (("numpy", _reference(np)), ("strict", _reference(strict))):
        lane = open_lane(tmp_path / name, site, device=device)
        for at in range(0, len(messages), 10):
            if cut is not None and at == cut:
                lane = open_lane(tmp_path / name, site, device=device)
                assert lane.start_offsets
            lane.feed(messages[at : at + 10])
            batch = lane.take(snapshot=True)
            if batch is not None:
                lane.commit(batch)
        batch = lane.take(final=True)
        if batch is not None:
            lane.commit(batch)
    assert contents(tmp_path / "strict") == contents(tmp_path / "numpy")
    assert len(contents(tmp_path / "numpy")["windows"]) == 60 * 3 + 6 * 8
