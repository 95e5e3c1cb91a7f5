/*
title = "What a planner loads: mean, extremes, ramps and coincidence of each site, interval by interval"
[parameters]
interval_s = ["900", "s", "length of an interval; a multiple of 60"]
least_valid = ["0.5", "0..1", "intervals measured for less than this share are left out"]
[columns]
site_id = ["", "site"]
t0_ns = ["ns since 1970, UTC", "start of the interval"]
t0_utc = ["UTC", "the same, readable"]
mean_w = ["W", "mean power"]
max_w = ["W", "greatest 1-s mean"]
min_w = ["W", "least 1-s mean"]
p95_w = ["W", "95 % quantile of the 1-s means"]
ramp_up_w_per_min = ["W/min", "greatest climb from minute to minute"]
ramp_down_w_per_min = ["W/min", "greatest fall from minute to minute, positive"]
mileage_w = ["W", "sum of the absolute changes from minute to minute"]
sum_w = ["W", "mean power of all sites together; null where one was not measured"]
coincidence_factor = ["1", "interval over the site's greatest interval of the month"]
valid_share = ["0..1", "share of the interval that was measured"]
*/
WITH seconds AS (
    SELECT *, t0_ns // in_ns(interval_s) AS k FROM poi_seconds(from_utc := from_utc,
        until_utc := until_utc)
), parts AS (
    SELECT site_id, k, sum(mean_w * valid_share) / sum(valid_share) AS mean_w, max(mean_w) AS max_w,
           min(mean_w) AS min_w, quantile_cont(mean_w, 0.95) AS p95_w,
           sum(valid_share) / interval_s AS valid_share
    FROM seconds GROUP BY ALL
    HAVING sum(valid_share) >= least_valid * interval_s
), steps AS (
    SELECT site_id, t0_ns // in_ns(interval_s) AS k, CASE
           WHEN t0_ns - lag(t0_ns) OVER way = 60000000000 THEN mean_w - lag(mean_w) OVER way END AS step_w
    FROM poi_means(span_s := 60, least_valid := least_valid, until_utc := until_utc,
                   from_utc := CAST(from_utc AS TIMESTAMP_NS) - INTERVAL 1 MINUTE)
    WINDOW way AS (PARTITION BY site_id ORDER BY t0_ns)
), ramps AS (
    SELECT site_id, k, greatest(max(step_w), 0) AS up_w, greatest(max(-step_w), 0) AS down_w,
           sum(abs(step_w)) AS mileage_w
    FROM steps GROUP BY ALL
), sums AS (
    SELECT k, sum(mean_w) AS sum_w FROM parts GROUP BY k
    HAVING count(*) = (SELECT count(DISTINCT site_id) FROM parts)
)
SELECT site_id, k * in_ns(interval_s) AS t0_ns,
       make_timestamp_ns(k * in_ns(interval_s)) AS t0_utc, mean_w, max_w, min_w, p95_w,
       up_w AS ramp_up_w_per_min, down_w AS ramp_down_w_per_min, mileage_w, sum_w,
       mean_w / nullif(max(mean_w) OVER (PARTITION BY site_id, date_trunc('month',
           make_timestamp_ns(k * in_ns(interval_s)))), 0) AS coincidence_factor, valid_share
FROM parts LEFT JOIN ramps USING (site_id, k) LEFT JOIN sums USING (k)
QUALIFY site IS NULL OR site_id = site
ORDER BY site_id, k
