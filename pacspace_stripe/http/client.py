"""One call over HTTP: guarded, rate-limited, timed, tried again, its errors mapped."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from random import random as any_fraction

import httpx

from pacspace_stripe.errors import CadenceLimited, RateLimited, RemoteError, RemoteUnavailable, UnexpectedAnswer
from pacspace_stripe.http.calls import Answer, Call, error_body, wish
from pacspace_stripe.http.connections import Connections, bounded
from pacspace_stripe.http.failures import FOREIGN, httpx_failure
from pacspace_stripe.http.ratelimit.backoff import RateRefusal, refusal
from pacspace_stripe.http.ratelimit.limiter import RateLimiter, Turn
from pacspace_stripe.http.ratelimit.priority import background
from pacspace_stripe.http.ratelimit.rules.rate import Rate
from pacspace_stripe.http.ratelimit.shares import Fleet
from pacspace_stripe.http.redaction import secrets_in
from pacspace_stripe.http.retries import Timeouts, pause, try_limits, worth_repeating

_log = logging.getLogger(__name__)
_TOO_MANY, _SERVER_ERROR = 429, 500
_LONGEST_REST = 86_400.0
"""Seconds; whatever a service asks for beyond is the same to us."""
_CADENCE = "CADENCE_LIMIT"
_FINAL_CODES = {_CADENCE, "IDEMPOTENCY_CONFLICT"}
"""PacSpace's codes under a status that is else worth repeating (CONTRACT 1.6, 1.7)."""
_CONNECTED, _FIRST_BYTE, _ANSWERED = (
    "connection.connect_tcp.complete",
    "http11.send_request_headers.started",
    "http11.receive_response_headers.complete",
)
_counters: ContextVar[tuple[Callable[[], None], ...]] = ContextVar("pacspace_counters", default=())
_guards: ContextVar[tuple[Callable[[], None], Callable[[], None]] | None] = ContextVar("pacspace_guards", default=None)


def quiet(library: str) -> None:
    """Keep a library from logging what must not be logged (full URLs, bodies), unless somebody set its level."""
    logger = logging.getLogger(library)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)


def _steady_clock() -> Callable[[], datetime]:
    """Wall time that does not jump when the machine's clock is set."""
    started_at, started = datetime.now(UTC), time.monotonic()
    return lambda: started_at + timedelta(seconds=time.monotonic() - started)


