"""Frames one after the other through the ring on the device."""

from typing import Any

import numpy as np

from operators import ramps
from operators.kernels import Frame, reference
from pipeline import cuda_frame
from pipeline.cuda_launch import Launcher
from tests.cuda import cases
from tests.cuda.compare import home, there, told


def frames(seed: int, size: int, ticks: int, count: int = 1) -> list[tuple[Any, Any]]:
    """Some frames of (mean_w, ok) in a row."""
    rng = np.random.default_rng(seed)
    return [
        (power_w.astype(float), rng.random((size, ticks)) > 0.2)
        for _ in range(count)
        for power_w in [np.float32(5e4 + 3e3 * rng.normal(size=(size, ticks)))]
    ]


def wanted(case: cases.FrameCase, series: list[tuple[Any, Any]]) -> list[Frame]:
    """What the reference says of each frame, and the past it leaves."""
    past, said = case.past, []
    for mean_w, ok in series:
        said.append(reference.frame(mean_w, ok, past, case.threshold_w, case.plan))
        past = ramps.differences(mean_w, ok, past, lags=(1,))[2]
    return said


def ring(cupy: Any, size: int, ticks: int) -> list[str]:
    """Five frames: the ring of 23 ticks wraps around at places that no frame begins at."""
    case = cases.frame_case(size, ticks)
    launch = Launcher(cupy)
    site = cuda_frame.tables([case.plan], [size], cupy)
    past = cuda_frame.Ring(*there(cupy, case.past), cupy.zeros((1,), dtype=np.int64))
    threshold_w = cupy.asarray(case.threshold_w)
    series, far = frames(size, size, ticks, 5), []
    for frame, right in zip(series, wanted(case, series), strict=True):
        on_device = there(cupy, frame)
        into = cuda_frame.buffers(cupy, site, size, ticks)
        cuda_frame.compute(launch, on_device, past, threshold_w, site, into)
        cuda_frame.push(launch, on_device, past)
        far += told("frame", home(cupy, into[2]), right)
    return far
