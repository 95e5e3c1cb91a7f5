/*
title = "Peak to peak within a few seconds against a limit in W"
[parameters]
span_s = ["15", "s", "seconds looked at together"]
limit_w = ["5e6", "W", "limit, peak to peak"]
bucket_s = ["3600", "s", "length of a row's time"]
least_valid = ["0.5", "0..1", "spans with less than this share of their seconds are left out"]
[columns]
site_id = ["", "site"]
t0_ns = ["ns since 1970, UTC", "start of the row's time"]
t0_utc = ["UTC", "the same, readable"]
swing_w = ["W", "greatest difference of samples within the span"]
swing_utc = ["UTC", "start of the second that completed it"]
mean_swing_w = ["W", "greatest difference of 1-s means within the span"]
seconds = ["1", "seconds judged"]
seconds_over = ["1", "those at whose end the samples' difference is beyond the limit"]
over_share = ["0..1", "of the seconds judged"]
*/
WITH spans AS (
    SELECT site_id, t0_ns, max(max_w) OVER back - min(min_w) OVER back AS swing_w,
           max(mean_w) OVER back - min(mean_w) OVER back AS mean_swing_w, count(*) OVER back AS n
    FROM poi_seconds(from_utc := CAST(from_utc AS TIMESTAMP_NS) - to_seconds(span_s),
                     until_utc := until_utc, site := site)
    WINDOW back AS (PARTITION BY site_id ORDER BY t0_ns
        RANGE BETWEEN in_ns(span_s) - 1000000000 PRECEDING AND CURRENT ROW)
)
SELECT site_id, floor_ns(t0_ns, bucket_s) AS t0_ns,
       make_timestamp_ns(floor_ns(t0_ns, bucket_s)) AS t0_utc,
       max(swing_w) AS swing_w, make_timestamp_ns(arg_max(spans.t0_ns, swing_w)) AS swing_utc,
       max(mean_swing_w) AS mean_swing_w, count(*) AS seconds,
       count(*) FILTER (swing_w > limit_w) AS seconds_over,
       count(*) FILTER (swing_w > limit_w) / count(*) AS over_share
FROM spans
WHERE n >= least_valid * span_s AND t0_ns >= ns_since(from_utc)
GROUP BY ALL
ORDER BY site_id, 2
