"""Whose turn it is: webhook-driven work first, background work when nothing else waits, and always a little of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

_background: ContextVar[bool] = ContextVar("pacspace_background", default=False)


@contextmanager
def background() -> Iterator[None]:
    """Calls inside give way to all others, at the rate limits of this process and of the fleet.

    Where others wait, a tenth of each limit stays for background work. Holds for this thread (context) only: a worker
    thread started inside has to say it itself.
    """
    token = _background.set(True)
    try:
        yield
    finally:
        _background.reset(token)


def in_background() -> bool:
    """Whether the call that is being made gives way."""
    return _background.get()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Waiter:
    """A call that waits for its turn. Lower tickets came first."""

    ticket: int
    patient: bool
