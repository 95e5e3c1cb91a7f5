"""Every kernel is compiled for two GPUs, spills nothing and leaves registers for enough threads."""

import sys

import pytest

from pipeline.cuda_launch import SUBJECTS, sources
from tests.cuda.nvrtc import CompileError, compiled, need_nvrtc

ARCHITECTURES = ("sm_80", "sm_90")
MOST_REGISTERS = 80
"""65,536 a multiprocessor: six blocks of 128 threads and more."""
MOST_SHARED = 10_000

SPILLS = """
extern "C" __global__ void __launch_bounds__(1024, 2) crowded(const double* x, double* y) {
    double kept[64];
    #pragma unroll
    for (int k = 0; k < 64; ++k) kept[k] = x[k * 1024 + threadIdx.x];
    __syncthreads();
    #pragma unroll
    for (int k = 0; k < 64; ++k) y[k * 1024 + threadIdx.x] = kept[63 - k] * kept[k] + kept[0];
}
"""


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_source_compiles(subject: str, arch: str) -> None:
    """No spill, no stack, few registers, as much shared memory as every GPU gives."""
    found = compiled((sources() / f"{subject}.cu").read_text(), arch)
    assert {kernel.name for kernel in found} == {*SUBJECTS[subject]}
    for kernel in found:
        print(*kernel)
        assert kernel.arch == arch
        assert kernel.spill_bytes == kernel.stack_bytes == 0, kernel
        assert 0 < kernel.registers <= MOST_REGISTERS, kernel
        assert kernel.static_shared_bytes <= MOST_SHARED, kernel


def test_without_nvrtc_ci_fails_and_others_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is said; in CI it is no reason."""
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    monkeypatch.setenv("CI", "false")
    with pytest.raises(pytest.skip.Exception, match="NVRTC is not installed"):
        need_nvrtc()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="and CI compiles the kernels"):
        need_nvrtc()


def test_a_kernel_that_spills_is_seen() -> None:
    """The gate above can close: too many values for 32 registers go to memory."""
    [kernel] = compiled(SPILLS, "sm_90")
    assert kernel.spill_bytes > 0


def test_an_error_names_its_line() -> None:
    """A missing semicolon is an error with the line."""
    code = (sources() / "scan.cu").read_text().replace("double most = 0;", "double most = 0", 1)
    with pytest.raises(CompileError, match=r"source\.cu\(\d+\): error"):
        compiled(code, "sm_90")
