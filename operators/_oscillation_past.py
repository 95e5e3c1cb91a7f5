"""What may be expected of a periodogram, by its past and by its present neighbours."""

import math
from typing import Any, NamedTuple

from array_api_compat import array_namespace

from ._oscillation_design import EULER, Neighbours
from ._oscillation_plan import OscillationPlan

__all__ = ["Expected", "expected"]

LINE = 1.5
"""A bin whose own past is this much above the smoothed past holds a line of the background."""
FROZEN = 4.0
"""Above this many times what was expected a bin teaches nothing."""


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


class Expected(NamedTuple):
    """What a look is judged by; (channel, bin) each."""

    power: Any
    """By the past and by the present neighbours."""
    line: Any
    """Whether the past is a line."""
    most: Any
    """What stands out further is not to be learned from."""
    past: Any
    """The past, come down where it is young and far above the present."""


def expected(power: Any, past: Any, learned: Any, plan: OscillationPlan) -> Expected:
    """What may be expected of this look, before it is learned from."""
    xp = array_namespace(power)
    smooth = _smooth(past, plan.narrow)
    wider = xp.concat([past[:, :1], past, past[:, -1:]], axis=-1)
    own = xp.maximum(xp.maximum(wider[:, :-2], wider[:, 2:]), past)
    line = own > LINE * smooth
    tiny = math.sqrt(float(xp.finfo(power.dtype).smallest_normal))
    both = xp.log(xp.maximum(xp.stack([power, smooth]), tiny))
    means = _around(both, plan.wide)
    now, before = means[0, ...], means[1, ...]
    louder = smooth * xp.exp(now - before + plan.louder)
    usual = xp.maximum(xp.where(line, own, smooth), louder)
    most = xp.exp(now) * plan.cap
    usual = xp.maximum(xp.minimum(usual, most), tiny)
    young = xp.take(plan.young, xp.reshape(learned + plan.base, (-1,)), axis=0)
    young = xp.take(xp.reshape(young, learned.shape), plan.look_of, axis=-1)
    bound = FROZEN * xp.maximum(xp.minimum(usual, most * young), tiny)
    down = xp.minimum(now - before + plan.quieter, xp.zeros_like(now))
    lower = xp.maximum(past * xp.exp(down), xp.exp(now + EULER))
    past = xp.where(young < 1, xp.minimum(past, lower), past)
    return Expected(usual, line, bound, past)
