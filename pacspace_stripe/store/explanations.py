"""What drifts come from, as last found out: one row per job, in their JSON form."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any

import sqlalchemy as sa

from pacspace_stripe.explain.rules.explanation import Explanation
from pacspace_stripe.explain.rules.rejections import Rejection, checked_while
from pacspace_stripe.store.database import Database, insert_once
from pacspace_stripe.store.rejections import overlapping
from pacspace_stripe.store.tables import explanations
from pacspace_stripe.vocabulary.windows import Window

_AT_ONCE = 500
"""Names in one query: SQLite takes no more than some thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One job's drift, explained."""

    fingerprint: str
    """Of the figures that were explained."""
    explanations: tuple[Explanation, ...]
    """One for each window that drifted."""
    made_at: datetime


class Explanations:
    """Kept so that the same drift is explained once. What they say proves nothing: the figures decide."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, job_id: str, fingerprint: str, found: Iterable[Explanation]) -> None:
        """Keep what the job's drift comes from, in the place of what an earlier one came from."""
        document = [explanation.as_json() for explanation in found]
        values = {"fingerprint": fingerprint, "document": document, "made_at": self._database.now()}
        with self._database.writing() as connection:
            if not insert_once(connection, explanations, {"job_id": job_id, **values}):
                own = explanations.c.job_id == job_id
                connection.execute(sa.update(explanations).where(own).values(**values))

    def fingerprint_of(self, job_id: str) -> str | None:
        """Which figures were explained last; None when none were."""
        query = sa.select(explanations.c.fingerprint).where(explanations.c.job_id == job_id)
        with self._database.reading() as connection:
            return connection.execute(query).scalar()

    def find(self, job_id: str) -> Explained | None:
        """The last explanation of one job."""
        return self.of([job_id]).get(job_id)

    def of(self, job_ids: Iterable[str]) -> dict[str, Explained]:
        """The last explanation of each of these jobs that has one."""
        names, found = list(job_ids), dict[str, Explained]()
        with self._database.reading() as connection:
            for first in range(0, len(names), _AT_ONCE):
                some = explanations.c.job_id.in_(names[first : first + _AT_ONCE])
                rows = connection.execute(sa.select(explanations).where(some))
                # Stripe may have told of what it rejected after the drift was explained.
                rejected = cache(partial(overlapping, connection))
                found |= {row.job_id: _explained(row, rejected) for row in rows}
        return found


def _explained(row: Any, rejected: Callable[[Window], tuple[Rejection, ...]]) -> Explained:  # noqa: ANN401 - SQLAlchemy's row
    kept = tuple(Explanation.from_json(each) for each in row.document)
    told = tuple(each.with_rejections(rejected(checked_while(each.window))) for each in kept)
    return Explained(fingerprint=row.fingerprint, explanations=told, made_at=row.made_at)
