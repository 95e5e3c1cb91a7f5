"""
Frames of one length, captured once: pinned memory, one copy up, a graph, one copy down.

Two slots alternate, so that the next frame goes up while this one is computed. Whatever changes
from frame to frame is in device memory (`cuda_frame.Ring.at`); the host reads nothing in between.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from operators import ramps
from operators.kernels import Frame
from pipeline import cuda_frame
from pipeline.cuda_launch import Launcher

__all__ = ["FrameGraph"]

SLOTS = 2


class _Slot(NamedTuple):
    """One of two sets of fixed buffers."""

    host_in: Any
    """Pinned bytes: mean_w, then ok."""
    device_in: Any
    device_out: Any
    host_out: Any
    uploaded: Any
    """Event: ``host_in`` may be written again."""
    done: Any
    """Event: ``host_out`` is there, ``device_in`` and ``device_out`` are free."""
    graph: Any


class FrameGraph:
    """
    One shape bucket: some sites side by side, so many ticks.

    Parameters
    ----------
    launch : Launcher
        With its ``cupy``.
    site : FrameTables
        From `cuda_frame.tables`.
    past : RampState
        Before the first frame, host arrays; kept in a ring on the device from here on.
    threshold_w : array, shape (leaf,)
        On the device; `set_threshold` writes to it, in its place in the stream.
    ticks : int
        Of every frame.
    """

    def __init__(
        self,
        launch: Launcher,
        site: cuda_frame.FrameTables,
        past: ramps.RampState,
        threshold_w: Any,
        ticks: int,
    ) -> None:
        self._launch, self._site, self._cupy = launch, site, launch.cupy
        self._channels, self._ticks = past.tail_w.shape[0], ticks
        up = self._cupy.asarray
        at = up(np.zeros(1, np.int64))
        self._ring = cuda_frame.Ring(up(past.tail_w), up(past.tail_valid), at)
        self._threshold_w = threshold_w
        self._wanted = cuda_frame.shapes(site, ticks)
        launch.load()  # nothing may be compiled or allocated while a graph is captured
        stream = self._cupy.cuda.Stream
        self._copying, self._computing = stream(non_blocking=True), stream(non_blocking=True)
        self._cupy.cuda.Device().synchronize()  # tables and ring are there for both streams
        self._slots = [self._slot() for _ in range(SLOTS)]
        self._begun = 0

    def _slot(self) -> _Slot:
        cupy, cells = self._cupy, self._channels * self._ticks
        device_in = cupy.empty((9 * cells,), dtype=np.uint8)
        into = cuda_frame.buffers(cupy, self._site, self._channels, self._ticks)
        event, shape = cupy.cuda.Event, (self._channels, self._ticks)
        frame = (
            device_in[: 8 * cells].view(np.float64).reshape(shape),
            device_in[8 * cells :].view(bool).reshape(shape),
        )
        cupy.cuda.Device().synchronize()
        with self._computing:
            self._computing.begin_capture()
            ring = self._ring
            cuda_frame.compute(self._launch, frame, ring, self._threshold_w, self._site, into)
            cuda_frame.push(self._launch, frame, ring)
            graph = self._computing.end_capture()
        return _Slot(
            self._pinned(9 * cells), device_in, into[1], self._pinned(into[1].shape[0]),
            event(disable_timing=True), event(disable_timing=True), graph,
        )  # fmt: skip

    def _pinned(self, size: int) -> Any:
        memory = self._cupy.cuda.alloc_pinned_memory(max(size, 1))
        return np.frombuffer(memory, np.uint8, size)

    def begin(self, mean_w: np.ndarray, ok: np.ndarray) -> int:
        """
        Queue a frame; returns its number, for `finish`.

        At most two are queued: finish the one before the last first.
        """
        number, slot = self._begun, self._slots[self._begun % SLOTS]
        cells = self._channels * self._ticks
        if number >= SLOTS:
            slot.uploaded.synchronize()
            self._copying.wait_event(slot.done)
        slot.host_in[: 8 * cells] = mean_w.reshape(-1).view(np.uint8)
        slot.host_in[8 * cells :] = ok.reshape(-1).view(np.uint8)
        slot.device_in.set(slot.host_in, stream=self._copying)
        slot.uploaded.record(self._copying)
        self._computing.wait_event(slot.uploaded)
        slot.graph.launch(stream=self._computing)
        slot.device_out.get(stream=self._computing, out=slot.host_out, blocking=False)
        slot.done.record(self._computing)
        self._begun += 1
        return number

    def finish(self, number: int) -> Frame:
        """Wait for a frame and return host arrays that are the caller's own."""
        if not self._begun - SLOTS <= number < self._begun:
            msg = f"frame {number} is not queued; {self._begun} were, and the last {SLOTS} are kept"
            raise ValueError(msg)
        slot = self._slots[number % SLOTS]
        slot.done.synchronize()
        return cuda_frame.cut(slot.host_out.copy(), self._wanted)

    def set_threshold(self, threshold_w: np.ndarray) -> None:
        """What counts as having moved, (leaf,) W, for every frame begun from here on."""
        self._threshold_w.set(np.array(threshold_w), stream=self._computing)

    def past(self) -> ramps.RampState:
        """Bring the ring home, oldest first: what a snapshot holds."""
        self._computing.synchronize()
        tail_w, valid, at = (self._cupy.asnumpy(part) for part in self._ring)
        order = np.arange(tail_w.shape[1]) + at[0]
        take = order % tail_w.shape[1]
        return ramps.RampState(tail_w[:, take], valid[:, take])
