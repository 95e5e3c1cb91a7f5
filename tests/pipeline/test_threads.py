"""Rows shared between threads: the same bits, nothing left undone, no pool lost in a fork."""

import os
import threading

import numpy as np
import pytest

from operators import diversity, oscillations
from operators.kernels import cpu, reference
from operators.kernels.tolerances import CPU
from operators.noise import start
from operators.ramps import RampState
from pipeline import threads
from pipeline.threads import shared
from tests.operators.test_kernels import BANKS, frozen, near, nodes, power, signal, site

WAIT_S = 10


@pytest.fixture(autouse=True)
def _share_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "LEAST_NUMBERS", 0)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_how_many_threads_changes_no_bit(count: int) -> None:
    """Spectra and steps have the bits they have with one."""
    rate, spans, hop_s = BANKS["long"]
    design = oscillations.design(rate, windows=spans, hop_s=hop_s, pfa=1e-9)
    x, ok = signal(np.random.default_rng(4), 61, 10 * design.hop)
    start = oscillations.start(x[:, :1], design=design, until_hop=design.hop)
    *given, plan = nodes(np.random.default_rng(3), 41, 100)
    several, one = cpu.kernels(shared(count)), cpu.KERNELS
    (found, state), (alone, then) = (
        kernels.periodogram(x, ok, start, plan=cpu.plan(design, x)) for kernels in (several, one)
    )
    for a, b in zip((*found, *state), (*alone, *then), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(several.scan(*frozen(*given), plan), one.scan(*given, plan), strict=True):
        np.testing.assert_array_equal(a, b)


def test_leaves_fall_together_the_same_however_cut_and_shared() -> None:
    """Twelve seconds of 150 leaves at once and one by one, by one thread and by three: each bit."""
    rng, leaves = np.random.default_rng(8), 150
    x, ok = rng.normal(5e4, 1e3, (leaves, 12)), rng.random((leaves, 12)) > 0.1
    told = []
    for cut, kernels in ((12, cpu.KERNELS), (12, cpu.kernels(shared(3))), (1, cpu.KERNELS)):
        state, found = diversity.start(x[:, :1], window=6), []
        for k in range(0, 12, cut):
            said, state = kernels.together(*frozen(x[:, k : k + cut], ok[:, k : k + cut]), state)
            found.append(np.concatenate(said))
        told.append([np.concatenate(found, axis=1), state.tail_w])
    for other in told[1:]:
        for a, b in zip(other, told[0], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("gaps", [True, False])
@pytest.mark.parametrize("ticks", [10, 30])
def test_nodes_of_a_frame_are_shared_level_by_level(ticks: int, *, gaps: bool) -> None:
    """Sums of PDUs by several threads, then of what adds these up; a leaf of no node too."""
    plan, rng = site(41, 7), np.random.default_rng(5)
    plan = plan._replace(tree=plan.leaf_tree, levels=plan.leaf_levels, leaves=(0, 42))
    x, ok, limits = power(rng, 42, 20 + ticks)
    ok |= not gaps
    past, limits = RampState(*frozen(x[:, :20], ok[:, :20])), np.append(limits, 1e3)
    given = (*frozen(x[:, 20:], ok[:, 20:]), past, *frozen(limits), plan)
    for kernels in (cpu.kernels(shared(3)), cpu.KERNELS):
        for found, expected in zip(kernels.frame(*given), reference.frame(*given), strict=True):
            near(found, expected, CPU["frame"], kernels.name)


def test_what_is_remembered_is_shared() -> None:
    """Means, peaks, their medians and block maxima have the bits they have with one thread."""
    rng, several, one = np.random.default_rng(6), cpu.kernels(shared(3)), cpu.KERNELS
    x, ok = rng.normal(0, 1, (45, 120)).astype(np.float32), rng.random((45, 120)) > 0.1
    maxima, count = rng.gamma(2, 2, (2500, 40)).astype(np.float32), rng.integers(0, 41, 2500)
    row = np.arange(45)[:, None]
    noise = one.remember(abs(x[:, :60]), ok[:, :60], start(x.astype(float), memory_s=60))
    for found, expected in zip(
        *(
            (
                *kernels.frame_means(x, ok, samples_per_frame=10),
                *kernels.second_stats(x, ok | (row < 30), samples_per_second=10),
                *kernels.remember(abs(x), ok, noise),
                kernels.noise_scale(noise),
                *kernels.block_moments(maxima, count),
            )
            for kernels in (several, one)
        ),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)


def test_every_part_is_done_once() -> None:
    """Parts cover all rows, none twice, also where there are fewer rows than threads."""
    for count in (1, 2, 3, 64, 1001):
        done = np.zeros(count, int)

        def job(first: int, last: int, done: np.ndarray = done) -> None:
            done[first:last] += 1

        shared(4)(job, count, 1)
        np.testing.assert_array_equal(done, 1)


def test_a_busy_pool_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no thread has begun, the caller does; here the only other one is held."""
    pool, begun, held = threads._Pool(), threading.Event(), threading.Event()
    monkeypatch.setattr(threads, "_POOL", pool)

    def hold(_first: int, _last: int) -> None:
        begun.set()
        held.wait(WAIT_S)

    pool.submit(hold, 0, 1)
    assert begun.wait(WAIT_S)
    by: set[str] = set()
    shared(2)(lambda _first, _last: by.add(threading.current_thread().name), 100, 1)
    held.set()
    assert by == {threading.current_thread().name}


@pytest.mark.parametrize("bad", [0, 50])
def test_what_fails_is_told(bad: int) -> None:
    """A part that fails, the caller's or another's: its error, after all parts are over."""

    def job(first: int, _last: int) -> None:
        if first == bad:
            raise ArithmeticError(first)

    with pytest.raises(ArithmeticError):
        shared(2)(job, 100, 1)


def test_little_is_done_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small sites do not pay for threads."""
    monkeypatch.setattr(threads, "LEAST_NUMBERS", 1000)
    parts: list[tuple[int, int]] = []
    shared(2)(lambda first, last: parts.append((first, last)), 100, 999)
    assert parts == [(0, 100)]


def test_a_forked_process_makes_its_own_pool() -> None:
    """Threads do not survive a fork: the child's parts are done all the same."""
    shared(2)(lambda _first, _last: None, 100, 1)
    child = os.fork()
    if not child:
        done, forgotten = np.zeros(100, int), threads._POOL._made is None

        def job(first: int, last: int) -> None:
            done[first:last] += 1

        shared(2)(job, 100, 1)
        os._exit(0 if forgotten and (done == 1).all() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
