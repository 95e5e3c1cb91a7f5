"""The CUDA sources compiled for the CPU, and a stand-in for CuPy that launches them there."""

import atexit
import ctypes
import functools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.cuda_launch import sources
from tests.cuda.streams import Cuda

SHIM = Path(__file__).resolve().parent / "shim"
FLAGS = ("-std=c++20", "-fPIC", "-fno-strict-aliasing", "-U_FORTIFY_SOURCE")
KERNEL_FLAGS = (
    "-O1", "-ffp-contract=off", "-fsanitize=thread", "-fno-tree-loop-distribute-patterns",
)  # fmt: skip
SIGNATURE = re.compile(
    r'extern "C" __global__ void\s+(?:__launch_bounds__\(\w+\)\s+)?(\w+)\(([^)]*)\)'
)
TYPES = {
    "double*": np.float64, "float*": np.float32, "bool*": np.bool_, "int*": np.int32,
    "long long*": np.int64,
    "double": np.float64, "int": np.int32, "long long": np.int64,
}  # fmt: skip


class _Argument(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p), ("data", ctypes.c_void_p), ("bytes", ctypes.c_size_t),
        ("item", ctypes.c_int), ("constant", ctypes.c_int),
    )  # fmt: skip


class KernelError(Exception):
    """What a kernel did that it must not; or an argument that is not what the source names."""


def need_compiler() -> None:
    """Skip where there is no g++; in CI that is a failure."""
    if shutil.which("g++"):
        return
    if os.environ.get("CI") == "true":
        pytest.fail("g++ is not installed: CI runs the CUDA sources with it", pytrace=False)
    pytest.skip("g++ is not installed (Debian: apt-get install g++)")


@functools.cache
def _workshop() -> Path:
    """A folder of this session with the shim's own code compiled."""
    folder = Path(tempfile.mkdtemp(prefix="lockstep-cuda-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _compile([*FLAGS, "-O2", "-c", SHIM / "cuda_cpu_shim.cpp", "-o", folder / "shim.o"])
    return folder


def _compile(args: list[Any]) -> None:
    done = subprocess.run(["g++", *map(str, args)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@functools.cache
def _library(code: str) -> tuple[Any, dict[str, list[tuple[str, str]]]]:
    """The compiled source, and each kernel's parameters as (type, name)."""
    kernels = {name: [_parameter(p) for p in args.split(",")] for name, args in
               SIGNATURE.findall(code)}  # fmt: skip
    folder = Path(tempfile.mkdtemp(dir=_workshop()))
    entries = "".join(f'{{"{n}", [](void** a) {{ shim::apply({n}, a); }}}},\n' for n in kernels)
    structs = "".join(
        f'extern "C" const int sizeof_{s} = sizeof({s});\n'
        for s in {t for p in kernels.values() for t, _ in p} - {*TYPES}
        if "*" not in s
    )
    (folder / "kernels.cpp").write_text(
        f'#include "cuda_cpu_shim.h"\n#line 1 "source.cu"\n{code}\n{structs}'
        f'extern "C" const shim::Entry shim_kernels[] = {{\n{entries}{{nullptr, nullptr}}}};\n'
    )
    flags = [*FLAGS, *KERNEL_FLAGS, f"-I{SHIM}", f"-I{sources()}"]
    _compile([*flags, "-c", folder / "kernels.cpp", "-o", folder / "kernels.o"])
    _compile(["-shared", folder / "kernels.o", _workshop() / "shim.o", "-o", folder / "it.so"])
    library = ctypes.CDLL(str(folder / "it.so"))
    library.shim_launch.restype = ctypes.c_char_p
    return library, kernels


def _parameter(text: str) -> tuple[str, str]:
    kind, name = re.fullmatch(r"\s*(.*?)\s*(\w+)\s*", text, re.DOTALL).groups()
    return kind, name


class Array(np.ndarray):
    """An array on the "device": nothing of it may decide anything on the host, or mix with it."""

    strict = True
    """False: arrays made by NumPy's functions, which are CuPy's on a GPU, may mix with these."""

    def set(self, host: np.ndarray, stream: Any) -> None:
        """Copy from the host, in the stream's order."""
        stream.put(functools.partial(np.copyto, self.view(np.ndarray), host))

    def get(self, stream: Any, out: np.ndarray, blocking: bool) -> None:
        """Copy to the host, in the stream's order."""
        assert not blocking
        stream.put(functools.partial(np.copyto, out, self.view(np.ndarray)))

    def __getitem__(self, place: Any) -> Any:
        got = super().__getitem__(place)
        return got if isinstance(got, np.ndarray) else np.asarray(got).view(Array)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **how: Any) -> Any:
        """Compute as NumPy does, but refuse arrays of the host, as CuPy does."""
        if self.strict and any(type(x) is np.ndarray and x.ndim for x in inputs):
            raise KernelError(f"{ufunc.__name__} mixes arrays of host and device")
        how["out"] = tuple(_plain(x) for x in how.get("out", ())) or None
        made = getattr(ufunc, method)(*(_plain(x) for x in inputs), **how)
        return np.asarray(made).view(Array)

    def __array_function__(self, function: Any, types: Any, args: Any, how: Any) -> Any:
        """What NumPy makes of arrays on the device stays there."""
        made = super().__array_function__(function, types, args, how)
        return made.view(Array) if isinstance(made, np.ndarray) else made

    def __repr__(self) -> str:
        return f"{self.dtype}{self.shape}"

    def _read(self) -> Any:
        raise KernelError("a value on the device is read on the host")

    __bool__ = __int__ = __float__ = __index__ = item = tolist = _read


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, Array) else value


class Cupy:
    """
    As much of CuPy as `pipeline/cuda_*.py` use: NumPy's arrays, kernels through the shim.

    ``order``: in which the threads take turns. ``patches``: what to change in the sources.
    """

    def __init__(
        self,
        order: int = 0,
        patches: tuple[tuple[str, str], ...] = (),
        eager: tuple[bool, bool] = (False, False),
    ) -> None:
        self.order, self.patches = order, patches
        self.launches: list[str] = []
        self.device, self.devices = 0, set[int]()
        self.current: Any = None
        self.capturing = False
        self.cuda, self.ndarray = Cuda(self, eager=eager), Array
        self.fft = self

    def __getattr__(self, name: str) -> Any:
        found = getattr(np.fft if name == "rfft" else np, name)
        if isinstance(found, type) or not callable(found):
            return found

        def call(*args: Any, **how: Any) -> Any:
            if self.capturing:
                raise KernelError(f"{name} while a graph is captured")
            made = found(*args, **how)
            return made.view(Array) if isinstance(made, np.ndarray) else made

        return call

    @staticmethod
    def asnumpy(array: Any) -> np.ndarray:
        """Copy to the host."""
        return np.array(array)

    def asarray(self, values: Any, **how: Any) -> Any:
        """Copy to the device; what is there is not copied."""
        return values if isinstance(values, Array) else self.array(np.asarray(values), **how)

    def empty(self, shape: Any, dtype: Any = float) -> Any:
        """Filled with what nobody would take for an answer."""
        array = self.zeros(shape, dtype)
        array.reshape(-1).view(np.uint8).fill(0xAB)
        return array

    def RawModule(self, *, code: str, options: tuple[str, ...]) -> "_Module":  # noqa: N802
        """Take a source; see `_Module`."""
        assert "--fmad=false" in options
        return _Module(self, code)


class _Module:
    """`cupy.RawModule`: compiled when a kernel of it is first asked for."""

    def __init__(self, cupy: Cupy, code: str) -> None:
        header = (sources() / "warp.cuh").read_text()
        self._code = code.replace('#include "warp.cuh"', header)
        for old, new in cupy.patches:
            self._code = self._code.replace(old, new)
        self._cupy = cupy

    def get_function(self, name: str) -> Any:
        """Compile, unless that was done."""
        library, kernels = _library(self._code)
        return _Kernel(self._cupy, library, name, kernels[name])


class _Kernel:
    def __init__(self, cupy: Cupy, library: Any, name: str, wanted: list[tuple[str, str]]) -> None:
        self._cupy, self._library, self._name, self._wanted = cupy, library, name, wanted

    def compile(self) -> None:
        """That was done."""

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], *,
        shared_mem: int = 0,
    ) -> None:  # fmt: skip
        name, wanted = self._name, self._wanted
        if len(args) != len(wanted):
            raise KernelError(f"{name} takes {len(wanted)} arguments, got {len(args)}")
        given = (_Argument * len(args))()
        kept = [
            _argument(self._library, *one, value, place)
            for one, value, place in zip(wanted, args, given, strict=True)
        ]
        _no_overlap(name, [(*w, a) for w, a in zip(wanted, args, strict=True) if "*" in w[0]])
        dims = (ctypes.c_uint * 6)(*(*grid, 1, 1)[:3], *(*block, 1, 1)[:3])

        def run() -> None:
            assert kept is not None  # what pointers point to lives as long as the launch
            self._cupy.launches.append(name)
            self._cupy.devices.add(self._cupy.device)
            order = self._cupy.order
            error = self._library.shim_launch(
                name.encode(), dims, shared_mem, order, given, len(given)
            )
            if error:
                raise KernelError(f"{name}: {error.decode()}")

        if self._cupy.current is None:
            run()
        else:
            self._cupy.current.put(run)


