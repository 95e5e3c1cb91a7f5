/*
title = "Every gap: from when to when a node was not measured at all"
[parameters]
least_s = ["1", "s", "gaps shorter than this are left out"]
at_level = ["'substation'", "", "rack, pdu or substation; NULL: all"]
[columns]
site_id = ["", "site"]
node_id = ["", "node"]
level = ["", "rack, pdu or substation"]
from_ns = ["ns since 1970, UTC", "end of the last window with a valid sample"]
from_utc = ["UTC", "the same, readable"]
until_ns = ["ns since 1970, UTC", "start of the next one"]
until_utc = ["UTC", "the same, readable"]
missing_s = ["s", "length"]
*/
WITH known AS (
    SELECT site_id, node_id, level, t0_ns,
           lag(t0_ns + duration_ns) OVER (PARTITION BY site_id, node_id ORDER BY t0_ns) AS end_ns
    FROM windows
    WHERE (at_level IS NULL OR level = at_level)
      AND isfinite(mean_w) AND coalesce(valid_share, 1.0) > 0
      AND t0_ns >= ns_since(from_utc) AND t0_ns < ns_before(until_utc)
      AND (site IS NULL OR site_id = site)
)
SELECT site_id, node_id, level, end_ns AS from_ns, make_timestamp_ns(end_ns) AS from_utc,
       t0_ns AS until_ns, make_timestamp_ns(t0_ns) AS until_utc, (t0_ns - end_ns) / 1e9 AS missing_s
FROM known
WHERE t0_ns - end_ns >= least_s * 1e9 AND t0_ns > end_ns
ORDER BY site_id, node_id, t0_ns
