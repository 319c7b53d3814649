"""The environment file on disk: private from its first byte, replaced as a whole, and otherwise as it was."""

import os
import resource
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click
import pytest

from pacspace_stripe.cli.onboard.env_file import EnvFile, Progress
from pacspace_stripe.settings import env_example

JANE = Progress(dashboard="https://app.pacspace.io", email="jane@example.com", name="Jané")
KEY = {"PACSPACE_API_KEY": "pk_test_a.b"}


@contextmanager
def permissive() -> Iterator[None]:
    """New files are everybody's, unless made otherwise."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file of this process grows beyond this many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_new_file_is_the_example_filled_in(tmp_path: Path) -> None:
    file = EnvFile(tmp_path / ".env")
    assert (file.values(), file.progress()) == ({}, None)
    file.fill(KEY)
    written = file.path.read_text()
    assert "PACSPACE_API_KEY=pk_test_a.b\n" in written
    assert written.splitlines()[1:10] == env_example().splitlines()[1:10]
    assert "Copy to .env" not in written
    file.note(JANE)
    assert file.progress() == JANE
    assert file.values()["PACSPACE_API_KEY"] == "pk_test_a.b"


def test_only_the_owner_can_read_the_file_at_any_moment(tmp_path: Path) -> None:
    file, done, modes = EnvFile(tmp_path / ".env"), threading.Event(), set()

    def look() -> None:
        while not done.is_set():
            for entry in os.scandir(tmp_path):
                with suppress(FileNotFoundError):
                    modes.add(stat.S_IMODE(entry.stat().st_mode))

    looking = threading.Thread(target=look)
    looking.start()
    with permissive():
        for number in range(200):
            file.fill({"PACSPACE_API_KEY": f"pk_test_a.{number}"})
    done.set()
    looking.join()
    assert modes == {0o600}


def test_a_file_that_others_could_read_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\n")
    path.chmod(0o644)
    EnvFile(path).fill(KEY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_bytes_that_are_no_text_stay_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"A=\xff\xfe\r\n# caf\xe9")
    EnvFile(path).fill({"A": "1", **KEY})
    assert path.read_bytes().startswith(b"A=1\r\n# caf\xe9\r\n# PacSpace API key")


@pytest.mark.parametrize("there", ["", "A=1\n" * 100])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, there: str) -> None:
    path = tmp_path / ".env"
    if there:
        path.write_text(there)
    with full_disk(64), pytest.raises(click.FileError, match="File too large"):
        EnvFile(path).fill(KEY)
    assert [entry.name for entry in tmp_path.iterdir()] == ([".env"] if there else [])
    assert not there or path.read_text() == there


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(click.FileError, match="Is a directory"):
        EnvFile(tmp_path).values()
    with pytest.raises(click.FileError, match="No such file or directory"):
        EnvFile(tmp_path / "missing" / ".env").fill(KEY)
