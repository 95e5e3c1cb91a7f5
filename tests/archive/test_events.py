"""Views of events, evidence and site files against plain Python."""

from __future__ import annotations

import numpy as np
import pytest

from tests.archive.dense import close
from tests.archive.fleet import BEGIN, MONTH, OWN, PDUS, POST_S, PRE_S, SITES, ns


def _latest(truth) -> list[dict]:
    """Newest row of each event, merged ones left out."""
    newest: dict[str, dict] = {}
    for row in truth.events:
        if row["updated_ns"] >= newest.get(row["event_id"], row)["updated_ns"]:
            newest[row["event_id"]] = row
    return [row for row in newest.values() if row["merged_into"] is None]


@pytest.mark.parametrize(("site", "n"), [("NULL", 12), ("'b-2'", 5), ("NULL", 1000)])
def test_top_ramps(ask, truth, site, n) -> None:
    """Largest moves of the newest states, of either sign, merged events left out."""
    ramps = [r for r in _latest(truth) if r["kind"] != "oscillation"]
    if site != "NULL":
        ramps = [r for r in ramps if r["site_id"] == site.strip("'")]
    ramps = sorted(ramps, key=lambda r: -abs(r["depth_w"]))[:n]
    names = ("event_id", "kind", "state", "onset_ns", "depth_w", "duration_s", "synchrony")
    assert {np.sign(row["depth_w"]) for row in ramps} == {-1, 1}
    expected = [{name: row[name] for name in names} for row in ramps]
    close(ask(f"FROM top_ramps(n := {n}, site := {site})"), expected)


def test_voltage_dips(ask, truth) -> None:
    """Every dip of the newest states of load losses, a row each, in order of time."""
    same = ("residual_pu", "source", "lost_w", "recovery_s", "verdict", "rule", "margin_s")
    expected = [
        {
            "event_id": row["event_id"], "site_id": row["site_id"], "dip": n + 1,
            "onset_ns": dip["onset_ns"],
            "lasted_s": dip["end_ns"] and (dip["end_ns"] - dip["onset_ns"]) / 1e9,
            **{name: dip[name] for name in same},
        }
        for row in _latest(truth) if row["kind"] == "load_loss"
        for n, dip in enumerate(row["dips"])
    ]  # fmt: skip
    expected.sort(key=lambda row: (row["onset_ns"], row["event_id"]))
    assert {row["dip"] for row in expected} >= {1, 2}
    close(ask("FROM voltage_dips"), expected)


def test_oscillation_history(ask, truth) -> None:
    """Each oscillation with its length and the channel that swung most."""
    expected = []
    for row in sorted(_latest(truth), key=lambda r: (r["onset_ns"], r["event_id"])):
        if row["kind"] != "oscillation":
            continue
        parts = row["contributors"] or []
        parts = [part for part in parts if part["channel_id"] != OWN] or parts
        most = max(parts, key=lambda part: part["amplitude_w"], default=None)
        whole_w = sum(part["amplitude_w"] for part in parts)
        expected.append(
            {
                "event_id": row["event_id"], "freq_hz": row["freq_hz"],
                "amplitude_w": row["amplitude_w"], "damping_ratio": row["damping_ratio"],
                "lasted_s": ((row["closed_ns"] or row["updated_ns"]) - row["onset_ns"]) / 1e9,
                "contributors": len(parts), "largest_channel": most and most["channel_id"],
                "largest_share": most and most["amplitude_w"] / whole_w,
            }
        )  # fmt: skip
    assert {row["contributors"] for row in expected} >= {0, 1, 2}
    assert OWN in {row["largest_channel"] for row in expected}
    close(ask("FROM oscillation_history"), expected)


