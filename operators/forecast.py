"""Reference forecasts: probabilistic persistence and climatology, and their score."""

from typing import Any

from array_api_compat import array_namespace

from . import _arrays, _check

__all__ = ["LEVELS", "climatology", "persistence", "pinball"]

LEVELS = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)
"""The seven quantiles of every forecast record."""


def persistence(history_w: Any, valid: Any, *, horizon: int) -> Any:
    """
    Last value plus the empirical quantiles of the horizon-step differences.

    Parameters
    ----------
    history_w : array, shape (channel, time)
        The past, oldest first, longer than ``horizon``; a fixed shape per use. In W.
    valid : array of bool, shape (channel, time)
        Cells that were measured; a difference needs both its ends.
    horizon : int
        Steps ahead.

    Returns
    -------
    array, shape (channel, 7)
        Quantiles at `LEVELS`, in W, monotone. All equal to the last valid value while there is
        no valid difference; zero where nothing is valid at all.
    """
    _check.frame(history_w, name="history_w")
    _check.match(valid, history_w.shape, name="valid")
    _check.positive(horizon, name="horizon")
    n_time = history_w.shape[-1]
    if n_time <= horizon:
        msg = f"history_w holds {n_time} samples; horizon is {horizon} and must be less"
        raise ValueError(msg)
    xp = array_namespace(history_w)
    step_w = history_w[:, horizon:] - history_w[:, : n_time - horizon]
    both = valid[:, horizon:] & valid[:, : n_time - horizon]
    newest = n_time - 1 - xp.argmax(xp.astype(xp.flip(valid, axis=-1), xp.int8), axis=-1)
    last_w = xp.take_along_axis(history_w, newest[:, None], axis=-1)
    last_w = xp.where(xp.any(valid, axis=-1, keepdims=True), last_w, xp.zeros_like(last_w))
    return last_w + _arrays.masked_quantiles(step_w, both, LEVELS)


def climatology(history_w: Any, valid: Any, *, window: int) -> Any:
    """
    Empirical quantiles of the trailing window, whatever the horizon.

    Parameters
    ----------
    history_w, valid : arrays, shape (channel, time)
        As in `persistence`, at least ``window`` long.
    window : int
        Samples looked at, the newest ones.

    Returns
    -------
    array, shape (channel, 7)
        Quantiles at `LEVELS`, in W, monotone; zero where nothing in the window is valid.
    """
    _check.frame(history_w, name="history_w")
    _check.match(valid, history_w.shape, name="valid")
    _check.positive(window, name="window")
    n_time = history_w.shape[-1]
    if n_time < window:
        msg = f"history_w holds {n_time} samples; window is {window} and must not be more"
        raise ValueError(msg)
    return _arrays.masked_quantiles(
        history_w[:, n_time - window :], valid[:, n_time - window :], LEVELS
    )


def pinball(quantiles_w: Any, outcome_w: Any) -> Any:
    """
    Mean pinball loss over the seven quantiles; twice it approximates the CRPS.

    Parameters
    ----------
    quantiles_w : array, shape (channel, 7)
        At `LEVELS`, in W.
    outcome_w : array, shape (channel,)
        What came, in W.

    Returns
    -------
    array, shape (channel,)
        ``mean_q max(q * e, (q - 1) * e)`` with ``e = outcome - quantile``, in W.
        Source: Koenker and Bassett, Econometrica 46 (1978).
    """
    _check.frame(quantiles_w, name="quantiles_w", axes=("channel", "level"))
    _check.match(quantiles_w, (quantiles_w.shape[0], len(LEVELS)), name="quantiles_w")
    _check.match(outcome_w, (quantiles_w.shape[0],), name="outcome_w")
    xp = array_namespace(quantiles_w)
    error_w = outcome_w[:, None] - quantiles_w
    level = _arrays.table(LEVELS, quantiles_w)
    loss_w = xp.maximum(level * error_w, (level - 1) * error_w)
    return _arrays.fold_sum(loss_w, axis=-1) / len(LEVELS)
