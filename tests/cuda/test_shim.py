"""What stands in for a GPU: it computes as CUDA says, and sees what CUDA forbids."""

from typing import Any

import numpy as np
import pytest

from tests.cuda.on_cpu import Cupy, KernelError, need_compiler

SOURCE = """
extern "C" __global__ void lanes(const int* x, int* y) {
    const int k = threadIdx.x;
    const int value = x[k];
    y[k] = __shfl_up_sync(0xffffffffu, value, 1);
    y[k + 64] = __shfl_down_sync(0xffffffffu, value, 2);
    y[k + 128] = __shfl_sync(0xffffffffu, value, 5);
    y[k + 192] = __popc(__ballot_sync(0xffffffffu, value > 20));
    if (__any_sync(0xffffffffu, value > 90)) y[k + 192] = -1;
}
extern "C" __global__ void shape(int* seen) {
    const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    seen[block * blockDim.x + threadIdx.x] = block * 1000 + threadIdx.x;
}
extern "C" __global__ void counted(int* total, long long* most) {
    atomicAdd(&total[0], 1);
    atomicMax(&most[0], (long long)(blockIdx.x * blockDim.x + threadIdx.x));
}
extern "C" __global__ void by_warp(int* y, int ordered) {
    DYNAMIC_SHARED(int, kept);
    kept[2 * threadIdx.x] = threadIdx.x;
    if (ordered) __syncwarp();
    y[threadIdx.x] = kept[2 * (threadIdx.x ^ 1)];
}
extern "C" __global__ void across(int* y, int barrier) {
    __shared__ int kept[64];
    kept[threadIdx.x] = threadIdx.x;
    if (barrier == 1) __syncthreads();
    if (barrier == 2) __syncwarp();
    y[threadIdx.x] = kept[63 - threadIdx.x];
}
extern "C" __global__ void handed_on(int* y) {
    if (threadIdx.x == 0) y[blockIdx.x + 1] = y[blockIdx.x] + 1;
}
extern "C" __global__ void two_barriers(int* y) {
    if (threadIdx.x < 32) __syncthreads();
    else
        __syncthreads();
    y[threadIdx.x] = 1;
}
extern "C" __global__ void short_mask(int* y) {
    if (threadIdx.x % 2 == 0) y[threadIdx.x] = __shfl_sync(0x55555555u, 7, 1);
}
extern "C" __global__ void lost(int* y) {
    const int* nowhere = reinterpret_cast<const int*>(64);
    y[threadIdx.x] = nowhere[threadIdx.x];
}
extern "C" __global__ void before(int* y) { y[int(threadIdx.x) - 1] = 1; }
"""


def _launch(name: str, *args: Any, order: int = 0, **how: Any) -> None:
    need_compiler()
    cupy = Cupy(order=order)
    kernel = cupy.RawModule(code=SOURCE, options=("--fmad=false",)).get_function(name)
    kernel(how.get("grid", (1,)), how.get("block", (64,)), args, shared_mem=how.get("shared", 0))


def _ints(size: int) -> Any:
    return Cupy().zeros((size,), dtype=np.int32)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_lanes_exchange(order: int) -> None:
    """Shuffles stay within their warp of 32; lanes at its ends keep their own."""
    x, y = _ints(64), _ints(256)
    x[:] = np.arange(64, dtype=np.int32).view(type(x))
    _launch("lanes", x, y, order=order)
    up, down, fifth, count = np.array(y).reshape(4, 64)
    k = np.arange(64)
    assert (up == np.where(k % 32 == 0, k, k - 1)).all()
    assert (down == np.where(k % 32 >= 30, k, k + 2)).all()
    assert (fifth == k // 32 * 32 + 5).all()
    assert (count == np.where(k < 32, 11, 32)).all()


@pytest.mark.parametrize("order", [0, 1, 2])
def test_blocks_and_atomics(order: int) -> None:
    """Every block of three dimensions runs once; atomics of all blocks add up."""
    seen, total, most = _ints(24 * 33), _ints(1), Cupy().zeros((1,), dtype=np.int64)
    _launch("shape", seen, grid=(2, 3, 4), block=(33,), order=order)
    block, thread = np.divmod(np.arange(24 * 33), 33)
    assert (np.array(seen) == 1000 * block + thread).all()
    _launch("counted", total, most, grid=(7,), order=order)
    assert (np.array(total).tolist(), np.array(most).tolist()) == ([448], [447])


@pytest.mark.parametrize("order", [0, 1, 2])
def test_barriers_order_what_they_should(order: int) -> None:
    """A warp's barrier is enough within the warp and not across; a block's is enough."""
    y = _ints(64)
    _launch("by_warp", y, np.int32(1), shared=512, order=order)
    assert (np.array(y) == np.arange(64) ^ 1).all()
    with pytest.raises(KernelError, match=r"race on dynamic|dynamic shared\[\d+\] is read before"):
        _launch("by_warp", y, np.int32(0), shared=512, order=order)
    _launch("across", y, np.int32(1), order=order)
    assert (np.array(y) == 63 - np.arange(64)).all()
    for barrier in (0, 2):
        with pytest.raises(
            KernelError, match=r"race on static|static shared\[\d+\] is read before"
        ):
            _launch("across", y, np.int32(barrier), order=order)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("handed_on", r"race on y\[1\].* block 0, thread 0 was there.*; block 1, thread 0"),
        ("two_barriers", r"divergent __syncthreads: lines \d+ and \d+"),
        ("short_mask", "a shuffle reads a lane that takes no part"),
        ("lost", "read of no known memory"),
        ("before", r"write outside y: \[-1\] of 64; block 0, thread 0"),
    ],
)
def test_what_cuda_forbids_is_named(name: str, words: str) -> None:
    """Blocks that rely on one another, divergence, lanes asleep, pointers that lead nowhere."""
    with pytest.raises(KernelError, match=words):
        _launch(name, _ints(64), grid=(2,))


def test_more_than_a_gpu_has_is_refused() -> None:
    """Shared memory beyond 48 KiB and blocks beyond 1024 threads are errors."""
    y = _ints(64)
    with pytest.raises(KernelError, match="49408 bytes of shared memory"):
        _launch("by_warp", y, np.int32(1), shared=48 << 10)
    with pytest.raises(KernelError, match="1 to 1024 threads"):
        _launch("by_warp", y, np.int32(1), block=(1025,))


def test_without_a_compiler_ci_fails_and_others_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is said; in CI it is no reason."""
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setenv("CI", "false")
    with pytest.raises(pytest.skip.Exception, match=r"g\+\+ is not installed \(Debian"):
        need_compiler()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"g\+\+ is not installed: CI runs"):
        need_compiler()
