"""A cache for values that cannot change at their source."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Value = TypeVar("Value")
_KEPT = 10_000


class ReadOnceCache(Generic[Value]):
    """Cache that reads each key once, even when many threads ask at the same moment; a failed read is not kept."""

    def __init__(self, read: Callable[[str], Value], kept: int = _KEPT) -> None:
        self._read = read
        self._kept = kept
        self._lock = threading.Lock()
        self._values: dict[str, Future[Value]] = {}

    def __call__(self, key: str) -> Value:
        with self._lock:
            value = self._values.get(key)
            mine = value is None
            if value is None:
                value = self._values[key] = Future()
                if len(self._values) > self._kept:
                    del self._values[next(iter(self._values))]
        if not mine:
            return value.result()
        try:
            value.set_result(self._read(key))
        except BaseException as error:
            with self._lock:
                if self._values.get(key) is value:
                    del self._values[key]
            value.set_exception(error)
            raise
        return value.result()
