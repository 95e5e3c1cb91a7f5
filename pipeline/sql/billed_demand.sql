/*
title = "The month's demand as a meter bills it: greatest mean of any quarter hour, and a minimum"
[parameters]
interval_s = ["900", "s", "demand interval"]
contract_w = ["0", "W", "contract capacity, what if"]
minimum_share = ["0.85", "0..1", "billed at least: this share of the contract, or of the year's demand"]
price_per_kw = ["0", "money/kW", "demand charge a month, what if"]
least_valid = ["0.5", "0..1", "intervals measured for less than this share are left out"]
[columns]
site_id = ["", "site"]
month_utc = ["UTC", "first instant of the month"]
demand_w = ["W", "greatest mean of an interval"]
demand_utc = ["UTC", "start of that interval"]
mean_w = ["W", "mean of the intervals"]
load_factor = ["1", "mean over demand"]
intervals = ["1", "intervals counted"]
left_out = ["1", "intervals seen, but measured too little"]
billed_w = ["W", "demand, or the minimum where that is more"]
charge = ["money", "billed power times price"]
*/
WITH months AS (
    SELECT site_id, date_trunc('month', t0_utc) AS month_utc,
           max(mean_w) FILTER (valid_share >= least_valid) AS demand_w,
           arg_max(t0_utc, mean_w) FILTER (valid_share >= least_valid) AS demand_utc,
           avg(mean_w) FILTER (valid_share >= least_valid) AS mean_w,
           count(*) FILTER (valid_share >= least_valid) AS intervals,
           count(*) FILTER (valid_share < least_valid) AS left_out
    FROM poi_means(span_s := interval_s, least_valid := 0, from_utc := from_utc,
                   until_utc := until_utc, site := site)
    GROUP BY ALL
), floors AS (
    SELECT *, minimum_share * greatest(contract_w, max(demand_w) OVER (PARTITION BY site_id
        ORDER BY month_utc RANGE BETWEEN INTERVAL 11 MONTH PRECEDING AND CURRENT ROW)) AS least_w
    FROM months
)
SELECT site_id, month_utc, demand_w, demand_utc, mean_w, mean_w / nullif(demand_w, 0) AS load_factor,
       intervals, left_out, CASE WHEN demand_w IS NOT NULL THEN greatest(demand_w, least_w) END AS billed_w,
       CASE WHEN demand_w IS NOT NULL THEN greatest(demand_w, least_w) END / 1000 * price_per_kw AS charge
FROM floors
ORDER BY site_id, month_utc
