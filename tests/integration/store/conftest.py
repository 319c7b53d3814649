"""A clock and a store: over a new database (``empty``), or over the emptied database of a module (``store``)."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import Store
from pacspace_stripe.store.tables import metadata
from tests.support.stores import LOST_AFTER, START, evidence_unguarded, normal


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def empty(database_url: str, clock: ManualClock) -> Iterator[Store]:
    """A store over an empty database."""
    made = Store(normal(database_url), now=clock.now, lost_after=LOST_AFTER)
    yield made
    made.close()


@pytest.fixture
def store(module_database_url: str, clock: ManualClock) -> Iterator[Store]:
    """A store over our emptied tables, in one database per module."""
    made = Store(normal(module_database_url), now=clock.now, lost_after=LOST_AFTER)
    made.migrate()
    with made.engine.begin() as connection, evidence_unguarded(connection):
        for table in metadata.tables.values():
            connection.execute(sa.delete(table))
    yield made
    made.close()
