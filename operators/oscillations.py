"""Oscillations: constant-false-alarm-rate periodograms of several lengths, once per hop."""

import math
from typing import Any, NamedTuple

from array_api_compat import array_namespace, device

from . import _arrays, _check
from ._oscillation_design import (
    FALL,
    FAST,
    FLAT_MASS,
    HIGHEST_HZ,
    LEAST_CYCLES,
    Neighbours,
    OscillationDesign,
    design,
    hann,
)
from ._oscillation_plan import OscillationPlan, to_namespace

__all__ = [
    "FALL",
    "FAST",
    "FLAT_MASS",
    "HIGHEST_HZ",
    "LEAST_CYCLES",
    "OscillationDesign",
    "OscillationPlan",
    "OscillationState",
    "design",
    "periodogram",
    "start",
    "steadiness",
    "to_namespace",
]

PARTS = 3
"""
Equal parts, end to end, of the newest 80 % of a window; a line must be in all of them. One step
is in one part, a dip and its recovery are in two, an oscillation is in three.
"""
NEWEST = 0.8
VALID_SHARE = 0.8
"""Below this share of measured samples a window says nothing."""
LINE = 1.5
"""A bin whose own past is this much above the smoothed past holds a line of the background."""
KEEP, KEEP_MEAN = 3.0, 0.9119
"""Power is learned up to three times what was expected: mean of an exponential so cut."""
FROZEN = 4.0
"""Above this many times what was expected a bin teaches nothing."""
CLIP = 13.0
"""Most that one look adds to a sum: a single step or dip cannot reach the threshold alone."""
FULL, LEAST_W2 = 1.01, 1e-12
"""The sums stop at this share of their threshold, to come down as soon as the line is over.
Noise is no less than so many W^2: a microwatt is below what any meter resolves."""


class OscillationState(NamedTuple):
    """What `periodogram` must remember between frames."""

    tail_w: Any
    """The last ``window + 1`` samples, newest last; (channel, window + 1) float32, W."""
    tail_valid: Any
    """Whether each was measured; (channel, window + 1), bool."""
    background_w2: Any
    """Usual squared amplitude of the differences in each bin; (channel, bin) float32, W^2."""
    sums: Any
    """Cumulative log-likelihood ratio of each bin; (channel, bin) float32."""
    learned: Any
    """Looks each window's past rests on; (channel, window), int64."""
    until_hop: int
    """Samples still to come until the next hop ends, 1 to ``hop``; a host number."""


def start(x_w: Any, *, design: OscillationDesign, until_hop: int) -> OscillationState:
    """
    Return the state before the first sample (or after a reset): nothing known.

    ``until_hop`` samples, 1 to ``design.hop``, complete the next absolute grid hop.
    """
    _check.frame(x_w, name="x_w")
    if not 1 <= until_hop <= design.hop:
        msg = f"until_hop must be 1 to {design.hop}, got {until_hop}"
        raise ValueError(msg)
    xp = array_namespace(x_w)
    rows, bins, where = x_w.shape[0], design.freq_hz.shape[0], device(x_w)
    return OscillationState(
        xp.zeros((rows, design.window + 1), dtype=xp.float32, device=where),
        xp.zeros((rows, design.window + 1), dtype=xp.bool, device=where),
        xp.zeros((rows, bins), dtype=xp.float32, device=where),
        xp.zeros((rows, bins), dtype=xp.float32, device=where),
        xp.zeros((rows, len(design.looks)), dtype=xp.int64, device=where),
        until_hop,
    )


def _power(window: tuple[Any, Any], plan: OscillationPlan) -> tuple[Any, Any]:
    """Squared amplitude of the differences in each bin; measured share of each window."""
    x_w, valid = window
    design, xp = plan.design, array_namespace(x_w)
    both = xp.astype(valid[:, 1:] & valid[:, :-1], x_w.dtype)
    moved_w = (x_w[:, 1:] - x_w[:, :-1]) * both
    spectra, shares = [], []
    for look, taper in zip(design.looks, plan.tapers, strict=True):
        from_ = design.window - look.samples
        padded = xp.fft.rfft(moved_w[:, from_:] * taper, n=2 * look.samples, axis=-1)
        spectra.append(padded[:, look.first : look.last])
        shares.append(xp.mean(both[:, from_:], axis=-1))
    spectrum = xp.concat(spectra, axis=-1)
    real, imag = xp.real(spectrum), xp.imag(spectrum)
    return real * real + imag * imag, xp.stack(shares, axis=-1)


def _running(y: Any) -> Any:
    """Sum of the bins before each bin and, at the end, of all."""
    xp = array_namespace(y)
    return xp.cumulative_sum(y, axis=-1, include_initial=True)


