"""
Every setting: one frozen tree from a TOML file and the environment; unknown keys are errors.

Later wins: built-in defaults, ``--settings FILE``, ``KAFKA_BOOTSTRAP_SERVERS``, and
``LOCKSTEP__SECTION__KEY`` (``LOCKSTEP__DEVICE`` for the one key without a section). Secrets come
from the environment or from a file of their own and are never printed.
"""

from __future__ import annotations

import ssl
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from pipeline.detect import DetectSettings
from pipeline.errors import SettingsError
from pipeline.evidence_state import EvidenceSettings

__all__ = [
    "Archive",
    "Kafka",
    "Run",
    "Secret",
    "Settings",
    "Sites",
    "explain",
    "load",
]

PREFIX = "LOCKSTEP__"
BOOTSTRAP = "KAFKA_BOOTSTRAP_SERVERS"
_LOOPBACK = "127.0.0.1:9092"


class Secret:
    """A password: given out by `reveal` alone, shown as ``***`` by everything that prints."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Hand out the text, for a client's argument and nothing else."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class Kafka(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[kafka]``: where the broker is, who we are there, how to log in."""

    bootstrap: str = _LOOPBACK
    """``host:port``, several with commas."""
    group: str = "lockstep"
    """Consumer group; all workers of one deployment share it."""
    partitions: int = 4
    """What `topics create` makes; the running worker takes what it finds."""
    replication: int = 1
    """Copies of each partition that `topics create` asks for."""
    session_timeout_s: float = 10.0
    """How long a silent worker keeps its partitions; brokers refuse less than 6 by default."""
    request_timeout_s: float = 30.0
    """How long one request may take; more than the session timeout."""
    start_timeout_s: float = 30.0
    """How long to wait for a broker at start."""
    linger_s: float = 0.01
    """How long an outgoing message waits for company."""
    fetch_max_bytes: int = 4 << 20
    """Most bytes of one partition in one fetch; at least the largest message."""
    api_version: str | None = None
    """Broker version the admin client is told instead of asking, e.g. ``2.3``."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str | None = None
    password: Secret | None = None
    """From the environment only."""
    password_file: Path | None = None
    """A file that holds the password and nothing else."""
    cafile: Path | None = None
    """PEM file of the authority that signed the broker's certificate; absent: the system's."""

    @property
    def secret(self) -> Secret | None:
        """The password, wherever it is kept."""
        if self.password is not None or self.password_file is None:
            return self.password
        try:
            return Secret(self.password_file.read_text().strip())
        except (OSError, UnicodeDecodeError) as error:
            msg = f"kafka.password_file {self.password_file} cannot be read ({error}); mend it"
            raise SettingsError(msg) from error

    @property
    def tls(self) -> ssl.SSLContext | None:
        """TLS with the server's certificate checked, where the protocol asks for it."""
        if not self.security_protocol.endswith("SSL"):
            return None
        try:
            return ssl.create_default_context(cafile=self.cafile)
        except (OSError, ssl.SSLError) as error:
            msg = f"kafka.cafile {self.cafile} cannot be used ({error}); name a PEM file"
            raise SettingsError(msg) from error


