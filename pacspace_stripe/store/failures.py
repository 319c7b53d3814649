"""Database failures in sentences: a driver's exception becomes a problem and a hint.

PostgreSQL names a failure by its SQLSTATE, the operating system by its errno, SQLite by its error name. libpq passes no
SQLSTATE on while it connects, so a server's refusal there is recognised by its text, which is English unless the
server's ``lc_messages`` is set otherwise; unknown text is shown unchanged. No password is ever part of a message.
"""

import errno
import os
import re
import sqlite3
import ssl
from dataclasses import dataclass

from sqlalchemy import exc

from pacspace_stripe.errors import StoreUnavailable
from pacspace_stripe.vocabulary.text import printable

_URL = "PACSPACE_STRIPE_DATABASE_URL"
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class _Failure:
    problem: str
    hint: str


_PASSWORD = _Failure(
    "the user or the password is wrong",
    f"Correct the user and password in {_URL}; percent-encode characters such as @ : / in them.",
)
_NO_PASSWORD = _Failure("the server wants a password", f"Put user and password into {_URL}.")
_NO_USER = _Failure("the server has no such user", f"Create the role in PostgreSQL, or correct the user in {_URL}.")
_NOT_ADMITTED = _Failure(
    "the server admits no such connection",
    "Add a line for this host, user and database to pg_hba.conf; if it says `no encryption`, add sslmode=require to"
    f" {_URL}.",
)
_NO_DATABASE = _Failure(
    "the server has no such database", f"Create it (`createdb NAME`), or correct the database's name in {_URL}."
)
_NO_HOST = _Failure("the host name is not known", f"Correct the host in {_URL}, or look at this machine's DNS.")
_REFUSED = _Failure(
    "nothing accepts connections at that address",
    f"Start PostgreSQL, or correct host and port in {_URL}; a firewall may refuse, too.",
)
_UNREACHABLE = _Failure(
    "the host cannot be reached", f"Look at the network and the firewall between the two, and at the host in {_URL}."
)
_LATE = _Failure(
    "the server did not answer in time", f"Look at the network and at the server's load, and at the host in {_URL}."
)
_TLS = _Failure(
    "TLS with the server cannot be set up",
    f"Compare sslmode and sslrootcert in {_URL} with the server's certificate and its `ssl` setting.",
)
_CUT = _Failure(
    "the server ended the connection", "Nothing to do if it was restarted; else the server's log names the reason."
)
_STARTING = _Failure("the server is starting or shutting down", "Wait until PostgreSQL is up; it is tried again.")
_TOO_MANY = _Failure(
    "the server takes no more connections",
    "Each process needs up to 30: raise max_connections, or the role's or database's limit, or run fewer processes.",
)
_POOL = _Failure(
    "all 30 connections of this process are in use",
    "Look for queries that hang in pg_stat_activity, or run another process.",
)
_FULL = _Failure("the disk is full", "Make room where the database is kept; nothing that was written before is lost.")
_MEMORY = _Failure("there is no memory left", "Give the server, or this process, more memory.")
_READ_ONLY = _Failure(
    "the server takes no writes",
    f"It is a standby, or read-only by setting: name the primary in {_URL}, for instance with"
    " target_session_attrs=read-write.",
)
_NOT_ALLOWED = _Failure(
    "the user may not do that there",
    "Let the role of the URL own the database, or grant it CREATE and USAGE on the schema and all rights on tables.",
)
_LOCKED = _Failure(
    "another process keeps it locked",
    "Find it (`fuser FILE`, or pg_stat_activity) and let it end; for several machines use PostgreSQL, not SQLite.",
)
_CORRUPT = _Failure(
    "its file is damaged",
    "Stop every process that uses it, keep a copy, and restore a backup; SQLite's `.recover` may save what is left.",
)
_NO_SQLITE = _Failure(
    "the file is no SQLite database", f"Correct the path in {_URL}: another program's file is there, or a damaged one."
)
_NOT_WRITABLE = _Failure(
    "SQLite needs to write its file and folder even to read",
    "Let this user write there (or make the folder first), or copy the database into a folder of your own.",
)
_DISK = _Failure(
    "reading or writing the disk failed",
    "Look at the disk and the system's log; do not keep SQLite on a network folder.",
)

_BAD_OPTION = "invalid connection option"
_BAD_URL = _Failure(
    "the URL has an option that PostgreSQL does not know", f"Correct what stands after the ? in {_URL}."
)
_QUOTED = re.compile(r'"[^"]*"')

