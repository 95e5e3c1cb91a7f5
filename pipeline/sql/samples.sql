/*
title = "Waveforms sample by sample"
[parameters]
[columns]
site_id = ["", "site"]
channel_id = ["", "metering point"]
node_id = ["", "where it meters"]
level = ["", "rack, pdu or substation"]
quantity = ["", "power"]
t_ns = ["ns since 1970, UTC", "time of the sample"]
t_utc = ["UTC", "the same, readable"]
power_w = ["W", "sample, rounded to float32; null: not measured"]
*/
SELECT site_id, channel_id, node_id, level, quantity, t_ns, make_timestamp_ns(t_ns) AS t_utc, power_w
FROM (SELECT site_id, channel_id, node_id, level, quantity,
             t0_ns + (2000000000 * seconds * unnest(range(n)) + samples) // (2 * samples) AS t_ns,
             unnest(coalesce(samples_w, list_transform(codes, lambda c:
                 CAST(offset_w + scale_w * c AS FLOAT)))) AS power_w
      FROM (SELECT *, CAST(split_part(rate_hz, '/', 1) AS BIGINT) AS samples,
                   CAST(coalesce(nullif(split_part(rate_hz, '/', 2), ''), '1') AS BIGINT) AS seconds
            FROM waveforms
            WHERE end_ns > ns_since(from_utc) AND t0_ns < ns_before(until_utc)
              AND (site IS NULL OR site_id = site)))
WHERE t_ns >= ns_since(from_utc) AND t_ns < ns_before(until_utc)
