"""The economic views against NumPy: gaps, several sites, power of either sign, a month's end."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pytest

from tests.archive.dense import blocks, changes, close, means, moving
from tests.archive.fleet import MONTH, SITES, ns

MONTHS = (
    (datetime.fromisoformat("2026-02-01"), slice(None, MONTH)),
    (datetime.fromisoformat("2026-03-01"), slice(MONTH, None)),
)
"""First instant and which seconds of the arrays."""


def _month(span_s: int, which: slice) -> slice:
    cut = MONTH // span_s
    return slice(None, cut) if which.stop else slice(cut, None)


@pytest.mark.parametrize("bucket_s", [3600, 600])
def test_ramp_mileage(ask, truth, bucket_s) -> None:
    """Sum of absolute changes between neighbouring measured means, at 1, 4 and 60 s."""
    expected = []
    for s, site in enumerate(SITES):
        rows = []
        for span_s in (1, 4, 60):
            mean_w = means(truth, span_s)[0][s]
            step_w = changes(mean_w[None])[0]
            for b, here in blocks(span_s, bucket_s):
                if not np.isfinite(mean_w[here]).any():
                    continue
                step = step_w[here][np.isfinite(step_w[here])]
                rows.append(
                    {
                        "site_id": site, "t0_ns": ns(b * bucket_s), "span_s": span_s,
                        "mileage_w": np.abs(step).sum(), "up_w": step[step > 0].sum(),
                        "down_w": -step[step < 0].sum(), "steps": len(step),
                        "per_peak": np.abs(step).sum() / np.nanmax(np.abs(mean_w[here])),
                        "measured_share": len(step) * span_s / bucket_s,
                    }
                )  # fmt: skip
        expected += sorted(rows, key=lambda r: (r["t0_ns"], r["span_s"]))
    close(ask(f"FROM ramp_mileage(bucket_s := {bucket_s})"), expected)


def test_regulation_split(ask, truth) -> None:
    """Load following is the mean of the 31 minutes around; regulation is what is left."""
    mean_w = means(truth, 60)[0]
    following_w = moving(mean_w, 15, 15, np.mean)
    near = moving(mean_w, 15, 15, len)
    use = np.isfinite(mean_w) & (near >= 0.5 * 31)
    expected = []
    for s, site in enumerate(SITES):
        for b, here in blocks(60, 3600):
            pick = here & use[s]
            left_w = mean_w[s, pick] - following_w[s, pick]
            expected.append(
                {
                    "site_id": site, "t0_ns": ns(b * 3600), "mean_w": mean_w[s, pick].mean(),
                    "following_range_w": np.ptp(following_w[s, pick]),
                    "regulation_sigma_w": left_w.std(), "regulation_w": 3 * left_w.std(),
                    "regulation_peak_w": np.abs(left_w).max(), "minutes": int(pick.sum()),
                }
            )  # fmt: skip
    close(ask("FROM regulation_split"), expected)


@pytest.mark.parametrize("span_s", [60, 4])
def test_cost_share(ask, truth, span_s) -> None:
    """Covariance with the sum over its variance, where every site was measured; adds to 1."""
    mean_w = means(truth, span_s)[0]
    whole = np.isfinite(mean_w).all(axis=0)
    step_w = changes(np.where(whole, mean_w, np.nan))
    moved = np.isfinite(step_w).all(axis=0)
    sum_w, sum_step_w = mean_w[:, whole].sum(axis=0), step_w[:, moved].sum(axis=0)
    expected: list[dict[str, Any]] = [
        {
            "site_id": site,
            "share": np.cov(mean_w[s, whole], sum_w, bias=True)[0, 1] / sum_w.var(),
            "change_share": np.cov(step_w[s, moved], sum_step_w, bias=True)[0, 1]
            / sum_step_w.var(),
            "correlation": np.corrcoef(mean_w[s, whole], sum_w)[0, 1],
            "sigma_w": mean_w[s, whole].std(),
            "sum_sigma_w": sum_w.std(),
            "spans": int(whole.sum()),
            "changes": int(moved.sum()),
        }
        for s, site in enumerate(SITES)
    ]
    found = ask(f"FROM cost_share(span_s := {span_s})")
    close(found, expected)
    assert sum(row["share"] for row in found) == pytest.approx(1)
    assert sum(row["change_share"] for row in found) == pytest.approx(1)


@pytest.mark.parametrize("contract_w", [70e6, 0.0])
def test_billed_demand(ask, truth, contract_w) -> None:
    """Greatest quarter-hour mean of the month; at least a share of the contract or the year."""
    mean_w, share = means(truth, 900, least=0.0)
    expected = []
    for s, site in enumerate(SITES):
        year_w = 0.0
        for month, which in MONTHS:
            pick = _month(900, which)
            some = share[s, pick] > 0
            use = some & (share[s, pick] >= 0.5)
            here_w = np.where(use, mean_w[s, pick], np.nan)
            demand_w = np.nanmax(here_w)
            year_w = max(year_w, demand_w)
            billed_w = max(demand_w, 0.8 * max(contract_w, year_w))
            expected.append(
                {
                    "site_id": site, "month_utc": month, "demand_w": demand_w,
                    "mean_w": np.nanmean(here_w), "load_factor": np.nanmean(here_w) / demand_w,
                    "intervals": int(use.sum()), "left_out": int((some & ~use).sum()),
                    "billed_w": billed_w, "charge": billed_w / 1e3 * 12.5,
                }
            )  # fmt: skip
            at = (0 if which.stop else MONTH // 900) + int(np.nanargmax(here_w))
            expected[-1]["demand_utc"] = (
                np.datetime64(ns(at * 900), "ns").astype("datetime64[us]").item()
            )
    given = f"contract_w := {contract_w}, minimum_share := 0.8, price_per_kw := 12.5"
    close(ask(f"FROM billed_demand({given})"), expected)


@pytest.mark.parametrize("peaks", [1, 40])
def test_coincident_peak(ask, truth, peaks) -> None:
    """Each site in the month's greatest intervals of all together."""
    mean_w = means(truth, 300)[0]
    expected = []
    for month, which in MONTHS:
        pick = _month(300, which)
        here_w = mean_w[:, pick]
        sum_w = here_w.sum(axis=0)  # NaN where one is missing
        order = [k for k in np.argsort(-sum_w, kind="stable") if np.isfinite(sum_w[k])][:peaks]
        for rank, k in enumerate(order, 1):
            for s, site in enumerate(SITES):
                own_w = np.nanmax(here_w[s])
                expected.append(
                    {
                        "month_utc": month, "peak": rank, "site_id": site,
                        "t0_ns": ns(((pick.start or 0) + int(k)) * 300), "sum_w": sum_w[k],
                        "site_w": here_w[s, k], "share": here_w[s, k] / sum_w[k],
                        "own_peak_w": own_w, "coincidence_factor": here_w[s, k] / own_w,
                    }
                )  # fmt: skip
    close(ask(f"FROM coincident_peak(interval_s := 300, peaks := {peaks})"), expected)


