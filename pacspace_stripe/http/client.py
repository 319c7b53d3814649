"""The one HTTP client of the process: timeouts, retries, rate limits, guards and the mapping of errors.

:meth:`Transport.send` makes one call, ``_try`` one try of it. ``connections`` keeps to the deadline, ``retries``
decides when a call is repeated, and ``ratelimit`` how fast a vendor may be asked.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from random import random as any_fraction

import httpx

from pacspace_stripe.errors import (
    CadenceLimited,
    RateLimited,
    RemoteError,
    RemoteRefused,
    RemoteUnavailable,
    UnexpectedAnswer,
)
from pacspace_stripe.http.calls import Answer, Call, asked_wait
from pacspace_stripe.http.connections import Connections, bounded
from pacspace_stripe.http.ratelimit.backoff import rate_refusal
from pacspace_stripe.http.ratelimit.limiter import RateLimiter, Turn
from pacspace_stripe.http.ratelimit.priority import background
from pacspace_stripe.http.ratelimit.rules.rate import Rate
from pacspace_stripe.http.ratelimit.shares import Fleet
from pacspace_stripe.http.redaction import secrets_in
from pacspace_stripe.http.retries import Timeouts, pause, try_limits, worth_repeating

HTTPX_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError, UnicodeError)
"""Errors that sending may raise; UnicodeError for a header or URL that is not ASCII."""
_ADDRESS_HINT = "Check the base URL and the keys in the environment: the request could not even be sent."
_MEANING: tuple[tuple[type[Exception], type[RemoteError], str], ...] = (
    (httpx.TimeoutException, RemoteUnavailable, "no answer in time"),
    (httpx.UnsupportedProtocol, RemoteRefused, "the base URL is not http(s)"),
    (httpx.InvalidURL, RemoteRefused, "the base URL is not a URL"),
    (UnicodeError, RemoteRefused, "the request is not valid HTTP"),
    (httpx.LocalProtocolError, RemoteRefused, "the request is not valid HTTP"),
    (httpx.ProxyError, RemoteUnavailable, "the proxy failed"),
    (httpx.RemoteProtocolError, RemoteUnavailable, "the connection broke"),
    (httpx.NetworkError, RemoteUnavailable, "no connection"),
    (httpx.TransportError, RemoteUnavailable, "no connection"),
    (httpx.DecodingError, UnexpectedAnswer, "the body is not in its declared encoding"),
    (httpx.TooManyRedirects, UnexpectedAnswer, "too many redirects"),
)
"""Our error for each of httpx's, most specific first; any other one is an UnexpectedAnswer."""

_TOO_MANY, _SERVER_ERROR, _FIRST_ERROR = 429, 500, 400
_LONGEST_REST = 86_400.0
"""Seconds; a vendor that asks for more is treated as one that asks for a day."""
_CADENCE = "CADENCE_LIMIT"
_FINAL_CODES = {_CADENCE, "IDEMPOTENCY_CONFLICT"}
"""PacSpace's codes that make a repetition pointless, under statuses that are otherwise repeated (CONTRACT 1.6, 1.7)."""
_CONNECTED, _FIRST_BYTE, _ANSWERED = (
    "connection.connect_tcp.complete",
    "http11.send_request_headers.started",
    "http11.receive_response_headers.complete",
)
"""Names of httpcore's trace events."""
_counters: ContextVar[tuple[Callable[[], None], ...]] = ContextVar("pacspace_counters", default=())
_guards: ContextVar[tuple[Callable[[], None], Callable[[], None]] | None] = ContextVar("pacspace_guards", default=None)

_log = logging.getLogger(__name__)


def quiet(library: str) -> None:
    """Raise a library's log level to WARNING, unless it was set: below, libraries log full URLs and bodies."""
    logger = logging.getLogger(library)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)


