"""The queue of writers."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pacspace_stripe.store.database import WriterQueue


class Line:
    """Threads that arrive one after the other while the place is taken."""

    def __init__(self) -> None:
        self.writers = WriterQueue()
        self.order: list[str] = []
        self.threads: list[threading.Thread] = []

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the place while all others wait, and then let all of them through."""
        with self.writers.turn(urgent=False):
            yield
        for thread in self.threads:
            thread.join(timeout=10)
            assert not thread.is_alive()

    def comes(self, name: str, *, urgent: bool = False) -> None:
        """Return once the thread waits."""
        before = self.waiting()
        self.threads.append(threading.Thread(target=self._write, args=(name,), kwargs={"urgent": urgent}))
        self.threads[-1].start()
        while self.waiting() == before:
            time.sleep(0.001)

    def waiting(self) -> int:
        return len(self.writers._urgent) + len(self.writers._patient)  # noqa: SLF001  # who waits shows nowhere else

    def _write(self, name: str, *, urgent: bool) -> None:
        with self.writers.turn(urgent=urgent):
            self.order.append(name)


def test_urgent_writers_go_first_and_others_in_order_of_arrival() -> None:
    line = Line()
    with line.held():
        for name in ("check 1", "check 2"):
            line.comes(name)
        for name in ("webhook 1", "webhook 2"):
            line.comes(name, urgent=True)
    assert line.order == ["webhook 1", "webhook 2", "check 1", "check 2"]


def test_no_writer_waits_for_ever() -> None:
    line = Line()
    with line.held():
        line.comes("check")
        for number in range(12):
            line.comes(f"webhook {number}", urgent=True)
    assert line.order.index("check") == 9


def test_an_error_lets_the_next_writer_in() -> None:
    writers = WriterQueue()

    def fail() -> None:
        with writers.turn(urgent=True):
            raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            fail()


def test_one_writer_writes_at_a_time() -> None:
    writers, inside, most = WriterQueue(), [0], [0]

    def write(number: int) -> None:
        for _ in range(200):
            with writers.turn(urgent=number % 2 == 0):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0)
                inside[0] -= 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in threads)
    assert most == [1]
