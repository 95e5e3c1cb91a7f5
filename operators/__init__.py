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
`extremes.moments`                  what block maxima say before a law is fitted
`extremes.tail`, `extremes.fitted`  Gumbel's law of block maxima
`extremes.level`                    threshold for a rate of false alarms, from that law
`trigger.two_threshold`             statistic -> active, with hysteresis
`synchrony.moved`                   depth and count of the channels that stepped, up and down
`synchrony.synchrony`               share of the moved power that stepped the same way
`seconds.second_stats`              mean, min, max, count of each grid second
`seconds.frame_means`               mean of each frame
`diversity.start`                   state before the first second
`diversity.together`                coincidence of peaks and moves, effective number, concentration
`magnitude.peak_share`              depth as a share of the balancing authority's peak
`oscillations.design`               host: windows, tapers, bins, neighbourhoods, thresholds
`oscillations.to_namespace`         that design, in an array's library and on its device
`oscillations.start`                state before the first sample
`oscillations.periodogram`          how far frequencies stand out, now and lastingly; amplitude
`oscillations.steadiness`           whether a line is in every part of a window
`decimation.taps`                   host: a low-pass for `decimation.newest`
`decimation.newest`                 a slower series without what would fold into it
`tones.tone`                        frequency, amplitude, phase of one sinusoid, by least squares
`tones.amplitude`                   amplitude and phase at a known frequency, standard error
`tones.fit`                         least squares of each channel on columns of its own
`damping.damped`                    frequency and growth of one sinusoid, maximum likelihood
`unison.snapshots`                  complex amplitude of one frequency in stretches of a window
`unison.order`                      Kuramoto's order parameter, weighted by amplitude
`unison.leading`                    greatest eigenvalue of the coherence matrix, who is in it
`unison.clusters`                   groups of phases
`budget.share`                      false alarms per site and day that a detector may cause
`budget.exceedance`                 chance of a false alarm per test
`budget.exponential_threshold`      of a periodogram over its noise, known or estimated
`budget.log_likelihood_threshold`   of a CUSUM of log-likelihood ratios
`budget.gaussian_threshold`         of a unit normal
`budget.votes_exceedance`           chance of a vote at which enough of them are rare enough
`budget.chance_together`            that so many channels move the same way by themselves
`budget.tracy_widom_threshold`      of the greatest eigenvalue of a coherence matrix
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
`calibration.widened`               quantiles further from their median by one factor
`calibration.tracked`               offsets after an outcome: quantiles hold what they promise
==================================  ==========================================================
"""

from . import (
    budget,
    calibration,
    damping,
    decimation,
    diversity,
    extremes,
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
    steps,
    synchrony,
    tones,
    trigger,
    unison,
    whitening,
)

__all__ = [
    "budget",
    "calibration",
    "damping",
    "decimation",
    "diversity",
    "extremes",
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
    "steps",
    "synchrony",
    "tones",
    "trigger",
    "unison",
    "whitening",
]
