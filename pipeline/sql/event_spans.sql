/*
title = "From when to when each event's evidence lies: its onset less pre_s to its close plus post_s"
[parameters]
event = ["NULL", "", "one event_id; NULL: all"]
[columns]
event_id = ["", "of the event"]
kind = ["", "ramp, synchronized_ramp, oscillation or load_loss"]
site_id = ["", "site"]
onset_utc = ["UTC", "when it began"]
onset_ns = ["ns since 1970, UTC", "the same"]
closed_ns = ["ns since 1970, UTC", "when it closed; null while open"]
begin_ns = ["ns since 1970, UTC", "evidence from here on"]
stop_ns = ["ns since 1970, UTC", "and before; while open the newest sample's end"]
*/
SELECT e.event_id, e.kind, e.site_id, e.onset_utc, e.onset_ns, e.closed_ns,
       e.onset_ns - CAST(coalesce(r.pre_s, 0) * 1e9 AS BIGINT) AS begin_ns,
       coalesce(e.closed_ns + CAST(coalesce(r.post_s, 0) * 1e9 AS BIGINT),
                (SELECT max(end_ns) FROM waveforms), e.onset_ns) AS stop_ns
FROM events AS e
LEFT JOIN (SELECT site_id, max(pre_s) AS pre_s, max(post_s) AS post_s
           FROM rules GROUP BY site_id) AS r USING (site_id)
WHERE (event IS NULL OR event_id = event) AND merged_into IS NULL
  AND onset_ns >= ns_since(from_utc) AND onset_ns < ns_before(until_utc)
  AND (site IS NULL OR e.site_id = site)
