"""The cache of values that cannot change: bounded, filled once, and never with a failure."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pacspace_stripe.stripe_api.cache import ReadOnceCache


def test_the_cache_is_bounded() -> None:
    reads: list[str] = []

    def read(key: str) -> str:
        reads.append(key)
        return key.upper()

    remembered = ReadOnceCache(read, kept=2)
    assert [remembered(key) for key in "abca"] == ["A", "B", "C", "A"]
    assert reads == ["a", "b", "c", "a"]


def test_a_failed_read_fails_its_waiters_and_the_next_call_reads_again() -> None:
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
