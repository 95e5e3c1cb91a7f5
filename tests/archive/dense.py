"""The same questions in NumPy, over the dense arrays of `fleet`; no SQL, no rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.archive.fleet import SECONDS, SITES, Fleet

__all__ = ["blocks", "buckets", "changes", "close", "means", "moving"]


def means(truth: Fleet, span_s: int, least: float = 0.5) -> tuple[Any, Any]:
    """Means (site, span) and their valid shares; NaN where measured for less than ``least``."""
    valid = truth.valid.reshape(len(SITES), -1, span_s)
    power_w = np.nan_to_num(truth.mean_w).reshape(valid.shape)
    weight = valid.sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_w = (power_w * valid).sum(axis=2) / weight
    keep = (weight > 0) & (weight >= least * span_s - 1e-9)
    return np.where(keep, mean_w, np.nan), weight / span_s


def changes(power_w: Any) -> Any:
    """From each span to the next, at the later one; NaN where either was not measured."""
    first = np.full((*power_w.shape[:-1], 1), np.nan)
    return np.concatenate([first, np.diff(power_w, axis=-1)], axis=-1)


def moving(values: Any, back: int, ahead: int, of: Any) -> Any:
    """``of`` over a window around each element of a row, NaN left out; (site, n) to (site, n)."""
    out = np.full(values.shape, np.nan)
    for s, k in np.ndindex(values.shape):
        near = values[s, max(k - back, 0) : k + ahead + 1]
        near = near[np.isfinite(near)]
        if len(near):
            out[s, k] = of(near)
    return out


def buckets(span_s: int, bucket_s: int) -> Any:
    """Bucket of each span of the arrays, counted from their begin."""
    return np.arange(SECONDS // span_s) * span_s // bucket_s


def blocks(span_s: int, bucket_s: int) -> list[tuple[int, Any]]:
    """Each bucket's number and which spans lie in it."""
    at = buckets(span_s, bucket_s)
    return [(int(b), at == b) for b in np.unique(at)]


def close(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Same rows in the same order: numbers to 1e-9, everything else exactly."""
    assert len(found) == len(expected), (found[:3], expected[:3])
    assert found
    for row, want in zip(found, expected, strict=True):
        for name, value in want.items():
            have = row[name]
            if isinstance(value, float | np.floating) and have is not None:
                assert abs(have - value) <= 1e-9 * max(abs(value), 1.0), (name, row, want)
            else:
                assert have == value, (name, row, want)
