"""Database failures in words: what is wrong, what to do, never a password. Real files, a real server, real drivers."""

import contextlib
import os
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from pacspace_stripe.errors import StoreUnavailable
from pacspace_stripe.store.database import mapped_errors, open_engine
from pacspace_stripe.store.failures import unavailable
from tests.support.databases import OwnServer

PASSWORD = "tellnobody"


def failing(url: str, *statements: str) -> StoreUnavailable:
    """Return the error that a person reads when these statements run there."""
    with pytest.raises(StoreUnavailable) as raised:
        _run(url, *statements)
    said = raised.value
    assert str(said).startswith("the database does not answer: ")
    assert said.hint
    assert PASSWORD not in str(said) + said.hint
    return said


def _run(url: str, *statements: str) -> None:
    with mapped_errors():
        engine = open_engine(url)
        try:
            with engine.begin() as connection:
                for statement in statements or ("SELECT 1",):
                    connection.exec_driver_sql(statement)
        finally:
            engine.dispose()


# -- SQLite -------------------------------------------------------------------------------------------------------


def made(folder: Path) -> Path:
    path = folder / "ours.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "PRAGMA journal_mode=WAL; CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(100000));"
        )
    return path


def test_a_file_of_another_program_is_named_as_one(tmp_path: Path) -> None:
    (tmp_path / "ours.db").write_text("a letter to a friend " * 100)
    said = failing(f"sqlite:///{tmp_path / 'ours.db'}")
    assert "the file is no SQLite database (SQLITE_NOTADB)" in str(said)


def test_a_damaged_file_is_named_with_what_to_restore(tmp_path: Path) -> None:
    path = made(tmp_path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\x55" * 8192)
    said = failing(f"sqlite:///{path}", "SELECT sum(length(a)) FROM t")
    assert "its file is damaged (SQLITE_CORRUPT" in str(said)
    assert "restore a backup" in said.hint


def test_a_file_that_may_only_be_read(tmp_path: Path) -> None:
    said = failing(f"sqlite:///file:{made(tmp_path)}?mode=ro&uri=true", "INSERT INTO t VALUES (1)")
    assert "SQLite needs to write its file and folder even to read (SQLITE_READONLY" in str(said)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    said = failing(f"sqlite:///{tmp_path / 'nowhere' / 'ours.db'}")
    assert "(SQLITE_CANTOPEN" in str(said)


def test_a_full_disk_is_named_with_what_to_do(tmp_path: Path) -> None:
    room = "PRAGMA max_page_count=1"  # SQLite raises it to the pages that are there
    said = failing(f"sqlite:///{made(tmp_path)}", room, "INSERT INTO t VALUES (zeroblob(1000000))")
    assert "the disk is full (SQLITE_FULL)" in str(said)
    assert "Make room" in said.hint


def test_a_file_that_another_process_keeps_locked(tmp_path: Path) -> None:
    path = made(tmp_path)
    other, ours = (sqlite3.connect(path, timeout=0, isolation_level=None) for _ in range(2))
    with contextlib.closing(other), contextlib.closing(ours):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable) as raised, mapped_errors():
            ours.execute("BEGIN IMMEDIATE")
    assert "another process keeps it locked (SQLITE_BUSY)" in str(raised.value)
    assert "fuser" in raised.value.hint


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SQLITE_IOERR_WRITE", "reading or writing the disk failed"),
        ("SQLITE_NOMEM", "there is no memory left"),
        ("SQLITE_LOCKED_SHAREDCACHE", "another process keeps it locked"),
        ("SQLITE_CORRUPT_INDEX", "its file is damaged"),
        ("SQLITE_READONLY_DBMOVED", "SQLite needs to write its file and folder even to read"),
    ],
)
def test_sqlite_failures_that_are_hard_to_provoke_are_named_by_their_code(name: str, said: str) -> None:
    error = sqlite3.OperationalError("whatever it says")
    error.sqlite_errorname = name
    assert f"{said} ({name})" in str(unavailable(error))


