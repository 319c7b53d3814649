"""Priority at the rate limits: webhook-driven calls first, background work behind them, but always a little of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

_background: ContextVar[bool] = ContextVar("pacspace_background", default=False)


@contextmanager
def background() -> Iterator[None]:
    """Let the calls inside give way to all others, at the rate limits of this process and of the fleet.

    A tenth of each limit stays for background work even where other calls wait. It holds for this thread (context)
    only: a worker thread that is started inside enters this context itself.
    """
    token = _background.set(True)
    try:
        yield
    finally:
        _background.reset(token)


def in_background() -> bool:
    """Return True inside :func:`background`."""
    return _background.get()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Waiter:
    """Call that waits for its turn. Lower tickets came first; ``background`` is background work."""

    ticket: int
    background: bool
