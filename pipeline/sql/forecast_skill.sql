/*
title = "How good the forecasts were: coverage, width, loss, and against raw persistence"
[parameters]
least_valid = ["0.5", "0..1", "intervals measured for less than this share have no outcome"]
[columns]
site_id = ["", "site"]
horizon_class = ["", "which horizon"]
horizon_s = ["s", "from issue to the end of the interval"]
method = ["", "how the forecasts were made"]
n = ["1", "forecasts with an outcome"]
coverage_90 = ["0..1", "outcomes between q05 and q95"]
coverage_50 = ["0..1", "outcomes between q25 and q75"]
width_90_w = ["W", "mean of q95 minus q05"]
mae_w = ["W", "mean absolute error of the median"]
bias_w = ["W", "mean of outcome minus median"]
crps_w = ["W", "mean loss over all quantiles"]
persistence_mae_w = ["W", "mean absolute error of the last known second"]
skill = ["1", "1 minus crps over persistence's error, where both are known"]
*/
SELECT site_id, horizon_class, horizon_s, method, count(*) AS n,
       avg(CAST(covered_90 AS INTEGER)) AS coverage_90,
       avg(CAST(covered_50 AS INTEGER)) AS coverage_50,
       avg(q95_w - q05_w) AS width_90_w, avg(abs(error_w)) AS mae_w, avg(error_w) AS bias_w,
       avg(crps_w) AS crps_w, avg(abs(outcome_w - last_w)) AS persistence_mae_w,
       1 - avg(crps_w) FILTER (last_w IS NOT NULL) / nullif(avg(abs(outcome_w - last_w)), 0) AS skill
FROM forecast_outcomes(least_valid := least_valid, from_utc := from_utc, until_utc := until_utc,
                       site := site)
GROUP BY ALL
ORDER BY site_id, horizon_s, horizon_class, method