class Transport:
    """Sends calls; thread-safe. ``httpx_transport`` is the seam for simulators; ``limits`` are by service name.

    ``fleets``, by service name too, are where other processes share the same limit.
    """

    def __init__(
        self,
        *,
        httpx_transport: httpx.BaseTransport | None = None,
        clock: Callable[[], datetime] | None = None,
        sleep: Callable[[float], object] = time.sleep,
        random: Callable[[], float] = any_fraction,
        limits: Mapping[str, Rate] | None = None,
        fleets: Mapping[str, Fleet] | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._clock = clock or _steady_clock()
        self._sleep = sleep
        self._random = random
        self._timeouts = timeouts or Timeouts()
        self._limiters: dict[str, RateLimiter] = {}
        self._fleets = fleets or {}
        for service, rate in (limits or {}).items():
            self.limit(service, rate)
        for chatty in ("httpx", "httpcore"):
            quiet(chatty)
        no_cookies = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
        over = httpx_transport or Connections()
        self._tells_of_bytes = isinstance(over, Connections)
        self._http = httpx.Client(transport=over, cookies=no_cookies, follow_redirects=False)

    def close(self) -> None:
        """Close the connections; calls after this fail."""
        for limiter in self._limiters.values():
            limiter.close()
        self._http.close()

    def limit(self, service: str, rate: Rate) -> None:
        """Limit calls to ``service``, unless a limit was set before."""
        fleet = self._fleets.get(service)
        limiter = RateLimiter(service, rate, clock=self._clock, sleep=self._sleep, fleet=fleet)
        self._limiters.setdefault(service, limiter)

    @staticmethod
    def background() -> AbstractContextManager[None]:
        """Inside, calls give way to all others: see :func:`~pacspace_stripe.transport.turns.background`."""
        return background()

    @contextmanager
    def guarded(self, check: Callable[[], None], *, reading: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Inside, ``check()`` runs before each try of each request but GET, ``reading()`` before each of a GET.

        The first byte follows within a tenth of a second, when connecting is quick. What they raise stops the call.
        Holds for this thread (context) only: a worker thread started inside has none.
        """
        token = _guards.set((check, reading))
        try:
            yield
        finally:
            _guards.reset(token)

    @contextmanager
    def counted(self, count: Callable[[], None]) -> Iterator[None]:
        """Inside, ``count()`` runs before each try of each request, beside any guard; what it raises stops the call.

        Holds for this thread (context) only, like a guard.
        """
        token = _counters.set((*_counters.get(), count))
        try:
            yield
        finally:
            _counters.reset(token)

    def deadline(self, seconds: float | None = None) -> datetime:
        """When a call that starts now gives up; or what else may take ``seconds``."""
        return self._clock() + timedelta(seconds=self._timeouts.total if seconds is None else seconds)

    def rest(self, seconds: float, *, until: datetime) -> bool:
        """Sleep, unless ``until`` would pass meanwhile; says whether it slept."""
        if self._clock() + timedelta(seconds=min(seconds, _LONGEST_REST)) >= until:
            return False
        self._sleep(seconds)
        return True

    def send(self, call: Call, *, until: datetime | None = None) -> Answer:
        """Send, and again when that may help; give up at ``until`` (default: :meth:`deadline`).

        Raises RemoteUnavailable for no answer or a 5xx, RateLimited for a 429, UnexpectedAnswer for one that
        cannot be read, RemoteRefused for a request that cannot be sent, and whatever the guard raises. Every other
        status is an Answer.
        """
        first, until = call, until or self.deadline()
        tries = self._timeouts.tries if call.repeatable else 1
        tried = 0
        while True:
            tried += 1
            outcome = self._try(call, until, tries_left=max(1, tries - tried + 1))
            asked = _retry_after(outcome)
            again = tried < tries and _worth_repeating(outcome)
            wait = pause(tried, self._random(), asked=asked) if again else None
            if wait is None or not self.rest(wait, until=until):
                return _settled(call, outcome, asked)
            call = _under_another_key(first, call, outcome, tried)

    def _try(self, call: Call, until: datetime, *, tries_left: int) -> Answer | RemoteUnavailable:
        limiter = self._limiters.get(call.service)
        if limiter is None:
            return self._tried(call, until, tries_left, None)
        with limiter.turn(call.endpoint, until=until - timedelta(seconds=self._timeouts.connect)) as turn:
            outcome = self._tried(call, until, tries_left, turn)
            refused = _refusal(outcome)
            if refused:
                turn.refused(refused)
            return outcome

    def _tried(self, call: Call, until: datetime, tries_left: int, turn: Turn | None) -> Answer | RemoteUnavailable:
        guards = _guards.get()
        if guards:
            guards[call.method == "GET"]()
        if turn and not self._tells_of_bytes:
            turn.sends()
        for count in _counters.get():
            count()
        started_at = self._clock()
        answer = self._answer(call, until, tries_left, turn)
        if isinstance(answer, RemoteUnavailable):
            return answer
        took = (self._clock() - started_at).total_seconds()
        _log.debug("%s %s: %d in %.3fs request=%s", call.service, call.endpoint, answer.status, took, answer.request_id)
        return answer

    def _answer(self, call: Call, until: datetime, tries_left: int, turn: Turn | None) -> Answer | RemoteUnavailable:
        def left() -> float:
            return (until - self._clock()).total_seconds()

        try:
            with bounded(left):
                return self._exchange(call, until, tries_left, turn)
        except FOREIGN as error:
            failure = httpx_failure(call.service, error)
            _log.debug("%s %s: %s", call.service, call.endpoint, type(error).__name__)
        # Raised out here: httpx's error holds the request, and that its key; it would stay attached as context.
        if isinstance(failure, RemoteUnavailable):
            return failure
        raise failure

    def _exchange(self, call: Call, until: datetime, tries_left: int, turn: Turn | None) -> Answer:
        left = max(0.001, (until - self._clock()).total_seconds())
        connect, read = try_limits(self._timeouts, left=left, tries_left=tries_left)
        timeout = httpx.Timeout(connect=connect, read=read, write=read, pool=connect)
        request = self._http.build_request(
            call.method, call.url, headers=call.headers, content=call.content, timeout=timeout, extensions=_told(turn)
        )
        response = self._http.send(request, stream=True)
        try:
            body = self._body(call, response, until)
        finally:
            response.close()
        secrets = (*call.secrets, *secrets_in(call.headers))
        return Answer(status=response.status_code, headers=response.headers, body=body, secrets=secrets)

    def _body(self, call: Call, response: httpx.Response, until: datetime) -> bytes:
        """All of it, in bounded time and size: httpx's own read timeout starts anew with every chunk."""
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > call.largest_body:
                message = f"{call.endpoint}: more than {call.largest_body} bytes"
                raise UnexpectedAnswer(call.service, message, status=response.status_code)
            if self._clock() > until:
                message = "the body came too slowly"
                raise httpx.ReadTimeout(message)
        return bytes(body)


def _told(turn: Turn | None) -> dict[str, object]:
    """A turn's request counts from its first byte: to connect takes as long as many requests (httpcore's trace).

    The first one on a connection counts until it is answered: the vendor may be slow to take the connection up.
    """
    if turn is None:
        return {}
    connected = False

    def trace(event: str, _: object) -> None:
        nonlocal connected
        connected = connected or event == _CONNECTED
        if event == _FIRST_BYTE:
            turn.sends()
        elif event == _ANSWERED and connected:
            turn.arrived()

    return {"trace": trace}


def _refusal(outcome: Answer | RemoteUnavailable) -> RateRefusal | None:
    if not isinstance(outcome, Answer):
        return None
    return refusal(outcome.status, outcome.headers, error_body(outcome.body), _retry_after(outcome))


def _under_another_key(first: Call, call: Call, outcome: Answer | RemoteUnavailable, tried: int) -> Call:
    """Stripe keeps a key's first answer for a day, a 500 included (FACTS 6); one that was lost is asked for."""
    name = first.key_header
    if not name or name not in first.headers or not isinstance(outcome, Answer) or outcome.status < _SERVER_ERROR:
        return call
    return replace(call, headers={**call.headers, name: f"{first.headers[name]}-{tried + 1}"})


def _worth_repeating(outcome: Answer | RemoteUnavailable) -> bool:
    if not isinstance(outcome, Answer):
        return True
    return worth_repeating(outcome.status, outcome.headers) and outcome.said.code not in _FINAL_CODES


def _retry_after(outcome: Answer | RemoteUnavailable) -> float | None:
    """Seconds; the body's wish is more exact than the header's (CONTRACT 1.5)."""
    if not isinstance(outcome, Answer) or outcome.status < 400:  # noqa: PLR2004  # the first error status
        return None
    asked = outcome.said.retry_after
    header = outcome.headers.get("retry-after", "")
    return asked if asked is not None or not header.isdecimal() else float(header)


def _settled(call: Call, outcome: Answer | RemoteUnavailable, asked: float | None) -> Answer:
    """The answer, or what its status means when no further try is left."""
    if isinstance(outcome, RemoteError):
        raise outcome
    if outcome.status != _TOO_MANY and outcome.status < _SERVER_ERROR:
        return outcome
    said = outcome.said
    message = f"{call.endpoint}: HTTP {outcome.status}{said.suffix}"
    details = {
        "status": outcome.status,
        "code": said.code,
        "request_id": outcome.request_id,
        "retry_after": wish(asked),
    }
    if outcome.status == _TOO_MANY and said.code == _CADENCE:
        raise CadenceLimited(call.service, message, customer_id=said.customer_id, **details)
    kind = RateLimited if outcome.status == _TOO_MANY else RemoteUnavailable
    raise kind(call.service, message, **details)  # type: ignore[arg-type]  # keywords by name
