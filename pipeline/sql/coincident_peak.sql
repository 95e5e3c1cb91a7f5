/*
title = "What each site drew when all together drew most: the month's greatest quarter hours"
[parameters]
interval_s = ["900", "s", "demand interval"]
peaks = ["1", "1", "greatest intervals of each month"]
least_valid = ["0.5", "0..1", "intervals in which a site of the month was measured less are left out"]
[columns]
month_utc = ["UTC", "first instant of the month"]
peak = ["1", "1: the greatest of the month"]
t0_ns = ["ns since 1970, UTC", "start of the interval"]
t0_utc = ["UTC", "the same, readable"]
sum_w = ["W", "mean power of all sites together"]
site_id = ["", "site"]
site_w = ["W", "mean power of the site in that interval"]
share = ["1", "site over sum"]
own_peak_w = ["W", "the site's own greatest interval of the month"]
coincidence_factor = ["1", "site in that interval over its own peak"]
*/
WITH means AS (
    SELECT *, date_trunc('month', t0_utc) AS month_utc
    FROM poi_means(span_s := interval_s, least_valid := least_valid,
                   from_utc := from_utc, until_utc := until_utc)
), own AS (
    SELECT month_utc, site_id, max(mean_w) AS own_peak_w FROM means GROUP BY ALL
), sums AS (
    SELECT month_utc, t0_ns, t0_utc, sum(mean_w) AS sum_w
    FROM means JOIN (SELECT month_utc, count(*) AS sites FROM own GROUP BY ALL) USING (month_utc)
    GROUP BY ALL
    HAVING count(*) = any_value(sites)
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY month_utc ORDER BY sum_w DESC, t0_ns) AS peak
    FROM sums
    QUALIFY peak <= peaks
)
SELECT month_utc, peak, t0_ns, ranked.t0_utc, sum_w, site_id, mean_w AS site_w,
       mean_w / nullif(sum_w, 0) AS share, own_peak_w,
       mean_w / nullif(own_peak_w, 0) AS coincidence_factor
FROM ranked JOIN means USING (month_utc, t0_ns) JOIN own USING (month_utc, site_id)
WHERE site IS NULL OR site_id = site
ORDER BY month_utc, peak, site_id
