"""
What can go wrong in this room; each text is one sentence: what, which, limit, next.

ReplayError
├── TraceError    a trace that cannot be used (exit 2)
├── PlanError     a plan of a simulation that cannot be used (exit 2)
├── FeedError     Kafka did not take or give what was asked (exit 1)
└── BrokerError   no broker to be had (exit 1)
"""

__all__ = ["BrokerError", "FeedError", "PlanError", "ReplayError", "TraceError"]


class ReplayError(Exception):
    """Anything this room refuses or fails at, in one sentence."""


class TraceError(ReplayError):
    """A trace that cannot be used."""


class PlanError(ReplayError):
    """A plan of a simulation that cannot be used."""


class FeedError(ReplayError):
    """Kafka did not take or give what was asked."""


class BrokerError(ReplayError):
    """No broker: what is missing and what to do."""
