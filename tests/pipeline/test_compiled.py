"""Compiled kernels: a place for them, ready before the stream, nothing compiled in it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba.core import event

from operators.kernels import cpu
from pipeline.align_state import Block
from pipeline.compiled import KEPT, keep_place
from pipeline.detect import DetectSettings
from pipeline.device import CPU
from pipeline.engine import Engine
from pipeline.layout import SiteLayout
from tests.pipeline.site import T0_NS
from tests.pipeline.tiny import Gate, tiny


def test_a_read_only_folder_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image's compiled kernels are used from a copy, because Numba must be able to write."""
    image = tmp_path / "image"
    image.mkdir()
    (image / "kernel.nbi").write_bytes(b"compiled")
    monkeypatch.setenv(KEPT, str(image))
    assert keep_place() is None
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    folder = keep_place()
    assert folder is not None
    assert os.environ[KEPT] == str(folder)
    assert (folder / "kernel.nbi").read_bytes() == b"compiled"


def test_importing_operators_does_not_compile() -> None:
    """Numba is loaded by who computes, not by who reads a topology or asks an archive."""
    code = "import sys, operators, pipeline.device, pipeline.layout, operators.kernels.reference; "
    code += "sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_nothing_is_left_to_compile() -> None:
    """Every kernel states its types: loaded is ready, and a call with others is refused."""
    kernels = [
        value
        for module in sys.modules.copy().values()
        if getattr(module, "__name__", "").startswith("operators.kernels._")
        for value in vars(module).values()
        if hasattr(value, "py_func")
    ]
    eager = {k.py_func.__name__: k for k in kernels if not k._can_compile}
    assert {"look", "ratios", "folded", "together", "pushed", "powers"} <= set(eager)
    assert all(k.signatures for k in eager.values())
    assert CPU.kernels().name == cpu.KERNELS.name == "numba"
    with pytest.raises(TypeError, match="No matching definition"):
        eager["together"]((1, 2), 3, 4, 5, 6)


@pytest.mark.parametrize("rate", [2, 3, 10, 50])
def test_the_stream_compiles_nothing(rate: int) -> None:
    """Rates, sizes, cuts, gaps and an event: not one compilation once the kernels are loaded."""
    CPU.kernels().warm()
    with event.install_recorder("numba:compile") as seen:
        events = [found for racks in (3, 100) for found in _stream(racks, rate)]
    assert seen.buffer == []
    assert any(found.kind == "ramp" or "ramp" in found.kind for found in events)


def test_a_compilation_would_be_seen() -> None:
    """The recorder hears of one."""
    with event.install_recorder("numba:compile") as seen:
        numba.njit(lambda x: x + 1)(2)
    assert seen.buffer


def _stream(racks: int, rate: int) -> list[Any]:
    """Events of two minutes in blocks of a tick, a second and ten; a gap, a reset, a step."""
    gates = {"g": Gate(rate=str(rate), channels=racks), "s": Gate("substation", "20", 1)}
    layout, events = SiteLayout(tiny(gates)), []
    engine = Engine(layout, DetectSettings(), CPU)
    state, ticks, s = engine.start(), layout.ticks_per_s, 0
    rng = np.random.default_rng(racks)
    for length in [ticks] * 60 + [10 * ticks] * 3 + [1] * (10 * ticks) + [ticks] * 20:
        power_w = {g.level: 4e4 + rng.normal(0, 50, (g.channels, length * g.per_tick))
                   for g in layout.grids}  # fmt: skip
        power_w["rack"] -= 2e4 if s > 105 * ticks else 0
        valid = {level: rng.random(x.shape) > 0.02 for level, x in power_w.items()}
        resets = {"rack": np.arange(racks) == 1} if s == 50 * ticks else {}
        t0_ns = T0_NS if not s else state.end_ns
        state, outcome = engine.step(state, Block(t0_ns, length, power_w, valid, resets, False))
        events += outcome.events
        s += length
    return events + engine.finish(state, "end_of_stream")[1].events
