"""
The hot path on a GPU: `operators.kernels.Kernels` made of the CUDA sources.

CuPy is handed in by `pipeline/device.py`, the one file that imports it; tests hand in a stand-in
that runs the same sources on the CPU. Arrays are C-contiguous and float64, as signatures say.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from operators import decimation, diversity, noise, ramps, steps
from operators._arrays import narrow, widen
from operators.kernels import Frame, FramePlan, Kernels, Scan, StepPlan, Told, reference
from operators.oscillations import OscillationState
from pipeline import cuda_frame, cuda_spectra, cuda_unison
from pipeline.cuda_launch import Launcher, whole

__all__ = ["CudaKernels", "kernels"]

MOST_PLANS = 256
"""Sites whose tables are kept; those of the oldest are made anew when asked for again."""
_RECORDS = (
    ramps.RampState, OscillationState, noise.NoiseState, diversity.DiversityState, StepPlan,
)  # fmt: skip


def kernels(cupy: Any, number: int = 0) -> Kernels:
    """
    Return the kernels on GPU ``number`` of ``cupy``; nothing is compiled yet.

    Arrays decide: what is called with arrays of the host (the step detector's) is computed there.
    What has no kernel of its own is made of CuPy's functions, as the reference is.
    """
    device = CudaKernels(cupy)
    host = functools.cache(_host_kernels)

    def chosen(name: str, first: int) -> Callable[..., Any]:
        function = getattr(device, name, None) or getattr(reference.KERNELS, name)

        def run(*args: Any, **how: Any) -> Any:
            if type(args[first]) is np.ndarray:
                return getattr(host(), name)(*args, **how)
            with cupy.cuda.Device(number):  # the current device is per thread
                return function(*(device.solid(x) for x in args), **how)

        return run

    def warm() -> None:
        with cupy.cuda.Device(number):
            device.launch.load()
        host().warm()

    names = [name for name in Kernels._fields if name not in {"name", "warm"}]
    functions = {name: chosen(name, 1 if name == "spectral_plan" else 0) for name in names}
    return Kernels(name="cuda", warm=warm, **functions)


def _host_kernels() -> Kernels:
    from operators.kernels import cpu  # noqa: PLC0415  # loads compiled code, or compiles it

    return cpu.KERNELS


class CudaKernels:
    """The same functions as every other device's, and what they share: compiled code, tables."""

    def __init__(self, cupy: Any) -> None:
        self.launch = Launcher(cupy)
        self._tables: dict[int, tuple[FramePlan, cuda_frame.FrameTables]] = {}

    def solid(self, value: Any) -> Any:
        """The same, C-contiguous, in states and plans too: kernels know no strides."""
        if isinstance(value, self.launch.cupy.ndarray):
            return self.launch.cupy.ascontiguousarray(value)
        if isinstance(value, _RECORDS):
            return type(value)(*(self.solid(part) for part in value))
        return value

    def frame(
        self, mean_w: Any, ok: Any, past: ramps.RampState, threshold_w: Any, plan: FramePlan
    ) -> Frame:
        """One site's frame; see `Kernels.frame`."""
        site = self._site(plan, mean_w.shape[0])
        into = cuda_frame.buffers(self.launch.cupy, site, *mean_w.shape)
        at = self.launch.cupy.zeros((1,), dtype=np.int64)
        ring = cuda_frame.Ring(past.tail_w, past.tail_valid, at)
        cuda_frame.compute(self.launch, (widen(mean_w), ok), ring, threshold_w, site, into)
        return into[2]

    def _site(self, plan: FramePlan, channels: int) -> cuda_frame.FrameTables:
        """Tables of a plan, made when first asked for; it is kept, so that its id is its own."""
        if id(plan) not in self._tables:
            while len(self._tables) >= MOST_PLANS:
                del self._tables[next(iter(self._tables))]
            site = cuda_frame.tables([plan], [channels], self.launch.cupy)
            self._tables[id(plan)] = (plan, site)
        return self._tables[id(plan)][1]

    def scan(self, path_w: Any, path_ok: Any, past_z_w: Any, since: Any, plan: StepPlan) -> Scan:
        """See `Kernels.scan`."""
        xp, (rows, order) = self.launch.cupy, plan.coefficients.shape
        ticks = path_w.shape[1] - order
        ratio, window = xp.empty((2, rows, ticks)), xp.empty((2, rows, ticks), dtype=xp.int64)
        greatest = xp.empty((rows, len(steps.GROUPS)))
        z_w = xp.empty((rows, steps.TAIL + ticks))
        self.launch(
            "scan", (rows,),
            (path_w, path_ok, past_z_w, since, plan.coefficients, plan.offset_w, plan.sigma_w,
             plan.bound_w, plan.baseline, plan.limits, *ratio, *window, greatest, z_w,
             whole(order), whole(ticks)),
        )  # fmt: skip
        return Scan(ratio, window, greatest, z_w[:, ticks:])

    def two_threshold(
        self, statistic: Any, state: Any, *, threshold_on: float, threshold_off: float
    ) -> tuple[Any, Any]:
        """See `trigger.two_threshold`."""
        xp, (rows, ticks) = self.launch.cupy, statistic.shape
        active, new = xp.empty((rows, ticks), dtype=bool), xp.empty((rows,), dtype=bool)
        on_off = (np.float64(threshold_on), np.float64(threshold_off))
        self.launch.threads(
            "two_threshold", rows, statistic, state, active, new, *on_off, whole(rows), whole(ticks)
        )
        return active, new

    def spectral_plan(self, design: Any, like: Any) -> cuda_spectra.SpectralTables:
        """The tables of an `oscillations.design`, on the device."""
        return cuda_spectra.spectral_plan(design, like, self.launch.cupy)

    def periodogram(
        self,
        x_w: Any,
        valid: Any,
        state: OscillationState,
        *,
        plan: cuda_spectra.SpectralTables,
        told: Told = reference.EVERYTHING,
    ) -> tuple[Any, OscillationState]:
        """See `Kernels.periodogram`; one FFT and one launch a window and hop; tells bins always."""
        found, state = cuda_spectra.periodogram(self.launch, (x_w, valid), state, plan)
        strongest_w = reference.strongest(found.amplitude_w, told)
        return found._replace(strongest_w=strongest_w), state

    def newest(
        self, tail_w: Any, valid: Any, taps: Any, *, factor: int, count: int
    ) -> tuple[Any, Any]:
        """See `decimation.newest`."""
        xp, (channels, ticks) = self.launch.cupy, tail_w.shape
        if factor == 1:
            return decimation.newest(tail_w, valid, taps, factor=factor, count=count)
        x_w, known = xp.empty((channels, count)), xp.empty((channels, count), dtype=bool)
        sizes = (whole(n) for n in (channels, ticks, taps.shape[0], factor, count))
        self.launch.warps("slower", channels * count, tail_w, valid, taps, x_w, known, *sizes)
        return x_w, known

    def remember(self, peak_w: Any, keep: Any, state: noise.NoiseState) -> noise.NoiseState:
        """See `noise.remember`."""
        xp, (leaves, seconds) = self.launch.cupy, peak_w.shape
        peaks_w = xp.empty(state.peaks_w.shape, dtype=xp.float32)
        new = noise.NoiseState(peaks_w, xp.empty((leaves,), dtype=xp.int64))
        sizes = (whole(n) for n in (leaves, seconds, state.peaks_w.shape[1]))
        self.launch.threads("remember", leaves, narrow(peak_w), keep, *state, *new, *sizes)
        return new

    def noise_scale(self, state: noise.NoiseState) -> Any:
        """See `noise.noise_scale`."""
        leaves, memory_s = state.peaks_w.shape
        scale_w = self.launch.cupy.empty((leaves,))
        self.launch.warps("noise_scale", leaves, *state, scale_w, whole(leaves), whole(memory_s))
        return scale_w

    def second_stats(
        self, x_w: Any, valid: Any, *, samples_per_second: int
    ) -> tuple[Any, Any, Any, Any]:
        """See `seconds.second_stats`."""
        xp, length = self.launch.cupy, samples_per_second
        shape = (x_w.shape[0], x_w.shape[1] // length)
        stats = [xp.empty(shape) for _ in range(3)]
        count, cells = xp.empty(shape, dtype=xp.int64), shape[0] * shape[1]
        self.launch.warps(
            "stretch_stats", cells, widen(x_w), valid, *stats, count, np.int64(cells), whole(length)
        )
        return stats[0], stats[1], stats[2], count

    def frame_means(self, x_w: Any, valid: Any, *, samples_per_frame: int) -> tuple[Any, Any]:
        """See `seconds.frame_means`."""
        xp, length = self.launch.cupy, samples_per_frame
        shape = (x_w.shape[0], x_w.shape[1] // length)
        mean_w, some, cells = xp.empty(shape), xp.empty(shape, dtype=bool), shape[0] * shape[1]
        self.launch.warps(
            "frame_means", cells, widen(x_w), valid, mean_w, some, np.int64(cells), whole(length)
        )
        return mean_w, some

    def snapshots(self, window_w: Any, freq_hz: float, *, rate_hz: float, count: int) -> Any:
        """See `unison.snapshots`."""
        return cuda_unison.snapshots(self.launch, window_w, freq_hz, rate_hz=rate_hz, count=count)

    def leading(self, z: Any) -> tuple[Any, Any, Any]:
        """See `unison.leading`."""
        return cuda_unison.leading(self.launch, z)

    def together(
        self, x_w: Any, valid: Any, state: diversity.DiversityState
    ) -> tuple[diversity.Together, diversity.DiversityState]:
        """See `diversity.together`."""
        xp, (leaves, ticks) = self.launch.cupy, x_w.shape
        window = state.tail_w.shape[1] + 1
        now_w = xp.where(valid, narrow(x_w), np.float32(np.nan))
        joined_w = xp.concatenate([state.tail_w, now_w], axis=1)
        first = leaves * xp.arange(2, dtype=xp.int64)
        found = [self.site_diversity(joined_w[:, k : k + window], first) for k in range(ticks)]
        said = diversity.Together(*xp.concatenate(found, axis=1)[:, None, :])
        return said, diversity.DiversityState(xp.ascontiguousarray(joined_w[:, ticks:]))

    def site_diversity(self, joined_w: Any, first: Any) -> Any:
        """
        Measures of some sites at once, (4, site), in the order of `diversity.Together`.

        ``joined_w``: (leaf, window) float32, NaN where not measured; ``first``: first leaf of each
        site and the number of leaves, (site + 1,) int64.
        """
        xp, (leaves, window), sites = self.launch.cupy, joined_w.shape, first.shape[0] - 1
        row = xp.ascontiguousarray(joined_w)
        of_leaf, of_site = xp.empty((4, leaves)), xp.empty((2, sites, window))
        found, (n, m, w) = xp.empty((4, sites)), (whole(k) for k in (leaves, sites, window))
        self.launch.warps("leaf_moves", leaves, row, of_leaf, n, w)
        self.launch.warps("site_seconds", sites * window, row, first, of_site, m, w)
        self.launch.warps("site_diversity", sites, of_leaf, of_site, first, found, m, w, n)
        return found
