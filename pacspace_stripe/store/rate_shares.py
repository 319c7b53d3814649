"""Shares of a vendor's rate limits: how much each process may send, agreed on in one table.

Each renewal is a short transaction of its own that reads the rows of all processes and writes one, by the database's
clock on PostgreSQL. It holds no other lock of ours, and no request is sent during it.
"""

import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from pacspace_stripe.errors import StoreUnavailable
from pacspace_stripe.http.ratelimit.rules.fleet_shares import LASTS, RENEW, SETTLES, Demand, FleetHolding, LimitShare
from pacspace_stripe.http.ratelimit.rules.rate import SPAN
from pacspace_stripe.store.database import Database, insert_once, one_at_a_time
from pacspace_stripe.store.processes import is_alive, is_dead, process_name
from pacspace_stripe.store.tables import rates

Divide = Callable[[str, Mapping[str, FleetHolding], datetime], FleetHolding]
"""Return what the named process holds from now on, given what every process holds."""
_KEPT = timedelta(minutes=1)
"""Time for which the row of a process that is gone stays."""
_UNSENT = LASTS - RENEW - SPAN
"""Rest of a share when its renewal is overdue: a killed process sent nothing after that."""
_LONGEST_WAIT = "1s"


class RateShares:
    """Rows of ``pacspace_rates`` for one vendor, account and mode, which ``service`` names together."""

    def __init__(self, database: Database, service: str, process: str | None = None) -> None:
        self._database = database
        self._service = service
        self._process = process or process_name()

    def renew(self, divide: Divide) -> None:
        """Replace the shares of this process by what ``divide`` makes of all shares. Raises StoreUnavailable."""
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
                        # The clock was set back: a dead process's share would hold until the clock has caught up.
                        self._write(connection, row.process, found[row.process], known=True)
                mine = divide(self._process, found, now)
                self._write(connection, self._process, mine, known=self._process in found)
        except exc.ProgrammingError as error:
            message = "the database does not have our tables"
            raise StoreUnavailable(message) from error

    def _is_gone(self, row: Any, now: datetime) -> bool:  # noqa: ANN401 - a row
        """Return whether a process is long silent, or was killed here so long ago that nothing it sent still counts."""
        killed = is_dead(row.process, socket.gethostname(), is_alive)
        return row.until < now - _KEPT or (killed and row.until < now + _UNSENT)

    def _now(self, connection: sa.Connection) -> datetime:
        """Return the time of the database's clock, which machines share; on SQLite, the time of the machine."""
        if connection.dialect.name != "postgresql":
            return self._database.now()
        now = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return datetime.fromtimestamp(now.timestamp(), UTC)

    def _write(self, connection: sa.Connection, process: str, holding: FleetHolding, *, known: bool) -> None:
        values = {
            "shares": {name: _share_as_json(share) for name, share in holding.shares.items()},
            "until": holding.until,
        }
        if known:
            connection.execute(self._mine(sa.update(rates), rates.c.process == process).values(**values))
        else:
            insert_once(connection, rates, {"service": self._service, "process": process, **values})

    def _mine(self, statement: Any, which: sa.ColumnElement[bool]) -> Any:  # noqa: ANN401 - an update or a delete
        return statement.where(rates.c.service == self._service, which)


def _share_as_json(share: LimitShare) -> dict[str, object]:
    given_up = [[held, until.timestamp()] for held, until in share.given_up]
    return {
        "held": share.held,
        "urgent": share.demand.urgent,
        "patient": share.demand.background,
        "given_up": given_up,
    }


def _holding(row: Any, now: datetime) -> FleetHolding:  # noqa: ANN401 - a row
    shares = {name: _share(share, now) for name, share in row.shares.items()}
    return FleetHolding(shares=shares, until=min(row.until, now + LASTS))


def _share(stored: Mapping[str, Any], now: datetime) -> LimitShare:
    latest = now + SETTLES
    return LimitShare(
        held=stored["held"],
        demand=Demand(urgent=stored["urgent"], background=stored["patient"]),
        given_up=tuple((held, min(datetime.fromtimestamp(until, UTC), latest)) for held, until in stored["given_up"]),
    )


def _wait_briefly(connection: sa.Connection) -> None:
    """Limit the wait for a process that was paused during a renewal: the database then counts as unavailable."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.set_config("lock_timeout", _LONGEST_WAIT, True)))  # noqa: FBT003 - SQL
