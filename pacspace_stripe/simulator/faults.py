"""Faults of the connection, by name: seeded, per endpoint, counted. Both simulators use them.

Faults in a vendor's own records are planted in a whole month instead: see ``plant`` in ``simulator.planted_faults``.
"""

import fnmatch
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

import httpx

from pacspace_stripe.simulator.clock import Clock, ManualClock


class FaultName(StrEnum):
    """Names of the faults. The first three raise in process, and close the connection over a socket."""

    CONNECTION_ERROR = "connection_error"
    """The request never arrives."""
    TIMEOUT = "timeout"
    """No answer comes in time, and nothing happened."""
    LOST_REPLY = "lost_reply"
    """The request took effect, and its answer is lost."""
    SLOW = "slow"
    """The answer takes ``seconds``; if that exceeds the caller's read timeout, it is lost after the effect."""
    SERVER_ERROR = "500"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    RATE_LIMITED = "429"
    LOCK_TIMEOUT = "lock_timeout"


@dataclass(slots=True, kw_only=True)
class Fault:
    """One planned fault. ``endpoint`` is a method and a path pattern and may hold ``*``; None is every endpoint."""

    name: FaultName
    endpoints: tuple[str, ...] = ()
    times: int | None = None
    """Largest number of times that it strikes; None is without end."""
    skip: int = 0
    """Number of matching requests that pass first."""
    probability: float = 1.0
    seconds: float = 0.0
    struck: int = 0

    def matches(self, endpoint: str) -> bool:
        """Return True if this fault is meant for an endpoint such as ``POST /v1/invoices/{id}`` and is not used up."""
        if self.times is not None and self.struck >= self.times:
            return False
        return not self.endpoints or any(fnmatch.fnmatchcase(endpoint, each) for each in self.endpoints)


class Faults:
    """The faults of one simulator, of which the first match strikes. Safe to change while requests run."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(
        self,
        name: FaultName | str,
        *,
        endpoint: str | tuple[str, ...] | None = None,
        times: int | None = None,
        skip: int = 0,
        probability: float = 1.0,
        seconds: float = 0.0,
    ) -> Fault:
        """Plan a fault. Raise ValueError for a name that is not a :class:`FaultName`."""
        fault = Fault(
            name=FaultName(name),
            endpoints=(endpoint,) if isinstance(endpoint, str) else endpoint or (),
            times=times,
            skip=skip,
            probability=probability,
            seconds=seconds,
        )
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Remove every planned fault."""
        with self._lock:
            self._faults.clear()

    def take(self, endpoint: str) -> Fault | None:
        """Return the fault that strikes this request, if any, and count it."""
        with self._lock:
            for fault in self._faults:
                if fault.matches(endpoint) and self._strikes(fault):
                    fault.struck += 1
                    return fault
        return None

    def _strikes(self, fault: Fault) -> bool:
        if fault.skip:
            fault.skip -= 1
            return False
        return fault.probability >= 1 or self._random.random() < fault.probability


Answer = Callable[[], httpx.Response]
Refuse = Callable[[FaultName], httpx.Response]


def answer_through(
    fault: Fault | None, request: httpx.Request, clock: Clock, answer: Answer, refuse: Refuse
) -> httpx.Response:
    """Answer a request through a fault.

    ``answer`` has the effect; ``refuse`` makes the vendor's answer for the faults that are a status. Raises
    ``httpx.ConnectError`` or ``httpx.ReadTimeout`` where no answer arrives.
    """
    match fault.name if fault else None:
        case None:
            return answer()
        case FaultName.CONNECTION_ERROR:
            return _refuse_connection(request)
        case FaultName.TIMEOUT:
            return _no_answer(request)
        case FaultName.LOST_REPLY:
            answer()
            return _no_answer(request)
        case FaultName.SLOW:
            return _slowly(fault.seconds if fault else 0.0, request, clock, answer)
        case name:
            return refuse(name or FaultName.SERVER_ERROR)


def _slowly(seconds: float, request: httpx.Request, clock: Clock, answer: Answer) -> httpx.Response:
    response = answer()
    pause(clock, seconds)
    patience = request.extensions.get("timeout", {}).get("read")
    if patience is not None and seconds > patience:
        _no_answer(request)
    return response


def _no_answer(request: httpx.Request) -> NoReturn:
    message = "simulated: no answer in time"
    raise httpx.ReadTimeout(message, request=request)


def _refuse_connection(request: httpx.Request) -> NoReturn:
    message = "simulated: no connection"
    raise httpx.ConnectError(message, request=request)


def pause(clock: Clock, seconds: float) -> None:
    """Let time pass: for real on wall time, by moving a manual clock."""
    if isinstance(clock, ManualClock):
        clock.advance(seconds)
    else:
        time.sleep(seconds)
