"""Stored alerts and their deliveries.

An alert is written in the transaction that writes the invoice state which remembers it. A delivery is a row with a due
time and a lease, as a job is: it is leased, attempted and settled, and if its process dies, it is due again when the
lease expires.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, assert_never

import sqlalchemy as sa
from pydantic import TypeAdapter

from pacspace_stripe.alerts.rules.alert import (
    HISTORY,
    Alert,
    Channel,
    Delivered,
    DeliveryOutcome,
    EarlierAlert,
    GivenUp,
    RetryAt,
    SwitchedOff,
)
from pacspace_stripe.store.database import AlsoWrite, Database
from pacspace_stripe.store.processes import is_dead, owner_token
from pacspace_stripe.store.tables import alerts, audit, deliveries, jobs

DELIVERY_LEASE = timedelta(minutes=1)
"""Far longer than one attempt takes (``alert_timeouts``)."""
_ALERT: TypeAdapter[Alert] = TypeAdapter(Alert)
_LONGEST_PROBLEM = 512
_LONGEST_KIND, _LONGEST_AUDIT_KIND = 128, 64


class DeliveryState(StrEnum):
    """Progress of a delivery."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedDelivery:
    """A delivery that this process may attempt. ``attempts`` includes the coming one."""

    alert: Alert
    channel: Channel
    attempts: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertDelivery:
    """The delivery of one alert on one channel. ``due_at`` is the time of the next attempt, None after the last one."""

    channel: Channel
    state: DeliveryState
    attempts: int
    due_at: datetime | None
    tried_at: datetime | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SentAlert:
    """An alert that was sent, with its deliveries."""

    alert: Alert
    deliveries: tuple[AlertDelivery, ...]