class Archive(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[archive]``: where it is, and how it is kept small and fast."""

    path: Path = Path("archive")
    compact_every_s: float = 30.0
    """Wall time between two steps of compaction; 0: somebody else runs ``archive compact``."""
    keep_commits: int = 60
    """Newest commits of each writer that are never sealed."""
    grace_s: float = 600.0
    """How long a session goes on after what it reads was sealed; at least its longest query."""
    retain: dict[str, float] = {}
    """Kind of row to days it stays, by event time; a kind that is not named stays for ever."""


class Sites(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[sites]``: a folder of topology files, one ``*.toml`` a site."""

    path: Path = Path("sites")


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[run]``: how the worker paces itself."""

    heartbeat_s: float = 60.0
    """Wall time between heartbeat lines."""
    snapshot_s: float = 60.0
    """Grid time between snapshots of the state."""
    idle_s: float = 5.0
    """A gateway that sent nothing of use for this long may be idle; see ADR 0004."""
    stop_s: float = 8.0
    """After SIGTERM, how long the last commit may take before the process ends without it."""
    inbox_max_bytes: int = 64 << 20
    """Unread bytes a lane keeps per topic before that topic's reading pauses."""
    status: Path | None = None
    """A small JSON file rewritten at every heartbeat."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole tree."""

    kafka: Kafka = Kafka()
    archive: Archive = Archive()
    sites: Sites = Sites()
    device: str = "auto"
    """``auto``, ``cpu`` or ``cuda:N``."""
    threads: int = 0
    """Threads that share the rows of a frame on a CPU; 0: its processors, at most four."""
    detect: DetectSettings = DetectSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    run: Run = Run()


def load(path: Path | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """
    Read settings and check them.

    Parameters
    ----------
    path : Path, optional
        TOML file; without it the defaults.
    env : mapping, optional
        The environment; only ``KAFKA_BOOTSTRAP_SERVERS`` and ``LOCKSTEP__…`` are read.

    Raises
    ------
    SettingsError
        One sentence that names the key.
    """
    raw = _read(path)
    if path is not None and "password" in raw.get("kafka", {}):
        msg = (
            f"{path}: kafka.password must not stand in a settings file; "
            f"use password_file or {PREFIX}KAFKA__PASSWORD"
        )
        raise SettingsError(msg)
    for section, key, text in _from(env or {}):
        raw.setdefault(section, {})
        if key is None:
            raw[section] = text
        elif isinstance(raw[section], dict):
            raw[section][key] = text
    try:
        settings = msgspec.convert(raw, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        where = f"{path}: " if path else ""
        msg = f"{where}{_named(str(error))}"
        raise SettingsError(msg) from error
    _check(settings)
    return settings


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        msg = f"settings {path}: {error.strerror}; name a TOML file"
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"settings {path}: {error}; mend the TOML"
    raise SettingsError(msg)


def _from(env: Mapping[str, str]) -> Iterator[tuple[str, str | None, Any]]:
    if BOOTSTRAP in env:
        yield "kafka", "bootstrap", env[BOOTSTRAP]
    for name in sorted(env):
        if not name.startswith(PREFIX):
            continue
        section, _, key = name[len(PREFIX) :].lower().partition("__")
        text = env[name]
        try:
            value: Any = msgspec.json.decode(text) if text[:1] in "[{" and text else text
        except msgspec.DecodeError as error:
            msg = f"{name}: {error}; write a JSON list, or plain text"
            raise SettingsError(msg) from error
        yield section, key or None, value


def _decode(kind: type, value: Any) -> Any:
    if kind is Secret:
        return Secret(str(value))
    if kind is Path:
        return Path(str(value)).expanduser()
    raise NotImplementedError


def _named(text: str) -> str:
    """Turn ``… - at `$.kafka.group``` into ``kafka.group: …``."""
    what, _, where = text.partition(" - at `$")
    key = where.rstrip("`").lstrip(".")
    return f"{key}: {what}" if key else what


def _check(settings: Settings) -> None:
    kafka, run = settings.kafka, settings.run
    positive = {
        "kafka.partitions": kafka.partitions,
        "kafka.replication": kafka.replication,
        "kafka.session_timeout_s": kafka.session_timeout_s,
        "kafka.start_timeout_s": kafka.start_timeout_s,
        "kafka.fetch_max_bytes": kafka.fetch_max_bytes,
        "archive.keep_commits": settings.archive.keep_commits,
        "run.heartbeat_s": run.heartbeat_s,
        "run.inbox_max_bytes": run.inbox_max_bytes,
    }
    for key, value in positive.items():
        if not value > 0:
            msg = f"{key} is {value}; use more than 0"
            raise SettingsError(msg)
    if settings.threads < 0:
        msg = f"threads is {settings.threads}; use 1 or more, or 0 for the processors there are"
        raise SettingsError(msg)
    if not kafka.session_timeout_s < kafka.request_timeout_s:
        msg = (
            f"kafka.session_timeout_s is {kafka.session_timeout_s} but request_timeout_s is "
            f"{kafka.request_timeout_s}; the request timeout must be the longer one"
        )
        raise SettingsError(msg)
    for key, value, most, why in (
        ("run.stop_s", run.stop_s, 9, "the process has 10 s"),
        ("run.snapshot_s", run.snapshot_s, 1200, "what a takeover obeys is on record for an hour"),
    ):
        if not 0 < value <= most:
            msg = f"{key} is {value}; use more than 0 and at most {most}, {why}"
            raise SettingsError(msg)
    if kafka.security_protocol.startswith("SASL") and (not kafka.username or kafka.secret is None):
        msg = (
            f"kafka.security_protocol {kafka.security_protocol} needs kafka.username and a "
            "password; set kafka.password_file"
        )
        raise SettingsError(msg)
    _ = kafka.tls


def explain(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every key and its value as text, secrets as ``***``; what `check` and the docs list."""
    for section in settings.__struct_fields__:
        value = getattr(settings, section)
        if not isinstance(value, msgspec.Struct):
            yield section, str(value)
            continue
        for key in value.__struct_fields__:
            yield f"{section}.{key}", str(getattr(value, key))
