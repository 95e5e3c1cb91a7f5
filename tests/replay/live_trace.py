"""A small trace of several sites for tests on a real broker: events early, a minute and a half."""

from __future__ import annotations

from pathlib import Path

from pipeline.commits import newest_commit
from replay.live import contents
from replay.plan import Oscillation, Plan, Ramp, Site
from replay.simulate import simulate
from replay.source import Trace, open_trace

DURATION_S = 90


def several_sites(folder: Path, sites: int = 5) -> Trace:
    """Sites with 12 racks each and a metered substation; a fall, its recovery, an oscillation."""
    plan = Plan(
        t0="2026-03-03T14:00:00Z",
        duration_s=DURATION_S,
        site=tuple(
            Site(
                id=f"s{n}",
                pdus=2,
                racks_per_pdu=6,
                rack_gateways=2,
                substation_hz=30,
                ramp=(Ramp(onset_s=30.0 + n, depth=-0.12, recovers_s=50.0 + n),),
                oscillation=(
                    Oscillation(
                        onset_s=60.0, duration_s=28.0, freq_hz=1.1 + 0.2 * n, amplitude=0.02
                    ),
                ),
            )
            for n in range(sites)
        ),
    )
    simulate(folder, plan, seed=11)
    return open_trace(folder)


def assert_same(root: Path, here: dict[str, list[str]]) -> None:
    """An archive holds these rows bit for bit, and no others; says in few lines what differs."""
    found = contents(root)
    for table, rows in here.items():
        lost, more = sorted(set(rows) - set(found[table])), sorted(set(found[table]) - set(rows))
        first = "\n".join(side[0][:2000] for side in (lost, more) if side)
        writers = [path.name.partition("=")[2] for path in (root / "live").glob("writer=*")]
        idle = [commit.idle for name in writers if (commit := newest_commit(root, name))]
        differ = lost or more
        assert not differ, (
            f"{table}: {len(lost)} rows are lost, {len(more)} are others; idle: {idle}\n{first}"
        )
    same = found == here
    assert same, "the same rows, but in another order or twice"
