"""Settings: one tree, unknown keys are errors, secrets stay secret."""

from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import Secret, Settings, explain, load
from pipeline.sites import topologies

SASL = {
    "LOCKSTEP__KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "LOCKSTEP__KAFKA__USERNAME": "reader",
    "LOCKSTEP__KAFKA__PASSWORD": "correct horse",
}


def written(folder: Path, text: str) -> Path:
    """Write a settings file."""
    path = folder / "lockstep.toml"
    path.write_text(text)
    return path


def test_defaults_stand_without_file_and_environment() -> None:
    """Nothing set: loopback, a session the broker accepts, no secrets."""
    settings = load()
    assert settings == Settings()
    assert settings.kafka.bootstrap.startswith("127.0.0.1:")
    assert settings.kafka.session_timeout_s >= 6


def test_the_environment_wins_over_the_file_and_the_specific_over_the_general(
    tmp_path: Path,
) -> None:
    """Order: defaults, file, KAFKA_BOOTSTRAP_SERVERS, LOCKSTEP__SECTION__KEY."""
    path = written(tmp_path, '[kafka]\nbootstrap = "file:1"\ngroup = "file"\n')
    assert load(path).kafka.bootstrap == "file:1"
    env = {"KAFKA_BOOTSTRAP_SERVERS": "plain:2", "LOCKSTEP__RUN__HEARTBEAT_S": "2.5"}
    settings = load(path, env)
    assert (settings.kafka.bootstrap, settings.kafka.group) == ("plain:2", "file")
    assert settings.run.heartbeat_s == 2.5
    assert load(path, {**env, "LOCKSTEP__KAFKA__BOOTSTRAP": "own:3"}).kafka.bootstrap == "own:3"


def test_the_key_without_a_section_can_come_from_the_environment() -> None:
    """`LOCKSTEP__DEVICE`."""
    assert load(env={"LOCKSTEP__DEVICE": "cpu"}).device == "cpu"


@pytest.mark.parametrize(
    ("text", "env", "said"),
    [
        ("[kafka]\nbotstrap = 'x'", {}, "kafka: Object contains unknown field `botstrap`"),
        ("[kafak]\n", {}, "Object contains unknown field `kafak`"),
        ("", {"LOCKSTEP__RUN__SPEED": "1"}, "run: Object contains unknown field `speed`"),
        ("[run]\nheartbeat_s = 'soon'", {}, "run.heartbeat_s: Expected `float`, got `str`"),
        ("[run]\nheartbeat_s = 0", {}, "run.heartbeat_s is 0.0; use more than 0"),
        ("[run]\nstop_s = 12", {}, "run.stop_s is 12.0; use more than 0 and at most 9"),
        (
            "[run]\nsnapshot_s = 3600",
            {},
            "run.snapshot_s is 3600.0; use more than 0 and at most 1200",
        ),
        (
            "[kafka]\nsession_timeout_s = 40",
            {},
            "kafka.session_timeout_s is 40.0 but request_timeout_s is 30.0; the request timeout",
        ),
        ("[kafka]\npassword = 'p'", {}, "kafka.password must not stand in a settings file"),
        (
            "[kafka]\nsecurity_protocol = 'SASL_SSL'",
            {},
            "SASL_SSL needs kafka.username and a password; set kafka.password_file",
        ),
        ("[kafka", {}, "mend the TOML"),
        ("", {"LOCKSTEP__DETECT__LAGS_S": "[1,"}, "LOCKSTEP__DETECT__LAGS_S: "),
    ],
)
def test_what_is_wrong_is_said_with_its_key(
    tmp_path: Path, text: str, env: dict[str, str], said: str
) -> None:
    """One sentence that names the key."""
    with pytest.raises(SettingsError) as caught:
        load(written(tmp_path, text), env)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    """And not a traceback."""
    with pytest.raises(SettingsError, match="No such file or directory; name a TOML file"):
        load(tmp_path / "none.toml")


def test_a_password_is_never_printed(tmp_path: Path) -> None:
    """Neither by repr nor by what `check` lists; `reveal` alone hands it out."""
    settings = load(env=SASL)
    shown = repr(settings) + "".join(f"{key}{value}" for key, value in explain(settings))
    assert "correct horse" not in shown
    assert settings.kafka.secret == Secret("correct horse")
    file = tmp_path / "secret"
    file.write_text("from a file\n")
    env = {**SASL, "LOCKSTEP__KAFKA__PASSWORD_FILE": str(file)}
    del env["LOCKSTEP__KAFKA__PASSWORD"]
    secret = load(env=env).kafka.secret
    assert secret is not None
    assert secret.reveal() == "from a file"


def test_login_reaches_both_kafka_clients() -> None:
    """kafka-python and Faust get the same user, mechanism and password."""
    from pipeline.admin import client_settings
    from pipeline.app import build

    kafka = load(env=SASL).kafka
    given = client_settings(kafka)
    assert Secret(given["sasl_plain_password"]) == kafka.secret
    assert given["sasl_mechanism"] == "SCRAM-SHA-512"
    login = build(kafka).conf.broker_credentials
    assert (login.username, login.password) == ("reader", "correct horse")
    assert login.mechanism.value == "SCRAM-SHA-512"
    assert login.protocol.value == "SASL_PLAINTEXT"


def test_tls_checks_the_brokers_certificate(tmp_path: Path) -> None:
    """The context verifies; a file that is no certificate is a sentence."""
    kafka = load(env={"LOCKSTEP__KAFKA__SECURITY_PROTOCOL": "SSL"}).kafka
    assert kafka.tls is not None
    assert kafka.tls.check_hostname
    file = tmp_path / "ca.pem"
    file.write_text("nonsense")
    env = {"LOCKSTEP__KAFKA__SECURITY_PROTOCOL": "SSL", "LOCKSTEP__KAFKA__CAFILE": str(file)}
    with pytest.raises(SettingsError, match=r"kafka\.cafile .* cannot be used"):
        load(env=env)


def test_site_files_are_read_by_site_id_and_a_site_stands_once(tmp_path: Path) -> None:
    """A folder without files, a bad file and a second file of one site are sentences."""
    settings = load(env={"LOCKSTEP__SITES__PATH": str(tmp_path)})
    with pytest.raises(SettingsError, match=r"holds no \*\.toml"):
        topologies(settings)
    text = """
    [site]
    id = "a"
    [[node]]
    id = "poi"
    level = "substation"
    [[channel]]
    id = "c"
    node_id = "poi"
    [[gateway]]
    id = "g"
    level = "substation"
    rate_hz = 10
    """
    (tmp_path / "a.toml").write_text(text)
    assert list(topologies(settings)) == ["a"]
    (tmp_path / "b.toml").write_text(text)
    with pytest.raises(SettingsError, match="site a has a file already"):
        topologies(settings)
    (tmp_path / "b.toml").write_text("[site]")
    with pytest.raises(SettingsError, match=r"b\.toml"):
        topologies(settings)
