"""The database: opening, migrating, and one transaction per ``with``.

SQLite is tuned for durability beside readers, PostgreSQL is used as it comes. SQLite has one writer at a time, so the
writers of a process queue in memory, those first that a vendor's request waits for.
"""

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.dialects import postgresql, sqlite

from pacspace_stripe.errors import StoreUnavailable
from pacspace_stripe.store.failures import is_the_databases, unavailable

NEWEST = "0009"
"""The newest revision in ``migrations/versions``."""
READING = "pacspace_reading"
"""Execution option of a connection that only reads, and so need not wait for writers."""
_BUSY_SECONDS = 10
_BUSY_POLL_SECONDS = 0.001
"""Pause of a writer before it tries again, while another process or the queue's own connection writes."""
_URGENT_IN_A_ROW = 9
"""Urgent writers after which a patient one goes, if one waits, so that none waits for ever."""
_OUR_ERRORS = (exc.DataError, exc.IntegrityError, exc.NotSupportedError, exc.ProgrammingError)
"""Errors in a query or its values. All others are the database's: gone, locked, full, broken, a read-only standby."""
_VERSION = sa.table("pacspace_alembic_version", sa.column("version_num", sa.String))

AlsoWrite = Callable[[sa.Connection], None]
"""A write that joins the transaction of another one."""


# -- opening and migrating --------------------------------------------------------------------------------------------


def open_engine(url: str) -> sa.Engine:
    """Return an engine for ``sqlite:///…`` or ``postgresql+psycopg://…``, without reading anything yet."""
    if sa.make_url(url).get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_size=10, max_overflow=20, pool_pre_ping=True)
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False})
    event.listen(engine, "connect", _tune_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def migrate(engine: sa.Engine) -> None:
    """Bring the schema to the newest version. Raises StoreUnavailable if a newer version of this package made it."""
    with mapped_errors(), engine.connect() as plain:
        connection = plain.execution_options(**{READING: True})
        if sa.inspect(connection).has_table(_VERSION.name):
            versions = connection.execute(sa.select(_VERSION.c.version_num)).scalars().all()
            if versions == [NEWEST]:
                return
    # Alembic costs 8 MB and 0.1 s: only a process that migrates pays for it.
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - see above
    from alembic.util import CommandError  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with mapped_errors(), engine.connect() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            message = "the database was made by a newer version of pacspace-stripe"
            raise StoreUnavailable(message, hint="Install that version again, or name another database.") from error


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Raise StoreUnavailable for a failure of the database; leave the error of a wrong query or value as it is."""
    try:
        yield
    except _OUR_ERRORS as error:
        if is_the_databases(error):
            raise unavailable(error) from error
        raise
    except (exc.DBAPIError, exc.TimeoutError, sqlite3.Error) as error:
        raise unavailable(error) from error


def _tune_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
    """Set WAL before anything else runs: in ``delete`` mode, a reader blocks the webhook endpoint for seconds."""
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
    """Try to begin for as long as SQLite would wait, and return whether the transaction began.

    SQLite's own waiting sleeps longer and longer, while other writers come and go. Any error but "busy" is left to
    SQLAlchemy, which gets it again when it begins, and raises it as one of its own.
    """
    ends = time.monotonic() + _BUSY_SECONDS
    while time.monotonic() < ends:
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if not getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                return False
            time.sleep(_BUSY_POLL_SECONDS)
        else:
            return True
    return False


# -- transactions -----------------------------------------------------------------------------------------------------


class WriterQueue:
    """A queue for one place: urgent writers go before the others, and otherwise the first to come."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken = False
        self._urgent: deque[Lock] = deque()
        self._patient: deque[Lock] = deque()
        """Writers that wait, each for a lock of its own, which the writer before it opens."""
        self._in_a_row = 0

    @contextmanager
    def turn(self, *, urgent: bool) -> Iterator[None]:
        """Wait for the place, and keep it until the ``with`` block ends."""
        self._enter(self._urgent if urgent else self._patient)
        try:
            yield
        finally:
            self._leave()

    def _enter(self, line: deque[Lock]) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            mine = Lock()
            mine.acquire()
            line.append(mine)
        try:
            mine.acquire()  # returns once the writer before this one opens it
        except BaseException:
            # Interrupted while it waited, or when its turn had just come.
            with self._lock:
                waits = mine in line
                if waits:
                    line.remove(mine)
            if not waits:
                self._leave()
            raise

    def _leave(self) -> None:
        with self._lock:
            if self._patient and (not self._urgent or self._in_a_row >= _URGENT_IN_A_ROW):
                self._in_a_row, line = 0, self._patient
            else:
                self._in_a_row = self._in_a_row + 1 if self._patient else 0
                line = self._urgent
            if line:
                line.popleft().release()
            else:
                self._taken = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """An engine and the clock: one transaction per ``with``."""

    engine: sa.Engine
    now: Callable[[], datetime]
    _writers: WriterQueue = field(default_factory=WriterQueue)

    @contextmanager
    def writing(self, *, urgent: bool = False) -> Iterator[sa.Connection]:
        """Open a transaction that writes; an ``urgent`` one, which a vendor waits for, goes before others."""
        with self._one_writer(urgent=urgent), mapped_errors(), self.engine.begin() as connection:
            yield connection

    def _one_writer(self, *, urgent: bool) -> AbstractContextManager[object]:
        return self._writers.turn(urgent=urgent) if self.engine.dialect.name == "sqlite" else nullcontext()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a transaction that only reads: it waits for no writer."""
        with mapped_errors(), self.engine.connect() as plain:
            connection = plain.execution_options(**{READING: True})
            with connection.begin():
                yield connection


def one_at_a_time(connection: sa.Connection, name: str) -> None:
    """Let no other transaction pass here with the same name until this one ends. SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(name))))


def insert_once(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> bool:
    """Insert a row unless its key exists, and return whether it was inserted."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(**row).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    return connection.execute(statement).rowcount == 1
