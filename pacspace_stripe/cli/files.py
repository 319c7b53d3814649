"""Files that commands write: whole, or not at all."""

import os
import tempfile
from pathlib import Path

import click

_READABLE = 0o644


def write_whole(target: Path, content: bytes) -> None:
    """Write a file beside its place and move it there. Raises click.FileError; what was there before stays then."""
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
