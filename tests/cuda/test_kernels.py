"""Every kernel against the reference: odd sizes, three orders of the threads, or a GPU."""

from typing import Any

import numpy as np
import pytest

from operators.kernels import Kernels, cpu, reference
from operators.kernels.tolerances import CPU
from pipeline import cuda_spectra
from pipeline.cuda_kernels import CudaKernels, kernels
from pipeline.cuda_launch import SUBJECTS, Launcher, sources, whole
from tests.cuda import compare
from tests.cuda.cases import DESIGN, SIZES, frame_case, spectral_case
from tests.cuda.on_cpu import (
    SIGNATURE,
    Cupy,
    KernelError,
    _Argument,
    _argument,
    _library,
    _Module,
    need_compiler,
)

SOME = SIZES[:-1]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ticks", [1, 7, 30])
def test_frame(cupy: Any, size: int, ticks: int) -> None:
    """Sums up the trees, masked changes, votes and peaks: every bit."""
    assert compare.frame(cupy, size, ticks) == []


@pytest.mark.parametrize("size", SOME)
@pytest.mark.parametrize("ticks", [1, 10, 129, 300])
def test_scan(cupy: Any, size: int, ticks: int) -> None:
    """Innovations, largest ratios and the windows that say so, whatever the chunk: every bit."""
    assert compare.scan(cupy, min(size, 40), ticks) == []


@pytest.mark.parametrize("size", SIZES)
def test_two_threshold(cupy: Any, size: int) -> None:
    """On, off and hold; NaN holds."""
    assert compare.thresholds(cupy, size, 11) == []


@pytest.mark.parametrize("size", SOME)
@pytest.mark.parametrize("hops", [0, 1, 3])
def test_periodogram(cupy: Any, size: int, hops: int) -> None:
    """Counts exact, the rest within the table, over hops that build on one another."""
    assert compare.periodogram(cupy, min(size, 40), hops) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_teaches_nothing(cupy: Any, bad: float) -> None:
    """A measured sample that is none: the CPU's kernel says the same, and all of it is finite."""
    x_w, valid, state = spectral_case(8, 3)
    x_w[3, 40], valid[3, 40] = bad, True
    found = []
    for device, place in ((kernels(cupy), cupy), (cpu.KERNELS, np)):
        plan = device.spectral_plan(DESIGN, place.zeros((1,)))
        given = (x_w, valid, state) if place is np else compare.there(cupy, (x_w, valid, state))
        found.append(compare.home(cupy, device.periodogram(*given, plan=plan)))
    (said, after), (right, after_right) = found
    assert compare.told("periodogram", said, right, CPU) == []
    past = [(one.background_w2, one.sums, one.learned) for one in (after, after_right)]
    for name, *pair in zip(("background_w2", "sums", "learned"), *past, strict=True):
        assert compare.near(f"periodogram.{name}", *pair, CPU), name
    assert all(np.isfinite(part).all() for part in (*said, *past[0]))


@pytest.mark.parametrize("size", SOME)
@pytest.mark.parametrize("factor", [1, 3, 12, 100])
def test_newest(cupy: Any, size: int, factor: int) -> None:
    """A slower series: taps in the reference's order, more than 1024 of them too."""
    assert compare.slower(cupy, min(size, 40), factor) == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seconds", [1, 61])
def test_noise_memory(cupy: Any, size: int, seconds: int) -> None:
    """Peaks kept in order, a median among equals, nothing known is zero."""
    assert compare.memory(cupy, size, seconds) == []


@pytest.mark.parametrize("size", SOME)
@pytest.mark.parametrize("length", [1, 3, 32, 33, 1025])
def test_stretches(cupy: Any, size: int, length: int) -> None:
    """Mean, least, greatest and count, of the held values where none was measured."""
    assert compare.stretches(cupy, min(size, 40), length) == []


@pytest.mark.parametrize("size", SIZES)
def test_diversity(cupy: Any, size: int) -> None:
    """Coincidence of peaks and moves, effective number, concentration: every bit."""
    assert compare.diversity(cupy, size, 0) == []


@pytest.mark.parametrize(("size", "count"), [*((n, 8) for n in SIZES), (31, 1), (31, 32), (140, 4)])
def test_coherence(cupy: Any, size: int, count: int) -> None:
    """Fourier sums, the greatest eigenvalue, each channel's part and phase."""
    assert compare.coherence(cupy, size, count) == []


def test_every_kernel_is_listed_and_ran() -> None:
    """Each ``__global__`` of the sources is in `SUBJECTS`, and the tests above launch it."""
    need_compiler()
    for subject, names in SUBJECTS.items():
        found = SIGNATURE.findall((sources() / f"{subject}.cu").read_text())
        assert tuple(name for name, _ in found) == names
    cupy = Cupy()
    for run in (compare.frame, compare.scan, compare.thresholds, compare.periodogram,
                compare.memory, compare.stretches, compare.diversity):  # fmt: skip
        run(cupy, 31, 3)
    compare.slower(cupy, 31, 3)
    compare.coherence(cupy, 31, 8)
    ring = {"ring_push", "ring_advance"}  # test_graph.py
    assert {*cupy.launches} == {n for names in SUBJECTS.values() for n in names} - ring


