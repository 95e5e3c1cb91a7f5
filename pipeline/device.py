"""
The one choice between CPU and GPU, made at start and said in one line; the only cupy import.

Everything else receives a `Device` and follows the array it is given. There is no fallback once
a device is chosen: a GPU that fails later stops the process.
"""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.compiled import keep_place
from pipeline.errors import DeviceError, UsageError
from pipeline.threads import cores, shared

if TYPE_CHECKING:
    from operators.kernels import Kernels

__all__ = ["CPU", "Device", "choose"]

_CUDA = re.compile(r"cuda:(\d{1,3})")
PROBE_SAMPLES = 1000
_TRIM_THRESHOLD, _MMAP_MOST = -1, -4
_KEPT_BYTES = (1 << 31) - 1
"""Blocks of any size come from the heap, which keeps so much (the most glibc takes)."""


def _reference() -> Kernels:
    from operators.kernels import reference  # noqa: PLC0415  # only who computes waits for it

    return reference.KERNELS


def _numba(threads: int) -> Kernels:
    keep_place()
    from operators.kernels import cpu  # noqa: PLC0415  # loads compiled code, or compiles it

    return cpu.kernels(shared(threads))


def _cuda_kernels(cupy: Any, number: int) -> Kernels:
    from pipeline import cuda_kernels  # noqa: PLC0415  # only where there is a GPU

    return cuda_kernels.kernels(cupy, number)


class Device(NamedTuple):
    """Where frames are computed."""

    name: str
    """``cpu`` or ``cuda:N``."""
    line: str
    """What the log says once: ``device: cpu (cupy not installed)``."""
    xp: ModuleType
    """NumPy or CuPy."""
    upload: Callable[[np.ndarray], Any]
    """One copy host to device, in the order of the current stream."""
    download: Callable[[Any], np.ndarray]
    """One copy device to host; waits for the work queued before it."""
    kernels: Callable[[], Kernels] = _reference
    """What computes there; loaded or compiled at the first call."""


def _same(array: np.ndarray) -> np.ndarray:
    return array


def _keep_freed() -> None:
    """
    Let the C library keep what is freed for what is asked for next.

    Frames ask for the same megabytes every second; handed back and fetched anew, each page of them
    costs a fault, which together is half the time of a frame of 10,000 racks.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_MMAP_MOST, 0)
    mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


def _cpu(why: str = "", threads: int = 0) -> Device:
    line = f"device: cpu ({why})" if why else "device: cpu"
    kernels = functools.partial(_numba, threads or cores())
    return Device("cpu", line, np, _same, _same, kernels)


CPU = _cpu()


def choose(name: str = "auto", threads: int = 0) -> Device:
    """
    Choose a device that has been seen to work.

    Parameters
    ----------
    name : str
        ``auto`` (the first GPU if it works, else the CPU with the reason), ``cpu`` or ``cuda:N``.
    threads : int
        On a CPU: threads that share a frame's rows; 0: the processors there are, at most `MOST`.

    Raises
    ------
    DeviceError
        ``cuda:N`` was asked for and does not work; the text says why.
    UsageError
        The name is none of the three.
    """
    _keep_freed()
    if name == "cpu":
        return _cpu("as set", threads)
    match = _CUDA.fullmatch(name)
    if name != "auto" and match is None:
        msg = f"device is {name!r}; use auto, cpu or cuda:N"
        raise UsageError(msg)
    number = int(match[1]) if match else 0
    try:
        return _cuda(number)
    except DeviceError as error:
        if match is None:
            return _cpu(str(error), threads)
        msg = f"device cuda:{number} does not work: {error}; mend it or set device = 'cpu'"
        raise DeviceError(msg) from error


def _cuda(number: int) -> Device:
    try:
        import cupy  # noqa: PLC0415  # an optional extra, and slow to import
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == "cupy"
        msg = "cupy not installed" if missing else f"cupy does not load: {_first_line(error)}"
        raise DeviceError(msg) from error
    try:
        found = cupy.cuda.runtime.getDeviceCount()
        if number >= found:
            msg = f"{found} GPU{'s' if found != 1 else ''} found, counted from 0"
            raise DeviceError(msg)
        cupy.cuda.Device(number).use()
        kernels = _cuda_kernels(cupy, number)
        _probe(cupy, kernels)
        facts = cupy.cuda.runtime.getDeviceProperties(number)
    except DeviceError:
        raise
    except Exception as error:  # drivers fail in classes of their own
        msg = f"{type(error).__name__}: {_first_line(error)}"
        raise DeviceError(msg) from error
    model = facts["name"].decode(errors="replace")
    size_gb = facts["totalGlobalMem"] / 1e9
    line = f"device: cuda:{number} ({model}, {size_gb:.0f} GB)"
    up, down = _uploader(cupy, number), _downloader(cupy, number)
    return Device(f"cuda:{number}", line, cupy, up, down, lambda: kernels)


def _probe(cupy: Any, kernels: Kernels) -> None:
    """Compile, launch and check what a broken tool kit cannot do: a kernel of ours and an FFT."""
    x = np.arange(PROBE_SAMPLES, dtype=np.float64)
    power_w = np.sin(x * x).reshape(10, PROBE_SAMPLES // 10)
    valid = power_w > -0.5  # some are missing
    wanted = _reference().frame_means(power_w, valid, samples_per_frame=50)
    given = cupy.asarray(power_w), cupy.asarray(valid)
    found = kernels.frame_means(*given, samples_per_frame=50)
    if not all(
        np.array_equal(cupy.asnumpy(one), other) for one, other in zip(found, wanted, strict=True)
    ):
        msg = "a small kernel gave wrong numbers"
        raise DeviceError(msg)
    tone = np.sin(2 * np.pi * 37 * x / PROBE_SAMPLES)
    spectrum = np.abs(cupy.asnumpy(cupy.fft.rfft(cupy.asarray(tone))))
    if not np.allclose(spectrum, np.abs(np.fft.rfft(tone)), atol=1e-6 * PROBE_SAMPLES):
        msg = "a small FFT gave wrong numbers"
        raise DeviceError(msg)


def _uploader(cupy: Any, number: int) -> Callable[[np.ndarray], Any]:
    def upload(array: np.ndarray) -> Any:
        with cupy.cuda.Device(number):  # the current device is per thread
            return cupy.asarray(array)

    return upload


def _downloader(cupy: Any, number: int) -> Callable[[Any], np.ndarray]:
    def download(array: Any) -> np.ndarray:
        with cupy.cuda.Device(number):
            return cupy.asnumpy(array)

    return download


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
