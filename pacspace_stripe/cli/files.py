"""Files that commands write: whole, or not at all."""

import os
import sys
import tempfile
from pathlib import Path

import click

_READABLE = 0o644
_STDOUT = Path("-")


def is_stdout(target: Path) -> bool:
    """Return whether ``-`` was named, so that what a command says about the file belongs on standard error."""
    return target == _STDOUT


def write_whole(target: Path, content: bytes) -> None:
    """Write a file beside its place and move it there; ``-`` is standard output.

    Raises click.FileError, and then what was there before stays; click.UsageError for a terminal.
    """
    if is_stdout(target):
        if sys.stdout.isatty():
            message = "standard output is a terminal: name a file, or pipe it on"
            raise click.UsageError(message)
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    beside = None
    try:
        number, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.absolute().parent)
        beside = Path(name)
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(target.stat().st_mode & 0o777 if target.exists() else _READABLE & ~_umask())
        beside.replace(target)
    except OSError as error:
        if beside is not None:
            beside.unlink(missing_ok=True)
        raise click.FileError(str(target), hint=error.strerror or str(error)) from error


def _umask() -> int:
    """What this process does not grant on new files; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
