"""A store and a clock for deliveries of alerts."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import Store
from tests.support.alert_receivers import opened, wall_clock


@pytest.fixture
def clock() -> ManualClock:
    """A clock that begins now: the library that verifies signatures uses wall time."""
    return ManualClock(wall_clock())


@pytest.fixture
def store(database_url: str, clock: ManualClock) -> Iterator[Store]:
    with closing(opened(database_url, clock.now)) as made:
        yield made


@pytest.fixture
def sqlite_store(sqlite_url: str, clock: ManualClock) -> Iterator[Store]:
    with closing(opened(sqlite_url, clock.now)) as made:
        yield made
