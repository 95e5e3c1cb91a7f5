"""
What we compute: pure maths on arrays, state in, state out.

No clock, no I/O, no logging, no CuPy import; ``(channel, time)``, time last.
One line each (the maths and the measured figures: ``docs/operators.md``):

==================================  ==========================================================
`segments.plan`                     host: which channels make up which node
`segments.to_namespace`             that plan, in an array's library and on its device
`segments.segment_sums`             node power = sum of its channels, float64, fixed order
`ramps.start`, `ramps.differences`  ``x[t] - x[t - lag]`` for several lags, masked
`noise.start`, `noise.remember`     the last minute's one-second peaks
`noise.noise_scale`                 their median
`whitening.autocovariance`          sums of products by lag, for the next
`whitening.levinson`                an autoregression of each channel (Yule-Walker)
`whitening.innovations`             what each sample adds to what the autoregression foretold
`steps.box_sums`                    sums over 16 windows that end at each sample
`steps.likelihood_ratio`            largest mean shift over 16 windows, over its threshold
`extremes.tail`                     Gumbel's law of block maxima
`extremes.level`                    threshold for a rate of false alarms, from that law
`trigger.two_threshold`             statistic -> active, with hysteresis
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
==================================  ==========================================================
"""

from . import (
    diversity,
    extremes,
    forecast,
    magnitude,
    noise,
    oscillations,
    ramps,
    seconds,
    segments,
    steps,
    synchrony,
    tones,
    trigger,
    whitening,
)

__all__ = [
    "diversity",
    "extremes",
    "forecast",
    "magnitude",
    "noise",
    "oscillations",
    "ramps",
    "seconds",
    "segments",
    "steps",
    "synchrony",
    "tones",
    "trigger",
    "whitening",
]
