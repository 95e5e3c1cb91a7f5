"""Fixtures that several tests of the path take."""

from __future__ import annotations

import pytest

from tests.pipeline import site as sites
from tests.pipeline.lanes import eventful


@pytest.fixture(scope="module")
def site():
    """The usual site."""
    return sites.topology()


@pytest.fixture(scope="module")
def stream(site):
    """Its eventful minute as messages."""
    return sites.as_messages(sites.site_slices(site, eventful()))
