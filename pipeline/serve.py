"""
A worker from start to exit status: signals, deadlines, and one sentence where it fails.

Log lines go to standard output, the one sentence to standard error. However it ends, the process
is gone within 10 s of being told so: a timer thread ends it where Faust or a broker does not.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from pipeline import admin
from pipeline.app import LaneApp, build
from pipeline.clock import Clock, SystemClock
from pipeline.crew import Crew, OpenLane
from pipeline.errors import JoinError, KafkaError, sentence
from pipeline.keeper import keep
from pipeline.settings import Settings
from pipeline.worker import Door

try:
    from uvloop import new_event_loop
except ImportError:  # pragma: no cover  not on Windows
    from asyncio import new_event_loop

__all__ = ["serve"]

log = logging.getLogger("lockstep")

IO_THREADS = 8
WATCH_S = 0.25
EXIT_S = 9.5
FAIL_S = 4.0
ASSIGN_S = 120.0
NOISY = ("aiokafka", "faust", "mode", "kafka")
REPEAT_S = 10.0


def serve(settings: Settings, prepare: Callable[[admin.Cluster], OpenLane]) -> int:
    """
    Run one worker until SIGTERM or SIGINT (0) or until it fails (1, after one sentence).

    Parameters
    ----------
    settings : Settings
        The whole tree.
    prepare : callable
        Given the cluster once its topics are seen to be right, makes archive and device ready and
        returns what opens a lane. Called in a thread.
    """
    _log_to_stdout()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        code = runner.run(_Process(settings, SystemClock()).run(prepare))
        # Threads of Faust or of a hanging disk must not keep a finished worker alive.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class _Process:
    """One worker's life; `code` is what it exits with when the deadline strikes."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.code = 0
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._io = ThreadPoolExecutor(IO_THREADS, thread_name_prefix="io")

    def fail(self, error: BaseException) -> None:
        """End the process; the first failure is the one that is told."""
        if self._failure is None:
            self._failure = error
            self._stop.set()

    async def run(self, prepare: Callable[[admin.Cluster], OpenLane]) -> int:
        """Start, wait, stop; return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        crew: Crew | None = None
        app: LaneApp | None = None
        starting = asyncio.create_task(self._start(prepare))
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            _end_in(EXIT_S, 0)
            return 0
        if (error := starting.exception()) is not None:
            self.fail(error)
        else:
            app, crew = starting.result()
            tasks = [
                asyncio.create_task(self._live(app)),
                asyncio.create_task(self._watch(app, crew)),
                asyncio.create_task(crew.heartbeat(self.settings.run.heartbeat_s)),
                asyncio.create_task(keep(self.settings.archive, self._io, self.clock)),
            ]
            for task in tasks:
                task.add_done_callback(self._ended)
            await stopping
        return await self._finish(app, crew)

    async def _start(self, prepare: Callable[[admin.Cluster], OpenLane]) -> tuple[LaneApp, Crew]:
        kafka = self.settings.kafka
        loop = asyncio.get_running_loop()
        cluster = await loop.run_in_executor(self._io, admin.describe, kafka)
        lanes = admin.lanes(cluster)
        open_lane = await loop.run_in_executor(self._io, prepare, cluster)
        app = build(kafka)
        door = Door(
            publish=app.publish,
            end_of=partial(app.end_of, clock=self.clock),
            failed=self.fail,
            io=self._io,
            clock=self.clock,
            run=self.settings.run,
        )
        app.crew = Crew(open_lane, lanes, door)
        return app, app.crew

    async def _live(self, app: LaneApp) -> None:
        await app.start()
        await self._stop.wait()

    async def _watch(self, app: LaneApp, crew: Crew) -> None:
        begun_s = self.clock.monotonic_s()
        while not self._stop.is_set():
            await asyncio.sleep(WATCH_S)
            if (refused := app.join_error()) is not None:
                raise refused
            if app.crashed and not self._stop.is_set():
                reason = app.crash_reason
                raise reason if isinstance(reason, Exception) else KafkaError("Faust gave up")
            if not crew.assigned and self.clock.monotonic_s() - begun_s > ASSIGN_S:
                msg = (
                    f"no partitions assigned within {ASSIGN_S:.0f} s by group "
                    f"{self.settings.kafka.group}; see the broker's log"
                )
                raise JoinError(msg)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    async def _finish(self, app: LaneApp | None, crew: Crew | None) -> int:
        if self._failure is not None:
            self.code = 1
            print(f"error: {sentence(self._failure)}", file=sys.stderr, flush=True)  # noqa: T201
        _end_in(FAIL_S if self.code else EXIT_S, self.code)
        if app is None or crew is None:
            return self.code
        if not self.code:
            log.info("stopping: last commit")
            finished = await crew.revoke(self.settings.run.stop_s)
            if self._failure is not None:
                self.code = 1
                print(f"error: {sentence(self._failure)}", file=sys.stderr, flush=True)  # noqa: T201
            elif not finished:
                log.warning("stopped without a last commit; what was not committed is read again")
        await asyncio.wait({asyncio.create_task(app.stop())}, timeout=1.0)
        log.info("stopped")
        return self.code


def _end_in(seconds_s: float, code: int) -> None:
    """Start the timer that ends the process whatever hangs."""
    timer = threading.Timer(seconds_s, os._exit, (code,))
    timer.daemon = True
    timer.start()


class _Noise(logging.Filter):
    """Lets one line of a kind through every `REPEAT_S`, without its traceback."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = SystemClock()
        self._last_s: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is passed on."""
        if record.name.partition(".")[0] not in NOISY:
            return True
        key, now_s = (record.name, str(record.msg)), self._clock.monotonic_s()
        if now_s - self._last_s.get(key, -REPEAT_S) < REPEAT_S:
            return False
        self._last_s[key] = now_s
        record.exc_info = record.exc_text = None
        return True


def _log_to_stdout() -> None:
    handler: logging.StreamHandler[Any] = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(message)s"))
    handler.addFilter(_Noise())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    log.setLevel(logging.INFO)