# -- PostgreSQL ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[sa.URL]:
    """A server with password authentication, on which one user has few connections and no rights."""
    with OwnServer() as own:
        with psycopg.connect(own.url, autocommit=True) as connection:
            rules = Path(connection.execute("SHOW hba_file").fetchone()[0])  # type: ignore[index]  # it has a row
            rules.write_text(f"local all guarded scram-sha-256\nlocal all exile reject\n{rules.read_text()}")
            for statement in (
                f"CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'",
                "CREATE ROLE exile LOGIN",
                "CREATE ROLE narrow LOGIN CONNECTION LIMIT 1",
                "CREATE ROLE powerless LOGIN",
                "CREATE TABLE t (a int)",
                "SELECT pg_reload_conf()",
            ):
                connection.execute(statement)
        yield sa.make_url(own.url).set(drivername="postgresql+psycopg")


def written(url: sa.URL) -> str:
    return url.render_as_string(hide_password=False)


@pytest.mark.parametrize(
    ("changes", "said", "hint"),
    [
        ({"username": "guarded", "password": f"{PASSWORD}2"}, "the user or the password is wrong", "percent-encode"),
        ({"username": "guarded", "password": None}, "the server wants a password", "Put user and password"),
        ({"username": "nobody", "password": PASSWORD}, "the server has no such user", "Create the role"),
        ({"username": "exile"}, "the server admits no such connection", "pg_hba.conf"),
        ({"database": "ssl error"}, "the server has no such database", "createdb"),
    ],
)
def test_a_connection_that_the_server_refuses(
    server: sa.URL, changes: dict[str, str | None], said: str, hint: str
) -> None:
    told = failing(written(server.set(**changes)))  # type: ignore[arg-type]  # any part of a URL
    assert said in str(told)
    assert hint in told.hint


def test_the_right_password_connects(server: sa.URL) -> None:
    engine = open_engine(written(server.set(username="guarded", password=PASSWORD)))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    engine.dispose()


def test_too_many_connections_are_named_with_what_to_raise(server: sa.URL) -> None:
    url = server.set(username="narrow")
    with contextlib.closing(psycopg.connect(written(url.set(drivername="postgresql")))):
        said = failing(written(url))
    assert "the server takes no more connections" in str(said)
    assert "max_connections" in said.hint


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (["SET TRANSACTION READ ONLY", "INSERT INTO t VALUES (1)"], "the server takes no writes (25006)"),
        (["SET statement_timeout = 20", "SELECT pg_sleep(10)"], "the server did not answer in time (57014)"),
        (["SET ROLE powerless", "INSERT INTO t VALUES (1)"], "the user may not do that there (42501)"),
        (["SELECT pg_terminate_backend(pg_backend_pid())"], "the server ended the connection (57P01)"),
    ],
)
def test_a_statement_that_the_server_refuses(server: sa.URL, statements: list[str], said: str) -> None:
    assert said in str(failing(written(server), *statements))


def test_a_lock_that_is_not_given(server: sa.URL) -> None:
    with contextlib.closing(psycopg.connect(written(server.set(drivername="postgresql")))) as other:
        other.execute("LOCK TABLE t")
        said = failing(written(server), "SET lock_timeout = 20", "SELECT * FROM t")
    assert "another process keeps it locked (55P03)" in str(said)


def test_an_option_that_postgresql_does_not_know(server: sa.URL) -> None:
    assert "the URL has an option" in str(failing(written(server.update_query_dict({"colour": "red"}))))


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("nosuchhost.invalid/x", "the host name is not known"),
        ("127.0.0.1:1/x", "nothing accepts connections at that address (ECONNREFUSED)"),
        ("/x?host=/nowhere", "nothing accepts connections at that address (ENOENT)"),
    ],
)
def test_a_server_that_is_not_there(where: str, said: str) -> None:
    user = f"someone:{PASSWORD}"
    assert said in str(failing(f"postgresql+psycopg://{user}@{where}"))


