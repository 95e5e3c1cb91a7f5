/*
title = "The blocks of raw samples that overlap one event, as they are stored"
span = false
[parameters]
event = ["", "", "its event_id"]
channel = ["NULL", "", "one channel_id; NULL: all"]
[columns]
site_id = ["", "site"]
channel_id = ["", "metering point"]
node_id = ["", "where it meters"]
level = ["", "rack, pdu or substation"]
rate_hz = ["Hz", "whole number, or 1/n"]
t0_ns = ["ns since 1970, UTC", "first sample"]
end_ns = ["ns since 1970, UTC", "end of the last sample's slot"]
n = ["1", "samples, missing ones included"]
scale_w = ["W", "sample = offset_w + scale_w * code, rounded to float32"]
offset_w = ["W", "null where samples_w holds the samples"]
codes = ["scale_w", "null in the list: not measured"]
samples_w = ["W", "where no grid holds the samples"]
*/
WITH found AS (  -- one row a start: few enough to prune the files that are read again below
    SELECT any_value(site_id) AS site_id, any_value(begin_ns) AS begin_ns,
           any_value(stop_ns) AS stop_ns, unnest(list(DISTINCT start_ns)) AS t0_ns
    FROM event_spans(event := event)
    JOIN (SELECT site_id, t0_ns AS start_ns, end_ns FROM waveforms WHERE quantity = 'power') AS b
        USING (site_id)
    WHERE end_ns > begin_ns AND start_ns < stop_ns AND event_id = event
)
SELECT site_id, channel_id, node_id, level, rate_hz, t0_ns, end_ns, n, scale_w, offset_w, codes,
       samples_w
FROM waveforms JOIN found USING (site_id, t0_ns)
WHERE quantity = 'power' AND end_ns > begin_ns AND (channel IS NULL OR channel_id = channel)
ORDER BY channel_id, t0_ns
