/*
title = "How much was measured: valid shares and missing windows of each site and level, over time"
[parameters]
bucket_s = ["3600", "s", "length of a row's time"]
at_level = ["NULL", "", "rack, pdu or substation; NULL: all"]
[columns]
site_id = ["", "site"]
level = ["", "rack, pdu or substation"]
t0_ns = ["ns since 1970, UTC", "start of the row's time"]
t0_utc = ["UTC", "the same, readable"]
nodes = ["1", "nodes of the level seen anywhere in the asked time"]
silent_nodes = ["1", "those without any valid sample in the row's time"]
windows = ["1", "windows in the archive"]
missing_windows = ["1", "windows that should be there as well, between the site's first and last"]
valid_share = ["0..1", "measured node time over all node time, missing windows included"]
worst_node = ["", "node with the least measured time among those that have windows"]
*/
WITH found AS (
    SELECT site_id, level, node_id, t0_ns // in_ns(bucket_s) AS k, count(*) AS n,
           max(duration_ns) AS window_ns, sum(coalesce(valid_share, 1.0) * duration_ns) AS valid_ns,
           min(t0_ns) AS first_ns, max(t0_ns + duration_ns) AS last_ns
    FROM windows
    WHERE (at_level IS NULL OR level = at_level)
      AND t0_ns >= ns_since(from_utc) AND t0_ns < ns_before(until_utc)
      AND (site IS NULL OR site_id = site)
    GROUP BY ALL
), levels AS (
    SELECT site_id, level, count(DISTINCT node_id) AS nodes, max(window_ns) AS window_ns,
           min(first_ns) AS first_ns, max(last_ns) AS last_ns
    FROM found GROUP BY ALL
), spans AS (
    SELECT site_id, level, nodes, window_ns, k,
           greatest(first_ns, k * in_ns(bucket_s)) AS start_ns,
           least(last_ns, (k + 1) * in_ns(bucket_s)) AS end_ns
    FROM (SELECT *, unnest(range(first_ns // in_ns(bucket_s),
                                 (last_ns - 1) // in_ns(bucket_s) + 1)) AS k FROM levels)
), sums AS (
    SELECT site_id, level, k, sum(n) AS n, sum(valid_ns) AS valid_ns,
           count(*) FILTER (valid_ns > 0) AS alive, arg_min(node_id, (valid_ns, node_id)) AS worst_node
    FROM found GROUP BY ALL
)
SELECT site_id, level, k * in_ns(bucket_s) AS t0_ns,
       make_timestamp_ns(k * in_ns(bucket_s)) AS t0_utc, nodes,
       nodes - coalesce(alive, 0) AS silent_nodes, coalesce(n, 0) AS windows,
       greatest((end_ns - start_ns) // spans.window_ns * nodes - coalesce(n, 0), 0) AS missing_windows,
       coalesce(valid_ns, 0) / ((end_ns - start_ns) * nodes) AS valid_share,
       worst_node
FROM spans LEFT JOIN sums USING (site_id, level, k)
ORDER BY site_id, level, k
