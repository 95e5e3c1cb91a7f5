/*
title = "Coincidence and diversity factor of the nodes of a level against their grid connection"
[parameters]
at_level = ["'rack'", "", "rack or pdu"]
bucket_s = ["3600", "s", "length of a row's time; at least one window of the level"]
[columns]
site_id = ["", "site"]
t0_ns = ["ns since 1970, UTC", "start of the row's time"]
t0_utc = ["UTC", "the same, readable"]
nodes = ["1", "nodes that were measured"]
peaks_w = ["W", "sum of the nodes' greatest window means"]
peak_w = ["W", "greatest mean of the grid connection over windows as long as the nodes'"]
coincidence_factor = ["1", "peak over peaks"]
diversity_factor = ["1", "peaks over peak"]
*/
WITH nodes AS (
    SELECT site_id, node_id, max(duration_ns) // 1000000000 AS window_s,
           t0_ns // in_ns(bucket_s) AS k, max(mean_w) AS peak_w
    FROM windows
    WHERE level = at_level AND isfinite(mean_w)
      AND t0_ns >= ns_since(from_utc) AND t0_ns < ns_before(until_utc)
      AND (site IS NULL OR site_id = site)
    GROUP BY ALL
), peaks AS (
    SELECT site_id, k, count(*) AS nodes, sum(peak_w) AS peaks_w, max(window_s) AS window_s
    FROM nodes GROUP BY ALL
), sums AS (
    SELECT site_id, k, sum(mean_w * valid_share) / sum(valid_share) AS mean_w
    FROM (SELECT *, t0_ns // in_ns(bucket_s) AS k
          FROM poi_seconds(from_utc := from_utc, until_utc := until_utc, site := site))
    JOIN peaks USING (site_id, k)
    GROUP BY site_id, k, t0_ns // in_ns(window_s)
)
SELECT site_id, k * in_ns(bucket_s) AS t0_ns,
       make_timestamp_ns(k * in_ns(bucket_s)) AS t0_utc, any_value(nodes) AS nodes,
       any_value(peaks_w) AS peaks_w, max(mean_w) AS peak_w,
       max(mean_w) / nullif(any_value(peaks_w), 0) AS coincidence_factor,
       any_value(peaks_w) / nullif(max(mean_w), 0) AS diversity_factor
FROM peaks JOIN sums USING (site_id, k)
GROUP BY site_id, k
ORDER BY site_id, k