class Transport:
    """The HTTP client. Thread-safe. ``httpx_transport`` is the seam for simulators; ``limits`` are by service name.

    ``fleets``, also by service name, are where other processes share the same limit.
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
        for library in ("httpx", "httpcore"):
            quiet(library)
        no_cookies = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
        below = httpx_transport or Connections()
        self._traces_bytes = isinstance(below, Connections)
        self._http = httpx.Client(transport=below, cookies=no_cookies, follow_redirects=False)

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

    background = staticmethod(background)

    @contextmanager
    def guarded(self, check: Callable[[], None], *, reading: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Run ``check()`` before each try of each request inside except GET, and ``reading()`` before each of a GET.

        The first byte follows within a tenth of a second, when connecting is quick. What the guards raise stops the
        call. They hold for this thread (context) only: a worker thread that is started inside has none.
        """
        token = _guards.set((check, reading))
        try:
            yield
        finally:
            _guards.reset(token)

    @contextmanager
    def counted(self, count: Callable[[], None]) -> Iterator[None]:
        """Run ``count()`` before each try of each request inside, beside any guard; what it raises stops the call.

        It holds for this thread (context) only, like a guard.
        """
        token = _counters.set((*_counters.get(), count))
        try:
            yield
        finally:
            _counters.reset(token)

    def deadline(self, seconds: float | None = None) -> datetime:
        """Return when something that starts now and may take ``seconds`` ends; by default, one call."""
        return self._clock() + timedelta(seconds=self._timeouts.total if seconds is None else seconds)

    def rest(self, seconds: float, *, until: datetime) -> bool:
        """Sleep, unless ``until`` would pass meanwhile; return True if it slept."""
        if self._clock() + timedelta(seconds=min(seconds, _LONGEST_REST)) >= until:
            return False
        self._sleep(seconds)
        return True

    def send(self, call: Call, *, until: datetime | None = None) -> Answer:
        """Send a call, and again when that may help; give up at ``until`` (default: :meth:`deadline`).

        Raises RemoteUnavailable for no answer or a 5xx, RateLimited for a 429, UnexpectedAnswer for an answer that
        cannot be read, RemoteRefused for a request that cannot be sent, and whatever a guard raises. Every other
        status is an Answer.
        """
        first, until = call, until or self.deadline()
        tries = self._timeouts.tries if call.repeatable else 1
        tried = 0
        while True:
            tried += 1
            outcome = self._try(call, until, tries_left=max(1, tries - tried + 1))
            asked = _retry_after(outcome)
            again = tried < tries and _is_worth_repeating(outcome)
            wait = pause(tried, self._random(), asked=asked) if again else None
            if wait is None or not self.rest(wait, until=until):
                return _settled(call, outcome, asked)
            call = _under_another_key(first, call, outcome, tried)

    def _try(self, call: Call, until: datetime, *, tries_left: int) -> Answer | RemoteUnavailable:
        """Make one try: 1 wait for its turn, 2 ask the guards, 3 send and read in the time left, 4 obey a 429.

        A failure after which a repetition may help is returned; any other one is raised.
        """

        def left() -> float:
            return (until - self._clock()).total_seconds()

        # 1. The vendor's rate limit: the turn is given a little early, so that no moment of the limit is lost.
        limiter, latest = self._limiters.get(call.service), until - timedelta(seconds=self._timeouts.connect)
        with limiter.turn(call.endpoint, until=latest) if limiter else nullcontext() as turn:
            # 2. After the wait and right before the first byte: the lease may have run out meanwhile.
            guards = _guards.get()
            if guards:
                guards[call.method == "GET"]()
            if turn and not self._traces_bytes:
                turn.sends()
            for count in _counters.get():
                count()
            # 3. Nothing on the connection lasts longer than the call, whatever arrives byte by byte.
            started_at = self._clock()
            try:
                with bounded(left):
                    request = self._request(call, turn, left=max(0.001, left()), tries_left=tries_left)
                    response = self._http.send(request, stream=True)
                    try:
                        body = self._body(call, response, until)
                    finally:
                        response.close()
            except HTTPX_ERRORS as error:
                failure = httpx_failure(call.service, error)
                _log.debug("%s %s: %s", call.service, call.endpoint, type(error).__name__)
            else:
                secrets = (*call.secrets, *secrets_in(call.headers))
                answer = Answer(status=response.status_code, headers=response.headers, body=body, secrets=secrets)
                took, status = (self._clock() - started_at).total_seconds(), answer.status
                _log.debug(
                    "%s %s: %d in %.3fs request=%s", call.service, call.endpoint, status, took, answer.request_id
                )
                # 4. Send less for a while, where the 429 is about the rate.
                if turn and (refusal := rate_refusal(answer, _retry_after(answer))):
                    turn.refused(refusal)
                return answer
        # Raised out here: httpx's error holds the request, and that its key; it would stay attached as context.
        if isinstance(failure, RemoteUnavailable):
            return failure
        raise failure

    def _request(self, call: Call, turn: Turn | None, *, left: float, tries_left: int) -> httpx.Request:
        connect, read = try_limits(self._timeouts, left=left, tries_left=tries_left)
        timeout = httpx.Timeout(connect=connect, read=read, write=read, pool=connect)
        trace = {} if turn is None else {"trace": _trace(turn)}
        return self._http.build_request(
            call.method, call.url, headers=call.headers, content=call.content, timeout=timeout, extensions=trace
        )

    def _body(self, call: Call, response: httpx.Response, until: datetime) -> bytes:
        """Read the body in bounded time and size: httpx's own read timeout restarts with every chunk."""
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