class StoredAlerts:
    """Rows of ``pacspace_alerts`` and ``pacspace_deliveries``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- new alerts -----------------------------------------------------------------------------------------------

    def recent(self, job_id: str) -> list[EarlierAlert]:
        """Return the alerts of the last week about one job, the oldest first."""
        since = self._database.now() - HISTORY
        query = sa.select(alerts).where(alerts.c.job_id == job_id, alerts.c.at >= since).order_by(alerts.c.at)
        with self._database.reading() as connection:
            return [
                EarlierAlert(kind=row.kind, figures=row.figures, at=row.at, sent=row.sent)
                for row in connection.execute(query)
            ]

    def sending(self, alert: Alert, figures: str, channels: Iterable[Channel]) -> AlsoWrite:
        """Return the write of an alert, its line in the audit log, and one due delivery per channel."""

        def write(connection: sa.Connection) -> None:
            connection.execute(sa.insert(alerts).values(**_alert_row(alert, figures, sent=True)))
            line = {"at": alert.at, "kind": f"alert:{alert.kind}"[:_LONGEST_AUDIT_KIND], "detail": alert.detail}
            connection.execute(sa.insert(audit).values(job_id=alert.job_id, **line))
            for channel in channels:
                row = {"state": DeliveryState.WAITING.value, "attempts": 0, "due_at": alert.at}
                connection.execute(sa.insert(deliveries).values(alert_id=alert.alert_id, channel=channel.value, **row))

        return write

    def throttling(self, alert: Alert, figures: str) -> AlsoWrite:
        """Return the write of an alert that is throttled: it is remembered and not delivered."""

        def write(connection: sa.Connection) -> None:
            connection.execute(sa.insert(alerts).values(**_alert_row(alert, figures, sent=False)))

        return write

    # -- deliveries -----------------------------------------------------------------------------------------------

    def any_due(self, channel: Channel) -> bool:
        """Return whether ``lease_due`` would find a delivery, without taking a lock."""
        query = _due(channel, self._database.now()).with_only_columns(deliveries.c.alert_id)
        with self._database.reading() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def lease_due(self, channel: Channel) -> LeasedDelivery | None:
        """Lease the delivery that is due first, so that no other process attempts it; None when none is due."""
        now = self._database.now()
        query = _due(channel, now).limit(1).with_for_update(skip_locked=True, of=deliveries)
        with self._database.writing() as connection:
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            owner, attempts = owner_token(), row.attempts + 1
            # Due again when the lease expires: the process that finds it then takes it over.
            leased = {"lease_owner": owner, "attempts": attempts, "due_at": now + DELIVERY_LEASE, "tried_at": now}
            this = (deliveries.c.alert_id == row.alert_id, deliveries.c.channel == channel.value)
            connection.execute(sa.update(deliveries).where(*this).values(**leased))
        return LeasedDelivery(alert=_alert_from_json(row.alert), channel=channel, attempts=attempts, owner=owner)

    def settle(self, leased: LeasedDelivery, outcome: DeliveryOutcome, problem: str | None = None) -> bool:
        """Write the outcome of an attempt and end the lease.

        Return False when the lease had expired and another process has the delivery: then nothing is written.
        """
        match outcome:
            case Delivered():
                settled: dict[str, Any] = {"state": DeliveryState.DELIVERED.value, "due_at": None}
            case RetryAt(at=at) | SwitchedOff(at=at):
                settled = {"due_at": at}
            case GivenUp():
                settled = {"state": DeliveryState.FAILED.value, "due_at": None}
            case _:
                assert_never(outcome)
        values = {"lease_owner": None, "problem": problem[:_LONGEST_PROBLEM] if problem else None, **settled}
        statement = sa.update(deliveries).where(deliveries.c.lease_owner == leased.owner).values(**values)
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount == 1

    def free_leases_of_the_dead(self, host: str, alive: Callable[[int], bool]) -> int:
        """Make deliveries due now that dead processes of this host had leased, and return how many there are."""
        # Not `IS NOT NULL`: SQLite uses no index for that, and most rows have no owner.
        query = sa.select(deliveries.c.lease_owner).where(deliveries.c.lease_owner > "")
        with self._database.writing() as connection:
            owners = connection.execute(query).scalars()
            dead = [owner for owner in owners if is_dead(owner, host, alive)]
            for owner in dead:
                freed = {"lease_owner": None, "due_at": self._database.now()}
                connection.execute(sa.update(deliveries).where(deliveries.c.lease_owner == owner).values(**freed))
        return len(dead)

    # -- what became of them --------------------------------------------------------------------------------------

    def sent(self, *, failed: bool = False, limit: int = 100) -> list[SentAlert]:
        """Return the newest alerts that were sent, newest first; with ``failed``, those with a failed delivery."""
        query = sa.select(alerts).where(alerts.c.sent == sa.true())
        if failed:
            lost = sa.select(deliveries.c.alert_id).where(deliveries.c.state == DeliveryState.FAILED.value)
            query = query.where(alerts.c.alert_id.in_(lost))
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(alerts.c.at.desc(), alerts.c.alert_id).limit(limit)).all()
            ids = [row.alert_id for row in rows]
            theirs = sa.select(deliveries).where(deliveries.c.alert_id.in_(ids)).order_by(deliveries.c.channel)
            found = connection.execute(theirs).all()
        return [
            SentAlert(
                alert=_alert_from_json(row.alert),
                deliveries=tuple(_delivery(one) for one in found if one.alert_id == row.alert_id),
            )
            for row in rows
        ]


def _due(channel: Channel, now: datetime) -> sa.Select[Any]:
    """Select the due deliveries, the earliest first.

    A message waits while a check of its job is under way, because that check may still explain the drift.
    """
    in_check = sa.exists().where(jobs.c.job_id == alerts.c.job_id, jobs.c.lease_until > now)
    return (
        sa.select(deliveries.c.alert_id, deliveries.c.attempts, alerts.c.alert)
        .join(alerts, alerts.c.alert_id == deliveries.c.alert_id)
        .where(deliveries.c.channel == channel.value, deliveries.c.due_at <= now, ~in_check)
        .order_by(deliveries.c.due_at)
    )


def _alert_row(alert: Alert, figures: str, *, sent: bool) -> dict[str, Any]:
    # The stored document keeps the name that `job_id` had in earlier versions, which read it too.
    document = _ALERT.dump_python(alert, mode="json")
    return {
        "alert_id": alert.alert_id,
        "job_id": alert.job_id,
        "kind": alert.kind[:_LONGEST_KIND],
        "figures": figures,
        "sent": sent,
        "alert": {"subject_id": document.pop("job_id"), **document},
        "at": alert.at,
    }


def _alert_from_json(stored: dict[str, Any]) -> Alert:
    return _ALERT.validate_python({"job_id": stored["subject_id"], **stored})


def _delivery(row: Any) -> AlertDelivery:  # noqa: ANN401 - a row
    return AlertDelivery(
        channel=Channel(row.channel),
        state=DeliveryState(row.state),
        attempts=row.attempts,
        due_at=row.due_at,
        tried_at=row.tried_at,
        problem=row.problem,
    )
