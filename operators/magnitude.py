"""Magnitude: how large an event is for those who balance the grid."""

from typing import Any

from array_api_compat import array_namespace

from . import _check

__all__ = ["peak_share"]


def peak_share(depth_w: Any, authority_peak_w: float) -> Any:
    """
    Depth as a share of the balancing authority's peak load.

    Parameters
    ----------
    depth_w : array, any shape
        Depth or amplitude of an event, either sign, in W.
    authority_peak_w : float
        ``[site] authority_peak_w`` of the topology, in W, above zero.

    Returns
    -------
    array, same shape
        ``|depth_w| / authority_peak_w``; 1.0 is the whole authority.
    """
    _check.floating(depth_w, name="depth_w")
    _check.positive(authority_peak_w, name="authority_peak_w")
    xp = array_namespace(depth_w)
    return xp.abs(depth_w) / authority_peak_w
