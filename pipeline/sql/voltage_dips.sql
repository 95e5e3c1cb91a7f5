/*
title = "Voltage dips in which load was lost, and what a ride-through curve says of each"
[columns]
event_id = ["", "of the load loss"]
site_id = ["", "site"]
dip = ["1", "which of the event's dips, from 1"]
onset_ns = ["ns since 1970, UTC", "first sample below 0.9 pu"]
onset_utc = ["UTC", "the same"]
lasted_s = ["s", "until the first sample back; null: not yet"]
residual_pu = ["1", "lowest voltage over the nominal one"]
source = ["", "measured or signal"]
lost_w = ["W", "power before less power after"]
recovery_s = ["s", "from the dip's end until nine tenths of the power before the first are back"]
verdict = ["", "rode_through, recovered, permitted or violation"]
rule = ["", "the curve and its step"]
margin_s = ["s", "how far on the right side of the rule; negative: on the wrong one"]
*/
SELECT event_id, site_id, k AS dip, dips[k].onset_ns AS onset_ns,
       make_timestamp_ns(dips[k].onset_ns) AS onset_utc,
       (dips[k].end_ns - dips[k].onset_ns) / 1e9 AS lasted_s, dips[k].residual_pu AS residual_pu,
       dips[k].source AS source, dips[k].lost_w AS lost_w, dips[k].recovery_s AS recovery_s,
       dips[k].verdict AS verdict, dips[k].rule AS rule, dips[k].margin_s AS margin_s
FROM (
    SELECT event_id, site_id, dips, unnest(range(1, len(dips) + 1)) AS k
    FROM events
    WHERE kind = 'load_loss' AND merged_into IS NULL AND (site IS NULL OR site_id = site)
)
WHERE dips[k].onset_ns >= ns_since(from_utc) AND dips[k].onset_ns < ns_before(until_utc)
ORDER BY onset_ns, event_id