def _smooth(y: Any, near: tuple[Any, Any, Any]) -> Any:
    """Mean over each bin's neighbourhood."""
    xp, total = array_namespace(y), _running(y)
    return (xp.take(total, near[1], axis=-1) - xp.take(total, near[0], axis=-1)) * near[2]


def _around(logs: Any, wide: Neighbours) -> Any:
    """Mean over the wide neighbourhood, without each bin's own main lobe."""
    xp, total = array_namespace(logs), _running(logs)
    before = xp.take(total, wide.inner_low, axis=-1) - xp.take(total, wide.low, axis=-1)
    after = xp.take(total, wide.high, axis=-1) - xp.take(total, wide.inner_high, axis=-1)
    return xp.take((before + after) * wide.weight, wide.block_of, axis=-1)


def _expected(power: Any, past: Any, plan: OscillationPlan) -> tuple[Any, Any]:
    """Power to be expected, by the past and by the present neighbours; where the past is a line."""
    xp = array_namespace(power)
    smooth = _smooth(past, plan.narrow)
    wider = xp.concat([past[:, :1], past, past[:, -1:]], axis=-1)
    own = xp.maximum(xp.maximum(wider[:, :-2], wider[:, 2:]), past)
    line = own > LINE * smooth
    both = xp.log(xp.maximum(xp.stack([power, smooth]), LEAST_W2))
    means = _around(both, plan.wide)
    now, before = means[0, ...], means[1, ...]
    louder = smooth * xp.exp(now - before + plan.louder)
    usual = xp.maximum(xp.where(line, own, smooth), louder)
    return xp.maximum(xp.minimum(usual, xp.exp(now) * plan.cap), LEAST_W2), line


def _learn(power: Any, ratio: Any, state: OscillationState, enough: Any, plan: Any) -> Any:
    """Move the past towards ordinary power; leave it where a line stands out."""
    xp = array_namespace(power)
    learned = state.learned + xp.astype(enough, xp.int64)
    learned = xp.minimum(learned, plan.memory)
    step = xp.astype(enough, power.dtype) / xp.astype(xp.maximum(learned, 1), power.dtype)
    step = xp.take(step, plan.look_of, axis=-1)
    calm = xp.astype(ratio < FROZEN, power.dtype)
    cut = power * (KEEP / KEEP_MEAN) / xp.maximum(ratio, KEEP)
    first = xp.take(enough & (state.learned == 0), plan.look_of, axis=-1)
    past = xp.astype(state.background_w2, power.dtype)
    past = xp.where(first, power, past + (cut - past) * (step * calm))
    return _arrays.narrow(past), learned


def _thresholds(learned: Any, line: Any, plan: OscillationPlan) -> tuple[Any, Any, Any]:
    """1 / thresholds of each bin, single and vote, by the looks learned; is the past warm."""
    xp = array_namespace(learned)
    rows, windows = learned.shape
    at = xp.take(plan.bars, xp.reshape(learned + plan.base, (-1,)), axis=0)
    at = xp.permute_dims(xp.reshape(at, (rows, windows, 4)), (2, 0, 1))
    bars = xp.take(at, plan.look_of, axis=2)
    return xp.where(line, bars[1, ...], bars[0, ...]), bars[2, ...], bars[3, ...]


def _look(
    window: tuple[Any, Any], state: OscillationState, plan: OscillationPlan
) -> tuple[tuple[Any, Any, Any, Any], OscillationState]:
    """One window of ``window + 1`` samples: excesses, votes, amplitude; the new past and sums."""
    power, shares = _power(window, plan)
    xp = array_namespace(power)
    enough = shares >= VALID_SHARE
    before = xp.astype(state.background_w2, power.dtype)
    expected, line = _expected(power, before, plan)
    ready = xp.take(xp.astype(enough, power.dtype), plan.look_of, axis=-1)
    bar, vote, warm = _thresholds(state.learned, line, plan)
    # a sum forgives no noise that is underestimated for ever: its noise is no less than the bin's
    quiet = xp.minimum(power / xp.maximum(expected, before), CLIP) * (ready * warm)
    sums = xp.astype(state.sums, power.dtype) + plan.factor * quiet - plan.offset
    sums = _arrays.narrow(xp.minimum(xp.maximum(sums, 0.0), FULL * plan.design.height))
    ratio = power / expected
    past, learned = _learn(power, ratio, state, enough, plan)
    seen = ratio * (ready * plan.tested)
    lasting = xp.astype(sums, power.dtype) * plan.heard
    amplitude_w = xp.sqrt(power) * plan.gain
    state = state._replace(background_w2=past, sums=sums, learned=learned)
    return (seen * bar, lasting, seen * vote, amplitude_w), state