def test_ramp_excess(ask, truth) -> None:
    """Minute to minute, net over ten, mean of ten; what is beyond the limit, and its price."""
    mean_w = means(truth, 60)[0]
    one_w = np.abs(changes(mean_w))
    ten_w = np.full_like(mean_w, np.nan)
    ten_w[:, 10:] = np.abs(mean_w[:, 10:] - mean_w[:, :-10]) / 10
    moved_w = np.where(moving(one_w, 9, 0, len) == 10, moving(one_w, 9, 0, np.mean), np.nan)
    limit = 1.2e6
    expected = []
    for s, site in enumerate(SITES):
        for b, here in blocks(60, 3600):
            one = one_w[s, here][np.isfinite(one_w[s, here])]
            excess_w = np.maximum(one - limit, 0).sum()
            known_ten = ten_w[s, here][np.isfinite(ten_w[s, here])]
            known_moved = moved_w[s, here][np.isfinite(moved_w[s, here])]
            expected.append(
                {
                    "site_id": site, "t0_ns": ns(b * 3600), "ramp_1min_w_per_min": one.max(),
                    "ramp_10min_w_per_min": known_ten.max() if len(known_ten) else None,
                    "moved_10min_w_per_min": known_moved.max() if len(known_moved) else None,
                    "steps": len(one), "steps_over": int((one > limit).sum()),
                    "tens_over": int((known_ten > limit).sum()), "excess_w": excess_w,
                    "charge": excess_w / 1e6 * 250,
                }
            )  # fmt: skip
    sql = f"FROM ramp_excess(limit_w_per_min := {limit}, price_per_mw := 250, bucket_s := 3600)"
    close(ask(sql), expected)


def test_swing_excess(ask, truth) -> None:
    """Greatest less least sample of the last 15 seconds, where at least half of them are there."""
    top_w, low_w = moving(truth.max_w, 14, 0, np.max), moving(truth.min_w, 14, 0, np.min)
    n = moving(truth.mean_w, 14, 0, len)
    use = np.isfinite(truth.mean_w) & (n >= 7.5)
    swing_w, mean_w = top_w - low_w, moving(truth.mean_w, 14, 0, np.ptp)
    expected = []
    for s, site in enumerate(SITES):
        for b, here in blocks(1, 3600):
            pick = here & use[s]
            over = int((swing_w[s, pick] > 3e6).sum())
            expected.append(
                {
                    "site_id": site, "t0_ns": ns(b * 3600), "swing_w": swing_w[s, pick].max(),
                    "mean_swing_w": mean_w[s, pick].max(), "seconds": int(pick.sum()),
                    "seconds_over": over, "over_share": over / pick.sum(),
                }
            )  # fmt: skip
    close(ask("FROM swing_excess(limit_w := 3e6)"), expected)


@pytest.mark.parametrize("cap", ["NULL", "4e7"])
def test_deferred_compute(ask, truth, cap) -> None:
    """Energy above a cap, the demand it saves, room below, and where the two break even."""
    mean_w = means(truth, 300)[0]
    expected = []
    for s, site in enumerate(SITES):
        for month, which in MONTHS:
            here_w = mean_w[s, _month(300, which)]
            here_w = here_w[np.isfinite(here_w)]
            peak_w = here_w.max()
            cap_w = 0.9 * peak_w if cap == "NULL" else float(cap)
            over_wh = np.maximum(here_w - cap_w, 0).sum() / 12
            saving = max(peak_w - cap_w, 0) / 1e3 * 3.33
            expected.append(
                {
                    "site_id": site, "month_utc": month, "peak_w": peak_w, "cap_w": cap_w,
                    "saved_w": max(peak_w - cap_w, 0.0), "intervals": len(here_w),
                    "intervals_over": int((here_w > cap_w).sum()), "deferred_wh": over_wh,
                    "headroom_wh": np.maximum(cap_w - here_w, 0).sum() / 12, "saving": saving,
                    "cost": over_wh / 1e6 * 40, "net": saving - over_wh / 1e6 * 40,
                    "breakeven_per_mwh": saving / (over_wh / 1e6) if over_wh else None,
                }
            )  # fmt: skip
    close(
        ask(
            f"FROM deferred_compute(interval_s := 300, cap_share := 0.9, cap_w := {cap}, "
            "value_per_mwh := 40)"
        ),
        expected,
    )