def test_steep_windows(ask, truth) -> None:
    """Windows in order of their steepest second, a fall as a negative number."""
    t = np.arange(7200)
    up, down = (t * 7919) % 1000 * 1e3, (t * 104729) % 1000 * 1e3
    rows = [(site, int(k)) for s, site in enumerate(SITES) for k in np.flatnonzero(truth.there[s])]
    rows.sort(key=lambda row: (-max(up[row[1]], down[row[1]]), row[1], row[0]))
    expected = [
        {
            "site_id": site,
            "t0_ns": ns(k),
            "steepest_w_per_s": up[k] if up[k] >= down[k] else -down[k],
        }
        for site, k in rows[:40]
    ]
    assert {np.sign(row["steepest_w_per_s"]) for row in expected} == {-1, 1}
    close(ask("FROM steep_windows(n := 40)"), expected)


def _span_ns(truth, row) -> tuple[int, int]:
    newest_ns = max(block["end_ns"] for block in truth.blocks)
    end_ns = row["closed_ns"] + int(POST_S * 1e9) if row["closed_ns"] else newest_ns
    return row["onset_ns"] - int(PRE_S * 1e9), end_ns


def test_event_spans(ask, truth) -> None:
    """From pre_s before the onset to post_s after the close; open ones to the newest sample."""
    rows = sorted(_latest(truth), key=lambda r: r["event_id"])
    spans = [_span_ns(truth, row) for row in rows]
    expected = [
        {"event_id": row["event_id"], "begin_ns": begin_ns, "stop_ns": stop_ns}
        for row, (begin_ns, stop_ns) in zip(rows, spans, strict=True)
    ]
    close(ask("FROM event_spans ORDER BY event_id"), expected)


def test_evidence(ask, truth) -> None:
    """Each event beside each block that overlaps it."""
    expected = [
        {
            "event_id": row["event_id"],
            "channel_id": b["channel_id"],
            "t0_ns": b["t0_ns"],
            "n": b["n"],
        }
        for row in _latest(truth)
        for b in truth.blocks
        if b["site_id"] == row["site_id"]
        and b["end_ns"] > _span_ns(truth, row)[0]
        and b["t0_ns"] < _span_ns(truth, row)[1]
    ]
    expected.sort(key=lambda r: (r["event_id"], r["channel_id"], r["t0_ns"]))
    close(ask("FROM evidence ORDER BY event_id, channel_id, t0_ns"), expected)


def test_samples(ask, truth) -> None:
    """Every sample of the archive at its time; a span cuts them to the sample."""
    expected = [
        {"site_id": site, "channel_id": channel, "t_ns": t, "power_w": None if np.isnan(w) else w}
        for (site, channel), (times_ns, power_w) in sorted(truth.raw_w.items())
        for t, w in zip(times_ns.tolist(), power_w.tolist(), strict=True)
    ]
    close(ask("FROM samples ORDER BY site_id, channel_id, t_ns LIMIT 60000"), expected[:60000])
    begin_ns, end_ns = ns(2000) + 150_000_000, ns(2100)
    span = "from_utc := make_timestamp_ns({}), until_utc := make_timestamp_ns({})"
    some = [s for s in expected if begin_ns <= s["t_ns"] < end_ns and s["site_id"] == "b-2"]
    given = f"{span.format(begin_ns, end_ns)}, site := 'b-2'"
    close(ask(f"FROM samples({given}) ORDER BY site_id, channel_id, t_ns"), some)


def test_event_evidence(ask, truth) -> None:
    """Channels whose blocks overlap the event, from pre to post; an event without shows so."""
    expected = []
    for row in sorted(_latest(truth), key=lambda r: (r["onset_ns"], r["event_id"])):
        begin_ns, end_ns = _span_ns(truth, row)
        base = {"event_id": row["event_id"], "kind": row["kind"], "closed_ns": row["closed_ns"]}
        found = []
        for channel in ("r.p", "s.p", "slow"):
            hits = [
                b
                for b in truth.blocks
                if (b["site_id"], b["channel_id"]) == (row["site_id"], channel)
                and b["end_ns"] > begin_ns
                and b["t0_ns"] < end_ns
            ]
            if hits:
                first_ns, last_ns = hits[0]["t0_ns"], hits[-1]["end_ns"]
                whole_ns = sum(b["end_ns"] - b["t0_ns"] for b in hits)
                found.append(
                    {
                        **base, "channel_id": channel, "blocks": len(hits),
                        "samples": sum(b["n"] for b in hits), "from_ns": first_ns,
                        "until_ns": last_ns, "gaps_s": (last_ns - first_ns - whole_ns) / 1e9,
                        "rate_hz": hits[0]["rate_hz"],
                    }
                )  # fmt: skip
        expected += found or [{**base, "channel_id": None, "blocks": 0, "samples": 0}]
    assert max(row["blocks"] for row in expected) > 1
    close(ask("FROM event_evidence"), expected)
    one = next(row for row in expected if row["blocks"])["event_id"]
    mine = [row for row in expected if row["event_id"] == one]
    close(ask(f"FROM event_evidence(event := '{one}')"), mine)


