"""Bugs put into the CUDA sources on purpose: each is found, and by what it should be found by."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from pipeline.cuda_launch import SUBJECTS, sources
from tests.cuda import compare
from tests.cuda.on_cpu import Cupy, KernelError, need_compiler
from tests.cuda.rings import ring

DIFFERS = "differs"
RACE = "race|read before it is written"
"""Which of the two is seen first goes by the order of the threads."""


class Bug(NamedTuple):
    """What is changed, what is run, and a pattern for what is said."""

    patches: tuple[tuple[str, str], ...]
    run: Callable[[Any, int, int], Any]
    size: int
    count: int
    said: str


def _sync(note: str) -> str:
    return f"__syncthreads();  // {note}"


BUGS = {
    "no barrier after the past is copied": Bug(
        ((_sync("the past is there"), ""),), compare.periodogram, 3, 1, RACE
    ),
    "no barrier before the chunk is overwritten": Bug(
        ((_sync("before the next chunk writes over this one"), ""),), compare.scan, 1, 300, RACE
    ),
    "no barrier between sums of different length": Bug(
        ((_sync("the longer sums are there, the shorter ones no longer read"), ""),),
        compare.scan, 1, 10, RACE,
    ),
    "no barrier in the greatest of a block": Bug(
        ((_sync("each warp's greatest"), ""),), compare.periodogram, 3, 1, RACE
    ),
    "no barrier behind the innovations": Bug(
        ((_sync("innovations of the whole block"), ""),), compare.scan, 1, 10, RACE
    ),
    "a barrier only some threads reach": Bug(
        ((_sync("each warp's greatest"), "if (threadIdx.x < 3) __syncthreads();"),),
        compare.periodogram, 3, 1, "divergent",
    ),
    "a thread leaves before the others' shuffle": Bug(
        (("const int count = int(from[sum_of + 1] - from[sum_of]);",
          "const int count = int(from[sum_of + 1] - from[sum_of]); if (lane() >= count) return;"),),
        compare.frame, 140, 3, "divergent",
    ),
    "a segment one member too long": Bug(
        (("int(from[sum_of + 1] - from[sum_of])", "int(from[sum_of + 1] - from[sum_of] + 1)"),),
        compare.frame, 140, 3, f"outside|{RACE}",
    ),
    "a segment one member too short": Bug(
        (("int(from[sum_of + 1] - from[sum_of])", "int(from[sum_of + 1] - from[sum_of] - 1)"),),
        compare.frame, 140, 3, DIFFERS,
    ),
    "the ring is not wrapped around": Bug(
        (("past.depth + t - lag) % past.depth", "past.depth + t - lag)"),),
        ring, 31, 7, "outside past",
    ),
    "the ring is written past its end": Bug(
        (("(at[0] + t) % depth", "at[0] + t"),), ring, 31, 7, "outside past"
    ),
    "the ring moves on while it is read": Bug(
        (("bool* past_ok, const long long* at, int channels, int n_time,",
          "bool* past_ok, long long* at, int channels, int n_time,"),
         ("past_ok[place] = ok[channel * n_time + t];",
          "past_ok[place] = ok[channel * n_time + t]; if (i == 0) at[0] = at[0] + n_time;")),
        ring, 31, 7, RACE,
    ),
    "no guard for the last threads": Bug(
        (("if (i >= (long long)channels * n_time) return;", ""),), compare.frame, 31, 1, "outside"
    ),
    "a shuffle tree one step short": Bug(
        (("for (int step = 1; step < WARP; step *= 2)\n        value +=",
          "for (int step = 1; step < WARP / 2; step *= 2)\n        value +="),),
        compare.frame, 140, 3, DIFFERS,
    ),
    "a sum in another order": Bug(
        (("for (int step = 1; step < WARP; step *= 2)\n        value +=",
          "for (int step = WARP / 2; step > 0; step /= 2)\n        value +="),),
        compare.frame, 140, 3, DIFFERS,
    ),
    "a sum in single precision": Bug(
        (("return here[member[k] * n_time + t];", "return (float)here[member[k] * n_time + t];"),),
        compare.frame, 140, 3, DIFFERS,
    ),
    "a counter that is not atomic": Bug(
        (("atomicAdd(&count[channel], measured);", "count[channel] += measured;"),),
        compare.periodogram, 1, 1, "race on count",
    ),
    "a maximum that is not atomic": Bug(
        (("atomicMax(&best[group], ordered_bits(largest));",
          "best[group] = max(best[group], ordered_bits(largest));"),),
        compare.scan, 1, 10, "race on static shared",
    ),
    "a neighbourhood one bin too wide": Bug(
        (("k < near[t.all + bin]; ++k", "k <= near[t.all + bin]; ++k"),),
        compare.periodogram, 3, 1, f"{DIFFERS}|{RACE}",
    ),
    "a wide neighbourhood without its last bin": Bug(
        (("for (long long k = low; k < high; ++k)", "for (long long k = low; k < high - 1; ++k)"),),
        compare.periodogram, 3, 1, DIFFERS,
    ),
    "a mask that multiplies": Bug(
        (("return *both ? mean_w[here] - before_w : 0.0;",
          "return *both * (mean_w[here] - before_w);"),),
        compare.frame, 140, 3, DIFFERS,
    ),
    "the last warp's greatest forgotten": Bug(
        (("for (int w = 0; w < blockDim.x / WARP; ++w)",
          "for (int w = 0; w < blockDim.x / WARP - 1; ++w)"),),
        compare.periodogram, 140, 1, DIFFERS,
    ),
    "a window that begins a sample late": Bug(
        (("(at[0] + window - samples + k) % depth", "(at[0] + window - samples + k + 1) % depth"),),
        compare.periodogram, 3, 1, DIFFERS,
    ),
    "an eigenvector without its last stretch": Bug(
        (("row < stretches; ++row", "row < stretches - 1; ++row"),),
        compare.coherence, 31, 8, DIFFERS,
    ),
    "a median of the wrong rank": Bug(
        (("low = last / 2,", "low = (last + 1) / 2,"),), compare.memory, 31, 1, DIFFERS
    ),
    "what was not measured is added up": Bug(
        (("return x_w == x_w ? x_w : 0.0;", "return x_w;"),), compare.diversity, 31, 0, DIFFERS
    ),
    "a past that is rounded in another way": Bug(
        (("return float(x < most ? x : most);", "return float(1.00001 * (x < most ? x : most));"),),
        compare.periodogram, 3, 3, DIFFERS,
    ),
    "differences of a window in single precision": Bug(
        (("double(x_w[channel * depth + here]) - double(x_w[channel * depth + before])",
          "x_w[channel * depth + here] - x_w[channel * depth + before]"),),
        compare.periodogram, 3, 1, DIFFERS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_is_found(name: str) -> None:
    """What is changed is there exactly once, the tests pass without the change and fail with it."""
    need_compiler()
    bug = BUGS[name]
    for old, _ in bug.patches:
        files = [*(f"{subject}.cu" for subject in SUBJECTS), "warp.cuh"]
        assert sum((sources() / file).read_text().count(old) for file in files) == 1, old
    with np.errstate(all="ignore"):
        assert bug.run(Cupy(), bug.size, bug.count) == []
        assert re.search(bug.said, _said(Cupy(patches=bug.patches), bug))


def test_the_page_tells_how_many() -> None:
    """docs/cuda.md says how many bugs are put in."""
    page = Path(__file__).resolve().parents[2] / "docs" / "cuda.md"
    assert f"changes the sources' text in {len(BUGS)} ways" in page.read_text()


def _said(cupy: Cupy, bug: Bug) -> str:
    try:
        far = bug.run(cupy, bug.size, bug.count)
    except KernelError as error:
        return str(error)
    return f"{DIFFERS}: {far}" if far else "nothing"


@pytest.mark.parametrize("order", [1, 2])
def test_races_are_found_whatever_the_order(order: int) -> None:
    """No order of the threads hides a missing barrier: accesses are looked at, not results."""
    need_compiler()
    for bug in BUGS.values():
        if "race" in bug.said:
            assert re.search(bug.said, _said(Cupy(order=order, patches=bug.patches), bug))
