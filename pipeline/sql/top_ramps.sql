/*
title = "Ramps and load losses that moved most power"
[parameters]
n = ["20", "1", "rows"]
[columns]
event_id = ["", "of the event"]
site_id = ["", "site"]
node_id = ["", "where it sits"]
level = ["", "rack, pdu or substation"]
kind = ["", "ramp, synchronized_ramp or load_loss"]
state = ["", "open, update or closed"]
onset_utc = ["UTC", "when it began"]
onset_ns = ["ns since 1970, UTC", "the same"]
depth_w = ["W", "power moved, negative for a drop"]
duration_s = ["s", "length of the ramp"]
ramp_w_per_s = ["W/s", "steepness"]
synchrony = ["0..1", "share of the moved power that stepped together"]
peak_share = ["0..1", "power moved as a share of the authority's peak"]
quality = ["", "good, or the reason for doubt"]
*/
SELECT event_id, site_id, node_id, level, kind, state, onset_utc, onset_ns, depth_w, duration_s,
       ramp_w_per_s, synchrony, peak_share, quality
FROM events
WHERE kind IN ('ramp', 'synchronized_ramp', 'load_loss') AND merged_into IS NULL
  AND depth_w IS NOT NULL
  AND onset_ns >= ns_since(from_utc) AND onset_ns < ns_before(until_utc)
  AND (site IS NULL OR site_id = site)
ORDER BY abs(depth_w) DESC, onset_ns, event_id
LIMIT n
