"""One choice, seen to work, said in one line."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from operators import seconds
from pipeline import device
from pipeline.errors import DeviceError, UsageError


def test_cpu_is_numpy_without_copies() -> None:
    """Upload and download hand back the array they were given."""
    chosen = device.choose("cpu")
    x = np.arange(3.0)
    assert chosen.xp is np
    assert chosen.upload(x) is x
    assert chosen.download(x) is x
    assert chosen.line == "device: cpu (as set)"


@pytest.mark.parametrize("name", ["gpu", "cuda", "cuda:x", "", "cuda:-1"])
def test_other_names_are_refused(name: str) -> None:
    """The sentence lists the three that are known."""
    with pytest.raises(UsageError, match="use auto, cpu or cuda:N"):
        device.choose(name)


def test_without_cupy_auto_says_so_and_cuda_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` falls back with the reason; what was asked for by name does not."""
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr("builtins.__import__", _no_cupy(__import__))
    assert device.choose("auto").line == "device: cpu (cupy not installed)"
    with pytest.raises(DeviceError, match="cuda:0 does not work: cupy not installed; mend it"):
        device.choose("cuda:0")


def test_a_gpu_that_computes_wrongly_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe compares with NumPy: a device that answers nonsense is no device."""
    monkeypatch.setitem(sys.modules, "cupy", _fake_cupy(right=False))
    assert device.choose("auto").line == "device: cpu (a small kernel gave wrong numbers)"
    with pytest.raises(DeviceError, match="a small kernel gave wrong numbers"):
        device.choose("cuda:0")


def test_a_gpu_that_works_is_named_and_a_missing_number_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`auto` takes the first; `cuda:7` of one GPU is an error."""
    monkeypatch.setitem(sys.modules, "cupy", _fake_cupy(right=True))
    chosen = device.choose("auto")
    assert chosen.line == "device: cuda:0 (Fake H100, 80 GB)"
    np.testing.assert_array_equal(chosen.download(chosen.upload(np.ones(2))), np.ones(2))
    with pytest.raises(DeviceError, match="cuda:7 does not work: 1 GPU found, counted from 0"):
        device.choose("cuda:7")


@pytest.mark.gpu
def test_a_real_gpu_passes_the_probe() -> None:
    """On a machine with CUDA the choice is the GPU, and a round trip keeps every bit."""
    chosen = device.choose("cuda:0")
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    np.testing.assert_array_equal(chosen.download(chosen.upload(x)), x)


def _no_cupy(real: Any) -> Any:
    def importing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "cupy":
            raise ModuleNotFoundError(name="cupy")
        return real(name, *rest, **more)

    return importing


class _FakeGpu:
    """A context manager and a switch, as `cupy.cuda.Device` is."""

    def __init__(self, number: int) -> None:
        self.number = number

    def use(self) -> None:
        """Nothing to switch."""

    def __enter__(self) -> None:
        """Nothing to enter."""

    def __exit__(self, *exc: object) -> None:
        """Nothing to leave."""


def _fake_cupy(*, right: bool) -> ModuleType:
    """CuPy whose one kernel is NumPy's mean of each frame, or nothing."""
    cupy: Any = ModuleType("cupy")

    def frame_means(grid: Any, block: Any, args: Any, *, shared_mem: int) -> None:
        x_w, valid, mean_w, some, _, length = args
        if right:
            power_w, ok = x_w.view(np.ndarray), valid.view(np.ndarray)
            means = seconds.frame_means(power_w, ok, samples_per_frame=int(length))
            mean_w[...], some[...] = means

    cupy.ndarray = np.ndarray
    cupy.ascontiguousarray, cupy.empty, cupy.asnumpy = np.ascontiguousarray, np.zeros, np.asarray
    cupy.asarray = lambda array: array.view(_OnDevice)
    cupy.fft = np.fft
    frame_means.compile = lambda: None  # type: ignore[attr-defined]
    cupy.RawModule = lambda **_: SimpleNamespace(get_function=lambda _: frame_means)
    cupy.cuda = cuda = ModuleType("cupy.cuda")
    cuda.Device = _FakeGpu  # type: ignore[attr-defined]
    cuda.runtime = runtime = ModuleType("cupy.cuda.runtime")  # type: ignore[attr-defined]
    runtime.getDeviceCount = lambda: 1  # type: ignore[attr-defined]
    facts = {"name": b"Fake H100", "totalGlobalMem": 80_000_000_000}
    runtime.getDeviceProperties = lambda _: facts  # type: ignore[attr-defined]
    return cupy


class _OnDevice(np.ndarray):
    """An array that is not the host's."""
