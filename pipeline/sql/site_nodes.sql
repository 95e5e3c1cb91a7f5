/*
title = "Racks, PDUs and substations of each site, as they were and are: the dimension of all tables"
span = false
[parameters]
site = ["NULL", "", "one site_id; NULL: all"]
[columns]
site_id = ["", "site"]
node_id = ["", "node"]
level = ["", "rack, pdu or substation"]
parent = ["", "node above; null at the grid connection"]
rating_w = ["W", "rated power"]
cohorts = ["", "groups that do the same work"]
channels = ["", "metering points at the node"]
authority = ["", "balancing authority of the site"]
valid_from_ns = ["ns since 1970, UTC", "end of the first frame computed with this site file"]
valid_until_ns = ["ns since 1970, UTC", "the next site file's; null: still valid"]
*/
WITH files AS (
    SELECT *, lead(valid_from_ns) OVER (PARTITION BY site_id ORDER BY valid_from_ns) AS valid_until_ns
    FROM topologies
    WHERE site IS NULL OR site_id = site
), listed AS (
    SELECT site_id, authority, channels, valid_from_ns, valid_until_ns, unnest(nodes) AS node
    FROM files
)
SELECT site_id, node.node_id, node.level, node.parent, node.rating_w, node.cohorts,
       list_transform(list_filter(channels, lambda c: c.node_id = node.node_id),
                      lambda c: c.channel_id) AS channels,
       authority, valid_from_ns, valid_until_ns
FROM listed
ORDER BY site_id, valid_from_ns, list_position(['substation', 'pdu', 'rack'], node.level), node.node_id
