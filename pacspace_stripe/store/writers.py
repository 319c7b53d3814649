"""One writer after the other within a process, those first whom somebody waits for."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_IN_A_ROW = 9
"""Urgent writers after which one goes that is not, if there is one: nobody waits for ever."""


class Writers:
    """A line before one place: who is ``urgent`` goes before all others, and else who came first."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken = False
        self._urgent: deque[Lock] = deque()
        self._patient: deque[Lock] = deque()
        """Who waits: each for a lock of its own, which whoever leaves opens."""
        self._in_a_row = 0

    @contextmanager
    def turn(self, *, urgent: bool) -> Iterator[None]:
        """Inside, nobody else is."""
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
            mine.acquire()  # until whoever leaves opens it
        except BaseException:
            self._give_up(mine, line)
            raise

    def _give_up(self, mine: Lock, line: deque[Lock]) -> None:
        """Interrupted while it waited, or when its turn had just come."""
        with self._lock:
            if mine in line:
                line.remove(mine)
                return
        self._leave()

    def _leave(self) -> None:
        with self._lock:
            line = self._next()
            if line is None:
                self._taken = False
            else:
                line.popleft().release()

    def _next(self) -> deque[Lock] | None:
        if self._patient and (not self._urgent or self._in_a_row >= _IN_A_ROW):
            self._in_a_row = 0
            return self._patient
        self._in_a_row = self._in_a_row + 1 if self._patient else 0
        return self._urgent or None
