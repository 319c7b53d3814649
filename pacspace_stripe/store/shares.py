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

from pacspace_stripe.errors import StoreUnavailable
from pacspace_stripe.http.ratelimit.rules.fleet_shares import LASTS, RENEW, SETTLES, FleetHolding, LimitShare, Wish
from pacspace_stripe.http.ratelimit.rules.rate import SPAN
from pacspace_stripe.store.database import Database, insert_once, one_at_a_time
from pacspace_stripe.store.leases import is_alive, is_dead, process_name
from pacspace_stripe.store.tables import rates

Divide = Callable[[str, Mapping[str, FleetHolding], datetime], FleetHolding]
"""What the named process holds from now on, given what all hold."""
_KEPT = timedelta(minutes=1)
"""How long the row of a process that is gone stays."""
_UNSENT = LASTS - RENEW - SPAN
"""A process that is killed sent nothing later than when it should have renewed; what is left of its share then."""
_LONGEST_WAIT = "1s"


class Shares:
    """The shares of one vendor's limits, of one account and mode: ``service`` names all three."""

    def __init__(self, database: Database, service: str, process: str | None = None) -> None:
        self._database = database
        self._service = service
        self._process = process or process_name()

    def renew(self, divide: Divide) -> None:
        """Replace this process's shares by what ``divide`` makes of everybody's. Raises StoreUnavailable."""
        try:
            with self._database.writing() as connection:
                _wait_briefly(connection)
                one_at_a_time(connection, f"pacspace-rates:{self._service}")
                now = self._now(connection)
                rows = connection.execute(sa.select(rates).where(rates.c.service == self._service)).all()
                gone = [row.process for row in rows if row.process != self._process and self._is_gone(row, now)]
                if gone:
                    connection.execute(self._mine(sa.delete(rates), rates.c.process.in_(gone)))
                found = {row.process: _holding(row, now) for row in rows if row.process not in gone}
                for row in rows:
                    if row.until > now + LASTS and row.process in found:
                        # The clock was set back: else a dead process's share would hold until it is there again.
                        self._write(connection, row.process, found[row.process], known=True)
                mine = divide(self._process, found, now)
                self._write(connection, self._process, mine, known=self._process in found)
        except exc.ProgrammingError as error:
            message = "the database does not have our tables"
            raise StoreUnavailable(message) from error

    def _is_gone(self, row: Any, now: datetime) -> bool:  # noqa: ANN401 - a row
        """Long silent; or killed on this host, and whatever it sent has left the vendor's second."""
        killed = is_dead(row.process, socket.gethostname(), is_alive)
        return row.until < now - _KEPT or (killed and row.until < now + _UNSENT)

    def _now(self, connection: sa.Connection) -> datetime:
        """The database's clock where machines share it; SQLite's processes share the machine's."""
        if connection.dialect.name != "postgresql":
            return self._database.now()
        now = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return datetime.fromtimestamp(now.timestamp(), UTC)

    def _write(self, connection: sa.Connection, process: str, holding: FleetHolding, *, known: bool) -> None:
        values = {"shares": {name: _written(share) for name, share in holding.shares.items()}, "until": holding.until}
        if known:
            connection.execute(self._mine(sa.update(rates), rates.c.process == process).values(**values))
        else:
            insert_once(connection, rates, {"service": self._service, "process": process, **values})

    def _mine(self, statement: Any, which: sa.ColumnElement[bool]) -> Any:  # noqa: ANN401 - an update or a delete
        return statement.where(rates.c.service == self._service, which)


def _written(share: LimitShare) -> dict[str, object]:
    given_up = [[held, until.timestamp()] for held, until in share.given_up]
    return {
        "held": share.held,
        "urgent": share.wish.urgent,
        "patient": share.wish.patient,
        "given_up": given_up,
    }


def _holding(row: Any, now: datetime) -> FleetHolding:  # noqa: ANN401 - a row
    shares = {name: _share(share, now) for name, share in row.shares.items()}
    return FleetHolding(shares=shares, until=min(row.until, now + LASTS))


def _share(written: Mapping[str, Any], now: datetime) -> LimitShare:
    latest = now + SETTLES
    return LimitShare(
        held=written["held"],
        wish=Wish(urgent=written["urgent"], patient=written["patient"]),
        given_up=tuple((held, min(datetime.fromtimestamp(until, UTC), latest)) for held, until in written["given_up"]),
    )


def _wait_briefly(connection: sa.Connection) -> None:
    """A process that stopped in the middle of this makes nobody wait for ever: it is as if the database were away."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.set_config("lock_timeout", _LONGEST_WAIT, True)))  # noqa: FBT003 - SQL
