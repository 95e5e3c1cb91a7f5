"""Compiled kernels: a place for them, ready before the stream, nothing compiled in it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from operators.kernels import cpu
from pipeline.compiled import KEPT, keep_place
from pipeline.device import CPU


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
    assert {"look", "ratios", "node_sums", "voted", "moves", "pushed", "powers"} <= set(eager)
    assert all(k.signatures for k in eager.values())
    assert CPU.kernels().name == cpu.KERNELS.name == "numba"
    with pytest.raises(TypeError, match="No matching definition"):
        eager["moves"]((1, 2), 3, 4, 5)
