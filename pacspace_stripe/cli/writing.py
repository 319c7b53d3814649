"""Files that commands write: whole, or not at all."""

import os
from pathlib import Path

import click


def write_whole(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path`` in one step, so that nobody sees half of it and what was there survives a failure."""
    target = path.resolve()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        try:
            part.write_bytes(data)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise click.FileError(str(path), hint=error.strerror or str(error)) from error
