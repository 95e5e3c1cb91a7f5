/*
title = "Power of each grid connection second by second, the seconds that were measured"
span = true
[parameters]
[columns]
site_id = ["", "site"]
t0_ns = ["ns since 1970, UTC", "start of the second"]
mean_w = ["W", "mean of the valid samples"]
min_w = ["W", "smallest valid sample"]
max_w = ["W", "largest valid sample"]
valid_share = ["0..1", "share of the second that was measured"]
*/
SELECT site_id, t0_ns, mean_w, min_w, max_w, coalesce(valid_share, 1.0) AS valid_share
FROM windows
WHERE level = 'substation' AND duration_ns = 1000000000
  AND isfinite(mean_w) AND coalesce(valid_share, 1.0) > 0
  AND t0_ns >= ns_since(from_utc) AND t0_ns < ns_before(until_utc)
  AND (site IS NULL OR site_id = site)
