"""librdkafka's mock cluster: Kafka's protocol over TCP, in memory, from its wheel."""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

from replay.errors import BrokerError

__all__ = ["MockCluster"]

_PRODUCER = 0
_BROKER_ID = 1
_REBALANCE_DELAY_MS = 100
_SETTINGS = {
    b"test.mock.num.brokers": b"1",
    b"bootstrap.servers": b"mock",
    b"log_level": b"0",
}


class MockCluster:
    """
    One mock broker on a free loopback port, in threads of this process.

    It keeps 5 MiB a partition, makes unknown topics with 4 partitions, and knows no transactions,
    no compaction and no topic administration; `create_topics` here goes around the last.
    """

    def __init__(self) -> None:
        """Start it. Raises `BrokerError` where the wheel carries no mock cluster."""
        self._rd = _library()
        conf = self._call("rd_kafka_conf_new", ctypes.c_void_p)()
        why = ctypes.create_string_buffer(256)
        for name, value in _SETTINGS.items():
            self._call("rd_kafka_conf_set", ctypes.c_int)(
                ctypes.c_void_p(conf), name, value, why, ctypes.c_size_t(len(why))
            )
        self._client = self._call("rd_kafka_new", ctypes.c_void_p)(
            ctypes.c_int(_PRODUCER), ctypes.c_void_p(conf), why, ctypes.c_size_t(len(why))
        )
        if not self._client:
            msg = f"the mock cluster did not start: {why.value.decode()}"
            raise BrokerError(msg)
        self._cluster = ctypes.c_void_p(
            self._call("rd_kafka_handle_mock_cluster", ctypes.c_void_p)(
                ctypes.c_void_p(self._client)
            )
        )
        self._call("rd_kafka_mock_group_initial_rebalance_delay_ms", None)(
            self._cluster, ctypes.c_int32(_REBALANCE_DELAY_MS)
        )
        said = self._call("rd_kafka_mock_cluster_bootstraps", ctypes.c_char_p)(self._cluster)
        self.bootstrap: str = said.decode()
        """``host:port``."""

    def create_topics(self, topics: dict[str, int]) -> None:
        """Make topics (name → partitions); one that exists stays as it is."""
        create = self._call("rd_kafka_mock_topic_create", ctypes.c_int)
        for name, partitions in topics.items():
            create(self._cluster, name.encode(), ctypes.c_int(partitions), ctypes.c_int(1))

    def down(self) -> None:
        """Drop every connection and refuse new ones; the data stay."""
        self._call("rd_kafka_mock_broker_set_down", ctypes.c_int)(
            self._cluster, ctypes.c_int32(_BROKER_ID)
        )

    def up(self) -> None:
        """Accept connections again."""
        self._call("rd_kafka_mock_broker_set_up", ctypes.c_int)(
            self._cluster, ctypes.c_int32(_BROKER_ID)
        )

    def stop(self) -> None:
        """End it, and its data with it. A second call does nothing."""
        if self._client:
            self._call("rd_kafka_destroy", None)(ctypes.c_void_p(self._client))
            self._client = None

    def _call(self, name: str, result: Any) -> Callable[..., Any]:
        function = getattr(self._rd, name)
        function.restype = result
        return function


def _library() -> ctypes.CDLL:
    """Return the librdkafka that the wheel carries."""
    try:
        import confluent_kafka  # noqa: PLC0415  loaded only where the mock is really wanted
    except ImportError:
        msg = "confluent-kafka is not installed, so there is no mock cluster; run make setup"
        raise BrokerError(msg) from None
    package = Path(confluent_kafka.__file__).parent
    found = [
        *package.parent.glob("confluent_kafka.libs/librdkafka*"),
        *package.glob(".dylibs/lib*"),
    ]
    for path in found:
        library = ctypes.CDLL(str(path))
        if hasattr(library, "rd_kafka_handle_mock_cluster"):
            return library
    msg = (
        f"confluent-kafka at {package} carries no librdkafka with a mock cluster; install its wheel"
    )
    raise BrokerError(msg)
