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
WITH found AS (
    SELECT event_id, channel_id, node_id, level, rate_hz, count(*) AS blocks, sum(n) AS samples,
           min(t0_ns) AS from_ns, max(end_ns) AS until_ns,
           (max(end_ns) - min(t0_ns) - sum(end_ns - t0_ns)) / 1e9 AS gaps_s
    FROM evidence(event := event, from_utc := from_utc, until_utc := until_utc, site := site)
    WHERE quantity = 'power'
    GROUP BY ALL
)
SELECT event_id, kind, site_id, onset_utc, onset_ns, closed_ns, channel_id, node_id, level, rate_hz,
       coalesce(blocks, 0) AS blocks, coalesce(samples, 0) AS samples, from_ns, until_ns, gaps_s
FROM event_spans(event := event, from_utc := from_utc, until_utc := until_utc, site := site)
LEFT JOIN found USING (event_id)
ORDER BY onset_ns, event_id, channel_id
