/*
title = "Power of each grid connection as means over a span of seconds"
[parameters]
span_s = ["60", "s", "whole seconds a mean is taken over"]
least_valid = ["0.5", "0..1", "spans measured for less than this share are left out"]
[columns]
site_id = ["", "site"]
t0_ns = ["ns since 1970, UTC", "start of the span"]
t0_utc = ["UTC", "the same, readable"]
mean_w = ["W", "mean, each second weighted by its valid share"]
min_w = ["W", "smallest valid sample"]
max_w = ["W", "largest valid sample"]
valid_share = ["0..1", "share of the span that was measured"]
*/
SELECT site_id, start_ns AS t0_ns, make_timestamp_ns(start_ns) AS t0_utc,
       sum(mean_w * valid_share) / sum(valid_share) AS mean_w,
       min(min_w) AS min_w, max(max_w) AS max_w,
       sum(valid_share) / span_s AS valid_share
FROM (SELECT *, floor_ns(t0_ns, span_s) AS start_ns
      FROM poi_seconds(from_utc := from_utc, until_utc := until_utc, site := site))
GROUP BY site_id, start_ns
HAVING sum(valid_share) >= least_valid * span_s