def _no_overlap(kernel: str, arrays: list[tuple[str, str, Any]]) -> None:
    """The shim gives each argument memory of its own, so no two may share what is written."""
    for k, (kind, name, one) in enumerate(arrays):
        for other_kind, other_name, other in arrays[k + 1 :]:
            both = kind.startswith("const ") and other_kind.startswith("const ")
            if not both and np.may_share_memory(one, other):
                raise KernelError(f"{kernel}: {name} and {other_name} overlap")


def _argument(library: Any, kind: str, name: str, value: Any, into: _Argument) -> Any:
    """One argument as CuPy would pass it, refused where its type is not the source's."""
    constant, plain = kind.startswith("const "), kind.removeprefix("const ")
    into.name, into.constant = name.encode(), constant
    if plain.endswith("*"):
        ok = isinstance(value, Array) and value.dtype == TYPES[plain]
        if not (ok and value.flags.c_contiguous):
            raise KernelError(f"{name} must be a contiguous {plain} on the device: {_told(value)}")
        into.data, into.bytes, into.item = value.ctypes.data, value.nbytes, value.itemsize
        return value
    if plain in TYPES:
        ok = type(value) is TYPES[plain]
    else:
        size = ctypes.c_int.in_dll(library, f"sizeof_{plain}").value
        ok = type(value) is np.ndarray and value.nbytes == size
    if not ok:
        raise KernelError(f"{name} must be {plain}: {_told(value)}")
    raw = ctypes.create_string_buffer(value.tobytes())
    into.data, into.bytes, into.item = ctypes.addressof(raw), len(raw), 0
    return raw


def _told(value: Any) -> str:
    return f"{type(value).__name__} {getattr(value, 'dtype', '')}{getattr(value, 'shape', '')}"
