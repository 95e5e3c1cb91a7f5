"""Frames of many sites in one launch, through a ring, and as a graph captured once."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from operators import ramps
from operators.kernels import Frame, reference
from pipeline import cuda_frame, cuda_graph
from pipeline.cuda_graph import FrameGraphs
from pipeline.cuda_launch import Launcher
from tests.cuda import cases
from tests.cuda.compare import both, home, there, told
from tests.cuda.on_cpu import Cupy, KernelError, need_compiler
from tests.cuda.rings import frames, ring, wanted

TICKS, COUNT = 7, 6


def _graphs(
    cupy: Any, size: int, lengths: tuple[int, ...] = (TICKS,) * COUNT
) -> tuple[FrameGraphs, list[Any], list[Frame]]:
    """Graphs of one site, frames of these lengths, and what is right of each."""
    case = cases.frame_case(size, TICKS)
    site = cuda_frame.tables([case.plan], [size], cupy)
    graphs = FrameGraphs(Launcher(cupy), site, case.past, case.threshold_w)
    series = [one for k, ticks in enumerate(lengths) for one in frames(size + k, size, ticks)]
    return graphs, series, wanted(case, series)


@pytest.mark.parametrize("size", [1, 31, 257])
def test_the_ring_is_the_past(cupy: Any, size: int) -> None:
    """Frames through a ring of 23 ticks are what the reference says of them."""
    assert ring(cupy, size, TICKS) == []


def test_a_frame_longer_than_the_ring(cupy: Any) -> None:
    """Only the newest ticks are kept, in their places."""
    assert ring(cupy, 31, cases.DEPTH + 17) == []


@pytest.mark.parametrize("size", [31, 257])
def test_a_graph_gives_every_frame(cupy: Any, size: int) -> None:
    """Two frames under way at a time: each is as the reference says, and so is the past."""
    graphs, series, right = _graphs(cupy, size)
    numbers, found = [graphs.begin(*series[0])], []
    for frame in series[1:]:
        numbers.append(graphs.begin(*frame))
        found.append(graphs.finish(numbers[-2]))
    found.append(graphs.finish(numbers[-1]))
    assert [told("frame", one, other) for one, other in zip(found, right, strict=True)] == [
        []
    ] * COUNT
    case, depth = cases.frame_case(size, TICKS), cases.DEPTH
    tail_w = np.concatenate([case.past.tail_w, *(w for w, _ in series)], axis=1)[:, -depth:]
    tail_w = tail_w.astype(np.float32)
    tail_ok = np.concatenate([case.past.tail_valid, *(ok for _, ok in series)], axis=1)[:, -depth:]
    assert told("past", graphs.past(), ramps.RampState(tail_w, tail_ok)) == []


EAGER = [(False, False), (True, False), (False, True), (True, True)]


def _three_at_once(cupy: Cupy) -> list[str]:
    """Three frames begun before any is waited for; the last two come home."""
    graphs, series, right = _graphs(cupy, 31)
    for frame in series[:3]:
        graphs.begin(*frame)
    return told("frame", graphs.finish(1), right[1]) + told("frame", graphs.finish(2), right[2])


@pytest.mark.parametrize("eager", EAGER)
def test_no_order_of_the_streams_matters(eager: tuple[bool, bool]) -> None:
    """Copies and kernels as late as allowed or as early: the events say what must wait."""
    need_compiler()
    assert _three_at_once(Cupy(eager=eager)) == []


WAITS = (
    "slot.uploaded.synchronize()",
    "self._copying.wait_event(slot.done)",
    "self._computing.wait_event(slot.uploaded)",
    "slot.done.synchronize()",
)


@pytest.mark.parametrize("wait", WAITS)
def test_a_forgotten_wait_is_found(wait: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the four waits is needed: without it some order of the streams is wrong."""
    need_compiler()
    source = Path(cuda_graph.__file__).read_text()
    assert source.count(wait) == 1
    mutant = ModuleType("mutant")
    exec(compile(source.replace(wait, "None"), "mutant", "exec"), vars(mutant))  # noqa: S102
    monkeypatch.setitem(globals(), "FrameGraphs", mutant.FrameGraphs)
    assert any(_three_at_once(Cupy(eager=eager)) for eager in EAGER)


def test_a_threshold_acts_from_the_next_frame_on(cupy: Any) -> None:
    """Set between two frames that are both under way, it acts on the second."""
    graphs, series, right = _graphs(cupy, 257)
    case = cases.frame_case(257, TICKS)
    graphs.begin(*series[0])
    graphs.set_threshold(np.full(case.threshold_w.shape, np.inf))
    graphs.begin(*series[1])
    assert told("frame", graphs.finish(0), right[0]) == []
    assert right[1].synchrony.any()
    assert not graphs.finish(1).synchrony.any()


