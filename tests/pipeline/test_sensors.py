"""What a sensor cannot show is never an all-clear."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.sensors import Sensor, worst
from tests.pipeline.test_oscillation_life import poi, run


def test_a_one_second_average_shows_nothing_at_its_nulls():
    """1, 2 and 3 Hz are not observable, nor what lies beyond 0.6 Hz; below, the gain is sinc."""
    sensor = Sensor(averaging_s=1.0)
    assert not sensor.observable([1.0, 2.0, 3.0, 0.7, 1.5]).any()
    assert sensor.observable([0.1, 0.5, 0.6]).all()
    assert sensor.gain(0.5) == pytest.approx(2 / np.pi)
    assert sensor.correction(0.5) == pytest.approx(np.pi / 2)
    assert sensor.correction(1.5) == 1.0


def test_above_its_poll_rate_a_sensor_shows_images():
    """Polled every second: nothing above 0.45 Hz is trusted, whatever the gateway's rate."""
    sensor = Sensor(poll_s=1.0)
    assert sensor.trusted([0.1, 0.44]).all()
    assert not sensor.trusted([0.5, 1.1, 3.0]).any()


def test_a_sum_is_as_blind_as_its_worst_meter():
    """The longest average and the slowest poll count."""
    assert worst([Sensor(0.2, 0.1), Sensor(1.0, 0.0), Sensor()]) == Sensor(1.0, 0.1)
    assert worst([]) == Sensor()


def averaged(x, samples):
    """Trailing mean."""
    total = np.cumsum(np.concatenate([np.full(samples, x[0]), x]))
    return (total[samples:] - total[:-samples]) / samples


def test_the_states_bands_say_so():
    """A POI metered by a 1-s average at 10 Hz: only bands below 0.6 Hz could be observable."""
    _, states = run(poi("averaging_s = 1.0"), np.random.default_rng(0).normal(1e6, 1e3, 3000))
    bands = {(band.low_hz, band.high_hz): band for band in states[-1].bands}
    assert not any(bands[edges].observable for edges in ((0.15, 1), (1, 5), (5, 15), (15, 55)))
    assert states[-1].observable_max_hz == pytest.approx(0.6, abs=0.05)
    _, states = run(poi(""), np.random.default_rng(0).normal(1e6, 1e3, 3000))
    bands = {(band.low_hz, band.high_hz): band for band in states[-1].bands}
    assert bands[0.15, 1].observable
    assert not bands[1, 5].observable  # 10 Hz metering ends at 4.5
    assert bands[0.15, 1].amplitude_w == pytest.approx(0, abs=1e3)


def test_amplitude_is_what_it_was_before_the_average():
    """A 0.5 Hz swing of 30 kW behind a 1-s average is told as 30 kW."""
    t = np.arange(2400) / 10
    x = 1e6 + np.where(t > 120, 30e3 * np.sin(2 * np.pi * 0.5 * t), 0.0)
    noise = np.random.default_rng(0).normal(0, 100, len(t))
    (event,), _ = run(poi("averaging_s = 1.0"), averaged(x, 10) + noise)
    assert event.amplitude_w == pytest.approx(30e3, rel=0.05)
    assert event.averaged is None


def test_a_line_it_shows_in_part_is_told_as_such():
    """A 2.15 Hz line through a 1-s average is found, 15 times too small, and said to be so."""
    t = np.arange(2400) / 10
    x = 1e6 + np.where(t > 120, 100e3 * np.sin(2 * np.pi * 2.15 * t), 0.0)
    noise = np.random.default_rng(0).normal(0, 100, len(t))
    (event,), _ = run(poi("averaging_s = 1.0"), averaged(x, 10) + noise)
    assert event.freq_hz == pytest.approx(2.15, abs=0.01)
    assert event.averaged is True
    assert event.amplitude_w < 20e3
