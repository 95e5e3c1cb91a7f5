"""The whole engine on the CUDA kernels: the same events, windows and states as by the reference."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from operators.kernels import FramePlan
from pipeline.cuda_kernels import kernels
from pipeline.cuda_launch import SUBJECTS
from pipeline.detect import DetectSettings
from pipeline.device import Device
from pipeline.engine import Engine
from pipeline.engine_state import Outcome
from pipeline.layout import SiteLayout
from tests.cuda.compare import there
from tests.cuda.on_cpu import Array, Cupy, need_compiler
from tests.pipeline import site as sites
from tests.pipeline.lanes import eventful
from tests.pipeline.test_kernels_in_engine import REFERENCE
from tests.pipeline.tiny import Bench


def _device(cupy: Any) -> Device:
    record = kernels(cupy)

    def lifted(function: Callable[..., Any]) -> Callable[..., Any]:
        """Bring there what NumPy's `asarray` took home, and CuPy's would not."""

        def run(*args: Any, **how: Any) -> Any:
            if args and isinstance(args[0], Array):
                args = tuple(a if isinstance(a, FramePlan) else there(cupy, a) for a in args)
            return function(*args, **how)

        return run

    own = {name: lifted(getattr(record, name)) for name in record._fields if name != "name"}
    made = record._replace(**own)
    return Device("cuda:0", "device: stand-in", np, cupy.asarray, cupy.asnumpy, lambda: made)


def _outcomes(device: Any) -> list[Outcome]:
    """All of a small eventful site, block by block."""
    site = sites.topology()
    bench = Bench(site)
    for piece in sites.site_slices(site, eventful(), 0.5):
        bench.push_slice(piece)
    bench.close()
    engine = Engine(SiteLayout(site), DetectSettings(), device)
    state, found = engine.to_device(engine.start()), []
    for block in bench.blocks:
        state, outcome = engine.step(state, block)
        found.append(outcome)
    return found


def _same(one: Any, other: Any) -> bool:
    """Whole numbers, names and times exact; floats to 1e-9."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(v, other[k]) for k, v in one.items())
    if isinstance(one, list | tuple):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_same(a, b) for a, b in pairs)
    if isinstance(one, float):
        return one == pytest.approx(other, rel=1e-9, abs=1e-9)
    if isinstance(one, np.ndarray) and one.dtype.kind == "f":
        return np.allclose(one, other, rtol=1e-9, atol=1e-9, equal_nan=True)
    return bool(np.all(one == other))


def _plain(outcome: Outcome) -> list[Any]:
    said = (outcome.events, outcome.states, outcome.forecasts)
    return [*(msgspec.to_builtins(part) for part in said), outcome.windows]


def test_the_engine_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ramp, a synchronized one and an oscillation: the same events, every number of them."""
    need_compiler()
    monkeypatch.setattr(Array, "strict", False)
    cupy = Cupy(order=2)
    found, right = _outcomes(_device(cupy)), _outcomes(REFERENCE)
    kinds = {event.kind for outcome in right for event in outcome.events}
    assert kinds == {"ramp", "synchronized_ramp", "oscillation"}
    assert len(found) == len(right)
    for one, other in zip(found, right, strict=True):
        assert _same(_plain(one), _plain(other))
    on_host = {"scan", "two_threshold", "stretch_stats", "ring_push", "ring_advance"}
    assert {*cupy.launches} == {n for names in SUBJECTS.values() for n in names} - on_host


def test_the_comparison_can_fail() -> None:
    """Another number, name or length is another answer."""
    one = [{"t_ns": 1, "x_w": np.array([1.0, np.nan])}, (1.5, "a")]
    assert _same(one, [{"t_ns": 1, "x_w": np.array([1.0, np.nan])}, (1.5 + 1e-12, "a")])
    assert not _same(one, [{"t_ns": 2, "x_w": np.array([1.0, np.nan])}, (1.5, "a")])
    assert not _same(one, [{"t_ns": 1, "x_w": np.array([1.1, np.nan])}, (1.5, "a")])
    assert not _same(one, [{"t_ns": 1, "x_w": np.array([1.0, np.nan])}, (1.6, "a")])
    assert not _same(one, [{"t_ns": 1, "x_w": np.array([1.0, np.nan])}])
