"""What every test may ask for: array namespaces, a broker, and an honest count at the end."""

from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from replay.broker import Broker, BrokerError, open_broker

_SEEN = pytest.StashKey[SimpleNamespace]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the counts that `pytest_terminal_summary` prints."""
    config.stash[_SEEN] = SimpleNamespace(ran=0, skipped=0, broker="no broker was asked for")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever takes a broker is a `kafka` test; `gpu` tests are skipped where there is none."""
    for item in items:
        if {"broker", "own_broker"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("kafka")
        if item.get_closest_marker("gpu") and (reason := _no_cupy()):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Count `kafka` tests as they end."""
    report: Any = yield
    if item.get_closest_marker("kafka"):
        seen = item.config.stash[_SEEN]
        seen.skipped += report.skipped
        seen.ran += report.when == "call" and not report.skipped
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say how many `kafka` tests ran, and on what."""
    seen = config.stash[_SEEN]
    if seen.ran or seen.skipped:
        terminalreporter.write_line(
            f"kafka: {seen.ran} tests ran, {seen.skipped} skipped, on {seen.broker}"
        )


@pytest.fixture(scope="session")
def broker(pytestconfig: pytest.Config) -> Iterator[Broker]:
    """One broker for the whole session, started when first asked for. Do not kill it."""
    try:
        shared = open_broker()
    except BrokerError as error:
        pytest.fail(f"no broker: {error}", pytrace=False)
    with shared:
        pytestconfig.stash[_SEEN].broker = str(shared)
        yield shared


@pytest.fixture
def own_broker(broker: Broker) -> Iterator[Broker]:
    """Start a broker of the session's kind for one test alone, which may kill it."""
    if broker.kind == "external":
        pytest.skip(f"needs a broker it may kill; {broker} is not ours")
    with open_broker(broker.kind) as own:
        yield own


@pytest.fixture
def requires_real_kafka(broker: Broker) -> Broker:
    """Skip, with the reason, where only the mock cluster is to be had; else return the broker."""
    if broker.kind == "mock":
        pytest.skip(f"needs Apache Kafka: {broker.reason}")
    return broker


class _ReadOnlyNumPy:
    """NumPy with read-only arrays from `asarray`: finds who writes into its input."""

    __name__ = "numpy, read-only"

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def asarray(values: Any, **how: Any) -> np.ndarray:
        """Return a read-only copy."""
        array = np.array(values, **how)
        array.flags.writeable = False
        return array


@pytest.fixture(params=["numpy", "read-only", "strict", "cupy"])
def xp(request: pytest.FixtureRequest) -> Any:
    """Array namespaces that every operator must work on: `xp.asarray` makes its arrays."""
    if request.param == "read-only":
        return _ReadOnlyNumPy()
    if request.param == "strict":
        return pytest.importorskip("array_api_strict")
    if request.param == "cupy":
        if reason := _no_cupy():
            pytest.skip(reason)
        return pytest.importorskip("array_api_compat.cupy")
    return np


@cache
def _no_cupy() -> str:
    """Return why CuPy cannot be used here, or nothing."""
    try:
        import cupy as cp

        cp.asarray([1.0]).sum().item()
    except ImportError:
        return "cupy is not installed"
    except Exception as error:  # noqa: BLE001  a broken driver may raise anything
        return f"cupy does not work here: {type(error).__name__}"
    return ""
