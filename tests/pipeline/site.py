"""Small sites and streams for tests of the path, made by hand."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.detect import DetectSettings
from pipeline.device import choose
from pipeline.lane import Lane, LaneConfig, Message
from schemas.telemetry import ARROW, Slice, encode_arrow
from schemas.topics import TELEMETRY
from schemas.topology import Topology
from schemas.units import NS_PER_S, Rate

T0_NS = 1_767_225_600 * NS_PER_S
RATES = {"rack": 10, "pdu": 30, "substation": 50}


def topology(
    site_id: str = "t1", *, racks: int = 8, lateness_s: float = 0.0, nominal_v: float | None = None
) -> Topology:
    """Racks under two PDUs under a substation; every level metered, racks by two gateways."""
    half = racks // 2
    volts = f"nominal_v = {nominal_v}" if nominal_v else ""
    return Topology.parse(f"""
        [site]
        id = "{site_id}"
        authority_peak_w = 1e9
        [[node]]
        id = "poi"
        level = "substation"
        [[node]]
        id = "p{{n}}"
        level = "pdu"
        parent = "poi"
        count = 2
        [[node]]
        id = "a{{n:02d}}"
        level = "rack"
        parent = "p1"
        rating_w = 50e3
        count = {half}
        [[node]]
        id = "b{{n:02d}}"
        level = "rack"
        parent = "p2"
        rating_w = 50e3
        count = {half}
        [[channel]]
        id = "ca{{n:02d}}"
        node_id = "a{{n:02d}}"
        count = {half}
        [[channel]]
        id = "cb{{n:02d}}"
        node_id = "b{{n:02d}}"
        count = {half}
        [[channel]]
        id = "cp{{n}}"
        node_id = "p{{n}}"
        count = 2
        [[channel]]
        id = "cs"
        node_id = "poi"
        {volts}
        [[gateway]]
        id = "ga"
        level = "rack"
        channels = ["ca*"]
        rate_hz = {RATES["rack"]}
        lateness_s = {lateness_s}
        [[gateway]]
        id = "gb"
        level = "rack"
        channels = ["cb*"]
        rate_hz = {RATES["rack"]}
        lateness_s = {lateness_s}
        [[gateway]]
        id = "gp"
        level = "pdu"
        rate_hz = {RATES["pdu"]}
        [[gateway]]
        id = "gs"
        level = "substation"
        rate_hz = {RATES["substation"]}
    """)


def power(duration_s: int, *, racks: int = 8, seed: int = 0) -> dict[str, Any]:
    """
    Channels of every level, (channel, time) float32 W: 20 kW racks that fall by a half at 40 s.

    They recover at 70 s and swing at 1.3 Hz from 90 to 120 s.
    """
    rng = np.random.default_rng(seed)
    rate = 50 * 3
    t = np.arange(duration_s * rate) / rate
    common = np.where((t >= 40) & (t < 70), 0.5, 1.0)
    swing = np.where((t >= 90) & (t < 120), 0.03 * np.sin(2 * np.pi * 1.3 * t), 0.0)
    rows = 20e3 * (common + swing)[None, :] * np.ones((racks, 1))
    rack = rows[:, :: rate // 10] + rng.normal(0, 60, (racks, duration_s * 10))
    half = racks // 2
    pdu = np.stack([rows[:half].sum(axis=0), rows[half:].sum(axis=0)])[:, :: rate // 30]
    pdu = pdu + rng.normal(0, 100, pdu.shape)
    poi = rows.sum(axis=0, keepdims=True)[:, :: rate // 50]
    poi = poi + rng.normal(0, 150, poi.shape)
    parts = {"ga": rack[:half], "gb": rack[half:], "gp": pdu, "gs": poi}
    return {name: x.astype(np.float32) for name, x in parts.items()}


def gateway_slices(
    site: Topology, gateway_id: str, power_w: Any, piece_s: float, *, end: bool = True
) -> list[Slice]:
    """One gateway's messages, in order, with an end of stream."""
    gateway = site.gateway_by_id[gateway_id]
    names = tuple(c for c, owner in site.channel_gateway.items() if owner == gateway_id)
    rate = gateway.rate
    step = max(round(piece_s * rate.samples), 1)
    pieces = [
        Slice(
            site.site.id,
            gateway.level,
            gateway_id,
            seq,
            T0_NS + start * NS_PER_S // rate.samples,
            Rate(rate.samples),
            names,
            power_w[:, start : start + step],
        )
        for seq, start in enumerate(range(0, power_w.shape[1], step))
    ]
    if end:
        end_ns = T0_NS + power_w.shape[1] * NS_PER_S // rate.samples
        last = Slice(
            site.site.id, gateway.level, gateway_id, len(pieces), end_ns, Rate(rate.samples), (),
            np.zeros((0, 0), np.float32), True,
        )  # fmt: skip
        pieces.append(last)
    return pieces


def site_slices(site: Topology, parts: dict[str, Any], piece_s: float = 0.2) -> list[Slice]:
    """All gateways' messages in the order of their time."""
    pieces = [p for name, x in parts.items() for p in gateway_slices(site, name, x, piece_s)]
    return sorted(pieces, key=lambda p: (p.end, p.t0_ns))


def shuffled(pieces: Iterable[Slice], seed: int) -> list[Slice]:
    """Another interleaving: every gateway's own order is kept, as Kafka keeps it."""
    queues: dict[str, list[Slice]] = {}
    for piece in pieces:
        queues.setdefault(f"{piece.site_id}/{piece.gateway_id}", []).append(piece)
    rng, out = random.Random(seed), []
    while queues:
        name = rng.choice(sorted(queues))
        burst = rng.randint(1, 40)
        out += queues[name][:burst]
        queues[name] = queues[name][burst:]
        if not queues[name]:
            del queues[name]
    return out


def as_messages(pieces: Iterable[Slice]) -> list[Message]:
    """What Kafka would hand over, offsets counted per topic."""
    offsets: dict[str, int] = {}
    out = []
    for piece in pieces:
        topic = TELEMETRY[piece.level]
        offset = offsets.get(topic, 0)
        offsets[topic] = offset + 1
        out.append(Message(topic, 0, offset, encode_arrow(piece), ARROW))
    return out


def open_lane(archive: Path, *sites: Topology, writer: str = "live-p0of1", **more: Any) -> Lane:
    """A lane on the CPU with default detectors."""
    config = LaneConfig(
        archive=archive,
        writer=writer,
        topologies={site.site.id: site for site in sites},
        detect=DetectSettings(forecast_consent=True),
        **{"device": choose("cpu"), **more},
    )
    return Lane.open(config)
