"""Rates, slots and times: integers only, and one is the inverse of the other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.units import NS_PER_S, Rate, rfc3339, slot_times_ns, slots_of

RATES = st.one_of(
    st.integers(1, 4000).map(Rate), st.integers(2, 3600).map(lambda seconds: Rate(1, seconds))
)
SECONDS = st.integers(0, 8_000_000_000)
"""1970 to 2223; int64 nanoseconds end in 2262."""


def slots_from(second: int, rate: Rate, count: int) -> np.ndarray:
    """``count`` slots from one near that second."""
    first = second * rate.samples // rate.seconds
    return np.arange(first, first + count, dtype=np.int64)


@given(rate=RATES, second=SECONDS, skip=st.integers(0, 3999))
def test_slot_and_time_are_inverse(rate, second, skip):
    """A slot's own time goes to that slot, at every rate from 1/3600 to 4000 Hz."""
    k = slots_from(second, rate, 1) + skip
    t_ns = int(slot_times_ns(k, rate)[0])
    assert slots_of(t_ns, 1, rate)[0] == k[0]


@pytest.mark.parametrize("samples", range(1, 4001, 37))
def test_every_slot_of_a_second_is_inverse(samples):
    """Not one slot of a whole second is lost or doubled, at rates across the range."""
    k = slots_from(1_795_183_451, Rate(samples), samples)
    times = slot_times_ns(k, Rate(samples))
    assert [slots_of(int(t), 1, Rate(samples))[0] for t in times] == k.tolist()


@given(rate=RATES, second=SECONDS, skip=st.integers(0, 3999))
def test_a_slice_on_the_grid_fills_consecutive_slots(rate, second, skip):
    """A slice that starts on a slot fills that slot and the next ones, each once."""
    k = slots_from(second, rate, rate.samples) + skip
    t0_ns = int(slot_times_ns(k, rate)[0])
    np.testing.assert_array_equal(slots_of(t0_ns, rate.samples, rate), k)


@given(rate=RATES, second=SECONDS, jitter=st.floats(-0.49, 0.49))
def test_a_sample_goes_to_the_nearest_slot(rate, second, jitter):
    """A stamp less than half a slot off belongs to the slot it is nearest to."""
    k = slots_from(second, rate, 1) + 5
    t_ns = int(slot_times_ns(k, rate)[0])
    step_ns = rate.seconds * NS_PER_S // rate.samples
    assert slots_of(t_ns + int(jitter * step_ns), 1, rate)[0] == k[0]


@given(rate=RATES, second=SECONDS)
def test_times_increase_strictly(rate, second):
    """No two slots share a nanosecond, and steps differ by at most one."""
    steps = np.diff(slot_times_ns(slots_from(second, rate, 4001), rate))
    assert steps.min() > 0
    assert steps.max() - steps.min() <= 1


@given(samples=st.integers(1, 4000), second=SECONDS)
def test_seconds_are_exact(samples, second):
    """The first slot of every second lies on the second, also where the rate divides no ns."""
    assert slot_times_ns(np.array([second * samples]), Rate(samples))[0] == second * NS_PER_S
    assert slots_of(second * NS_PER_S, 1, Rate(samples))[0] == second * samples


@given(seconds=st.integers(2, 3600), k=st.integers(0, 1_000_000))
def test_slow_slots_count_from_1970(seconds, k):
    """Below 1 Hz slot k lies k periods after 1970."""
    assert slot_times_ns(np.array([k]), Rate(1, seconds))[0] == k * seconds * NS_PER_S


@given(rate=RATES, second=SECONDS, count=st.integers(2, 50), cut=st.integers(1, 49))
def test_the_cut_of_a_slice_changes_no_slot(rate, second, count, cut):
    """Two halves of a slice, each with its own t0_ns on the grid, fill the slots of the whole."""
    k = slots_from(second, rate, count)
    times = slot_times_ns(k, rate)
    cut = min(cut, count - 1)
    parts = [slots_of(int(times[0]), cut, rate), slots_of(int(times[cut]), count - cut, rate)]
    np.testing.assert_array_equal(np.concatenate(parts), slots_of(int(times[0]), count, rate))


@given(rate=RATES)
def test_rate_reads_what_it_writes(rate):
    """`10` and `1/4` are read as they are written, and from the number they stand for."""
    assert Rate.parse(str(rate)) == rate
    assert Rate.parse(rate.hz) == rate
    assert rate.hz == pytest.approx(rate.samples / rate.seconds)


@pytest.mark.parametrize(
    "text", ["0", "-1", "4001", "1/0", "1/3601", "2/3", "10.5", "0.3", "1e1", "", "nan", "١٠", True]
)
def test_rate_refuses_in_one_sentence(text):
    """Anything but 1-4000 or 1/n is refused, with what to send instead."""
    with pytest.raises(ValueError, match=r"use a whole number 1-4000 or 1/n, n <= 3600"):
        Rate.parse(text)


def test_rfc3339_keeps_nine_digits():
    """Event time keeps its nanoseconds."""
    assert rfc3339(1_795_183_451_000_000_007) == "2026-11-20T14:04:11.000000007Z"
