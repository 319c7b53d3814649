"""Shares of a vendor's limits: which process may send how much, agreed on in one table.

Each renewal is a short transaction of its own that reads all processes' rows and writes one, by the database's clock
on PostgreSQL. It holds no other lock of ours, and nothing is asked of anybody meanwhile.
"""

import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from pacspace_stripe.domain.shares import Holding, Share, Wish
from pacspace_stripe.errors import StoreUnavailable
from pacspace_stripe.store.database import Database, insert_once, one_at_a_time
from pacspace_stripe.store.leases import is_alive, is_dead, process_name
from pacspace_stripe.store.tables import rates

Divide = Callable[[str, Mapping[str, Holding], datetime], Holding]
"""What the named process holds from now on, given what all hold."""
_KEPT = timedelta(minutes=1)
"""How long the row of a process that is gone stays."""


class Shares:
    """The shares of one vendor's limits, of one account and mode: ``service`` names all three."""

    def __init__(self, database: Database, service: str, process: str | None = None) -> None:
        self._database = database
        self._service = service
        self._process = process or process_name()
        self._begun = False

    def renew(self, divide: Divide) -> None:
        """Replace this process's shares by what ``divide`` makes of everybody's. Raises StoreUnavailable."""
        try:
            with self._database.writing() as connection:
                one_at_a_time(connection, f"pacspace-rates:{self._service}")
                now = self._now(connection)
                rows = connection.execute(sa.select(rates).where(rates.c.service == self._service)).all()
                gone = [row.process for row in rows if row.process != self._process and self._is_gone(row, now)]
                if gone:
                    connection.execute(self._mine(sa.delete(rates), rates.c.process.in_(gone)))
                found = {row.process: _holding(row) for row in rows if row.process not in gone}
                self._write(connection, divide(self._process, found, now), known=self._process in found)
            self._begun = True
        except exc.ProgrammingError as error:
            message = "the database does not have our tables"
            raise StoreUnavailable(message) from error

    def _is_gone(self, row: Any, now: datetime) -> bool:  # noqa: ANN401 - a row
        """Long silent; or, when we begin, killed on this host: what it sent is as old as our start took."""
        killed = not self._begun and is_dead(row.process, socket.gethostname(), is_alive)
        return killed or row.until < now - _KEPT

    def _now(self, connection: sa.Connection) -> datetime:
        """The database's clock where machines share it; SQLite's processes share the machine's."""
        if connection.dialect.name != "postgresql":
            return self._database.now()
        now = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return datetime.fromtimestamp(now.timestamp(), UTC)

    def _write(self, connection: sa.Connection, holding: Holding, *, known: bool) -> None:
        values = {"shares": {name: _written(share) for name, share in holding.shares.items()}, "until": holding.until}
        if known:
            connection.execute(self._mine(sa.update(rates), rates.c.process == self._process).values(**values))
        else:
            insert_once(connection, rates, {"service": self._service, "process": self._process, **values})

    def _mine(self, statement: Any, which: sa.ColumnElement[bool]) -> Any:  # noqa: ANN401 - an update or a delete
        return statement.where(rates.c.service == self._service, which)


def _written(share: Share) -> dict[str, object]:
    given_up = [[held, until.timestamp()] for held, until in share.given_up]
    return {
        "held": share.held,
        "urgent": share.wish.urgent,
        "patient": share.wish.patient,
        "given_up": given_up,
    }


def _holding(row: Any) -> Holding:  # noqa: ANN401 - a row
    return Holding(shares={name: _share(share) for name, share in row.shares.items()}, until=row.until)


def _share(written: Mapping[str, Any]) -> Share:
    return Share(
        held=written["held"],
        wish=Wish(urgent=written["urgent"], patient=written["patient"]),
        given_up=tuple((held, datetime.fromtimestamp(until, UTC)) for held, until in written["given_up"]),
    )
