/*
title = "Events with their evidence: which channels' raw samples overlap them, and from when to when"
[parameters]
event = ["NULL", "", "one event_id; NULL: all"]
[columns]
event_id = ["", "of the event"]
kind = ["", "ramp, synchronized_ramp, oscillation or load_loss"]
site_id = ["", "site"]
onset_utc = ["UTC", "when it began"]
onset_ns = ["ns since 1970, UTC", "the same"]
closed_ns = ["ns since 1970, UTC", "when it closed; null while open"]
channel_id = ["", "metering point; null where the event has no evidence"]
node_id = ["", "where it meters"]
level = ["", "rack, pdu or substation"]
rate_hz = ["Hz", "whole number, or 1/n"]
blocks = ["1", "rows of waveforms"]
samples = ["1", "samples in them, missing ones included"]
from_ns = ["ns since 1970, UTC", "first sample"]
until_ns = ["ns since 1970, UTC", "end of the last sample's slot"]
gaps_s = ["s", "what is missing between the blocks"]
*/
WITH spans AS (
    FROM event_spans(event := event, from_utc := from_utc, until_utc := until_utc, site := site)
), cells AS (  -- blocks are at most 10 s long: each begins in one of the event's minutes
    SELECT *, unnest(range(begin_ns // 60000000000 - 1, stop_ns // 60000000000 + 1)) AS k FROM spans
), blocks AS (
    SELECT site_id, channel_id, node_id, level, rate_hz, n, t0_ns, end_ns, t0_ns // 60000000000 AS k
    FROM waveforms
    WHERE quantity = 'power' AND (site IS NULL OR site_id = site)
      AND t0_ns >= ns_since(CAST(from_utc AS TIMESTAMP_NS) - INTERVAL 1 DAY)
)
SELECT s.event_id, s.kind, s.site_id, s.onset_utc, s.onset_ns, s.closed_ns,
       channel_id, node_id, level, rate_hz, count(t0_ns) AS blocks,
       coalesce(sum(n), 0) AS samples, min(t0_ns) AS from_ns, max(end_ns) AS until_ns,
       (max(end_ns) - min(t0_ns) - sum(end_ns - t0_ns)) / 1e9 AS gaps_s
FROM spans AS s
LEFT JOIN (SELECT event_id, blocks.* FROM cells JOIN blocks USING (site_id, k)
           WHERE end_ns > begin_ns AND t0_ns < stop_ns) AS b USING (event_id)
GROUP BY ALL
ORDER BY onset_ns, event_id, channel_id
