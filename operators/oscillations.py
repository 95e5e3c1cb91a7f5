"""Oscillations: a constant-false-alarm-rate periodogram, once per hop."""

import math
from typing import Any, NamedTuple

from array_api_compat import array_namespace, device

from . import _arrays, _check
from ._oscillation_design import OscillationDesign, design

__all__ = ["OscillationDesign", "OscillationState", "design", "peak", "periodogram", "start"]


class OscillationState(NamedTuple):
    """What `periodogram` must remember between frames."""

    tail_w: Any
    """The last ``window + 1`` samples, newest last; (channel, window + 1), W."""
    tail_valid: Any
    """Whether each was measured; (channel, window + 1), bool."""
    background_w2: Any
    """Usual squared amplitude of the differences in each bin; (channel, bin), W^2."""
    learned_hops: Any
    """Hops it rests on, at most ``memory_hops``; (channel,), int64."""
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
    shape = (x_w.shape[0], design.window + 1)
    return OscillationState(
        xp.zeros(shape, dtype=x_w.dtype, device=device(x_w)),
        xp.zeros(shape, dtype=xp.bool, device=device(x_w)),
        xp.zeros((x_w.shape[0], design.freq_hz.shape[0]), dtype=x_w.dtype, device=device(x_w)),
        xp.zeros((x_w.shape[0],), dtype=xp.int64, device=device(x_w)),
        until_hop,
    )


def _power(moved_w: Any, taper: Any, plan: OscillationDesign) -> Any:
    """Squared amplitude of the differences in each bin; (channel, bin), W^2."""
    xp = array_namespace(moved_w)
    last = plan.first_bin + plan.freq_hz.shape[0]
    spectrum = xp.fft.rfft(moved_w * taper[None, :], axis=-1)[:, plan.first_bin : last]
    real, imag = xp.real(spectrum), xp.imag(spectrum)
    return real * real + imag * imag


