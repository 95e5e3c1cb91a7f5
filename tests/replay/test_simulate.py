"""What `replay.simulate` promises: one seed, the same bytes, and a truth that is in the data."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from replay.errors import PlanError
from replay.plan import Job, Oscillation, Plan, Ramp, Site
from replay.simulate import default_plan, load_plan, simulate
from replay.source import Trace, open_trace
from schemas.telemetry import MAX_BYTES, encode_arrow
from schemas.units import NS_PER_S

TRACES = Path(__file__).parents[2] / "replay" / "traces"


def _plan(duration_s: int = 20, **site: Any) -> Plan:
    fields = {"pdus": 2, "racks_per_pdu": 5, "rack_noise_w": 0.0, "substation_noise_w": 0.0}
    return Plan(site=(Site(**{**fields, **site}),), duration_s=duration_s)


def _made(tmp_path: Path, plan: Plan, seed: int = 3) -> Trace:
    simulate(tmp_path, plan, seed)
    return open_trace(tmp_path)


def _level_w(trace: Trace, level: str, site_id: str | None = None) -> np.ndarray:
    """All samples of a level, (channel, time) float64."""
    rows: dict[str, list[np.ndarray]] = {}
    for piece in trace.slices():
        if piece.level == level and not piece.end and site_id in (None, piece.site_id):
            rows.setdefault(piece.gateway_id, []).append(piece.power_w)
    return np.concatenate([np.concatenate(r, axis=1) for r in rows.values()]).astype(float)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    """All three files; several sites are drawn apart."""
    plan = default_plan(sites=2, racks=40, duration_s=60)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulate(tmp_path / name, plan, seed)
    files = sorted(file.name for file in (tmp_path / "a").iterdir())
    assert files == [
        "topology-campus-1.toml",
        "topology-campus-2.toml",
        "trace.parquet",
        "truth.json",
    ]
    for name in files:
        one, two = ((tmp_path / run / name).read_bytes() for run in "ab")
        assert one == two, name
    assert (tmp_path / "c" / files[2]).read_bytes() != (tmp_path / "a" / files[2]).read_bytes()
    trace = open_trace(tmp_path / "a")
    assert trace.sites == ("campus-1", "campus-2")
    first, second = (_level_w(trace, "rack", site) for site in trace.sites)
    assert not np.allclose(first, second, rtol=1e-3)


def test_the_shipped_demo_is_what_its_plan_and_seed_make(tmp_path: Path) -> None:
    """`replay simulate … --plan plan.toml --seed 7` writes it again (to a float's last bit)."""
    shipped = TRACES / "demo"
    simulate(tmp_path, load_plan(shipped / "plan.toml"), 7)
    for name in ("topology.toml", "truth.json"):
        assert (tmp_path / name).read_bytes() == (shipped / name).read_bytes()
    ours, theirs = open_trace(tmp_path), open_trace(shipped)
    for a, b in zip(ours.slices(), theirs.slices(), strict=True):
        assert a.power_w.shape == b.power_w.shape
        assert np.allclose(a.power_w, b.power_w, rtol=3e-7, atol=0)
        assert (a.gateway_id, a.seq, a.t0_ns, a.end) == (b.gateway_id, b.seq, b.t0_ns, b.end)


def test_the_shipped_demo_keeps_what_the_demo_needs() -> None:
    """300 s, 48 racks; quiet for 120 s; ramps 25 s apart and none inside an oscillation."""
    trace = open_trace(TRACES / "demo")
    assert (trace.duration_s, trace.channels, trace.t0_ns % NS_PER_S) == (300.0, 49, 0)
    assert trace.truth is not None
    onset_s = [(one.onset_ns - trace.t0_ns) / NS_PER_S for one in trace.truth]
    end_s = [(one.end_ns - trace.t0_ns) / NS_PER_S for one in trace.truth]
    kinds = [one.kind for one in trace.truth]
    assert kinds == ["synchronized_ramp", "synchronized_ramp", "oscillation", "ramp"]
    assert onset_s[0] > 120
    assert all(a - b >= 25 for a, b in zip(onset_s[1:], end_s[:-1], strict=True))
    assert sum(file.stat().st_size for file in (TRACES / "demo").iterdir()) < 4 << 20
    assert sum(file.stat().st_size for file in TRACES.rglob("*") if file.is_file()) <= 5_000_000


@pytest.mark.parametrize("synchronized", [True, False])
def test_a_ramp_has_exactly_its_depth_and_times(tmp_path: Path, synchronized: bool) -> None:
    """With and without the ramp: the difference is 0 before, the depth after, back when it ends."""
    ramp = Ramp(onset_s=5.0, depth=-0.1, duration_s=2.0, synchronized=synchronized, recovers_s=12.0)
    quiet = _level_w(_made(tmp_path / "quiet", _plan()), "substation")[0]
    trace = _made(tmp_path / "ramp", _plan(ramp=(ramp,)))
    moved_w = _level_w(trace, "substation")[0] - quiet
    assert trace.truth is not None
    fall, rise = trace.truth
    assert fall.depth_w == pytest.approx(-0.1 * 10 * 80e3)
    assert rise.depth_w == -fall.depth_w
    assert (fall.onset_ns - trace.t0_ns, fall.end_ns - fall.onset_ns) == (
        5 * NS_PER_S,
        2 * NS_PER_S,
    )
    assert fall.kind == ("synchronized_ramp" if synchronized else "ramp")
    t_s = np.arange(600) / 30
    assert np.abs(moved_w[(t_s <= 5) | (t_s >= 14)]).max() < 1
    assert np.allclose(moved_w[(t_s >= 7) & (t_s <= 12)], fall.depth_w, atol=1)
    assert np.diff(moved_w[(t_s >= 5) & (t_s <= 7)]).max() < 1
    half_s = t_s[np.argmax(moved_w < fall.depth_w / 2)]
    assert 5.5 < half_s < 6.6


def test_synchronized_racks_move_together_and_others_one_by_one(tmp_path: Path) -> None:
    """Half-points within the jitter, or spread over the whole ramp."""
    spread_s = {}
    for synchronized in (True, False):
        ramp = Ramp(onset_s=5.0, depth=-0.1, duration_s=4.0, racks=1.0, synchronized=synchronized)
        quiet = _level_w(_made(tmp_path / "quiet", _plan()), "rack")
        moved_w = _level_w(_made(tmp_path / "ramp", _plan(ramp=(ramp,))), "rack") - quiet
        half = np.argmax(moved_w < 0.5 * moved_w[:, -1:], axis=1) / 10
        spread_s[synchronized] = half.max() - half.min()
    assert spread_s[True] <= 0.2
    assert spread_s[False] > 3.0


def test_an_oscillation_has_its_frequency_amplitude_and_length(tmp_path: Path) -> None:
    """Measured where it stands fully: 1.4 Hz, 2 % of the site; nothing before and after."""
    swing = Oscillation(onset_s=4.0, duration_s=14.0, freq_hz=1.4, amplitude=0.02, growth_s=2.0)
    quiet = _level_w(_made(tmp_path / "quiet", _plan()), "substation")[0]
    trace = _made(tmp_path / "swing", _plan(oscillation=(swing,)))
    moved_w = _level_w(trace, "substation")[0] - quiet
    assert trace.truth is not None
    (truth,) = trace.truth
    assert (truth.freq_hz, truth.amplitude_w, truth.node_id) == (1.4, 16e3, "poi")
    whole = moved_w[6 * 30 : 16 * 30]
    line = np.abs(np.exp(-2j * np.pi * 1.4 * np.arange(len(whole)) / 30) @ whole) * 2 / len(whole)
    assert line == pytest.approx(truth.amplitude_w, rel=0.01)
    assert np.abs(np.r_[moved_w[: 4 * 30], moved_w[18 * 30 :]]).max() < 1


def test_meters_of_all_levels_tell_one_story(tmp_path: Path) -> None:
    """At the racks' instants PDUs and substation are the racks' sum; between, they are between."""
    plan = _plan(
        pdu_hz=100,
        substation_hz=1000,
        pdu_noise_w=0.0,
        duration_s=8,
        rack_gateways=3,
        ramp=(Ramp(onset_s=3.0, depth=0.1, racks=0.5),),
        job=(Job(racks=3, start_s=2.0),),
        oscillation=(Oscillation(onset_s=1.0, duration_s=5.0, freq_hz=0.7, amplitude=0.01),),
    )
    trace = _made(tmp_path, plan)
    racks_w, pdus_w, poi_w = (_level_w(trace, level) for level in ("rack", "pdu", "substation"))
    assert (racks_w.shape, pdus_w.shape, poi_w.shape) == ((10, 80), (2, 800), (1, 8000))
    assert np.allclose(racks_w.reshape(2, 5, 80).sum(axis=1), pdus_w[:, ::10], atol=0.1)
    assert np.allclose(pdus_w.sum(axis=0), poi_w[0, ::10], atol=0.1)
    assert trace.topologies["campus"].levels == ("rack", "pdu", "substation")


def test_noise_is_as_loud_as_planned(tmp_path: Path) -> None:
    """The substation's meter adds what the plan says, and nothing to the racks."""
    quiet = _made(tmp_path / "quiet", _plan(100))
    noisy = _made(tmp_path / "noisy", _plan(100, substation_noise_w=500.0))
    noise_w = (_level_w(noisy, "substation") - _level_w(quiet, "substation"))[0]
    assert noise_w.std() == pytest.approx(500, rel=0.05)
    assert np.array_equal(_level_w(noisy, "rack"), _level_w(quiet, "rack"))


def test_a_job_starts_checkpoints_fails_recovers_and_stops(tmp_path: Path) -> None:
    """Each change is in the truth and in the power; so is the iteration, as an oscillation."""
    job = Job(
        racks=5,
        start_s=10.0,
        stop_s=100.0,
        period_s=2.0,
        checkpoint_every_s=30.0,
        checkpoint_s=5.0,
        fault_at_s=60.0,
        fault_s=10.0,
    )
    trace = _made(tmp_path, _plan(120, job=(job,)))
    assert trace.truth is not None
    told = [
        (one.kind, (one.onset_ns - trace.t0_ns) / NS_PER_S, (one.depth_w or 0) > 0)
        for one in trace.truth
    ]
    ramps = [(at, up) for kind, at, up in told if kind == "synchronized_ramp"]
    # The checkpoint at 70 s would meet the recovery from the fault at 70 s: it is left out.
    assert ramps == [(10, True), (40, False), (45, True), (60, False), (70, True), (100, False)]
    swing = next(one for one in trace.truth if one.kind == "oscillation")
    assert (swing.freq_hz, swing.node_id) == (0.5, "pdu-1")
    assert swing.end_ns - trace.t0_ns == 100 * NS_PER_S
    racks_w = _level_w(trace, "rack")[:5].sum(axis=0)

    def mean(a: int, b: int) -> float:
        return racks_w[a * 10 : b * 10].mean()

    assert mean(0, 10) == pytest.approx(5 * 30e3, rel=0.02)
    assert mean(12, 38) == pytest.approx(5 * 92.5e3, rel=0.03)
    assert mean(41, 45) == pytest.approx(5 * 45e3, rel=0.1)
    assert mean(61, 70) == pytest.approx(5 * 30e3, rel=0.02)
    assert mean(102, 120) == pytest.approx(5 * 30e3, rel=0.02)
    assert trace.topologies["campus"].node_by_id["rack-01"].cohorts == ("job-1",)
    iteration = racks_w[120:380] - racks_w[120:380].mean()
    freq_hz = np.fft.rfftfreq(260, 0.1)[np.abs(np.fft.rfft(iteration)).argmax()]
    assert freq_hz == pytest.approx(0.5, abs=0.05)


def test_inference_racks_are_real_power_scaled_and_not_in_step(tmp_path: Path) -> None:
    """Mean as planned, heavier tails than noise, and no rack the shadow of another."""
    racks_w = _level_w(_made(tmp_path, _plan(120, pdus=4)), "rack")
    assert racks_w.mean() == pytest.approx(80e3, rel=0.05)
    z = (racks_w - racks_w.mean(axis=1, keepdims=True)) / racks_w.std(axis=1, keepdims=True)
    assert (z**4).mean() > 4
    apart = np.corrcoef(racks_w)[~np.eye(20, dtype=bool)]
    assert np.abs(apart).max() < 0.5


def test_an_event_of_one_pdu_is_an_event_of_that_pdu(tmp_path: Path) -> None:
    """Its truth names the lowest node that holds what moved."""
    trace = _made(tmp_path, _plan(ramp=(Ramp(onset_s=5.0, depth=0.05, pdu=2, racks=1.0),)))
    assert trace.truth is not None
    assert trace.truth[0].node_id == "pdu-2"
    assert trace.truth[0].channels == tuple(f"rack-{n:02d}" for n in range(6, 11))


def test_slices_can_be_cut_fine_and_a_message_stays_below_its_limit(tmp_path: Path) -> None:
    """``slice_s`` 0.2: five messages a second a gateway; 10,000 racks fit into one."""
    plan = msgspec.structs.replace(_plan(3), slice_s=0.2)
    slices = [s for s in _made(tmp_path, plan).slices() if not s.end]
    assert len(slices) == 3 * 5 * 2
    assert [s.seq for s in slices if s.level == "rack"] == list(range(15))
    big = _made(tmp_path, _plan(2, pdus=500, racks_per_pdu=20))
    assert max(len(encode_arrow(s)) for s in big.slices()) < MAX_BYTES


def test_the_default_campus_has_ramps_an_oscillation_and_a_job() -> None:
    """What `replay simulate FOLDER` writes without a plan."""
    (site,) = default_plan().site
    assert (len(site.ramp), len(site.oscillation), len(site.job), site.racks) == (2, 1, 1, 200)
    assert len(default_plan(duration_s=86_400).site[0].ramp) == 2 * 144


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (Plan(site=()), "0 sites"),
        (Plan(site=(Site(), Site())), "each with an id of its own"),
        (_plan(1), "duration_s is 1"),
        (Plan(site=(Site(),), t0="yesterday"), "t0 is 'yesterday'"),
        (Plan(site=(Site(),), t0="2026-03-03T14:00:00.5Z"), "a whole UTC second"),
        (Plan(site=(Site(),), slice_s=0.3), "slice_s is 0.3"),
        (_plan(pdus=0), "pdus, racks_per_pdu"),
        (_plan(substation_hz=9000), "a rate is 9000 Hz"),
        (_plan(job=(Job(racks=11),)), "jobs take 11 racks of 10"),
        (_plan(job=(Job(racks=0),)), "a job has racks 0"),
        (_plan(ramp=(Ramp(onset_s=19.5, depth=0.1),)), "ends at 20.3 s; the trace lasts 20 s"),
        (_plan(ramp=(Ramp(onset_s=5, depth=-0.9),)), "take more racks or less depth"),
        (_plan(ramp=(Ramp(onset_s=5, depth=-0.1, pdu=3),)), "a PDU of 1-2"),
        (_plan(id="my site"), "must match"),
    ],
)
def test_a_plan_that_cannot_be_simulated_is_refused(tmp_path: Path, plan: Plan, words: str) -> None:
    """One sentence, and nothing is written."""
    with pytest.raises(PlanError) as refusal:
        simulate(tmp_path / "out", plan)
    assert words in str(refusal.value)
    assert not (tmp_path / "out").exists()


def test_a_plan_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    """A misspelt key never passes in silence."""
    (tmp_path / "plan.toml").write_text("[[site]]\npudus = 3\n")
    with pytest.raises(PlanError, match=r"unknown field `pudus` - at `\$\.site\[0\]`"):
        load_plan(tmp_path / "plan.toml")
