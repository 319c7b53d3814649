"""What is read once: kept, bounded, and never a failure."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pacspace_stripe.stripe_api.cache import ReadOnceCache


def test_only_so_many_are_kept() -> None:
    reads: list[str] = []

    def read(key: str) -> str:
        reads.append(key)
        return key.upper()

    remembered = ReadOnceCache(read, kept=2)
    assert [remembered(key) for key in "abca"] == ["A", "B", "C", "A"]
    assert reads == ["a", "b", "c", "a"]


def test_who_waits_for_a_failing_read_gets_its_error_and_the_next_one_reads_again() -> None:
    reading, fail = threading.Event(), threading.Event()

    def read(key: str) -> str:
        if fail.is_set():
            return key
        reading.set()
        fail.wait(5)
        message = "no answer"
        raise TimeoutError(message)

    remembered = ReadOnceCache(read)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(remembered, "a")
        reading.wait(5)
        second = pool.submit(remembered, "a")
        fail.set()
        with pytest.raises(TimeoutError):
            first.result()
        assert isinstance(second.exception(), TimeoutError) or second.result() == "a"
    assert remembered("a") == "a"
