/*
title = "Quantiles of every raw sample in the archive, by level: exact, by counting equal values"
[parameters]
shares = ["[0.05, 0.5, 0.95]", "0..1", "which quantiles"]
[columns]
site_id = ["", "site"]
level = ["", "rack, pdu or substation"]
share = ["0..1", "share of the samples at or below"]
power_w = ["W", "the least sample that so many do not exceed"]
samples = ["1", "samples counted"]
*/
WITH counted AS (
    SELECT site_id, level, CAST(offset_w + scale_w * code AS FLOAT) AS power_w, n
    FROM (SELECT site_id, level, scale_w, offset_w, code, count(*) AS n
          FROM (SELECT site_id, level, scale_w, offset_w, unnest(codes) AS code FROM waveforms
                WHERE codes IS NOT NULL AND quantity = 'power' AND (site IS NULL OR site_id = site)
                  AND end_ns > ns_since(from_utc) AND t0_ns < ns_before(until_utc))
          WHERE code IS NOT NULL GROUP BY ALL)
    UNION ALL
    SELECT site_id, level, power_w, count(*)
    FROM (SELECT site_id, level, unnest(samples_w) AS power_w FROM waveforms
          WHERE samples_w IS NOT NULL AND quantity = 'power' AND (site IS NULL OR site_id = site)
            AND end_ns > ns_since(from_utc) AND t0_ns < ns_before(until_utc))
    WHERE power_w IS NOT NULL GROUP BY ALL
), ranked AS (
    SELECT site_id, level, power_w, sum(n) OVER upto AS upto_n,
           sum(n) OVER (PARTITION BY site_id, level) AS every_n
    FROM counted
    WINDOW upto AS (PARTITION BY site_id, level ORDER BY power_w)
)
SELECT site_id, level, share, min(power_w) AS power_w, any_value(every_n) AS samples
FROM ranked, (SELECT CAST(unnest(shares) AS DOUBLE) AS share)
WHERE upto_n >= share * every_n
GROUP BY site_id, level, share
ORDER BY site_id, level, share