def test_nothing_is_allocated_while_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in refuses what CUDA refuses."""
    need_compiler()
    cupy, compute = Cupy(), cuda_frame.compute

    def with_more(*args: Any) -> None:
        cupy.zeros((3,))
        compute(*args)

    monkeypatch.setattr(cuda_graph.cuda_frame, "compute", with_more)
    with pytest.raises(KernelError, match="zeros while a graph is captured"):
        _graphs(cupy, 31)[0].begin(*frames(0, 31, TICKS)[0])


def test_a_frame_that_is_gone_is_refused() -> None:
    """Only the last two of a length are kept."""
    need_compiler()
    graphs, series, _ = _graphs(Cupy(), 1)
    for frame in series[:3]:
        graphs.begin(*frame)
    for number in (0, 3):
        with pytest.raises(ValueError, match=rf"frame {number} is not kept; .*: \[1, 2\]"):
            graphs.finish(number)


def test_frames_of_every_length_share_one_past(cupy: Any) -> None:
    """Each length is captured when it first comes; the ring and its place are of all of them."""
    lengths = (7, 1, 30, 7, 1, 1, 40, 7, 30)
    graphs, series, right = _graphs(cupy, 31, lengths)
    for frame, one in zip(series, right, strict=True):
        assert told("frame", graphs.finish(graphs.begin(*frame)), one) == []


def test_sites_side_by_side(cupy: Any) -> None:
    """Three sites of different size and depth in one batch: each as it is alone, every bit."""
    sizes = (31, 1, 400)
    some = [cases.frame_case(size, TICKS) for size in sizes]
    site = cuda_frame.tables([case.plan for case in some], list(sizes), cupy)
    joined = [np.concatenate(part) for part in zip(*((c.mean_w, c.ok) for c in some), strict=True)]
    past = [np.concatenate(part) for part in zip(*(c.past for c in some), strict=True)]
    threshold_w = np.concatenate([c.threshold_w for c in some])
    into = cuda_frame.buffers(cupy, site, sum(sizes), TICKS)
    ring = cuda_frame.Ring(*there(cupy, tuple(past)), cupy.zeros((1,), dtype=np.int64))
    cuda_frame.compute(
        Launcher(cupy), there(cupy, tuple(joined)), ring, cupy.asarray(threshold_w), site, into
    )
    found = home(cupy, into[2])
    leaf = watched = 0
    for case, rows in zip(some, site.nodes, strict=True):
        alone = reference.frame(*case)
        leaves, seen = case.plan.leaves[1], len(case.plan.watched)
        here = Frame(
            found.node_w[rows], found.share[rows],
            found.moved_w[watched : watched + seen], found.moved_ok[watched : watched + seen],
            found.second_w[rows], found.synchrony[rows], found.peak_w[leaf : leaf + leaves],
        )  # fmt: skip
        leaf, watched = leaf + leaves, watched + seen
        assert told("frame", here, alone) == []


def test_diversity_of_sites_side_by_side(cupy: Any) -> None:
    """Leaves of three sites, one of them without any: each site as it is alone."""
    from pipeline.cuda_kernels import CudaKernels

    sizes, window = (31, 0, 257), cases.WINDOW_S
    rng = np.random.default_rng(0)
    valid = rng.random((sum(sizes), window)) > 0.1
    joined_w = np.float32(np.where(valid, rng.normal(size=valid.shape), np.nan))
    first = np.concatenate([[0], np.cumsum(sizes)])
    device = CudaKernels(cupy)
    found = home(cupy, device.site_diversity(*there(cupy, (joined_w, first))))
    for site, size in enumerate(sizes):
        rows = slice(first[site], first[site] + size)
        own = there(cupy, (joined_w[rows], np.array([0, size])))
        alone = home(cupy, device.site_diversity(*own)) if size else np.zeros((4, 1))
        assert np.array_equal(found[:, site], alone[:, 0])


def test_sites_of_another_pace_are_refused() -> None:
    """A launch has one number of ticks a second, and a node a bounded number of members."""
    plan = cases.frame_plan(31)
    with pytest.raises(ValueError, match=r"sites of \[1, 10\] ticks a second cannot share"):
        cuda_frame.tables([plan, plan._replace(per_s=1)], [31, 31], Cupy())
    many = plan.tree._replace(first=np.array([0, 40_000]), index=np.zeros(40_000, np.int64),
                              level=np.array([0, 1]))  # fmt: skip
    wide = plan._replace(tree=many, leaf_tree=many, counts=np.ones(1), watched=np.array([0]))
    with pytest.raises(ValueError, match="a node adds up 40000 rows, kernels take 32768"):
        cuda_frame.tables([wide], [31], Cupy())


@pytest.mark.gpu
def test_a_gpu_takes_what_is_captured() -> None:
    """On a GPU: pinned memory, two streams, a captured graph, through `pipeline/device.py`."""
    cupy = pytest.importorskip("cupy")
    assert told("frame", *both(cupy, "frame", cases.frame_case(140, TICKS))) == []
    assert _three_at_once(cupy) == []
