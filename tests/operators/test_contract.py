"""Promises that every streaming operator keeps; a new operator adds one row to CASES."""

import array_api_strict as strict
import numpy as np
import pytest
from array_api_compat import array_namespace

from operators import (
    diversity,
    noise,
    oscillations,
    ramps,
    seconds,
    segments,
    steps,
    synchrony,
    trigger,
    whitening,
)

PLAN = segments.plan([[0, 2], [1], [2, 1, 0]], 3)
DESIGN = oscillations.design(20, windows=((2.0, 55.0), (4.0, 55.0)), hop_s=0.5)
LAGS = (1, 3, 20)


def mask(x):
    """Most cells are valid, and which ones follows from the data."""
    return x > -1.2


def stateless(op):
    """Give an operator without memory the form of the others."""
    return lambda x: (), lambda x, state: (op(x), state)


def two(op, n):
    """Split what ``op`` returns into outputs and state."""

    def call(x, state):
        *out, state = op(x, state)
        assert len(out) == n
        return tuple(out), state

    return call


def whitened(x, tail):
    """Innovations, and the three samples that the next call needs."""
    xp = array_namespace(x)
    order = xp.reshape(xp.arange(3, dtype=x.dtype, device=x.device), (1, 3))
    out = whitening.innovations(x, mask(x), tail, 0.1 + 0.2 * order + 0 * tail[0])
    joined = (xp.concat([old, new], axis=-1) for old, new in zip(tail, (x, mask(x)), strict=True))
    return out, tuple(array[:, -3:] for array in joined)


def shifted(x, tail):
    """The likelihood ratio of some innovations, and the past that the next call needs."""
    xp, one = array_namespace(x), 1 + 0 * x[:, 0]
    z = xp.concat([tail, x], axis=-1)
    limits = 3 + 0 * xp.stack([one] * len(steps.GROUPS), axis=-1)
    since = xp.astype(1000 + 0 * x, xp.int64)
    return tuple(steps.likelihood_ratio(z, one, since, 600 * one, limits)), z[:, -steps.TAIL :]


def looks(x, state):
    """Periodograms with their tables beside the array."""
    plan = oscillations.to_namespace(DESIGN, x)
    return oscillations.periodogram(x, mask(x), state, plan=plan)


def off(x):
    """All channels inactive."""
    return x[:, 0] > 1e9


CASES = {
    # name: (start, operator -> (outputs, state), samples per output step)
    "ramps.differences": (
        lambda x: ramps.start(x, tail=25),
        two(lambda x, state: ramps.differences(x, mask(x), state, lags=LAGS), 2),
        1,
    ),
    "noise.remember": (
        lambda x: noise.start(x, memory_s=9),
        lambda x, state: ((), noise.remember(x * x, mask(x), state)),
        1,
    ),
    "whitening.innovations": (
        lambda x: (0 * x[:, :3], x[:, :3] > 1e9),
        whitened,
        1,
    ),
    "steps.likelihood_ratio": (
        lambda x: array_namespace(x).zeros((3, steps.TAIL), dtype=x.dtype, device=x.device),
        shifted,
        1,
    ),
    "trigger.two_threshold": (
        off,
        two(
            lambda x, state: trigger.two_threshold(x, state, threshold_on=1.5, threshold_off=-1.5),
            1,
        ),
        1,
    ),
    "synchrony.moved": (
        *stateless(lambda x: synchrony.moved(x, mask(x), array_namespace(x).ones_like(x[:, 0]))),
        1,
    ),
    "synchrony.synchrony": (
        *stateless(lambda x: synchrony.synchrony(x * x, array_namespace(x).abs(x))),
        1,
    ),
    "segments.segment_sums": (
        *stateless(lambda x: segments.segment_sums(x, segments.to_namespace(PLAN, x))),
        1,
    ),
    "seconds.second_stats": (
        *stateless(lambda x: seconds.second_stats(x, mask(x), samples_per_second=5)),
        5,
    ),
    "seconds.frame_means": (
        *stateless(lambda x: seconds.frame_means(x, mask(x), samples_per_frame=3)),
        3,
    ),
    "diversity.together": (
        lambda x: diversity.start(x, window=13),
        lambda x, state: diversity.together(x, mask(x), state),
        1,
    ),
    "oscillations.periodogram": (
        lambda x: oscillations.start(x, design=DESIGN, until_hop=4),
        two(looks, 4),
        1,
    ),
}
FLOAT64 = {"segments.segment_sums"}
"""Those that answer in float64 whatever they are given."""
REMEMBERED = {"noise.remember", "diversity.together", "oscillations.periodogram"}
"""Those that remember in float32 whatever they are given."""


@pytest.fixture(params=CASES)
def case(request):
    """One row of CASES: name, start, operator, samples per output step."""
    return (request.param, *CASES[request.param])


