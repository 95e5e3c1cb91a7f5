/*
title = "Load duration curve: the power that was exceeded for each share of the time"
[parameters]
points = ["100", "1", "steps from 0 to 1"]
span_s = ["60", "s", "span that means are taken over"]
least_valid = ["0.5", "0..1", "spans measured for less than this share are left out"]
[columns]
site_id = ["", "site"]
exceeded_share = ["0..1", "share of the measured time with at least this power"]
power_w = ["W", "power"]
hours = ["h", "the share in hours of what was measured"]
*/
WITH curves AS (
    SELECT site_id, count(*) AS n,
           quantile_cont(mean_w, list_transform(range(0, points + 1), lambda k: k / points)) AS up_w
    FROM poi_means(span_s := span_s, least_valid := least_valid, from_utc := from_utc,
                   until_utc := until_utc, site := site)
    GROUP BY site_id
)
SELECT site_id, k / points AS exceeded_share, up_w[points - k + 1] AS power_w,
       k / points * n * span_s / 3600 AS hours
FROM curves, (SELECT unnest(range(0, points + 1)) AS k)
ORDER BY site_id, k
