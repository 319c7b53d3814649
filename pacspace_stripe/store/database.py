"""Opening the database: SQLite tuned for durability beside readers, PostgreSQL as it comes."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.dialects import postgresql, sqlite

from pacspace_stripe.errors import StoreUnavailable
from pacspace_stripe.store.failures import is_the_databases, unavailable
from pacspace_stripe.store.writers import Writers

_BUSY_SECONDS = 10
_LOOK_AGAIN = 0.001
"""Seconds until a writer looks again whether another process, or the queue's own connection, is done."""
READING = "pacspace_reading"
"""Execution option of a connection that only reads: it need not wait for writers."""
_OURS = (exc.DataError, exc.IntegrityError, exc.NotSupportedError, exc.ProgrammingError)
"""Errors in what was asked. All others are the database's: gone, locked, full, broken, a read-only standby."""


def open_engine(url: str) -> sa.Engine:
    """An engine for ``sqlite:///…`` or ``postgresql+psycopg://…``. Nothing is read yet, except SQLite's mode."""
    if sa.make_url(url).get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_size=10, max_overflow=20, pool_pre_ping=True)
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False})
    event.listen(engine, "connect", _tune_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _tune_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
    """WAL before anything else runs: in ``delete`` mode a reader blocks the receiver for seconds."""
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}")
    cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    """Take the write lock at once: a read that turns into a write would fail beside another writer."""
    if connection.get_execution_options().get(READING, False):
        connection.exec_driver_sql("BEGIN")
        return
    driver = connection.connection.cursor()
    driver.execute("PRAGMA busy_timeout=0")
    try:
        if not _begun(driver):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
    finally:
        driver.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}")


def _begun(driver: Any) -> bool:  # noqa: ANN401 - the driver's own cursor
    """Whether the lock was had in time. SQLite's own waiting sleeps longer and longer, while others come and go.

    Any other error comes again when SQLAlchemy asks, and is then one of its own.
    """
    ends = time.monotonic() + _BUSY_SECONDS
    while time.monotonic() < ends:
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if not getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                return False
            time.sleep(_LOOK_AGAIN)
        else:
            return True
    return False


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Raise StoreUnavailable for a database that does not do its work; a wrong query or value stays what it is."""
    try:
        yield
    except _OURS as error:
        if is_the_databases(error):
            raise unavailable(error) from error
        raise
    except (exc.DBAPIError, exc.TimeoutError, sqlite3.Error) as error:
        raise unavailable(error) from error


NEWEST = "0008"
"""The newest revision in ``migrations/versions``."""
_VERSION = sa.table("pacspace_alembic_version", sa.column("version_num", sa.String))


def migrate(engine: sa.Engine) -> None:
    """Bring the schema to the newest version (Alembic). Raises StoreUnavailable when a newer one of us made it."""
    if _is_newest(engine):
        return
    # Alembic costs 8 MB and 0.1 s: only a process that migrates pays for it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with mapped_errors(), engine.connect() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            message = "the database was made by a newer version of pacspace-stripe"
            raise StoreUnavailable(message, hint="Install that version again, or name another database.") from error


def _is_newest(engine: sa.Engine) -> bool:
    with mapped_errors(), engine.connect() as plain:
        connection = plain.execution_options(**{READING: True})
        if not sa.inspect(connection).has_table(_VERSION.name):
            return False
        return connection.execute(sa.select(_VERSION.c.version_num)).scalars().all() == [NEWEST]


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """An engine and the clock: one transaction per ``with``."""

    engine: sa.Engine
    now: Callable[[], datetime]
    _writers: Writers = field(default_factory=Writers)

    @contextmanager
    def writing(self, *, urgent: bool = False) -> Iterator[sa.Connection]:
        """A transaction that writes. ``urgent``: somebody waits for an answer meanwhile."""
        with self._one_writer(urgent=urgent), mapped_errors(), self.engine.begin() as connection:
            yield connection

    def _one_writer(self, *, urgent: bool) -> AbstractContextManager[object]:
        """SQLite lets one write and the others sleep and try again, some for seconds: within a process they queue."""
        return self._writers.turn(urgent=urgent) if self.engine.dialect.name == "sqlite" else nullcontext()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that only reads: it waits for no writer."""
        with mapped_errors(), self.engine.connect() as plain:
            connection = plain.execution_options(**{READING: True})
            with connection.begin():
                yield connection


def one_at_a_time(connection: sa.Connection, name: str) -> None:
    """Until its end, no other transaction passes here with the same name. SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(name))))


def insert_once(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> bool:
    """Insert a row unless its key is there already; whether it was inserted."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(**row).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    return connection.execute(statement).rowcount == 1
