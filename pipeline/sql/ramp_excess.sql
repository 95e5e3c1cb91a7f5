/*
title = "Ramps beyond a limit in W per minute, and what they would cost at a price"
[parameters]
limit_w_per_min = ["20e6", "W/min", "limit, per minute and over ten"]
price_per_mw = ["0", "money/MW", "of excess, what if"]
bucket_s = ["86400", "s", "length of a row's time"]
least_valid = ["0.5", "0..1", "minutes measured for less than this share are left out"]
[columns]
site_id = ["", "site"]
t0_ns = ["ns since 1970, UTC", "start of the row's time"]
t0_utc = ["UTC", "the same, readable"]
ramp_1min_w_per_min = ["W/min", "greatest change from minute to minute"]
ramp_10min_w_per_min = ["W/min", "greatest net change over 10 minutes, over 10"]
moved_10min_w_per_min = ["W/min", "greatest mean of ten successive absolute changes"]
steps = ["1", "changes from minute to minute that were measured"]
steps_over = ["1", "those beyond the limit"]
tens_over = ["1", "minutes whose net 10-minute ramp is beyond the limit"]
excess_w = ["W", "sum of what the changes from minute to minute had beyond the limit"]
charge = ["money", "excess times price"]
*/
WITH minutes AS (
    SELECT site_id, t0_ns // 60000000000 AS k, mean_w
    FROM poi_means(span_s := 60, least_valid := least_valid, until_utc := until_utc, site := site,
                   from_utc := CAST(from_utc AS TIMESTAMP_NS) - INTERVAL 10 MINUTE)
), steps AS (
    SELECT *, abs(mean_w - first_value(mean_w) OVER (PARTITION BY site_id ORDER BY k
                  RANGE BETWEEN 1 PRECEDING AND 1 PRECEDING)) AS one_w,
              abs(mean_w - first_value(mean_w) OVER (PARTITION BY site_id ORDER BY k
                  RANGE BETWEEN 10 PRECEDING AND 10 PRECEDING)) / 10 AS ten_w
    FROM minutes
), moved AS (
    SELECT *, CASE WHEN count(one_w) OVER ten = 10 THEN avg(one_w) OVER ten END AS moved_w
    FROM steps
    WINDOW ten AS (PARTITION BY site_id ORDER BY k RANGE BETWEEN 9 PRECEDING AND CURRENT ROW)
)
SELECT site_id, floor_ns(k * 60000000000, bucket_s) AS t0_ns,
       make_timestamp_ns(floor_ns(k * 60000000000, bucket_s)) AS t0_utc,
       max(one_w) AS ramp_1min_w_per_min, max(ten_w) AS ramp_10min_w_per_min,
       max(moved_w) AS moved_10min_w_per_min,
       count(one_w) AS steps, count(*) FILTER (one_w > limit_w_per_min) AS steps_over,
       count(*) FILTER (ten_w > limit_w_per_min) AS tens_over,
       coalesce(sum(greatest(one_w - limit_w_per_min, 0)), 0) AS excess_w,
       coalesce(sum(greatest(one_w - limit_w_per_min, 0)), 0) / 1e6 * price_per_mw AS charge
FROM moved
WHERE k * 60000000000 >= ns_since(from_utc)
GROUP BY ALL
ORDER BY site_id, t0_ns
