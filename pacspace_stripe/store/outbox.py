"""The outbox: alerts and their deliveries.

An alert comes to be in the transaction that remembers that it was told. A delivery is claimed, sent and settled; who
claims one and dies leaves it due again once the claim has expired.
"""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, assert_never

import sqlalchemy as sa
from pydantic import TypeAdapter

from pacspace_stripe.alerts.rules.throttle import (
    REMEMBERED_FOR,
    Again,
    Alert,
    Channel,
    Delivered,
    GivenUp,
    Outcome,
    Past,
    SwitchedOff,
)
from pacspace_stripe.store.database import Database
from pacspace_stripe.store.tables import alerts, audit, deliveries, jobs

CLAIMED_FOR = timedelta(minutes=1)
"""Far longer than one attempt may take."""
_ALERT: TypeAdapter[Alert] = TypeAdapter(Alert)
_LONGEST_PROBLEM = 512
_LONGEST_KIND, _LONGEST_AUDIT_KIND = 128, 64

Also = Callable[[sa.Connection], None]
"""What happens in somebody else's transaction."""


class State(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that is ours to attempt. ``attempts`` counts this one."""

    alert: Alert
    channel: Channel
    attempts: int
    claim: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How far an alert came on one channel."""

    channel: Channel
    state: State
    attempts: int
    due_at: datetime | None
    tried_at: datetime | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An alert that was told, and where to."""

    alert: Alert
    deliveries: tuple[Delivery, ...]


class Outbox:
    """Rows of ``pacspace_alerts`` and ``pacspace_deliveries``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- what is told -------------------------------------------------------------------------------------------

    def past(self, job_id: str) -> list[Past]:
        """The alerts of the last week about one job."""
        since = self._database.now() - REMEMBERED_FOR
        query = sa.select(alerts).where(alerts.c.job_id == job_id, alerts.c.at >= since)
        with self._database.reading() as connection:
            return [
                Past(kind=row.kind, figures=row.figures, at=row.at, told=row.told)
                for row in connection.execute(query.order_by(alerts.c.at))
            ]

    def telling(self, alert: Alert, figures: str, channels: Iterable[Channel]) -> Also:
        """What puts an alert on its way, and into the audit trail."""

        def also(connection: sa.Connection) -> None:
            self._add(connection, alert, figures, told=True)
            row = {"at": alert.at, "kind": f"alert:{alert.kind}"[:_LONGEST_AUDIT_KIND], "detail": alert.detail}
            connection.execute(sa.insert(audit).values(job_id=alert.job_id, **row))
            for channel in channels:
                way = {"channel": channel.value, "state": State.WAITING.value, "attempts": 0, "due_at": alert.at}
                connection.execute(sa.insert(deliveries).values(alert_id=alert.alert_id, **way))

        return also

    def leaving_out(self, alert: Alert, figures: str) -> Also:
        """What remembers that an alert was not told."""
        return lambda connection: self._add(connection, alert, figures, told=False)

    @staticmethod
    def _add(connection: sa.Connection, alert: Alert, figures: str, *, told: bool) -> None:
        row = {
            "alert_id": alert.alert_id,
            "job_id": alert.job_id,
            "kind": alert.kind[:_LONGEST_KIND],
            "figures": figures,
            "told": told,
            "alert": _alert_as_json(alert),
            "at": alert.at,
        }
        connection.execute(sa.insert(alerts).values(**row))

    # -- on its way ---------------------------------------------------------------------------------------------

    def any_due(self, channel: Channel) -> bool:
        """Whether ``claim`` would find something, without taking any lock."""
        query = _due(channel, self._database.now()).with_only_columns(deliveries.c.alert_id)
        with self._database.reading() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def claim(self, channel: Channel) -> Claimed | None:
        """The delivery that is due first, ours until the claim expires. Nobody else sends it meanwhile."""
        now = self._database.now()
        query = _due(channel, now).limit(1).with_for_update(skip_locked=True, of=deliveries)
        with self._database.writing() as connection:
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            token, attempts = uuid.uuid4().hex, row.attempts + 1
            claimed = {"claim": token, "attempts": attempts, "due_at": now + CLAIMED_FOR, "tried_at": now}
            mine = (deliveries.c.alert_id == row.alert_id, deliveries.c.channel == channel.value)
            connection.execute(sa.update(deliveries).where(*mine).values(**claimed))
        return Claimed(alert=_alert_from_json(row.alert), channel=channel, attempts=attempts, claim=token)

    def settle(self, claimed: Claimed, outcome: Outcome, problem: str | None = None) -> bool:
        """Write down what came of it. False: the claim had expired, and somebody else has it."""
        values = {"claim": None, "problem": problem[:_LONGEST_PROBLEM] if problem else None, **_settled(outcome)}
        statement = sa.update(deliveries).where(deliveries.c.claim == claimed.claim).values(**values)
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount == 1

    # -- what became of it --------------------------------------------------------------------------------------

    def sent(self, *, failed: bool = False, limit: int = 100) -> list[Sent]:
        """The newest alerts that were told, newest first. ``failed``: of those that did not arrive somewhere."""
        told = sa.select(alerts).where(alerts.c.told == sa.true())
        if failed:
            lost = sa.select(deliveries.c.alert_id).where(deliveries.c.state == State.FAILED.value)
            told = told.where(alerts.c.alert_id.in_(lost))
        with self._database.reading() as connection:
            rows = connection.execute(told.order_by(alerts.c.at.desc(), alerts.c.alert_id).limit(limit)).all()
            ids = [row.alert_id for row in rows]
            query = sa.select(deliveries).where(deliveries.c.alert_id.in_(ids)).order_by(deliveries.c.channel)
            ways = connection.execute(query).all()
        return [
            Sent(
                alert=_alert_from_json(row.alert),
                deliveries=tuple(_delivery(way) for way in ways if way.alert_id == row.alert_id),
            )
            for row in rows
        ]


def _due(channel: Channel, now: datetime) -> sa.Select[Any]:
    """While a look is under way that may still explain what it told, the message waits for its end."""
    looked_at = sa.exists().where(jobs.c.job_id == alerts.c.job_id, jobs.c.lease_until > now)
    columns = (deliveries.c.alert_id, deliveries.c.attempts, alerts.c.alert)
    return (
        sa.select(*columns)
        .join(alerts, alerts.c.alert_id == deliveries.c.alert_id)
        .where(deliveries.c.channel == channel.value, deliveries.c.due_at <= now, ~looked_at)
        .order_by(deliveries.c.due_at)
    )


def _settled(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Delivered():
            return {"state": State.DELIVERED.value, "due_at": None}
        case Again(at=at) | SwitchedOff(at=at):
            return {"due_at": at}
        case GivenUp():
            return {"state": State.FAILED.value, "due_at": None}
        case _:
            assert_never(outcome)


def _delivery(row: Any) -> Delivery:  # noqa: ANN401 - a row
    return Delivery(
        channel=Channel(row.channel),
        state=State(row.state),
        attempts=row.attempts,
        due_at=row.due_at,
        tried_at=row.tried_at,
        problem=row.problem,
    )


def _alert_as_json(alert: Alert) -> dict[str, Any]:
    """Return the stored form, in which ``job_id`` has the name that it had in earlier versions."""
    document = _ALERT.dump_python(alert, mode="json")
    return {"subject_id": document.pop("job_id"), **document}


def _alert_from_json(stored: dict[str, Any]) -> Alert:
    return _ALERT.validate_python({"job_id": stored["subject_id"], **stored})
