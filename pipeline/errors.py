"""
What can go wrong on purpose: every text is one sentence saying what, which, limit, next.

::

    LockstepError            1  failed
    ├── UsageError           2  the command line or the settings are wrong
    │   └── SettingsError    2  a settings file, an environment variable, a site file
    ├── CheckError           3  `check` found a problem
    ├── DeviceError          1  the device asked for does not work
    ├── ArchiveError         1  the archive could not be read (`pipeline.archive`)
    │   └── QueryError       1  a query was refused or failed
    ├── EventError           1  an event cannot be exported (`pipeline.event_export`)
    └── KafkaError           1  the broker, its topics or the group
        ├── Unreachable      1  no broker answers
        ├── TopicsError      1  a topic is missing or not co-partitioned
        └── JoinError        1  the consumer group refuses us

`pipeline.commits` adds its own (``Fenced`` and friends): another owner took our place.
"""

from typing import ClassVar

__all__ = [
    "CheckError",
    "DeviceError",
    "JoinError",
    "KafkaError",
    "LockstepError",
    "SettingsError",
    "TopicsError",
    "Unreachable",
    "UsageError",
    "sentence",
]

MAX_SENTENCE = 400


class LockstepError(Exception):
    """Anything a person is told in one sentence before the process ends."""

    exit_code: ClassVar[int] = 1


class UsageError(LockstepError):
    """The command was asked for something it cannot understand."""

    exit_code = 2


class SettingsError(UsageError):
    """Settings that cannot be used; the text names the key."""


class CheckError(LockstepError):
    """`check` found a problem."""

    exit_code = 3


class DeviceError(LockstepError):
    """The device asked for does not work; the text gives the reason."""


class KafkaError(LockstepError):
    """Something between us and the broker that waiting does not mend."""


class Unreachable(KafkaError):
    """No broker answered within the time given."""


class TopicsError(KafkaError):
    """A topic is missing, or the telemetry topics are not co-partitioned."""


class JoinError(KafkaError):
    """The consumer group does not take us in."""


def sentence(error: BaseException) -> str:
    """One line for standard error: our own words, or the class and what it said."""
    own = isinstance(error, LockstepError)
    text = " ".join(str(error).split()) or type(error).__name__
    if not own and type(error).__name__ not in text:
        text = f"{type(error).__name__}: {text}"
    return text if len(text) <= MAX_SENTENCE else text[: MAX_SENTENCE - 1] + "…"
