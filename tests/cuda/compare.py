"""Arguments to a device, answers back, and how far they are from the reference."""

from typing import Any

import numpy as np

from operators import oscillations
from operators.kernels import reference, tolerances
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


def told(found: Any, wanted: Any) -> dict[str, float]:
    """Fields further from the reference than allowed, with how many times."""
    if hasattr(wanted, "_fields"):
        pairs = [(n, getattr(found, n), getattr(wanted, n)) for n in wanted._fields]
    elif isinstance(wanted, tuple):
        pairs = [(str(k), *pair) for k, pair in enumerate(zip(found, wanted, strict=True))]
    else:
        pairs = [("it", found, wanted)]
    far: dict[str, float] = {}
    for name, one, other in pairs:
        if isinstance(other, tuple):
            far |= {f"{name}.{k}": v for k, v in told(one, other).items()}
        elif (times := tolerances.excess(name, one, other)) > 1:
            far[name] = times
    return far


def both(cupy: Any, name: str, args: tuple[Any, ...], **how: Any) -> tuple[Any, Any]:
    """What the device answers, at home, and what the reference does."""
    device = getattr(kernels(cupy), name)
    there_how = {k: there(cupy, v) for k, v in how.items()}
    found = home(cupy, device(*there(cupy, args), **there_how))
    return found, getattr(reference.KERNELS, name)(*args, **how)


def frame(cupy: Any, size: int, ticks: int) -> Any:
    return told(*both(cupy, "frame", cases.frame_case(size, ticks)))


def scan(cupy: Any, size: int, ticks: int) -> Any:
    return told(*both(cupy, "scan", cases.scan_case(size, ticks)))


def thresholds(cupy: Any, size: int, ticks: int) -> Any:
    rng = np.random.default_rng(size)
    statistic = np.where(rng.random((size, ticks)) > 0.05, rng.random((size, ticks)), np.nan)
    how = {"threshold_on": 0.9, "threshold_off": 0.2}
    return told(*both(cupy, "two_threshold", (statistic, rng.random(size) > 0.5), **how))


def periodogram(cupy: Any, size: int, hops: int) -> Any:
    case = cases.spectral_case(size, hops)
    device, oracle = kernels(cupy), reference.KERNELS
    plan = device.spectral_plan(cases.DESIGN, cupy.zeros((1,)))
    found = home(cupy, device.periodogram(*there(cupy, case), plan=plan))
    wanted = oracle.periodogram(*case, plan=oscillations.to_namespace(cases.DESIGN, case[0]))
    return told(found, wanted)


def slower(cupy: Any, size: int, factor: int) -> Any:
    from operators import decimation

    rng = np.random.default_rng(size)
    taps, count = decimation.taps(factor), 7
    ticks = count * factor + len(taps) - factor + 3
    tail_w, valid = rng.normal(size=(size, ticks)), rng.random((size, ticks)) > 0.2
    return told(*both(cupy, "newest", (tail_w, valid, taps), factor=factor, count=count))


def memory(cupy: Any, size: int, seconds: int) -> Any:
    peak_w, keep, state = cases.noise_case(size, seconds)
    far = told(*both(cupy, "remember", (peak_w, keep, state)))
    return far | told(*both(cupy, "noise_scale", (state,)))


def stretches(cupy: Any, size: int, length: int) -> Any:
    x_w, valid = cases.samples_case(size, length)
    far = told(*both(cupy, "second_stats", (x_w, valid), samples_per_second=length))
    return far | told(*both(cupy, "frame_means", (x_w, valid), samples_per_frame=length))


def diversity(cupy: Any, size: int, _: int) -> Any:
    case = cases.diversity_case(size)
    far = told(*both(cupy, "movement", case))
    return far | told(*both(cupy, "coincidence_factor", case))
