/*
title = "Waveforms that overlap an event, block by block, beside the event"
[parameters]
event = ["NULL", "", "one event_id; NULL: all"]
[columns]
event_id = ["", "of the event"]
kind = ["", "ramp, synchronized_ramp, oscillation or load_loss"]
onset_ns = ["ns since 1970, UTC", "when it began"]
closed_ns = ["ns since 1970, UTC", "when it closed; null while open"]
site_id = ["", "site"]
channel_id = ["", "metering point"]
node_id = ["", "where it meters"]
level = ["", "rack, pdu or substation"]
quantity = ["", "power"]
t0_ns = ["ns since 1970, UTC", "first sample"]
end_ns = ["ns since 1970, UTC", "end of the last sample's slot"]
rate_hz = ["Hz", "whole number, or 1/n"]
n = ["1", "samples, missing ones included"]
scale_w = ["W", "sample = offset_w + scale_w * code, rounded to float32"]
offset_w = ["W", "null where samples_w holds the samples"]
codes = ["scale_w", "null in the list: not measured"]
samples_w = ["W", "where no grid holds the samples"]
*/
WITH cells AS (  -- blocks are at most 10 s long: each begins in one of the event's minutes
    SELECT event_id, kind, site_id, onset_ns, closed_ns, begin_ns, stop_ns,
           unnest(range(begin_ns // 60000000000 - 1, stop_ns // 60000000000 + 1)) AS k
    FROM event_spans(event := event, from_utc := from_utc, until_utc := until_utc, site := site)
)
SELECT event_id, kind, onset_ns, closed_ns, w.site_id, channel_id, node_id, level, quantity, t0_ns,
       end_ns, rate_hz, n, scale_w, offset_w, codes, samples_w
FROM cells
JOIN (SELECT *, t0_ns // 60000000000 AS k FROM waveforms
      WHERE t0_ns >= ns_since(CAST(from_utc AS TIMESTAMP_NS) - INTERVAL 1 DAY)) AS w USING (site_id, k)
WHERE end_ns > begin_ns AND t0_ns < stop_ns AND (site IS NULL OR w.site_id = site)
