/*
title = "Whose movement it is: each site's covariance with the sum of all, as a share that adds to 1"
[parameters]
span_s = ["60", "s", "span that means are taken over"]
least_valid = ["0.5", "0..1", "spans measured for less than this share are left out"]
[columns]
site_id = ["", "site"]
share = ["1", "covariance with the sum over the sum's variance; negative: it evens others out"]
change_share = ["1", "the same of the changes from span to span"]
correlation = ["-1..1", "with the sum"]
sigma_w = ["W", "standard deviation of the site"]
sum_sigma_w = ["W", "standard deviation of the sum"]
spans = ["1", "spans counted: those in which every site was measured"]
changes = ["1", "changes counted: between neighbouring ones of these"]
*/
WITH means AS (
    SELECT site_id, t0_ns // in_ns(span_s) AS k, mean_w
    FROM poi_means(span_s := span_s, least_valid := least_valid,
                   from_utc := from_utc, until_utc := until_utc)
), total AS (
    SELECT k, sum(mean_w) AS sum_w FROM means GROUP BY k
    HAVING count(*) = (SELECT count(DISTINCT site_id) FROM means)
), steps AS (
    SELECT site_id, mean_w, sum_w,
           CASE WHEN k - lag(k) OVER way = 1 THEN mean_w - lag(mean_w) OVER way END AS step_w,
           CASE WHEN k - lag(k) OVER way = 1 THEN sum_w - lag(sum_w) OVER way END AS sum_step_w
    FROM means JOIN total USING (k)
    WINDOW way AS (PARTITION BY site_id ORDER BY k)
)
SELECT site_id,
       covar_pop(mean_w, sum_w) / nullif(var_pop(sum_w), 0) AS share,
       covar_pop(step_w, sum_step_w) / nullif(var_pop(sum_step_w), 0) AS change_share,
       covar_pop(mean_w, sum_w) / nullif(stddev_pop(mean_w) * stddev_pop(sum_w), 0) AS correlation,
       stddev_pop(mean_w) AS sigma_w, stddev_pop(sum_w) AS sum_sigma_w,
       count(*) AS spans, count(step_w) AS changes
FROM steps
GROUP BY site_id
HAVING site IS NULL OR site_id = site
ORDER BY site_id
