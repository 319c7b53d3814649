"""A process with a worker that obeys commands line by line: ``python -m tests.support.engines URL``.

``want ID`` requests a check, ``work SECONDS`` sets the time that checks take from now on, ``stop`` stops cleanly. The
process prints ``looking ID REQUESTED`` when a check begins and ``looked ID REQUESTED`` when it ends.
"""

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from pacspace_stripe.store import JobKind, Store
from pacspace_stripe.worker import Worker

LEASE, LOST_AFTER = timedelta(seconds=30), timedelta(seconds=6)
PATIENCE = 60.0
"""Seconds until an expected event counts as missing."""


def wall_clock() -> datetime:
    """Return the current time, aware UTC."""
    return datetime.now(UTC)


def eventually(what: Callable[[], object], within: float = PATIENCE) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


class EngineProcess:
    """A started process: takes commands and keeps the process's output."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.told: list[str] = []

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.support.engines", self._url]
        folder = Path(__file__).parents[2]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._listen)
        self._reader.start()
        eventually(lambda: "started" in self.told)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self._reader.join()
        self.process.communicate()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.told.append(line.strip())

    def tell(self, *lines: str) -> None:
        """Send it commands."""
        assert self.process.stdin is not None
        for line in lines:
            self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def heard(self, word: str) -> list[str]:
        """Return the lines of its output that begin with a word, without the word."""
        return [line.removeprefix(word).strip() for line in self.told if line.startswith(f"{word} ")]


def main(url: str) -> None:
    """Run the process."""
    said: queue.Queue[str] = queue.Queue()
    store = Store(url, now=wall_clock, lost_after=LOST_AFTER)
    store.migrate()
    seconds = 0.0

    def look(kind: JobKind, job_id: str, requested: int) -> None:
        lease = store.jobs.acquire(kind, job_id, LEASE)
        if lease is None:
            return
        said.put(f"looking {job_id} {requested}")
        time.sleep(seconds)
        lease.give_back(None, None)
        said.put(f"looked {job_id} {requested}")

    def talk() -> None:
        while True:
            print(said.get(), flush=True)  # noqa: T201  # this is how it tells

    threading.Thread(target=talk, daemon=True).start()
    engine = Worker(store=store, url=url, run_job=look)
    engine.start()
    said.put("started")
    for line in sys.stdin:
        match line.split():
            case ["want", job_id]:
                store.triggers.request(JobKind.INVOICE, job_id, engine.enqueue)
            case ["work", written]:
                seconds = float(written)
            case _:
                break
    engine.stop()
    store.close()


if __name__ == "__main__":
    main(sys.argv[1])
