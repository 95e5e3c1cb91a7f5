/*
title = "Every oscillation: frequency, size, damping, how long, and who swung most"
[parameters]
[columns]
event_id = ["", "of the event"]
site_id = ["", "site"]
node_id = ["", "where it sits"]
level = ["", "rack, pdu or substation"]
state = ["", "open, update or closed"]
onset_utc = ["UTC", "when it began"]
onset_ns = ["ns since 1970, UTC", "the same"]
lasted_s = ["s", "from onset to close; while open, to the newest row"]
freq_hz = ["Hz", "frequency"]
amplitude_w = ["W", "zero to peak"]
damping_ratio = ["1", "negative: it grew"]
contributors = ["1", "channels with a part in it; those of the node itself only where it is alone"]
largest_channel = ["", "the channel with the largest part"]
largest_share = ["0..1", "its amplitude over the sum of theirs"]
quality = ["", "good, or the reason for doubt"]
*/
WITH swings AS (
    SELECT e.*, list_filter(e.contributors, lambda c: NOT list_contains(
               coalesce(n.channels, []), c.channel_id)) AS below
    FROM events AS e
    LEFT JOIN (SELECT site_id, node_id, channels FROM site_nodes() WHERE valid_until_ns IS NULL) AS n
        USING (site_id, node_id)
    WHERE kind = 'oscillation' AND merged_into IS NULL
      AND onset_ns >= ns_since(from_utc) AND onset_ns < ns_before(until_utc)
      AND (site IS NULL OR e.site_id = site)
), parts AS (
    SELECT *, CASE WHEN len(below) > 0 THEN below ELSE contributors END AS part FROM swings
)
SELECT event_id, site_id, node_id, level, state, onset_utc, onset_ns,
       (coalesce(closed_ns, updated_ns) - onset_ns) / 1e9 AS lasted_s,
       freq_hz, amplitude_w, damping_ratio, coalesce(len(part), 0) AS contributors,
       list_reverse_sort(list_transform(part, lambda c:
           {'amplitude_w': c.amplitude_w, 'channel_id': c.channel_id}))[1].channel_id
           AS largest_channel,
       list_max(list_transform(part, lambda c: c.amplitude_w))
           / nullif(list_sum(list_transform(part, lambda c: c.amplitude_w)), 0) AS largest_share,
       quality
FROM parts
ORDER BY onset_ns, event_id
