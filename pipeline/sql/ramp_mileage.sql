/*
title = "How far the power travels: ups and downs added, from one mean to the next, at 1, 4 and 60 s"
[parameters]
spans_s = ["[1, 4, 60]", "s", "spans that means are taken over"]
bucket_s = ["3600", "s", "length of a row's time"]
least_valid = ["0.5", "0..1", "spans measured for less than this share are left out"]
[columns]
site_id = ["", "site"]
t0_ns = ["ns since 1970, UTC", "start of the row's time"]
t0_utc = ["UTC", "the same, readable"]
span_s = ["s", "span that means are taken over"]
mileage_w = ["W", "sum of the absolute changes"]
up_w = ["W", "sum of the climbs"]
down_w = ["W", "sum of the falls, positive"]
per_peak = ["1", "mileage over the greatest absolute mean of the row's time"]
steps = ["1", "changes between neighbouring measured spans"]
measured_share = ["0..1", "steps over those of a row's time without gaps"]
*/
WITH means AS (
    SELECT site_id, span_s, floor_ns(t0_ns, span_s) AS at_ns,
           sum(mean_w * valid_share) / sum(valid_share) AS mean_w
    FROM poi_seconds(from_utc := CAST(from_utc AS TIMESTAMP_NS) - to_seconds(list_max(spans_s)),
                     until_utc := until_utc, site := site),
         (SELECT unnest(spans_s) AS span_s)
    GROUP BY ALL
    HAVING sum(valid_share) >= least_valid * any_value(span_s)
), steps AS (
    SELECT site_id, span_s, mean_w, at_ns, CASE WHEN at_ns - lag(at_ns) OVER way = in_ns(span_s)
           THEN mean_w - lag(mean_w) OVER way END AS step_w
    FROM means
    WINDOW way AS (PARTITION BY site_id, span_s ORDER BY at_ns)
)
SELECT site_id, floor_ns(at_ns, bucket_s) AS t0_ns,
       make_timestamp_ns(floor_ns(at_ns, bucket_s)) AS t0_utc, span_s,
       coalesce(sum(abs(step_w)), 0) AS mileage_w,
       coalesce(sum(greatest(step_w, 0)), 0) AS up_w,
       coalesce(sum(greatest(-step_w, 0)), 0) AS down_w,
       coalesce(sum(abs(step_w)), 0) / nullif(max(abs(mean_w)), 0) AS per_peak,
       count(step_w) AS steps, count(step_w) * any_value(span_s) / bucket_s AS measured_share
FROM steps
WHERE at_ns >= ns_since(from_utc)
GROUP BY ALL
ORDER BY site_id, t0_ns, span_s
