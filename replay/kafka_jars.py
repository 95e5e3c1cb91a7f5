"""Apache Kafka's jars from Maven, fetched once and kept outside the work tree."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from replay.errors import BrokerError

__all__ = ["JAVA_AT_LEAST", "find_java", "installation", "server_properties"]

JAVA_AT_LEAST = 17
POM = Path(__file__).resolve().parent.parent / "docker" / "kafka" / "pom.xml"
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
"""Cluster id of the formatted template; every data directory gets one of its own."""

_FETCH_S = 300


def find_java() -> str:
    """
    Return the path of a Java runtime new enough for Kafka.

    Raises
    ------
    BrokerError
        No java, or one older than `JAVA_AT_LEAST`.
    """
    home = os.environ.get("JAVA_HOME", "")
    java = shutil.which(str(Path(home) / "bin" / "java")) if home else None
    java = java or shutil.which("java")
    if java is None:
        msg = f"no java on PATH; install a JDK {JAVA_AT_LEAST} or newer"
        raise BrokerError(msg)
    try:
        said = subprocess.run(
            [java, "-version"], capture_output=True, text=True, check=False, timeout=30
        ).stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"{java} does not run ({error}); install a JDK {JAVA_AT_LEAST} or newer"
        raise BrokerError(msg) from None
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    version = int(found[1]) if found else 0
    if version < JAVA_AT_LEAST:
        msg = f"{java} is version {version}; Kafka needs {JAVA_AT_LEAST} or newer"
        raise BrokerError(msg)
    return java


def installation(java: str) -> Path:
    """
    Return the folder with ``libs/`` and the formatted ``template/``, fetching it when needed.

    The folder is named by the pom's hash and made visible by one rename under a lock, so that
    two processes may ask at once.

    Raises
    ------
    BrokerError
        Neither cached nor to be fetched.
    """
    if not POM.is_file():
        msg = f"{POM.name} is not beside this installation; run from a clone of the repository"
        raise BrokerError(msg)
    key = hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lockstep"
    place = root / f"kafka-{key}"
    if place.is_dir():
        return place
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"kafka-{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.is_dir():
            with tempfile.TemporaryDirectory(dir=root, prefix="fetch-") as scratch:
                fresh = Path(scratch) / "kafka"
                _fetch(fresh)
                _format(java, fresh)
                fresh.rename(place)
    return place


def _fetch(fresh: Path) -> None:
    """Copy the pom's jars into ``fresh/libs``."""
    mvn = shutil.which("mvn")
    if mvn is None:
        msg = "Kafka's jars are not cached and there is no mvn on PATH; install Maven"
        raise BrokerError(msg)
    fresh.mkdir()
    pom = shutil.copy(POM, fresh / "pom.xml")
    command = [mvn, "-q", "-B", "-C", "-f", str(pom), "dependency:copy-dependencies"]
    command += [f"-DoutputDirectory={fresh / 'libs'}", "-DincludeScope=runtime"]
    _run(command, "Maven could not fetch Kafka's jars")


def _format(java: str, fresh: Path) -> None:
    """Format ``fresh/template`` once; data directories are copies, which saves a JVM start."""
    template = fresh / "template"
    template.mkdir()
    properties = fresh / "format.properties"
    properties.write_text(server_properties(template, port=9092, controller_port=9093))
    command = [java, "-cp", f"{fresh / 'libs'}/*", "kafka.tools.StorageTool", "format"]
    _run([*command, "-t", CLUSTER_ID, "-c", str(properties)], "Kafka could not format its storage")


def _run(command: list[str], what: str) -> None:
    """Run to the end; the last line said goes into the error."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=_FETCH_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"{what}: {error}"
        raise BrokerError(msg) from None
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        said = next((line for line in lines if "ERROR" in line), lines[-1] if lines else "")
        msg = f"{what}: {said[:300] or f'exit status {done.returncode}'}"
        raise BrokerError(msg)


def server_properties(log_dir: Path, *, port: int, controller_port: int) -> str:
    """
    Return the settings of a single-node KRaft broker on loopback.

    Short sessions make a killed broker and its consumers come back in seconds; topics are made by
    their owner, never by a typing mistake.
    """
    single = ["offsets.topic", "transaction.state.log", "share.coordinator.state.topic"]
    settings: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": log_dir,
        **{f"{topic}.replication.factor": 1 for topic in single},
        **{f"{topic}.num.partitions": 1 for topic in single},
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "auto.create.topics.enable": "false",
        "message.max.bytes": 4 << 20,
        "replica.fetch.max.bytes": 4 << 20,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
