"""The PacSpace simulator: routing, authentication, the request log, and control by tests."""

import secrets
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import httpx

from pacspace_stripe.simulator.clock import Clock
from pacspace_stripe.simulator.faults import Faults
from pacspace_stripe.simulator.http import LoggedRequest, Route, find_route, json_response
from pacspace_stripe.simulator.outbox import Deliver
from pacspace_stripe.simulator.pacspace.behaviour import BY_NAME, CountsBy, LateDeltas, Rules
from pacspace_stripe.simulator.pacspace.idempotency import Idempotency
from pacspace_stripe.simulator.pacspace.inputs import read_call
from pacspace_stripe.simulator.pacspace.posts import POSTING_METHODS, Posting
from pacspace_stripe.simulator.pacspace.refusals import PacSpaceRefusal, wrong_key
from pacspace_stripe.simulator.pacspace.routes import KEY_ROUTES, KEYED_ENDPOINTS, OPEN_ROUTES, PRIVATE
from pacspace_stripe.simulator.pacspace.troubles import LedgerFaults
from pacspace_stripe.simulator.pacspace.world import World
from pacspace_stripe.simulator.pacspace.world_builder import BUILDING_METHODS, Building

_NO_REPLY = 0


class PacSpaceSimulator(Posting, Building):
    """A stateful PacSpace: call it with a request and get its response.

    It sends webhooks through ``deliver``, if given. Usable as ``httpx.MockTransport(simulator)``, or served over
    loopback. Its roots are its own and are labelled so. Faults that break the connection raise the ``httpx`` error
    that a client would see.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        api_key: str = "pk_test_simulator.secret",
        base_url: str = "http://127.0.0.1",
        seed: int = 0,
        verify_delay: timedelta | None = None,
        checkpoint_delay: timedelta | None = None,
        late_deltas: LateDeltas | None = None,
        counts_by: CountsBy | None = None,
        faults: Faults | None = None,
        rules: Rules | None = None,
        deliver: Deliver | None = None,
    ) -> None:
        """Set the switches: ``rules`` holds all of them, and the named ones override it. Refuse live keys."""
        if _is_live(api_key):
            message = "the simulator takes no live keys: use a pk_test_ key"
            raise ValueError(message)
        given = {
            "verify_delay": verify_delay,
            "checkpoint_delay": checkpoint_delay,
            "late_deltas": late_deltas,
            "counts_by": counts_by,
        }
        rules = (rules or Rules()).changed({name: value for name, value in given.items() if value is not None})
        world, lock = World(clock, rules, seed=seed, base_url=base_url), threading.RLock()
        Building.__init__(self, world, lock)
        Posting.__init__(self, world, lock, deliver)
        self.api_key = api_key
        self.faults = faults or Faults(seed)
        self._faults = LedgerFaults(self.faults, seed)
        self.log: list[LoggedRequest] = []
        self._idempotency = Idempotency()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request, or raise the ``httpx`` transport error that a fault stands for."""
        request.read()
        found = find_route((*KEY_ROUTES, *OPEN_ROUTES), request)
        endpoint = found[0].endpoint if found else f"{request.method} (unknown)"
        process = partial(self._processed, *found, request) if found else partial(_not_found, request)
        status = _NO_REPLY
        try:
            response = self._faults.answer(endpoint, request, self._world.clock, process)
            status = response.status_code
        finally:
            self._note(request, endpoint, status)
        return response

    def _processed(self, route: Route, values: dict[str, str], request: httpx.Request) -> httpx.Response:
        try:
            if route in KEY_ROUTES:
                self._authenticate(request)
            call = read_call(request, values)
            process = partial(route.handler, self._world, call)
            key = request.headers.get("Idempotency-Key")
            with self._lock:
                if not key or route.endpoint not in KEYED_ENDPOINTS:
                    return process()
                return self._idempotency.once(route.endpoint, key, self._world, call.body, process)
        except PacSpaceRefusal as refusal:
            return refusal.answer()

    def _authenticate(self, request: httpx.Request) -> None:
        key = request.headers.get("X-Api-Key", "")
        if _is_live(key):
            message = "This API key belongs to another environment than this host"
            raise PacSpaceRefusal(403, message, "API_KEY_ENVIRONMENT_HOST_MISMATCH")
        known = (self.api_key, *(made.full for made in self._world.dashboard.keys))
        if not any(secrets.compare_digest(key.encode(), each.encode()) for each in known):
            raise wrong_key()

    def _note(self, request: httpx.Request, endpoint: str, status: int) -> None:
        entry = LoggedRequest(
            at=self._world.now(),
            method=request.method,
            path=request.url.path,
            endpoint=endpoint,
            idempotency_key=request.headers.get("Idempotency-Key"),
            status=status,
            params=_asked(request),
        )
        with self._lock:
            self.log.append(entry)

    def calls(self) -> Counter[str]:
        """Return the number of requests per endpoint, such as ``{"POST /api/v1/balance/delta": 2}``."""
        with self._lock:
            return Counter(entry.endpoint for entry in self.log)

    def add_fault(
        self,
        name: str,
        *,
        endpoint: str | None = None,
        times: int | None = None,
        skip: int = 0,
        probability: float = 1.0,
        seconds: float = 0.0,
    ) -> None:
        """Plan a generic fault (:class:`FaultName`) or one of PacSpace's own (:class:`LedgerFault`).

        The name of a lasting behaviour (``behaviour.BY_NAME``) turns that behaviour on instead.
        """
        if name in BY_NAME:
            self.configure(**BY_NAME[name])
            return
        self._faults.add(name, endpoint=endpoint, times=times, skip=skip, probability=probability, seconds=seconds)

    def clear_faults(self) -> None:
        """Remove every planned fault."""
        self._faults.clear()

    def controls(self) -> Mapping[str, Callable[..., object]]:
        """Return the methods that the control endpoint of a served simulator may call."""
        return {
            name: getattr(self, name)
            for name in (*BUILDING_METHODS, *POSTING_METHODS, "add_fault", "clear_faults", "calls")
        }


def _is_live(api_key: str) -> bool:
    return api_key.strip().lower().startswith("pk_live_")


def _asked(request: httpx.Request) -> Mapping[str, Any]:
    """Return the JSON body, or the query; empty if neither can be read."""
    if request.url.path.startswith(PRIVATE):
        return {}
    try:
        call = read_call(request, {})
    except PacSpaceRefusal:
        return {}
    return call.body or call.query


def _not_found(request: httpx.Request) -> httpx.Response:
    message = f"Cannot {request.method} {request.url.path}"
    return json_response(404, {"statusCode": 404, "message": message, "error": "Not Found"})
