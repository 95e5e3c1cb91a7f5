/*
title = "Each forecast of a grid connection beside what came"
[parameters]
least_valid = ["0.5", "0..1", "intervals measured for less than this share have no outcome"]
[columns]
site_id = ["", "site"]
horizon_class = ["", "which horizon"]
horizon_s = ["s", "from issue to the end of the interval"]
method = ["", "how the forecast was made"]
issued_ns = ["ns since 1970, UTC", "when it was made"]
issued_utc = ["UTC", "the same, readable"]
start_ns = ["ns since 1970, UTC", "start of the interval it speaks of"]
duration_s = ["s", "length of the interval"]
q05_w = ["W", "5 % quantile"]
q50_w = ["W", "median"]
q95_w = ["W", "95 % quantile"]
outcome_w = ["W", "mean power of the interval"]
error_w = ["W", "outcome minus median"]
covered_90 = ["", "whether the outcome lies between q05 and q95"]
covered_50 = ["", "whether it lies between q25 and q75"]
crps_w = ["W", "twice the mean pinball loss of the seven quantiles"]
last_w = ["W", "power of the last second before the data ended: raw persistence"]
*/
WITH asked AS (
    SELECT * FROM forecasts
    WHERE start_ns >= ns_since(from_utc) AND start_ns + duration_ns <= ns_before(until_utc)
      AND (site IS NULL OR site_id = site)
), seconds AS MATERIALIZED (
    FROM poi_seconds(from_utc := CAST(from_utc AS TIMESTAMP_NS) - INTERVAL 8 DAY,
                     until_utc := until_utc, site := site)
), came AS (
    SELECT site_id, t0_ns AS start_ns, 1000000000 AS duration_ns, mean_w AS outcome_w
    FROM seconds
    WHERE valid_share >= least_valid
    UNION ALL
    SELECT site_id, start_ns, duration_ns, sum(mean_w * valid_share) / sum(valid_share)
    FROM (SELECT *, unnest(range(start_ns, start_ns + duration_ns, 1000000000)) AS t0_ns
          FROM (SELECT DISTINCT site_id, start_ns, duration_ns FROM asked
                WHERE duration_ns <> 1000000000))
    JOIN seconds USING (site_id, t0_ns)
    GROUP BY ALL
    HAVING sum(valid_share) * 1e9 >= least_valid * duration_ns
)
SELECT site_id, horizon_class, (start_ns + duration_ns - issued_ns) / 1e9 AS horizon_s, method,
       issued_ns, issued_utc, start_ns, duration_ns / 1e9 AS duration_s, q05_w, q50_w, q95_w,
       outcome_w, outcome_w - q50_w AS error_w, outcome_w BETWEEN q05_w AND q95_w AS covered_90,
       outcome_w BETWEEN q25_w AND q75_w AS covered_50,
       2 * (greatest(0.05 * (outcome_w - q05_w), 0.95 * (q05_w - outcome_w))
          + greatest(0.10 * (outcome_w - q10_w), 0.90 * (q10_w - outcome_w))
          + greatest(0.25 * (outcome_w - q25_w), 0.75 * (q25_w - outcome_w))
          + greatest(0.50 * (outcome_w - q50_w), 0.50 * (q50_w - outcome_w))
          + greatest(0.75 * (outcome_w - q75_w), 0.25 * (q75_w - outcome_w))
          + greatest(0.90 * (outcome_w - q90_w), 0.10 * (q90_w - outcome_w))
          + greatest(0.95 * (outcome_w - q95_w), 0.05 * (q95_w - outcome_w))) / 7 AS crps_w,
       last.mean_w AS last_w
FROM asked
JOIN came USING (site_id, start_ns, duration_ns)
LEFT JOIN (SELECT site_id, mean_w, t0_ns + 1000000000 AS data_until_ns FROM seconds) AS last
    USING (site_id, data_until_ns)
