/*
title = "How much sites even each other out: sum of their peaks against the peak of their sum"
[parameters]
span_s = ["60", "s", "span that means are taken over"]
bucket_s = ["3600", "s", "length of a row's time"]
least_valid = ["0.5", "0..1", "spans measured for less than this share are left out"]
[columns]
t0_ns = ["ns since 1970, UTC", "start of the row's time"]
t0_utc = ["UTC", "the same, readable"]
sites = ["1", "sites of the row's time"]
peaks_w = ["W", "sum of the sites' own peaks"]
peak_w = ["W", "peak of the sum, over spans in which all of them were measured"]
coincidence_factor = ["1", "peak over peaks"]
diversity_factor = ["1", "peaks over peak"]
spans = ["1", "spans in which all of them were measured"]
*/
WITH means AS (
    SELECT site_id, t0_ns, t0_ns // in_ns(bucket_s) AS k, mean_w
    FROM poi_means(span_s := span_s, least_valid := least_valid, from_utc := from_utc,
                   until_utc := until_utc, site := site)
), sums AS (
    SELECT k, t0_ns, sum(mean_w) AS sum_w, count(*) AS n FROM means GROUP BY ALL
), own AS (
    SELECT k, count(*) AS sites, sum(peak_w) AS peaks_w
    FROM (SELECT k, site_id, max(mean_w) AS peak_w
          FROM means JOIN sums USING (k, t0_ns)
          JOIN (SELECT k, count(DISTINCT site_id) AS most FROM means GROUP BY k) USING (k)
          WHERE n = most
          GROUP BY k, site_id)
    GROUP BY k
)
SELECT k * in_ns(bucket_s) AS t0_ns, make_timestamp_ns(k * in_ns(bucket_s)) AS t0_utc,
       any_value(sites) AS sites, any_value(peaks_w) AS peaks_w, max(sum_w) AS peak_w,
       max(sum_w) / nullif(any_value(peaks_w), 0) AS coincidence_factor,
       any_value(peaks_w) / nullif(max(sum_w), 0) AS diversity_factor, count(*) AS spans
FROM own JOIN sums USING (k)
WHERE n = sites
GROUP BY k
ORDER BY k