def _noise(power: Any, plan: OscillationDesign) -> Any:
    """Expected power without a line: median of the neighbours over ln 2, interpolated."""
    xp = array_namespace(power)
    n_anchor, width = plan.neighbours.shape
    index = _arrays.table(plan.neighbours, power, dtype=xp.int64)
    near = xp.take(power, xp.reshape(index, (-1,)), axis=-1)
    near = xp.sort(xp.reshape(near, (power.shape[0], n_anchor, width)), axis=-1)
    middle = (near[:, :, (width - 1) // 2] + near[:, :, width // 2]) / (2 * math.log(2))
    left = _arrays.table(plan.anchor, power, dtype=xp.int64)
    share = _arrays.table(plan.anchor_share, power)
    below, above = xp.take(middle, left, axis=-1), xp.take(middle, left + 1, axis=-1)
    return below + share * (above - below)


def _measure(window_w: Any, valid: Any, plan: OscillationDesign) -> tuple[Any, Any, Any]:
    """Power of the whole window and of its weakest part; share of valid samples."""
    xp = array_namespace(window_w)
    both = valid[:, 1:] & valid[:, :-1]
    step_w = window_w[:, 1:] - window_w[:, :-1]
    moved_w = xp.where(both, step_w, xp.zeros_like(step_w))
    tapers = _arrays.table(plan.tapers, window_w)
    whole = _power(moved_w, tapers[0, :], plan)
    weakest = _power(moved_w, tapers[1, :], plan)
    for part in range(2, plan.tapers.shape[0]):
        weakest = xp.minimum(weakest, _power(moved_w, tapers[part, :], plan))
    measured = xp.sum(xp.astype(valid[:, 1:], xp.int64), axis=-1)
    share_valid = xp.astype(measured, window_w.dtype) / plan.window
    return whole, weakest, share_valid


def _summits(power: Any) -> Any:
    """True where a bin is the greatest of the five around it; (channel, bin), bool."""
    xp = array_namespace(power)
    n_bin = power.shape[-1]
    edge = xp.zeros_like(power[:, :2])
    wide = xp.concat([edge, power, edge], axis=-1)
    around = power
    for k in (0, 1, 3, 4):
        around = xp.maximum(around, wide[:, k : k + n_bin])
    return power >= around


def _expected(local: Any, background: Any, plan: OscillationDesign) -> Any:
    """Power to be expected: by the neighbours and by the past, the past capped."""
    xp = array_namespace(local)
    wider = xp.concat([background[:, :1], background, background[:, -1:]], axis=-1)
    past = xp.maximum(xp.maximum(wider[:, :-2], wider[:, 2:]), background)
    return xp.minimum(xp.maximum(local, past), plan.background_cap * local)


def _learn(power: Any, expected: Any, enough: Any, past: tuple[Any, Any], memory: int) -> Any:
    """Move the background towards ordinary power; leave it where a line stands out."""
    xp = array_namespace(power)
    background, learned = past
    count = xp.minimum(learned + 1, xp.full_like(learned, memory))
    first = (learned == 0)[:, None]
    usual = xp.minimum(power, 3 * background)
    moved = background + (usual - background) / xp.astype(count, power.dtype)[:, None]
    teaches = enough[:, None] & (power < 4 * expected)
    background = xp.where(teaches, moved, background)
    background = xp.where(first & enough[:, None], power, background)
    return background, xp.where(enough, count, learned)


def _look(
    window: tuple[Any, Any], past: tuple[Any, Any], plan: OscillationDesign
) -> tuple[tuple[Any, Any, Any], tuple[Any, Any]]:
    """One window of ``window + 1`` samples: ratio, amplitude, valid share; the new past."""
    whole, weakest, share_valid = _measure(*window, plan)
    xp = array_namespace(whole)
    expected = _expected(_noise(whole, plan), past[0], plan)
    enough = share_valid >= plan.valid_share
    ready = enough & (past[1] >= plan.warm_hops)
    steady = (weakest >= plan.steady_share**2 * whole) & _summits(whole)
    counts = steady & (expected > 0) & ready[:, None]
    ratio = whole / xp.where(counts, expected, xp.ones_like(expected))
    ratio = xp.where(counts, ratio, xp.zeros_like(ratio))
    amplitude_w = xp.sqrt(whole) * _arrays.table(plan.gain, whole)[None, :]
    learned = _learn(whole, expected, enough, past, plan.memory_hops)
    return (ratio, amplitude_w, share_valid), learned


def periodogram(
    x_w: Any, valid: Any, state: OscillationState, *, design: OscillationDesign
) -> tuple[Any, Any, Any, OscillationState]:
    """
    Power over local noise, and amplitude, of every frequency, once per hop.

    Parameters
    ----------
    x_w, valid : arrays, shape (channel, time)
        Power in W, finite, missing cells held; and which cells were measured.
    state : OscillationState
        From `start` or from the previous call.
    design : OscillationDesign
        From `design`; the same in every call.

    Returns
    -------
    ratio : array, shape (channel, bin, hop)
        ``|Y|^2 / noise``: exponential with mean about 1 where there is only noise. Zero where
        the window holds too few measured samples, where a bin within 2 is higher, or where
        the line is not in every part of it: one step, ramp or dip, however large, is none.
    amplitude_w : array, shape (channel, bin, hop)
        Zero to peak, in W, exact on the bin, up to 1.4 dB low half way between two bins.
    share_valid : array, shape (channel, hop)
        Measured share of the window.
    state : OscillationState
        ``state.tail_w[:, 1:]`` is the newest window, for `tones.tone`.

    Notes
    -----
    Differences whiten the 1/f spectrum of power and turn a step into a flat spectrum, so that
    neither leaks (`docs/operators.md`). Each hop is one FFT of fixed shape (channel, window).
    """
    _check.frame(x_w, name="x_w")
    _check.match(valid, x_w.shape, name="valid")
    xp = array_namespace(x_w)
    n_channel, n_time = x_w.shape
    joined = xp.concat([state.tail_w, x_w], axis=-1)
    known = xp.concat([state.tail_valid, valid], axis=-1)
    past, looks = (state.background_w2, state.learned_hops), []
    for end in range(state.until_hop, n_time + 1, design.hop):
        span = slice(end, end + design.window + 1)
        look, past = _look((joined[:, span], known[:, span]), past, design)
        looks.append(look)
    until_hop = state.until_hop - n_time + len(looks) * design.hop
    new = OscillationState(joined[:, n_time:], known[:, n_time:], *past, until_hop)
    if not looks:
        shape = (n_channel, design.freq_hz.shape[0], 0)
        none = xp.zeros(shape, dtype=x_w.dtype, device=device(x_w))
        return none, none, none[:, 0, :], new
    ratio, amplitude_w, share_valid = (xp.stack(list(y), axis=-1) for y in zip(*looks, strict=True))
    return ratio, amplitude_w, share_valid, new


def peak(ratio: Any, amplitude_w: Any, floor_w: Any) -> tuple[Any, Any, Any]:
    """
    Strongest bin of each channel at each hop, among those of some size.

    Parameters
    ----------
    ratio, amplitude_w : arrays, shape (channel, bin, hop)
        From `periodogram`.
    floor_w : array, shape (channel,)
        Amplitude below which a bin does not count, in W.

    Returns
    -------
    ratio : array, shape (channel, hop)
        Of the strongest bin; 0 where none counts.
    bin : array of int64, shape (channel, hop)
        Its index into ``design.freq_hz``.
    amplitude_w : array, shape (channel, hop)
        Its amplitude, in W.
    """
    _check.frame(ratio, name="ratio", axes=("channel", "bin", "hop"))
    _check.match(amplitude_w, ratio.shape, name="amplitude_w")
    _check.match(floor_w, (ratio.shape[0],), name="floor_w")
    xp = array_namespace(ratio)
    large = amplitude_w >= floor_w[:, None, None]
    counted = xp.where(large, ratio, xp.zeros_like(ratio))
    best = xp.argmax(counted, axis=1, keepdims=True)
    best_ratio = xp.take_along_axis(counted, best, axis=1)[:, 0, :]
    best_w = xp.take_along_axis(amplitude_w, best, axis=1)[:, 0, :]
    return best_ratio, xp.astype(best[:, 0, :], xp.int64), best_w
