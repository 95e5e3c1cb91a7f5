"""What Faust and aiokafka are told; the measurements are in docs/operating.md."""

from __future__ import annotations

import os
import socket
from typing import Any

from pipeline.settings import Kafka

__all__ = ["faust_settings"]

REQUEST_MAX_BYTES = 4 << 20
BUFFERED_MESSAGES = 16
"""Per agent and per poll: bytes are what matters, and the lanes' inboxes count them."""


def faust_settings(kafka: Kafka) -> dict[str, Any]:
    """Keyword arguments of ``faust.App``, less the two that are objects of Faust's own."""
    return {
        "store": "memory://",
        "autodiscover": False,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "web_enabled": False,
        "web_bind": "127.0.0.1",
        "processing_guarantee": "at_least_once",
        "worker_redirect_stdouts": False,
        "stream_wait_empty": False,
        "stream_recovery_delay": 0.0,
        "stream_buffer_maxsize": BUFFERED_MESSAGES,
        "broker_client_id": f"lockstep-{socket.gethostname()}-{os.getpid()}",
        "broker_session_timeout": kafka.session_timeout_s,
        "broker_heartbeat_interval": kafka.session_timeout_s / 5,
        "broker_request_timeout": kafka.request_timeout_s,
        "broker_rebalance_timeout": max(30.0, 2 * kafka.session_timeout_s),
        "broker_max_poll_interval": 300.0,
        "broker_max_poll_records": BUFFERED_MESSAGES,
        "broker_commit_interval": 1.0,
        "consumer_auto_offset_reset": "earliest",
        "consumer_max_fetch_size": kafka.fetch_max_bytes,
        "producer_linger": kafka.linger_s,
        "producer_max_batch_size": 1 << 20,
        "producer_max_request_size": REQUEST_MAX_BYTES,
        "producer_request_timeout": kafka.request_timeout_s,
        "producer_acks": -1,
    }
