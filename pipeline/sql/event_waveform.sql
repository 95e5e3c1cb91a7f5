/*
title = "The raw samples around one event, channel by channel"
span = false
[parameters]
event = ["", "", "its event_id"]
channel = ["NULL", "", "one channel_id; NULL: all"]
[columns]
site_id = ["", "site"]
channel_id = ["", "metering point"]
node_id = ["", "where it meters"]
level = ["", "rack, pdu or substation"]
t_ns = ["ns since 1970, UTC", "time of the sample"]
t_utc = ["UTC", "the same, readable"]
power_w = ["W", "sample, rounded to float32; null: not measured"]
*/
WITH found AS (
    SELECT site_id, channel_id, start_ns AS t0_ns
    FROM (SELECT e.site_id, e.onset_ns - CAST(coalesce(r.pre_s, 0) * 1e9 AS BIGINT) AS begin_ns,
                 coalesce(e.closed_ns, e.updated_ns)
                     + CAST(coalesce(r.post_s, 0) * 1e9 AS BIGINT) AS end_ns
          FROM events AS e
          LEFT JOIN (SELECT site_id, max(pre_s) AS pre_s, max(post_s) AS post_s
                     FROM rules GROUP BY site_id) AS r USING (site_id)
          WHERE event_id = event) AS s
    JOIN (SELECT site_id, channel_id, t0_ns AS start_ns, end_ns AS stop_ns FROM waveforms
          WHERE quantity = 'power' AND (channel IS NULL OR channel_id = channel)) AS b
        USING (site_id)
    WHERE stop_ns > begin_ns AND start_ns < end_ns
), blocks AS (  -- again, by key: only these blocks' samples are read
    SELECT w.*, CAST(split_part(rate_hz, '/', 1) AS BIGINT) AS samples,
           CAST(coalesce(nullif(split_part(rate_hz, '/', 2), ''), '1') AS BIGINT) AS seconds
    FROM waveforms AS w JOIN found USING (site_id, channel_id, t0_ns)
    WHERE quantity = 'power'
)
SELECT site_id, channel_id, node_id, level, t_ns, make_timestamp_ns(t_ns) AS t_utc, power_w
FROM (SELECT site_id, channel_id, node_id, level,
             t0_ns + (2000000000 * seconds * unnest(range(n)) + samples) // (2 * samples) AS t_ns,
             unnest(coalesce(samples_w, list_transform(codes, lambda c:
                 CAST(offset_w + scale_w * c AS FLOAT)))) AS power_w
      FROM blocks)
ORDER BY channel_id, t_ns