_BY_SQLSTATE = {
    "28P01": _PASSWORD,
    "28000": _NOT_ADMITTED,
    "3D000": _NO_DATABASE,
    "3F000": _NOT_ALLOWED,
    "42501": _NOT_ALLOWED,
    "53100": _FULL,
    "53200": _MEMORY,
    "53300": _TOO_MANY,
    "55P03": _LOCKED,
    "57014": _LATE,
    "57P01": _CUT,
    "57P02": _CUT,
    "57P03": _STARTING,
    "25006": _READ_ONLY,
    "58030": _DISK,
    "XX001": _CORRUPT,
    "XX002": _CORRUPT,
}
"""Failures by SQLSTATE, https://www.postgresql.org/docs/current/errcodes-appendix.html."""
_BY_SQLSTATE_CLASS = {"08": _CUT}
_BY_SQLITE = {
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_CORRUPT": _CORRUPT,
    "SQLITE_NOTADB": _NO_SQLITE,
    "SQLITE_READONLY": _NOT_WRITABLE,
    "SQLITE_CANTOPEN": _NOT_WRITABLE,
    "SQLITE_PERM": _NOT_WRITABLE,
    "SQLITE_FULL": _FULL,
    "SQLITE_NOMEM": _MEMORY,
    "SQLITE_IOERR": _DISK,
}
"""Failures by the name of the primary code, with which extended ones begin, https://www.sqlite.org/rescode.html."""
_BY_ERRNO = {
    errno.ECONNREFUSED: _REFUSED,
    errno.ENOENT: _REFUSED,
    errno.EHOSTUNREACH: _UNREACHABLE,
    errno.ENETUNREACH: _UNREACHABLE,
    errno.EACCES: _NOT_ALLOWED,
    errno.ETIMEDOUT: _LATE,
    errno.ECONNRESET: _CUT,
    errno.EPIPE: _CUT,
    errno.ENOSPC: _FULL,
    errno.EROFS: _NOT_WRITABLE,
}
_BY_TEXT = (
    ('role "" does not exist', _NO_USER),
    ('database "" does not exist', _NO_DATABASE),
    (_BAD_OPTION, _BAD_URL),
    ("password authentication failed", _PASSWORD),
    ("no password supplied", _NO_PASSWORD),
    ("no pg_hba.conf entry", _NOT_ADMITTED),
    ("pg_hba.conf rejects", _NOT_ADMITTED),
    ("authentication failed", _PASSWORD),
    ("is not permitted to log in", _NOT_ADMITTED),
    ("too many connections", _TOO_MANY),
    ("too many clients", _TOO_MANY),
    ("remaining connection slots are reserved", _TOO_MANY),
    ("is starting up", _STARTING),
    ("is shutting down", _STARTING),
    ("not yet accepting connections", _STARTING),
    ("failed to resolve host", _NO_HOST),
    ("could not translate host name", _NO_HOST),
    ("certificate", _TLS),
    ("ssl error", _TLS),
    ("ssl syscall error", _TLS),
    ("not support ssl", _TLS),
    ("ssl was required", _TLS),
    ("sslmode", _TLS),
    ("gssapi negotiation", _TLS),
    ("timeout expired", _LATE),
    ("connection timeout", _LATE),
    ("session is read-only", _READ_ONLY),
    ("server is in hot standby mode", _READ_ONLY),
    ("server closed the connection", _CUT),
    ("the connection is closed", _CUT),
    ("the connection is lost", _CUT),
)
"""Failures by the text of libpq, psycopg and PostgreSQL while they connect, in lower case."""


def unavailable(error: BaseException) -> StoreUnavailable:
    """Return the error for a person that a driver's or SQLAlchemy's error stands for."""
    cause = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
    found, code = _named(cause)
    if found is None:
        text = _driver_text(cause)
        name = f"{type(cause).__name__}: {text}" if text else type(cause).__name__
        return StoreUnavailable(f"the database does not answer: {name}")
    shown = f" ({code})" if code else ""
    return StoreUnavailable(f"the database does not answer: {found.problem}{shown}", hint=found.hint)


def is_the_databases(error: exc.DBAPIError) -> bool:
    """Return whether an error that drivers class with wrong queries is the database's: missing rights, or its URL."""
    state = getattr(error.orig, "sqlstate", None)
    return state in {"42501", "3F000"} or (state is None and _BAD_OPTION in str(error.orig))


def _named(cause: BaseException) -> tuple[_Failure | None, str]:
    """Return the failure and its code: by SQLSTATE, SQLite's error name or errno, and only then by its text."""
    if isinstance(cause, exc.TimeoutError):
        return _POOL, ""
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        return _BY_SQLSTATE.get(state) or _BY_SQLSTATE_CLASS.get(state[:2]), state
    name = getattr(cause, "sqlite_errorname", None)
    if isinstance(name, str):
        return next((found for code, found in _BY_SQLITE.items() if name.startswith(code)), None), name
    if isinstance(cause, sqlite3.Error):
        return None, ""
    number = getattr(cause, "errno", None)
    if isinstance(number, int) and not isinstance(cause, ssl.SSLError):
        return _BY_ERRNO.get(number), errno.errorcode.get(number, "")
    return _by_text(str(cause))


def _by_text(text: str) -> tuple[_Failure | None, str]:
    # Without quoted names: a database may well be called "ssl error".
    known_text = _QUOTED.sub('""', text.lower())
    for known, found in _BY_TEXT:
        if known in known_text:
            return found, ""
    # libpq writes the system's own text, in the language of this process.
    for number, found in _BY_ERRNO.items():
        if os.strerror(number).lower() in known_text:
            return found, errno.errorcode[number]
    return None, ""


def _driver_text(cause: BaseException) -> str:
    """Return the last part of a driver's message, on one line and without the password of the connection."""
    text = " ".join(str(cause).split())
    password = getattr(getattr(cause, "pgconn", None), "password", None)
    if isinstance(password, bytes) and password:
        text = text.replace(password.decode(errors="replace"), "…")
    return printable(text.rpartition(" failed: ")[2][:_LONGEST])