def sample(n_time=1500, dtype=np.float64):
    """Three channels of noise, deterministic."""
    values = np.random.default_rng(0).normal(size=(3, n_time))
    values[1] += 3 * np.cos(2 * np.pi * 2.5 / 20 * np.arange(n_time))
    return values.astype(dtype)


def arrays(thing):
    """All arrays in an output or a state; host numbers are left out."""
    if isinstance(thing, tuple | list):
        return [array for part in thing for array in arrays(part)]
    return [thing] if hasattr(thing, "dtype") else []


def host_numbers(state):
    """Everything in a state that is no array."""
    return [x for x in state if not hasattr(x, "dtype")] if isinstance(state, tuple) else []


def to_host(array):
    """Any array as NumPy."""
    return np.asarray(array.get() if hasattr(array, "get") else array)


def same(left, right):
    """Bit for bit: values, shapes, dtypes, and the sign of zero."""
    left, right = to_host(left), to_host(right)
    assert (left.shape, left.dtype) == (right.shape, right.dtype)
    assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_answer_does_not_depend_on_frame_length(case, xp, chunk):
    """Feeding 1, 7, 64 or 1000 steps at a time gives the same numbers, bit for bit, and the
    same state at the end.
    """
    _, start, op, step = case
    n_time = 1500 if chunk > 1 else 300
    x = xp.asarray(sample(n_time))
    whole, whole_state = op(x, start(x))

    state, parts = start(x), []
    for lo in range(0, n_time, chunk * step):
        out, state = op(x[:, lo : min(lo + chunk * step, n_time)], state)
        parts.append(arrays((out,)))

    for k, expected in enumerate(arrays((whole,))):
        got = np.concatenate([to_host(part[k]) for part in parts], axis=-1)
        same(np.ascontiguousarray(got), np.ascontiguousarray(to_host(expected)))
    for expected, got in zip(arrays((whole_state,)), arrays((state,)), strict=True):
        same(got, expected)
    assert host_numbers(state) == host_numbers(whole_state)


def test_answer_is_that_of_numpy(case, xp):
    """Every array library gives NumPy's answer: bit for bit on the CPU."""
    _, start, op, _ = case
    values = sample()
    expected, _ = op(values, start(values))
    x = xp.asarray(values)
    got, _ = op(x, start(x))
    exact = "cupy" not in xp.__name__
    for a, b in zip(arrays((got,)), arrays((expected,)), strict=True):
        if exact:
            same(np.ascontiguousarray(to_host(a)), np.ascontiguousarray(b))
        else:
            np.testing.assert_allclose(to_host(a), b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_library_and_dtype_are_those_of_the_input(case, xp, dtype):
    """Arrays come back in the caller's library and floating dtype, or what is remembered in its."""
    name, start, op, _ = case
    x = xp.asarray(sample(600, dtype))
    out, state = op(x, start(x))
    expected = "float64" if name in FLOAT64 else dtype
    remembered = "float32" if name in REMEMBERED else dtype
    for kind, part in ((expected, out), (remembered, state)):
        for array in arrays((part,)):
            assert type(array) is type(x)
            if "float" in str(array.dtype):
                assert kind in str(array.dtype)


def test_state_given_is_not_changed(case, xp):
    """The state handed in is the same, bit for bit, after the call."""
    _, start, op, _ = case
    x = xp.asarray(sample(600))
    _, state = op(x, start(x))
    before = [to_host(array).copy() for array in arrays((state,))]
    op(x, state)
    for array, old in zip(arrays((state,)), before, strict=True):
        same(array, old)


def test_no_value_is_read_on_the_host(case, monkeypatch):
    """An operator never turns a device array into a Python number or a NumPy array, and never
    makes a shape of the data.
    """
    _, start, op, _ = case
    away = strict.Device("device1")
    x = strict.asarray(sample(600), device=away)

    def refuse(self, *args):
        msg = "value read on the host"
        raise AssertionError(msg)

    for method in ("__bool__", "__float__", "__int__", "__index__", "__complex__"):
        monkeypatch.setattr(type(x), method, refuse)
    with strict.ArrayAPIStrictFlags(boolean_indexing=False, data_dependent_shapes=False):
        out, state = op(x, start(x))

    for array in arrays((out,)) + arrays((state,)):
        assert array.device == away


def test_wrong_shape_is_named(case):
    """A vector instead of a frame is refused in one sentence that says what came."""
    _, start, op, _ = case
    x = sample(600)
    state = start(x)
    with pytest.raises((ValueError, IndexError), match=r"must be .*got shape|too many indices"):
        op(x[0], state)


def test_public_list_is_the_rooms_modules():
    """``operators/__init__.py`` lists every public function, one line each."""
    import operators

    for name in operators.__all__:
        for function in getattr(operators, name).__all__:
            if function.islower():
                assert f"`{name}.{function}`" in operators.__doc__
