"""Arguments to a device, answers back, and how far they are from the reference."""

from typing import Any

import numpy as np

from operators import decimation, oscillations
from operators.kernels import reference
from operators.kernels.tolerances import CUDA, EXACT
from pipeline.cuda_kernels import kernels
from tests.cuda import cases


def there(cupy: Any, value: Any) -> Any:
    """The same on the device: arrays in tuples and records, numbers as they are."""
    if isinstance(value, np.ndarray):
        return cupy.asarray(value)
    if isinstance(value, tuple):
        parts = [there(cupy, part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


def home(cupy: Any, value: Any) -> Any:
    """The same on the host."""
    if isinstance(value, tuple):
        parts = [home(cupy, part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value if isinstance(value, int) else cupy.asnumpy(value)


def near(name: str, found: Any, wanted: Any, table: Any = CUDA) -> bool:
    """Within ``table`` of the reference; every bit where nothing is said of it."""
    if isinstance(wanted, int):
        return found == wanted
    wanted = np.asarray(wanted)
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return False
    tolerance = table.get(name, EXACT)
    if tolerance == EXACT or wanted.dtype.kind != "f":
        return np.array_equal(found, wanted, equal_nan=wanted.dtype.kind == "f")
    return np.allclose(found, wanted, tolerance.relative, tolerance.absolute)


def told(kernel: str, found: Any, wanted: Any, table: Any = CUDA) -> list[str]:
    """Outputs of a kernel, by name, that are further from the reference than allowed."""
    if not isinstance(wanted, tuple):
        return [] if near(kernel, found, wanted, table) else [kernel]
    names = getattr(wanted, "_fields", ["" for _ in wanted])
    far = []
    for name, one, other in zip(names, found, wanted, strict=True):
        inner = f"{kernel.partition('.')[0]}.{name}" if name else kernel
        far += told(inner, one, other, table)
    return far


def both(cupy: Any, name: str, args: tuple[Any, ...], **how: Any) -> tuple[Any, Any]:
    """What the device answers, at home, and what the reference does."""
    device = getattr(kernels(cupy), name)
    there_how = {k: there(cupy, v) for k, v in how.items()}
    found = home(cupy, device(*there(cupy, args), **there_how))
    return found, getattr(reference.KERNELS, name)(*args, **how)


def frame(cupy: Any, size: int, ticks: int) -> list[str]:
    """One frame."""
    return told("frame", *both(cupy, "frame", cases.frame_case(size, ticks)))


def scan(cupy: Any, size: int, ticks: int) -> list[str]:
    """Steps of some nodes."""
    return told("scan", *both(cupy, "scan", cases.scan_case(size, ticks)))


def thresholds(cupy: Any, size: int, ticks: int) -> list[str]:
    """On and off, with NaN among the statistics."""
    rng = np.random.default_rng(size)
    statistic = np.where(rng.random((size, ticks)) > 0.05, rng.random((size, ticks)), np.nan)
    how = {"threshold_on": 0.9, "threshold_off": 0.2}
    return told(
        "two_threshold", *both(cupy, "two_threshold", (statistic, rng.random(size) > 0.5), **how)
    )


def periodogram(cupy: Any, size: int, hops: int) -> list[str]:
    """Some hops in one call, and the state behind them."""
    case = cases.spectral_case(size, hops)
    device, oracle = kernels(cupy), reference.KERNELS
    plan = device.spectral_plan(cases.DESIGN, cupy.zeros((1,)))
    found = home(cupy, device.periodogram(*there(cupy, case), plan=plan))
    wanted = oracle.periodogram(*case, plan=oscillations.to_namespace(cases.DESIGN, case[0]))
    return told("periodogram", found, wanted)


def slower(cupy: Any, size: int, factor: int) -> list[str]:
    """A slower series."""
    rng = np.random.default_rng(size)
    taps, count = decimation.taps(factor), 7
    ticks = count * factor + len(taps) - factor + 3
    tail_w = rng.normal(size=(size, ticks)).astype(np.float32)
    valid = rng.random((size, ticks)) > 0.2
    return told("newest", *both(cupy, "newest", (tail_w, valid, taps), factor=factor, count=count))


def memory(cupy: Any, size: int, seconds: int) -> list[str]:
    """Peaks remembered, and their medians."""
    peak_w, keep, state = cases.noise_case(size, seconds)
    far = told("remember", *both(cupy, "remember", (peak_w, keep, state)))
    return far + told("noise_scale", *both(cupy, "noise_scale", (state,)))


def stretches(cupy: Any, size: int, length: int) -> list[str]:
    """Means, extremes and counts."""
    x_w, valid = cases.samples_case(size, length)
    far = told("second_stats", *both(cupy, "second_stats", (x_w, valid), samples_per_second=length))
    return far + told(
        "frame_means", *both(cupy, "frame_means", (x_w, valid), samples_per_frame=length)
    )


def coherence(cupy: Any, size: int, count: int) -> list[str]:
    """Phases and coherence of channels, some of which swing together and one of which is silent."""
    x_w, freq_hz = cases.swing_case(size)
    found, z = both(cupy, "snapshots", (x_w, freq_hz), rate_hz=10.0, count=count)
    return told("snapshots", found, z) + told("leading", *both(cupy, "leading", (z,)))


def diversity(cupy: Any, size: int, _: int) -> list[str]:
    """Peaks and moves of one site."""
    case = cases.diversity_case(size)
    return told("together", *both(cupy, "together", case))
