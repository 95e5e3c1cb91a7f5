/*
title = "How much the racks of a site even each other out, over time, as published each second"
[parameters]
bucket_s = ["60", "s", "length of a row's time"]
[columns]
site_id = ["", "site"]
t0_ns = ["ns since 1970, UTC", "start of the row's time"]
t0_utc = ["UTC", "the same, readable"]
coincidence_factor = ["0..1", "mean of the seconds'; 1: all peak together"]
coincidence_max = ["0..1", "greatest"]
diversity_factor = ["1", "mean of the seconds'"]
synchrony_max = ["0..1", "greatest share of the moved power that stepped together"]
power_w = ["W", "mean power"]
seconds = ["1", "states that gave a factor"]
*/
SELECT site_id, floor_ns(t_ns - 1, bucket_s) AS t0_ns,
       make_timestamp_ns(floor_ns(t_ns - 1, bucket_s)) AS t0_utc,
       avg(coincidence_factor) AS coincidence_factor, max(coincidence_factor) AS coincidence_max,
       avg(diversity_factor) AS diversity_factor, max(synchrony) AS synchrony_max,
       avg(power_w) FILTER (isfinite(power_w)) AS power_w, count(coincidence_factor) AS seconds
FROM states
WHERE t_ns > ns_since(from_utc) AND t_ns <= ns_before(until_utc)
  AND (site IS NULL OR site_id = site)
GROUP BY ALL
ORDER BY site_id, t0_ns
