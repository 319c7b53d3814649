"""Stored explanations of drifts, and the rejected meter events that explain some of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any

import sqlalchemy as sa

from pacspace_stripe.explain.rules.explanation import Explanation
from pacspace_stripe.explain.rules.rejections import Rejection, checked_while
from pacspace_stripe.store.database import Database, insert_once
from pacspace_stripe.store.tables import explanations, rejections
from pacspace_stripe.vocabulary.windows import Window

_MOST_IDS = 500
"""Ids in one query: SQLite takes no more than some thousands."""
_IN_ORDER = (rejections.c.starts_at, rejections.c.event_id, rejections.c.code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """The explanation of one job's drift, with the fingerprint of the figures that it explains."""

    fingerprint: str
    explanations: tuple[Explanation, ...]
    """One for each window that drifted."""
    made_at: datetime


class Explanations:
    """Rows of ``pacspace_explanations``, kept so that each drift is explained once.

    They prove nothing: verdicts depend on the figures alone.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, job_id: str, fingerprint: str, found: Iterable[Explanation]) -> None:
        """Store the explanation of a job's drift, replacing that of an earlier drift."""
        document = [explanation.as_json() for explanation in found]
        values = {"fingerprint": fingerprint, "document": document, "made_at": self._database.now()}
        with self._database.writing() as connection:
            if not insert_once(connection, explanations, {"job_id": job_id, **values}):
                statement = sa.update(explanations).where(explanations.c.job_id == job_id)
                connection.execute(statement.values(**values))

    def fingerprint_of(self, job_id: str) -> str | None:
        """Return the fingerprint of the figures that were explained last, or None."""
        query = sa.select(explanations.c.fingerprint).where(explanations.c.job_id == job_id)
        with self._database.reading() as connection:
            return connection.execute(query).scalar()

    def find(self, job_id: str) -> Explained | None:
        """Return the last explanation of one job, or None."""
        return self.of([job_id]).get(job_id)

    def of(self, job_ids: Iterable[str]) -> dict[str, Explained]:
        """Return the last explanation of each of these jobs that has one."""
        ids, found = list(job_ids), dict[str, Explained]()
        with self._database.reading() as connection:
            for first in range(0, len(ids), _MOST_IDS):
                some = explanations.c.job_id.in_(ids[first : first + _MOST_IDS])
                rows = connection.execute(sa.select(explanations).where(some))
                # Added at each read: Stripe may report a rejection after the drift was explained.
                rejected = cache(partial(_overlapping, connection))
                found |= {row.job_id: _explained(row, rejected) for row in rows}
        return found


def _explained(row: Any, rejected: Callable[[Window], tuple[Rejection, ...]]) -> Explained:  # noqa: ANN401 - a row
    stored = tuple(Explanation.from_json(each) for each in row.document)
    complete = tuple(each.with_rejections(rejected(checked_while(each.window))) for each in stored)
    return Explained(fingerprint=row.fingerprint, explanations=complete, made_at=row.made_at)


class Rejections:
    """Rows of ``pacspace_rejections``: meter events that Stripe rejected after it had accepted them.

    Rows are added and never changed, because Stripe reports each rejection once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, found: Sequence[Rejection]) -> int:
        """Store rejections, and return how many are new."""
        rows = [
            {
                "event_id": one.event_id,
                "code": one.code,
                "starts_at": one.start,
                "ends_at": one.end,
                "rejection": one.as_json(),
            }
            for one in found
        ]
        with self._database.writing() as connection:
            return sum(insert_once(connection, rejections, row) for row in rows)

    def while_checked(self, window: Window) -> tuple[Rejection, ...]:
        """Return what Stripe rejected when it checked meter events in this window, the oldest first."""
        with self._database.reading() as connection:
            return _overlapping(connection, window)

    def since(self, at: datetime | None) -> tuple[Rejection, ...]:
        """Return what was rejected since a time, or ever if None, the oldest first."""
        query = sa.select(rejections.c.rejection).order_by(*_IN_ORDER)
        with self._database.reading() as connection:
            rows = connection.execute(query if at is None else query.where(rejections.c.ends_at > at)).scalars()
            return tuple(map(Rejection.from_json, rows))


def _overlapping(connection: sa.Connection, window: Window) -> tuple[Rejection, ...]:
    overlaps = (rejections.c.starts_at < window.end, rejections.c.ends_at > window.start)
    query = sa.select(rejections.c.rejection).where(*overlaps).order_by(*_IN_ORDER)
    return tuple(map(Rejection.from_json, connection.execute(query).scalars()))