def periodogram(
    x_w: Any, valid: Any, state: OscillationState, *, plan: OscillationPlan
) -> tuple[Any, Any, Any, Any, OscillationState]:
    """
    How far every frequency stands out, now and lastingly, and its amplitude, once per hop.

    Parameters
    ----------
    x_w, valid : arrays, shape (channel, time)
        Power in W, finite, missing cells held, rounded to float32; and which cells were measured.
    state : OscillationState
        From `start` or from the previous call.
    plan : OscillationPlan
        From `to_namespace`; the same in every call.

    Returns
    -------
    All in the floating type of the plan.
    now : array, shape (channel, bin, hop)
        ``(|Y|^2 / noise) / threshold`` of the newest window: 1 is the budget's threshold. Zero
        where the window holds too few measured samples or nothing is known of the noise.
    lasting : array, shape (channel, bin, hop)
        The cumulative sum of log-likelihood ratios over its threshold.
    votes : array, shape (channel, bin, hop)
        As ``now``, over the threshold of a vote.
    amplitude_w : array, shape (channel, bin, hop)
        Zero to peak, in W, exact on the bin, up to 0.35 dB low half way between two bins.
    state : OscillationState
        ``state.tail_w[:, 1:]`` is the newest window, for `steadiness` and `tones.tone`.

    Notes
    -----
    Differences whiten the 1/f spectrum of power and turn a step into a flat spectrum, so that
    neither leaks. Noise: the past of the bin and its neighbours, the present neighbours where
    they are louder (`docs/operators.md`). Each hop is one FFT of fixed shape per window.
    """
    _check.frame(x_w, name="x_w")
    _check.match(valid, x_w.shape, name="valid")
    xp = array_namespace(x_w)
    n_channel, n_time = x_w.shape
    design = plan.design
    joined = xp.concat([state.tail_w, _arrays.narrow(x_w)], axis=-1)
    known = xp.concat([state.tail_valid, valid], axis=-1)
    looks = []
    for end in range(state.until_hop, n_time + 1, design.hop):
        span = slice(end, end + design.window + 1)
        window_w = xp.astype(joined[:, span], plan.gain.dtype)
        look, state = _look((window_w, known[:, span]), state, plan)
        looks.append(look)
    until_hop = state.until_hop - n_time + len(looks) * design.hop
    new = state._replace(
        tail_w=joined[:, n_time:], tail_valid=known[:, n_time:], until_hop=until_hop
    )
    if not looks:
        shape = (n_channel, design.freq_hz.shape[0], 0)
        none = xp.zeros(shape, dtype=plan.gain.dtype, device=device(x_w))
        return none, none, none, none, new
    now, lasting, votes, amplitude_w = (
        xp.stack(list(y), axis=-1) for y in zip(*looks, strict=True)
    )
    return now, lasting, votes, amplitude_w, new


def steadiness(window_w: Any, valid: Any, freq_hz: Any, *, rate_hz: float) -> Any:
    """
    Amplitude of the weakest part of a window over that of the whole, one frequency a row.

    Parameters
    ----------
    window_w, valid : arrays, shape (row, time)
        ``time`` samples and the one before them, in W; which were measured.
    freq_hz : array, shape (row,)
        The frequency asked about.
    rate_hz : float
        Sample rate.

    Returns
    -------
    array, shape (row,)
        About 1 for a line that was there all the time; near 0 for a step, a ramp or a dip, each
        of which leaves one of three parts of the newest 80 % without it.
    """
    _check.frame(window_w, name="window_w")
    _check.match(valid, window_w.shape, name="valid")
    _check.match(freq_hz, (window_w.shape[0],), name="freq_hz")
    xp = array_namespace(window_w)
    both = xp.astype(valid[:, 1:] & valid[:, :-1], window_w.dtype)
    moved_w = (window_w[:, 1:] - window_w[:, :-1]) * both
    n_time = moved_w.shape[-1]
    place = xp.arange(n_time, dtype=window_w.dtype, device=device(window_w))
    turn = (2 * math.pi / rate_hz) * freq_hz[:, None] * place
    swing = [moved_w * xp.cos(turn), moved_w * xp.sin(turn)]
    part = round(NEWEST * n_time / PARTS)
    sizes = []
    for first, length in ((0, n_time), *((n_time - (k + 1) * part, part) for k in range(PARTS))):
        taper = _arrays.table(hann(length), window_w)
        sums = [_arrays.fold_sum(y[:, first : first + length] * taper, axis=-1) for y in swing]
        sizes.append(sums[0] * sums[0] + sums[1] * sums[1])
    weakest = xp.minimum(xp.minimum(sizes[1], sizes[2]), sizes[3])
    some = sizes[0] > 0
    share = xp.sqrt(weakest / xp.where(some, sizes[0], xp.ones_like(weakest)))
    return xp.where(some, share, xp.zeros_like(share))
