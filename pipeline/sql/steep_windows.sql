/*
title = "Windows with the steepest climb or fall, whether or not an event opened"
[parameters]
n = ["20", "1", "rows"]
at_level = ["'substation'", "", "rack, pdu or substation; NULL: all"]
[columns]
site_id = ["", "site"]
node_id = ["", "node"]
level = ["", "rack, pdu or substation"]
t0_ns = ["ns since 1970, UTC", "start of the window"]
t0_utc = ["UTC", "the same, readable"]
duration_ns = ["ns", "length of the window"]
steepest_w_per_s = ["W/s", "steepest climb or fall, whichever is steeper; negative: a fall"]
mean_w = ["W", "mean of the window"]
valid_share = ["0..1", "share of the window that was measured"]
*/
SELECT site_id, node_id, level, t0_ns, t0_utc, duration_ns,
       CASE WHEN ramp_up_w_per_s >= ramp_down_w_per_s THEN ramp_up_w_per_s
            ELSE -ramp_down_w_per_s END AS steepest_w_per_s,
       mean_w, valid_share
FROM windows
WHERE (at_level IS NULL OR level = at_level)
  AND ramp_up_w_per_s IS NOT NULL AND ramp_down_w_per_s IS NOT NULL
  AND t0_ns >= ns_since(from_utc) AND t0_ns < ns_before(until_utc)
  AND (site IS NULL OR site_id = site)
ORDER BY greatest(ramp_up_w_per_s, ramp_down_w_per_s) DESC, t0_ns, site_id, node_id
LIMIT n
