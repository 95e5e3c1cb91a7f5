/*
title = "What it would save, and take, to put compute off whenever a site is above a cap"
[parameters]
interval_s = ["900", "s", "demand interval"]
cap_share = ["0.95", "0..1", "cap as a share of the month's own peak"]
cap_w = ["NULL", "W", "cap in W instead"]
price_per_kw = ["3.33", "money/kW", "of demand saved, a month, what if"]
value_per_mwh = ["0", "money/MWh", "of compute put off, what if"]
least_valid = ["0.5", "0..1", "intervals measured for less than this share are left out"]
[columns]
site_id = ["", "site"]
month_utc = ["UTC", "first instant of the month"]
peak_w = ["W", "greatest mean of an interval"]
cap_w = ["W", "cap"]
saved_w = ["W", "peak minus cap"]
intervals = ["1", "intervals counted"]
intervals_over = ["1", "those above the cap"]
deferred_wh = ["Wh", "energy above the cap: what has to be put off"]
headroom_wh = ["Wh", "energy that fits below the cap: where it can be made up for"]
saving = ["money", "demand saved times price"]
cost = ["money", "energy put off times its value"]
net = ["money", "saving minus cost"]
breakeven_per_mwh = ["money/MWh", "saving over energy put off: compute worth more is not put off"]
*/
WITH means AS (
    SELECT site_id, date_trunc('month', t0_utc) AS month_utc, mean_w
    FROM poi_means(span_s := interval_s, least_valid := least_valid, from_utc := from_utc,
                   until_utc := until_utc, site := site)
), capped AS (
    SELECT *, max(mean_w) OVER month AS peak_w,
           coalesce(cap_w, cap_share * max(mean_w) OVER month) AS most_w
    FROM means
    WINDOW month AS (PARTITION BY site_id, month_utc)
), months AS (
    SELECT site_id, month_utc, any_value(peak_w) AS peak_w, any_value(most_w) AS most_w,
           greatest(any_value(peak_w) - any_value(most_w), 0) AS saved_w, count(*) AS intervals,
           count(*) FILTER (mean_w > most_w) AS intervals_over,
           sum(greatest(mean_w - most_w, 0)) * interval_s / 3600 AS deferred_wh,
           sum(greatest(most_w - mean_w, 0)) * interval_s / 3600 AS headroom_wh
    FROM capped
    GROUP BY ALL
)
SELECT site_id, month_utc, peak_w, most_w AS cap_w, saved_w, intervals, intervals_over, deferred_wh,
       headroom_wh, saved_w / 1000 * price_per_kw AS saving,
       deferred_wh / 1e6 * value_per_mwh AS cost,
       saved_w / 1000 * price_per_kw - deferred_wh / 1e6 * value_per_mwh AS net,
       saved_w / 1000 * price_per_kw / nullif(deferred_wh / 1e6, 0) AS breakeven_per_mwh
FROM months
ORDER BY site_id, month_utc
