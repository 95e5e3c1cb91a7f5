"""The CUDA sources compiled for GPUs by NVRTC, which needs none."""

import os
import re
from typing import Any, NamedTuple

import pytest

from pipeline.cuda_launch import OPTIONS, sources

ENTRY = re.compile(
    r"entry function '(\w+)' for '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, "
    r"(\d+) bytes spill loads.*?Used (\d+) registers"
    r"(?:, used \d+ barriers)?(?:, (\d+) bytes smem)?",
    re.DOTALL,
)


class Compiled(NamedTuple):
    """What ptxas says of one kernel."""

    name: str
    arch: str
    stack_bytes: int
    spill_bytes: int
    registers: int
    static_shared_bytes: int


class CompileError(Exception):
    """NVRTC's words."""


def need_nvrtc() -> Any:
    """NVRTC's binding; skip where it is not installed, but not in CI."""
    try:
        from cuda.bindings import nvrtc

        nvrtc.nvrtcVersion()
    except Exception as error:  # noqa: BLE001  no wheel, no library: each fails in its own way
        if os.environ.get("CI") == "true":
            pytest.fail(
                f"NVRTC cannot be used, and CI compiles the kernels: {error}", pytrace=False
            )
        pytest.skip(f"NVRTC is not installed (make setup): {error}")
    return nvrtc


def compiled(code: str, arch: str) -> list[Compiled]:
    """Compile to machine code as CuPy will; raises `CompileError`."""
    nvrtc = need_nvrtc()
    options = [*OPTIONS, f"-I{sources()}", f"--gpu-architecture={arch}", "--ptxas-options=-v"]
    _, program = nvrtc.nvrtcCreateProgram(code.encode(), b"source.cu", 0, [], [])
    [status] = nvrtc.nvrtcCompileProgram(program, len(options), [o.encode() for o in options])
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    log = b" " * size
    nvrtc.nvrtcGetProgramLog(program, log)
    words = log.decode(errors="replace")
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise CompileError(words)
    _, size = nvrtc.nvrtcGetCUBINSize(program)
    assert size > 0
    nvrtc.nvrtcDestroyProgram(program)
    return [
        Compiled(name, arch, int(stack), int(store) + int(load), int(used), int(shared or 0))
        for name, arch, stack, store, load, used, shared in ENTRY.findall(words)
    ]
