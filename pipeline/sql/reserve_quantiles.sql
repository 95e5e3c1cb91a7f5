/*
title = "Reserve that movement asks for: quantiles of 5-minute changes, and of forecast errors"
[parameters]
span_s = ["300", "s", "span that means are taken over"]
low = ["0.025", "0..1", "quantile downwards"]
high = ["0.975", "0..1", "quantile upwards"]
least_valid = ["0.5", "0..1", "spans measured for less than this share are left out"]
[columns]
site_id = ["", "site"]
basis = ["", "movement (span to span), or forecast error (outcome minus median)"]
horizon_s = ["s", "span, or the forecast's horizon"]
down_w = ["W", "low quantile: power fell or came short by this much"]
up_w = ["W", "high quantile"]
n = ["1", "changes or forecasts counted"]
*/
WITH means AS (
    SELECT site_id, mean_w, t0_ns // in_ns(span_s) AS k
    FROM poi_means(span_s := span_s, least_valid := least_valid, from_utc := from_utc,
                   until_utc := until_utc, site := site)
), moves AS (
    SELECT site_id, 'movement' AS basis, CAST(span_s AS DOUBLE) AS horizon_s,
           CASE WHEN k - lag(k) OVER way = 1 THEN mean_w - lag(mean_w) OVER way END AS move_w
    FROM means
    WINDOW way AS (PARTITION BY site_id ORDER BY k)
    UNION ALL
    SELECT site_id, 'forecast error', horizon_s, error_w
    FROM forecast_outcomes(least_valid := least_valid, from_utc := from_utc,
                           until_utc := until_utc, site := site)
)
SELECT site_id, basis, horizon_s, quantile_cont(move_w, low) AS down_w,
       quantile_cont(move_w, high) AS up_w, count(move_w) AS n
FROM moves
WHERE move_w IS NOT NULL
GROUP BY ALL
ORDER BY site_id, basis DESC, horizon_s