def _samples(truth, row) -> list[dict]:
    """Samples of all blocks that overlap an event."""
    begin_ns, end_ns = _span_ns(truth, row)
    found = []
    for block in truth.blocks:
        inside = block["end_ns"] > begin_ns and block["t0_ns"] < end_ns
        if block["site_id"] == row["site_id"] and inside:
            times_ns, power_w = truth.raw_w[row["site_id"], block["channel_id"]]
            pick = (times_ns >= block["t0_ns"]) & (times_ns < block["end_ns"])
            assert pick.sum() == block["n"]
            found += [
                {"channel_id": block["channel_id"], "t_ns": t, "power_w": None if w != w else w}  # noqa: PLR0124
                for t, w in zip(times_ns[pick].tolist(), power_w[pick].tolist(), strict=True)
            ]
    return sorted(found, key=lambda sample: (sample["channel_id"], sample["t_ns"]))


def test_event_waveform(ask, truth) -> None:
    """Every sample of the overlapping blocks: of codes, of floats, of slow channels."""
    seen = set()
    for row in _latest(truth):
        expected = _samples(truth, row)
        seen |= {sample["channel_id"] for sample in expected}
        if expected:
            close(ask(f"FROM event_waveform('{row['event_id']}')"), expected)
        for channel in {sample["channel_id"] for sample in expected} - {"r.p"}:
            mine = [sample for sample in expected if sample["channel_id"] == channel]
            close(ask(f"FROM event_waveform('{row['event_id']}', channel := '{channel}')"), mine)
    assert seen == {"r.p", "s.p", "slow"}
    assert ask("FROM event_waveform('nothing')") == []


@pytest.mark.parametrize("site", ["NULL", "'c-3'"])
def test_sample_quantiles(ask, truth, site) -> None:
    """The least sample that so many do not exceed, over codes, floats and slow channels alike."""
    shares = [0.0, 0.1, 0.5, 0.77, 1.0]
    expected = []
    for name in SITES if site == "NULL" else [site.strip("'")]:
        every = np.concatenate([w for (of, _), (_, w) in truth.raw_w.items() if of == name])
        known = every[np.isfinite(every)].astype(float)
        cuts = np.quantile(known, shares, method="inverted_cdf")
        expected += [
            {"site_id": name, "level": "rack", "share": q, "power_w": w, "samples": len(known)}
            for q, w in zip(shares, cuts, strict=True)
        ]
    close(ask(f"FROM sample_quantiles(shares := {shares}, site := {site})"), expected)


def test_site_nodes(ask, truth) -> None:
    """Each site file's nodes with their channels, and until when it was valid."""
    expected = []
    for site in SITES:
        for k, (begin, end) in enumerate(((BEGIN, MONTH), (MONTH, None))):
            dates = {"valid_from_ns": ns(begin), "valid_until_ns": end and ns(end)}
            expected.append(
                {"site_id": site, "node_id": "poi", "parent": None, "channels": [OWN], **dates}
            )
            for p in range(PDUS + k):
                channels = [f"pdu-{p}.{part}" for part in "ab"] if p < PDUS else []
                expected.append(
                    {"node_id": f"pdu-{p}", "parent": "poi", "channels": channels, **dates}
                )
    close(ask("FROM site_nodes"), expected)
