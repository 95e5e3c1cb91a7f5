"""One Apache Kafka node in KRaft mode, as a child process on loopback."""

import base64
import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from replay.child import start_child
from replay.errors import BrokerError
from replay.kafka_jars import CLUSTER_ID, find_java, installation, server_properties

__all__ = ["KafkaServer", "create_topics"]

_READY_S = 60
_STOP_S = 15
_HEAP = ["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC"]
_LOG4J = """\
Configuration:
  Appenders:
    Console: {name: OUT, target: SYSTEM_OUT, PatternLayout: {pattern: "%d %p %m (%c)%n%throwable"}}
  Loggers:
    Root: {level: INFO, AppenderRef: {ref: OUT}}
"""


class KafkaServer:
    """
    A real broker: up when an admin client has connected.

    Parameters
    ----------
    data_dir : Path, optional
        Formatted when empty, reused (cluster id and all) when not. Default: temporary.
    port : int
        Client port; 0 takes a free one. It is kept over `down` and `up`.
    """

    def __init__(self, data_dir: Path | None = None, *, port: int = 0) -> None:
        """Start it. Raises `BrokerError` where it cannot."""
        self._java = find_java()
        self._home = installation(self._java)
        self._scratch = None if data_dir else tempfile.mkdtemp(prefix="lockstep-kafka-")
        self._dir = Path(data_dir or self._scratch or "").resolve()
        self._process: subprocess.Popen[Any] | None = None
        try:
            self._port, controller_port = _free_ports(port)
            self.bootstrap = f"127.0.0.1:{self._port}"
            self._prepare(controller_port)
            self.up()
        except BaseException:
            self.stop()
            raise

    @property
    def log_path(self) -> Path:
        """What the broker says."""
        return self._dir / "server.log"

    def _prepare(self, controller_port: int) -> None:
        """Write the settings, and format the data folder when it is new."""
        logs = self._dir / "logs"
        if not logs.exists():
            fresh = self._dir / "logs.new"
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(self._home / "template", fresh)
            meta = fresh / "meta.properties"
            lines = [line for line in meta.read_text().splitlines() if "directory.id" not in line]
            text = "\n".join([*lines, f"directory.id={_random_id()}", ""])
            meta.write_text(text.replace(CLUSTER_ID, _random_id()))
            fresh.rename(logs)
        settings = server_properties(logs, port=self._port, controller_port=controller_port)
        (self._dir / "server.properties").write_text(settings)
        (self._dir / "log4j2.yaml").write_text(_LOG4J)

    def up(self) -> None:
        """Start the process and wait until an admin client connects."""
        if self._process:
            return
        command = [self._java, *_HEAP, f"-Dlog4j2.configurationFile={self._dir / 'log4j2.yaml'}"]
        command += ["-cp", f"{self._home / 'libs'}/*", "kafka.Kafka"]
        with self.log_path.open("ab") as log:
            self._process = start_child(
                [*command, str(self._dir / "server.properties")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is for us, who then stop it
            )
        deadline = time.monotonic() + _READY_S
        while not _answers(self._port):
            status = self._process.poll()
            if status is not None or time.monotonic() > deadline:
                said = f"ended with status {status}" if status is not None else "is not ready"
                self.down()
                msg = f"Kafka {said} ({self._last_error()}); read {self.log_path}"
                raise BrokerError(msg)
            time.sleep(0.05)

    def down(self) -> None:
        """End it with SIGKILL."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def create_topics(self, topics: dict[str, int]) -> None:
        """Make topics (name → partitions); one that exists stays as it is."""
        create_topics(self.bootstrap, topics)

    def stop(self) -> None:
        """End it: orderly where the data are kept, at once where they go."""
        if self._process and not self._scratch:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
        self.down()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _last_error(self) -> str:
        """Return the last line of the log that complains."""
        lines = self.log_path.read_text(errors="replace").splitlines()
        bad = [line for line in lines if "ERROR" in line or "Exception" in line]
        return (bad or lines or ["no log"])[-1][:200]


def create_topics(bootstrap: str, topics: dict[str, int]) -> None:
    """
    Make topics (name → partitions) on a real broker; one that exists stays as it is.

    Returns when the broker tells all of them to a client that asks.
    """
    from kafka import KafkaAdminClient  # noqa: PLC0415  slow to import, unneeded to find a broker
    from kafka.admin import NewTopic  # noqa: PLC0415
    from kafka.errors import TopicAlreadyExistsError  # noqa: PLC0415

    admin = KafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    try:
        for name, partitions in topics.items():
            with contextlib.suppress(TopicAlreadyExistsError):
                admin.create_topics([NewTopic(name, partitions, 1)])
        deadline = time.monotonic() + _READY_S
        while missing := set(topics) - set(admin.list_topics()):
            if time.monotonic() > deadline:
                msg = f"topic {min(missing)} was made but is not seen after {_READY_S:g} s"
                raise BrokerError(msg)
            time.sleep(0.05)
    finally:
        admin.close()


def _random_id() -> str:
    """Return a Kafka UUID: 22 letters of URL-safe base64, not beginning with a dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def _free_ports(port: int) -> tuple[int, int]:
    """Return ``port`` (a free one for 0) and another free port of loopback."""
    with socket.socket() as first, socket.socket() as second:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            first.bind(("127.0.0.1", port))
        except OSError:
            msg = f"port {port} is taken; stop what listens there or choose another port"
            raise BrokerError(msg) from None
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def _answers(port: int) -> bool:
    """Tell whether an admin client gets the broker to describe its cluster."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
    except OSError:
        return False
    from kafka import KafkaAdminClient  # noqa: PLC0415
    from kafka.errors import KafkaError  # noqa: PLC0415

    try:
        admin = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}")
    except KafkaError:
        return False
    try:
        return bool(admin.describe_cluster()["brokers"])
    except KafkaError:
        return False
    finally:
        admin.close()