def answering(answers: list[bytes]) -> str:
    """Serve these answers, one per message, and end the connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as peer:
            for answer in answers:
                peer.recv(8192)
                peer.sendall(answer)

    Thread(target=serve, daemon=True).start()
    return f"postgresql+psycopg://someone:{PASSWORD}@127.0.0.1:{listener.getsockname()[1]}/x"


def refusal(words: str) -> bytes:
    """Return PostgreSQL's message of a refusal while it connects."""
    fields = b"".join(code + text.encode() + b"\0" for code, text in ((b"S", "FATAL"), (b"C", "XXXXX"), (b"M", words)))
    return b"E" + (len(fields) + 5).to_bytes(4, "big") + fields + b"\0"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("sorry, too many clients already", "the server takes no more connections"),
        ("remaining connection slots are reserved for roles with the SUPERUSER attribute", "no more connections"),
        ("the database system is starting up", "the server is starting or shutting down"),
        ('no pg_hba.conf entry for host "10.0.0.1", user "u", database "d", no encryption', "admits no such"),
        ('role "u" is not permitted to log in', "admits no such connection"),
    ],
)
def test_a_server_that_refuses_in_other_words(words: str, said: str) -> None:
    assert said in str(failing(answering([refusal(words)]) + "?sslmode=disable"))


def test_words_that_are_not_known_are_shown() -> None:
    said = unavailable(
        _driver_error(answering([refusal("Kennwort f\u00fcr \u00bbu\u00ab ist falsch")]) + "?sslmode=disable")
    )
    assert str(said) == "the database does not answer: OperationalError: FATAL: Kennwort für »u« ist falsch"
    assert "PACSPACE_STRIPE_DATABASE_URL" in said.hint


def test_a_password_that_the_server_repeats_is_not_shown() -> None:
    said = unavailable(_driver_error(answering([refusal(f"{PASSWORD} is no password")]) + "?sslmode=disable"))
    assert str(said).endswith("FATAL: … is no password")


def _driver_error(url: str) -> BaseException:
    with pytest.raises(exc.OperationalError) as raised:
        sa.create_engine(url).connect()
    return raised.value


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [(b"N", "sslmode=require"), (b"S", "sslmode=verify-full&sslrootcert=/nowhere"), (b"S", "sslmode=require")],
)
def test_a_server_with_which_tls_cannot_be_set_up(answer: bytes, wanted: str) -> None:
    assert "TLS with the server cannot be set up" in str(failing(f"{answering([answer, b'no TLS'])}?{wanted}"))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (psycopg.errors.DiskFull, "the disk is full (53100)"),
        (psycopg.errors.TooManyConnections, "the server takes no more connections (53300)"),
        (psycopg.errors.OutOfMemory, "there is no memory left (53200)"),
        (psycopg.errors.DataCorrupted, "its file is damaged (XX001)"),
        (psycopg.errors.InvalidPassword, "the user or the password is wrong (28P01)"),
        (psycopg.errors.InvalidCatalogName, "the server has no such database (3D000)"),
        (psycopg.errors.ConnectionFailure, "the server ended the connection (08006)"),
        (psycopg.errors.IoError, "reading or writing the disk failed (58030)"),
    ],
)
def test_postgresql_failures_that_are_hard_to_provoke_are_named_by_sqlstate(
    kind: type[psycopg.Error], said: str
) -> None:
    assert said in str(unavailable(exc.OperationalError("SELECT 1", {}, kind("whatever it says"))))


def test_a_pool_that_is_empty_and_errors_of_the_system() -> None:
    assert "all 30 connections" in str(unavailable(exc.TimeoutError("QueuePool limit")))
    for number, said in (
        (28, "the disk is full (ENOSPC)"),
        (30, "SQLite needs to write"),
        (110, "in time (ETIMEDOUT)"),
    ):
        assert said in str(unavailable(OSError(number, os.strerror(number))))


def test_the_error_of_a_wrong_query_is_not_translated(server: sa.URL) -> None:
    with pytest.raises(exc.ProgrammingError):
        _run(written(server), "SELECT * FROM nowhere")
