/*
title = "How much of the movement is regulation (within minutes) and how much is load following"
[parameters]
half_s = ["900", "s", "load following is the mean over this long to either side"]
bucket_s = ["3600", "s", "length of a row's time"]
sigmas = ["3", "1", "standard deviations that make the requirement"]
least_valid = ["0.5", "0..1", "minutes, and surroundings, measured for less than this share are left out"]
[columns]
site_id = ["", "site"]
t0_ns = ["ns since 1970, UTC", "start of the row's time"]
t0_utc = ["UTC", "the same, readable"]
mean_w = ["W", "mean power"]
following_range_w = ["W", "greatest minus least load-following component"]
regulation_sigma_w = ["W", "standard deviation of what is left, minute by minute"]
regulation_w = ["W", "regulation requirement: so many standard deviations"]
regulation_peak_w = ["W", "greatest absolute regulation component"]
minutes = ["1", "minutes counted"]
*/
WITH smooth AS (
    SELECT site_id, t0_ns, mean_w, avg(mean_w) OVER around AS following_w, count(*) OVER around AS n
    FROM poi_means(span_s := 60, least_valid := least_valid, site := site,
                   from_utc := CAST(from_utc AS TIMESTAMP_NS) - to_seconds(half_s),
                   until_utc := CAST(until_utc AS TIMESTAMP_NS) + to_seconds(half_s + 60))
    WINDOW around AS (PARTITION BY site_id ORDER BY t0_ns
        RANGE BETWEEN in_ns(half_s) PRECEDING AND in_ns(half_s) FOLLOWING)
)
SELECT site_id, floor_ns(t0_ns, bucket_s) AS t0_ns,
       make_timestamp_ns(floor_ns(t0_ns, bucket_s)) AS t0_utc,
       avg(mean_w) AS mean_w,
       max(following_w) - min(following_w) AS following_range_w,
       stddev_pop(mean_w - following_w) AS regulation_sigma_w,
       sigmas * stddev_pop(mean_w - following_w) AS regulation_w,
       max(abs(mean_w - following_w)) AS regulation_peak_w,
       count(*) AS minutes
FROM smooth
WHERE n >= least_valid * (2 * (half_s // 60) + 1)
  AND t0_ns >= ns_since(from_utc) AND t0_ns < ns_before(until_utc)
GROUP BY ALL
ORDER BY site_id, 2
