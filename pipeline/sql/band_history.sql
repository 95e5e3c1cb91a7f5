/*
title = "How strongly each grid connection swings in each band of frequencies, over time"
[parameters]
bucket_s = ["60", "s", "length of a row's time"]
[columns]
site_id = ["", "site"]
t0_ns = ["ns since 1970, UTC", "start of the row's time"]
t0_utc = ["UTC", "the same, readable"]
band_0p15_1_w = ["W", "greatest amplitude in 0.15-1 Hz, zero to peak; null: not observable"]
band_1_5_w = ["W", "the same in 1-5 Hz"]
band_5_15_w = ["W", "the same in 5-15 Hz"]
band_15_55_w = ["W", "the same in 15-55 Hz"]
observable_max_hz = ["Hz", "least of: above this the site cannot be seen"]
seconds = ["1", "states counted"]
*/
SELECT site_id, floor_ns(t_ns - 1, bucket_s) AS t0_ns,
       make_timestamp_ns(floor_ns(t_ns - 1, bucket_s)) AS t0_utc,
       max(band_0p15_1_w) AS band_0p15_1_w, max(band_1_5_w) AS band_1_5_w,
       max(band_5_15_w) AS band_5_15_w, max(band_15_55_w) AS band_15_55_w,
       min(observable_max_hz) AS observable_max_hz, count(*) AS seconds
FROM states
WHERE t_ns > ns_since(from_utc) AND t_ns <= ns_before(until_utc)
  AND (site IS NULL OR site_id = site)
GROUP BY ALL
ORDER BY site_id, t0_ns