def test_the_record_is_whole() -> None:
    """The device offers what every device offers; its name says which it is."""
    record = kernels(Cupy())
    assert isinstance(record, Kernels)
    assert record.name == "cuda"
    missing = {name for name in Kernels._fields if not hasattr(CudaKernels, name)}
    host_only = {"autocovariance", "block_moments", "innovations"}
    assert missing == {"name", "warm", *host_only}


def test_arrays_of_the_host_stay_there() -> None:
    """What is called with NumPy's arrays is computed by the CPU's kernels, and nothing launched."""
    cupy = Cupy()
    x_w = np.arange(12.0).reshape(2, 6)
    mean_w, some = kernels(cupy).frame_means(x_w, x_w > 1, samples_per_frame=3)
    assert type(mean_w) is np.ndarray
    assert (mean_w.tolist(), some.all(), cupy.launches) == ([[2.0, 4.0], [7.0, 10.0]], True, [])


def test_tables_of_old_sites_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that opens lane after lane keeps a bounded number, and answers the same."""
    need_compiler()
    monkeypatch.setattr("pipeline.cuda_kernels.MOST_PLANS", 2)
    cupy = Cupy()
    device = CudaKernels(cupy)
    for size in (31, 1, 140, 31):
        case = frame_case(size, 3)
        found = compare.home(cupy, device.frame(*compare.there(cupy, case)))
        assert compare.told("frame", found, reference.frame(*case)) == []
        assert len(device._tables) <= 2


def test_kernels_run_on_their_gpu() -> None:
    """The current device is per thread: each call sets its own."""
    need_compiler()
    cupy = Cupy()
    x_w = cupy.zeros((2, 6))
    kernels(cupy, 3).frame_means(x_w, x_w == 0, samples_per_frame=3)
    assert cupy.devices == {3}


def test_the_comparison_can_fail() -> None:
    """A last bit is an error where sums are exact; a spectrum may be off by 1e-7, not by 1e-5."""
    wanted = np.array([1.0, 2.0, 1e-30])
    assert compare.told("frame", (np.nextafter(wanted, 3),), (wanted,)) == ["frame"]
    assert compare.near("periodogram.now", wanted * (1 + 1e-7), wanted)
    assert not compare.near("periodogram.now", wanted * (1 + 1e-5), wanted)
    assert not compare.near("periodogram.now", np.array([1.0, np.nan, 0.0]), wanted)
    assert not compare.near("periodogram.now", wanted.astype(np.float32), wanted)
    assert not compare.near("periodogram.learned", np.array([3]), np.array([4]))
    assert not compare.near("frame.node_w", wanted[:2], wanted)


def test_arguments_of_another_type_are_refused() -> None:
    """CuPy passes pointers unseen: the stand-in names what does not fit the source."""
    need_compiler()
    cupy = Cupy()
    device = kernels(cupy)
    x_w, valid = cupy.zeros((4, 8)), cupy.zeros((4, 8), dtype=bool)
    out, sizes = (cupy.zeros((4, 4)), cupy.zeros((4, 4), dtype=bool)), (np.int64(16), whole(2))
    with pytest.raises(KernelError, match=r"x_w must be a contiguous double\*.*float32"):
        Launcher(cupy).warps("frame_means", 16, x_w.astype(np.float32), valid, *out, *sizes)
    with pytest.raises(KernelError, match=r"valid must be .*bool\*.*float64"):
        device.frame_means(x_w, x_w, samples_per_frame=2)
    with pytest.raises(KernelError, match="mixes arrays of host and device"):
        x_w + np.ones((4, 8))
    with pytest.raises(KernelError, match=r"valid must be a contiguous bool\* on the device"):
        device.frame_means(x_w, np.zeros((4, 8), bool), samples_per_frame=2)
    with pytest.raises(KernelError, match="read on the host"):
        bool(x_w[0, 0] > 0)


def test_launches_that_cannot_be_right_are_refused() -> None:
    """Too few arguments, memory given twice, a struct of another size, sizes beyond 32 bits."""
    need_compiler()
    cupy = Cupy()
    launch = Launcher(cupy)
    x_w, ok = cupy.zeros((4, 8)), cupy.zeros((4, 8), dtype=bool)
    sizes = np.int64(4), whole(8)
    with pytest.raises(KernelError, match="frame_means takes 6 arguments, got 5"):
        launch.warps("frame_means", 4, x_w, ok, x_w, *sizes)
    with pytest.raises(KernelError, match="frame_means: x_w and mean_w overlap"):
        launch.warps("frame_means", 4, x_w, ok, x_w[0, :4], ok[1, :4], *sizes)
    with pytest.raises(KernelError, match="length must be int: int64"):
        launch.warps("frame_means", 4, x_w, ok, cupy.zeros((4,)), ok[0], np.int64(4), np.int64(8))
    with pytest.raises(ValueError, match="2147483648 does not fit a 32-bit size"):
        whole(2**31)
    window = np.zeros(1, cuda_spectra.WINDOW)
    library, kernels_of = _library(_Module(cupy, (sources() / "spectra.cu").read_text())._code)
    assert kernels_of["look"][-1] == ("Window", "t")
    assert _argument(library, "Window", "t", window, _Argument())
    with pytest.raises(KernelError, match="t must be Window"):
        _argument(library, "Window", "t", window.view("u1")[:-8], _Argument())