def httpx_failure(service: str, error: Exception) -> RemoteError:
    """Return our error for one of httpx's, without its text: h11 quotes headers, keys included."""
    for theirs, ours, message in _MEANING:
        if isinstance(error, theirs):
            hint = _ADDRESS_HINT if ours is RemoteRefused else None
            return ours(service, f"{message} ({type(error).__name__})", hint=hint)
    return UnexpectedAnswer(service, f"an answer that could not be read ({type(error).__name__})")


def _steady_clock() -> Callable[[], datetime]:
    """Return wall time that does not jump when the machine's clock is set."""
    started_at, started = datetime.now(UTC), time.monotonic()
    return lambda: started_at + timedelta(seconds=time.monotonic() - started)


def _trace(turn: Turn) -> Callable[[str, object], None]:
    """Return a trace function for httpcore: a request counts from its first byte, since connecting may take long.

    The first request on a connection counts until it is answered: the vendor may be slow to take the connection up.
    """
    connected = False

    def trace(event: str, _: object) -> None:
        nonlocal connected
        connected = connected or event == _CONNECTED
        if event == _FIRST_BYTE:
            turn.sends()
        elif event == _ANSWERED and connected:
            turn.arrived()

    return trace


def _under_another_key(first: Call, call: Call, outcome: Answer | RemoteUnavailable, tried: int) -> Call:
    """Return the call under a new key after a stored 500, which Stripe replays for a day (FACTS 6.4).

    A lost answer is asked for again under the same key.
    """
    name = first.key_header
    if not name or name not in first.headers or not isinstance(outcome, Answer) or outcome.status < _SERVER_ERROR:
        return call
    return replace(call, headers={**call.headers, name: f"{first.headers[name]}-{tried + 1}"})


def _is_worth_repeating(outcome: Answer | RemoteUnavailable) -> bool:
    if not isinstance(outcome, Answer):
        return True
    return worth_repeating(outcome.status, outcome.headers) and outcome.error.code not in _FINAL_CODES


def _retry_after(outcome: Answer | RemoteUnavailable) -> float | None:
    """Return the seconds that an error asks us to wait; the body is more exact than the header (CONTRACT 1.5)."""
    if not isinstance(outcome, Answer) or outcome.status < _FIRST_ERROR:
        return None
    asked = outcome.error.retry_after
    header = outcome.headers.get("retry-after", "")
    return asked if asked is not None or not header.isdecimal() else float(header)


def _settled(call: Call, outcome: Answer | RemoteUnavailable, asked: float | None) -> Answer:
    """Return the answer, or raise the error that its status means when no further try is left."""
    if isinstance(outcome, RemoteError):
        raise outcome
    if outcome.status != _TOO_MANY and outcome.status < _SERVER_ERROR:
        return outcome
    error = outcome.error
    message = f"{call.endpoint}: HTTP {outcome.status}{error.suffix}"
    details = {
        "status": outcome.status,
        "code": error.code,
        "request_id": outcome.request_id,
        "retry_after": asked_wait(asked),
    }
    if outcome.status == _TOO_MANY and error.code == _CADENCE:
        raise CadenceLimited(call.service, message, customer_id=error.customer_id, **details)
    kind = RateLimited if outcome.status == _TOO_MANY else RemoteUnavailable
    raise kind(call.service, message, **details)  # type: ignore[arg-type]  # keywords by name
