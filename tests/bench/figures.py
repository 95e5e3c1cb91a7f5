"""How a figure is taken and told, and on what machine it was."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["Figure", "machine", "quantile", "repeat_s", "table"]

PACKAGES = (
    *("numpy", "pyarrow", "duckdb", "msgspec", "faust-streaming", "aiokafka", "kafka-python"),
    *("uvloop", "cupy-cuda12x"),
)


class Figure(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the result; ``peer`` is the same job done by the bare library named in it."""

    name: str
    value: float
    unit: str
    note: str = ""
    peer: str = ""
    peer_value: float | None = None


def repeat_s(job: Callable[[], Any], *, times: int, warm: int = 1) -> tuple[float, float]:
    """Least and median time of a job, s; the first ``warm`` runs do not count."""
    for _ in range(warm):
        job()
    taken_s = []
    for _ in range(times):
        begun_s = time.perf_counter()
        job()
        taken_s.append(time.perf_counter() - begun_s)
    return min(taken_s), statistics.median(taken_s)


def quantile(values: list[float], share: float) -> float:
    """The smallest value that at least ``share`` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def machine() -> dict[str, Any]:
    """What the figures belong to; ``load_1min`` tells how much else was going on."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_1min": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **versions,
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def table(figures: list[Figure]) -> list[str]:
    """Lines for people."""
    rows = []
    for figure in figures:
        peer = "" if figure.peer_value is None else f"{figure.peer}: {_short(figure.peer_value)}"
        rows.append((figure.name, _short(figure.value), figure.unit, peer, figure.note))
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    return [
        f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}} {row[2]:<{widths[2]}}  "
        f"{row[3]:<{widths[3]}}  {row[4]}".rstrip()
        for row in rows
    ]


def _short(value: float) -> str:
    if abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
