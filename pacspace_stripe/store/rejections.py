"""Meter events that Stripe rejected after it had accepted them, as its reports tell: kept for what they explain."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from pacspace_stripe.explain.rules.rejections import Rejection
from pacspace_stripe.store.database import Database, insert_once
from pacspace_stripe.store.tables import rejections
from pacspace_stripe.vocabulary.windows import Window

_ORDER = (rejections.c.starts_at, rejections.c.event_id, rejections.c.code)


class Rejections:
    """Rows are added and never changed: a report is told once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, found: Sequence[Rejection]) -> int:
        """Keep what is new; how many rows that is."""
        with self._database.writing() as connection:
            return sum(insert_once(connection, rejections, _row(one)) for one in found)

    def while_checked(self, window: Window) -> tuple[Rejection, ...]:
        """Return what Stripe rejected when it checked meter events in this time."""
        with self._database.reading() as connection:
            return overlapping(connection, window)

    def since(self, at: datetime | None) -> tuple[Rejection, ...]:
        """Return what was rejected since then, or at all; the oldest first."""
        query = sa.select(rejections.c.rejection).order_by(*_ORDER)
        with self._database.reading() as connection:
            rows = connection.execute(query if at is None else query.where(rejections.c.ends_at > at)).scalars()
            return tuple(map(Rejection.from_json, rows))


def overlapping(connection: sa.Connection, window: Window) -> tuple[Rejection, ...]:
    """Return what Stripe rejected when it checked meter events in this time, the oldest first."""
    query = (
        sa.select(rejections.c.rejection)
        .where(rejections.c.starts_at < window.end, rejections.c.ends_at > window.start)
        .order_by(*_ORDER)
    )
    return tuple(map(Rejection.from_json, connection.execute(query).scalars()))


def _row(rejection: Rejection) -> dict[str, object]:
    return {
        "event_id": rejection.event_id,
        "code": rejection.code,
        "starts_at": rejection.start,
        "ends_at": rejection.end,
        "rejection": rejection.as_json(),
    }
