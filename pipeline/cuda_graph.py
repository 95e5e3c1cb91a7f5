"""
Frames through captured graphs, one for each length: pinned memory, one copy up, one copy down.

Two slots of a length alternate, so that the next frame goes up while this one is computed.
Whatever changes from frame to frame is in device memory (`cuda_frame.Ring.at`), and all lengths
share it; the host reads nothing in between.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from operators import ramps
from operators.kernels import Frame
from pipeline import cuda_frame
from pipeline.cuda_launch import Launcher

__all__ = ["FrameGraphs"]

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


class FrameGraphs:
    """
    The frames of some sites side by side; every length that comes is captured once.

    Parameters
    ----------
    launch : Launcher
        With its ``cupy``.
    site : FrameTables
        From `cuda_frame.tables`.
    past : RampState
        Before the first frame, host arrays; kept in a ring on the device from here on.
    threshold_w : array, shape (leaf,)
        On the host; see `set_threshold`.
    """

    def __init__(
        self,
        launch: Launcher,
        site: cuda_frame.FrameTables,
        past: ramps.RampState,
        threshold_w: np.ndarray,
    ) -> None:
        self._launch, self._site, self._cupy = launch, site, launch.cupy
        self._channels = past.tail_w.shape[0]
        up = self._cupy.asarray
        at = up(np.zeros(1, np.int64))
        self._ring = cuda_frame.Ring(up(past.tail_w), up(past.tail_valid), at)
        self._threshold_w = up(threshold_w)
        launch.load()  # nothing may be compiled or allocated while a graph is captured
        stream = self._cupy.cuda.Stream
        self._copying, self._computing = stream(non_blocking=True), stream(non_blocking=True)
        self._slots: dict[int, list[_Slot]] = {}
        self._queued: dict[int, tuple[int, _Slot]] = {}
        self._begun = 0

    def _captured(self, ticks: int) -> _Slot:
        """Buffers of one length, and the graph that works in them."""
        cupy, cells = self._cupy, self._channels * ticks
        device_in = cupy.empty((9 * cells,), dtype=np.uint8)
        into = cuda_frame.buffers(cupy, self._site, self._channels, ticks)
        shape = (self._channels, ticks)
        frame = (
            device_in[: 8 * cells].view(np.float64).reshape(shape),
            device_in[8 * cells :].view(bool).reshape(shape),
        )
        cupy.cuda.Device().synchronize()  # what was made on another stream is there for these two
        with self._computing:
            self._computing.begin_capture()
            ring = self._ring
            cuda_frame.compute(self._launch, frame, ring, self._threshold_w, self._site, into)
            cuda_frame.push(self._launch, frame, ring)
            graph = self._computing.end_capture()
        uploaded, done = (cupy.cuda.Event(disable_timing=True) for _ in range(2))
        pinned = self._pinned(9 * cells), self._pinned(into[1].shape[0])
        return _Slot(pinned[0], device_in, into[1], pinned[1], uploaded, done, graph)

    def _pinned(self, size: int) -> Any:
        memory = self._cupy.cuda.alloc_pinned_memory(max(size, 1))
        return np.frombuffer(memory, np.uint8, size)

    def _next(self, ticks: int) -> _Slot:
        """The slot of this length that was used longest ago; what it held is gone."""
        if ticks not in self._slots:
            self._slots[ticks] = [self._captured(ticks) for _ in range(SLOTS)]
        slots = self._slots[ticks]
        slots.append(slots.pop(0))
        self._queued = {n: of for n, of in self._queued.items() if of[1] is not slots[-1]}
        return slots[-1]

    def begin(self, mean_w: np.ndarray, ok: np.ndarray) -> int:
        """
        Queue a frame, (channel, time); returns its number, for `finish`.

        At most two of a length are kept: finish the one before the last first.
        """
        number, (_, ticks) = self._begun, mean_w.shape
        slot, cells = self._next(ticks), mean_w.size
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
        self._queued[number] = (ticks, slot)
        self._begun += 1
        return number

    def finish(self, number: int) -> Frame:
        """Wait for a frame and return host arrays that are the caller's own."""
        if number not in self._queued:
            msg = f"frame {number} is not kept; those that are: {sorted(self._queued)}"
            raise ValueError(msg)
        ticks, slot = self._queued[number]
        slot.done.synchronize()
        return cuda_frame.cut(slot.host_out.copy(), cuda_frame.shapes(self._site, ticks))

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
