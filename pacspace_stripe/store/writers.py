"""One writer after the other within a process, those whom somebody waits for first."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock


class Writers:
    """A queue for one place: who is ``urgent`` goes before all others, else first come, first served."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._urgent, self._patient = Condition(self._lock), Condition(self._lock)
        self._waiting = 0
        """How many are urgent and wait."""
        self._taken = False

    @contextmanager
    def turn(self, *, urgent: bool) -> Iterator[None]:
        """Inside, nobody else is."""
        with self._lock:
            if urgent:
                self._wait_urgently()
            else:
                while self._taken or self._waiting:
                    self._patient.wait()
            self._taken = True
        try:
            yield
        finally:
            with self._lock:
                self._taken = False
                (self._urgent if self._waiting else self._patient).notify()

    def _wait_urgently(self) -> None:
        self._waiting += 1
        try:
            while self._taken:
                self._urgent.wait()
        finally:
            self._waiting -= 1
