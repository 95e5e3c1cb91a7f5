"""
What we compute: pure maths on arrays, state in, state out.

No clock, no I/O, no logging, no CuPy import; ``(channel, time)``, time last.
One line each (the maths and the measured figures: ``docs/operators.md``):

==================================  ==========================================================
`segments.plan`                     host: which channels make up which node
`segments.to_namespace`             that plan, in an array's library and on its device
`segments.segment_sums`             node power = sum of its channels, float64, fixed order
`ramps.start`, `ramps.differences`  ``x[t] - x[t - lag]`` for several lags, masked
`ramps.start_sustained`             state before the first difference
`ramps.sustained`                   what of a difference has lasted some samples
`noise.start`, `noise.noise_scale`  median of the last minute's one-second peaks
`trigger.two_threshold`             statistic -> active, with hysteresis
`trigger.ramp_ratio`                largest ``+-diff / threshold`` over the lags, and which lag
`synchrony.moved`                   depth and count of the channels that stepped, up and down
`synchrony.synchrony`               share of the moved power that stepped the same way
`seconds.second_stats`              mean, min, max, count of each grid second
`seconds.frame_means`               mean of each frame
`diversity.start`                   state before the first second
`diversity.coincidence_factor`      peak of the sum over sum of the peaks, trailing window
`magnitude.peak_share`              depth as a share of the balancing authority's peak
`oscillations.design`               host: window, tapers, bins, noise neighbourhood
`oscillations.start`                state before the first sample
`oscillations.periodogram`          power over local noise and amplitude per bin, once per hop
`oscillations.peak`                 strongest bin of each channel
`tones.tone`                        frequency, amplitude, phase of one sinusoid, by least squares
`forecast.persistence`              last value + quantiles of horizon-step differences
`forecast.climatology`              quantiles of the trailing window
`forecast.pinball`                  quantile score of a forecast
`periods.period`                    host: period of a series and how regular it is
`futures.running`                   sums from which a mean ahead or before is two look-ups
`futures.means_ahead`               means over targets, seen from past instants
`futures.means_before`              means of the samples before past instants
`futures.quantiles`                 the seven quantiles of what followed
`futures.persisted`                 last value + quantiles of what changed until a target
`futures.seasonal`                  quantiles at the same phase of the last periods
`futures.unlikeness`                how little each stretch of the past looks like the newest
`futures.nearest`                   the most similar of them, neighbours counted once
`futures.regressed`                 linear regression of what followed on what was seen
`futures.mixed`                     a forecast that moves by one of several amounts
`harmonics.carried_on`              level and harmonics of one period, carried on
`joint.ranks`                       where outcomes lay in their forecasts
`joint.summed`                      quantiles of a sum of forecasts that err together
`calibration.losses`                quantile score of several forecasts at once
`calibration.weights`               how much each forecast counts, by its record
`calibration.blended`               several forecasts as one
`calibration.corrected`             quantiles moved by offsets, in order
`calibration.tracked`               offsets after an outcome: quantiles hold what they promise
==================================  ==========================================================
"""

from . import (
    calibration,
    diversity,
    forecast,
    futures,
    harmonics,
    joint,
    magnitude,
    noise,
    oscillations,
    periods,
    ramps,
    seconds,
    segments,
    synchrony,
    tones,
    trigger,
)

__all__ = [
    "calibration",
    "diversity",
    "forecast",
    "futures",
    "harmonics",
    "joint",
    "magnitude",
    "noise",
    "oscillations",
    "periods",
    "ramps",
    "seconds",
    "segments",
    "synchrony",
    "tones",
    "trigger",
]
