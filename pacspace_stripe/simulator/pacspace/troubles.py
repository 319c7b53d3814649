"""Effects of each named fault on one request: the generic faults, and those that only PacSpace has."""

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import Any

import httpx

from pacspace_stripe.simulator.clock import Clock
from pacspace_stripe.simulator.faults import Answer, Fault, FaultName, Faults, answer_through
from pacspace_stripe.simulator.http import json_response
from pacspace_stripe.simulator.pacspace import refusals, writes
from pacspace_stripe.simulator.pacspace.behaviour import BY_NAME
from pacspace_stripe.simulator.pacspace.idempotency import pending
from pacspace_stripe.simulator.pacspace.inputs import read_call
from pacspace_stripe.simulator.pacspace.refusals import PacSpaceRefusal
from pacspace_stripe.simulator.pacspace.routes import KEYED_ENDPOINTS


class LedgerFault(StrEnum):
    """Faults that only PacSpace has."""

    PLAN_LIMIT = "402"
    NO_ENVIRONMENT = "412"
    CADENCE_LIMIT = "cadence_limit"
    """429 that names a customer instead of a rate."""
    IDEMPOTENCY_PENDING = "idempotency_pending"
    """202 although the request was processed: it is answered as if it still were in flight."""
    HTML = "html"
    """200 from a proxy; nothing is processed."""
    WRONG_SHAPE = "wrong_shape"
    """The request took effect, and the answer's envelope holds something else."""
    CHAIN_UNAVAILABLE = "chain_unavailable"
    """Public verify without a finding: ``verified`` is false, without a summary, as in the SDK's tests."""


_DELTA, _BATCH = "POST /api/v1/balance/delta", "POST /api/v1/balance/delta/batch"
ENDPOINTS: Mapping[LedgerFault, tuple[str, ...]] = {
    LedgerFault.PLAN_LIMIT: (_DELTA, _BATCH, "POST /api/v1/writes", "POST /api/v1/facts"),
    LedgerFault.NO_ENVIRONMENT: (_DELTA, _BATCH),
    LedgerFault.CADENCE_LIMIT: (_DELTA, _BATCH),
    LedgerFault.IDEMPOTENCY_PENDING: tuple(sorted(KEYED_ENDPOINTS)),
    LedgerFault.CHAIN_UNAVAILABLE: ("GET /api/v1/verify/{proofRoot}",),
}
"""Endpoints that each fault is about (CONTRACT 1.5, 1.7, 1.8, 3.1, 3.13, 11), unless the plan names its own.

A used-up plan refuses records, while reading, deriving and verifying stay free. The other faults strike anywhere.
"""

_REFUSALS: Mapping[str, Callable[[httpx.Request, int], PacSpaceRefusal]] = {
    FaultName.SERVER_ERROR: lambda _request, _wait: PacSpaceRefusal(500, "Internal server error", "INTERNAL_ERROR"),
    FaultName.BAD_GATEWAY: lambda _request, _wait: PacSpaceRefusal(502, "Bad gateway"),
    FaultName.UNAVAILABLE: lambda _request, wait: refusals.unavailable(wait),
    FaultName.RATE_LIMITED: lambda _request, wait: refusals.rate_limited(wait),
    LedgerFault.CADENCE_LIMIT: lambda request, wait: refusals.cadence_limited(wait, _customer(request)),
    LedgerFault.PLAN_LIMIT: lambda _request, _wait: refusals.plan_limited(),
    LedgerFault.NO_ENVIRONMENT: lambda _request, _wait: refusals.environment_missing(),
}
"""Faults that are an error answer; nothing is processed. ``Retry-After`` is the fault's seconds, or one."""

_HTML = "<!doctype html><title>Welcome</title><p>A proxy answered in PacSpace's place.</p>"


class LedgerFaults:
    """PacSpace's own faults and the generic ones, in one list."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self.generic = faults
        self._own = {name: Faults(seed) for name in LedgerFault}

    def add(self, name: str, **plan: Any) -> None:
        """Plan a fault. Raise ValueError for a name that PacSpace cannot fail by."""
        if name in set(LedgerFault):
            own = LedgerFault(name)
            endpoint = plan.pop("endpoint", None) or ENDPOINTS.get(own)
            self._own[own].add(FaultName.SERVER_ERROR, endpoint=endpoint, **plan)
            return
        if name == FaultName.LOCK_TIMEOUT:
            message = "PacSpace has no lock timeouts"
            raise ValueError(message)
        if name not in set(FaultName):
            known = sorted({*FaultName, *LedgerFault, *BY_NAME} - {FaultName.LOCK_TIMEOUT})
            message = f"PacSpace cannot fail by {name!r}, only by {', '.join(known)}"
            raise ValueError(message)
        self.generic.add(name, **plan)

    def clear(self) -> None:
        """Remove every planned fault."""
        for faults in (self.generic, *self._own.values()):
            faults.clear()

    def answer(self, endpoint: str, request: httpx.Request, clock: Clock, process: Answer) -> httpx.Response:
        """Return the response after any fault that strikes this request. Raise ``httpx`` transport errors."""
        for name, plans in self._own.items():
            struck = plans.take(endpoint)
            if struck is not None:
                return _answered(name, _wait(struck), request, process)
        fault = self.generic.take(endpoint)
        refuse = partial(_answered, wait=_wait(fault), request=request, process=process)
        return answer_through(fault, request, clock, process, refuse)


def _answered(name: str, wait: int, request: httpx.Request, process: Answer) -> httpx.Response:
    if name == LedgerFault.CADENCE_LIMIT and (deltas := _batch(request)):
        return json_response(201, {"success": True, "data": writes.refused_batch(deltas, "CADENCE_LIMIT")})
    if name in _REFUSALS:
        return _REFUSALS[name](request, wait).answer()
    match name:
        case LedgerFault.HTML:
            return httpx.Response(200, html=_HTML)
        case LedgerFault.WRONG_SHAPE:
            return json_response(process().status_code, {"success": True, "data": {"simulator": "not what was asked"}})
        case LedgerFault.IDEMPOTENCY_PENDING:
            return _pending(wait, request, process)
        case LedgerFault.CHAIN_UNAVAILABLE:
            root = request.url.path.rsplit("/", 1)[-1]
            return json_response(200, {"verified": False, "proofRoot": root, "message": "chain unavailable"})
    message = f"PacSpace cannot fail by {name}"
    raise ValueError(message)


def _pending(wait: int, request: httpx.Request, process: Answer) -> httpx.Response:
    """Answer "in flight", which needs a key: the next try with it replays the outcome."""
    response = process()
    if not request.headers.get("Idempotency-Key") or not response.is_success:
        return response
    return pending(202, wait)


def _wait(fault: Fault | None) -> int:
    return max(1, math.ceil(fault.seconds)) if fault else 1


def _customer(request: httpx.Request) -> str | None:
    customer_id = _sent(request).get("customerId")
    return customer_id if isinstance(customer_id, str) else None


def _batch(request: httpx.Request) -> list[Any]:
    """Return the deltas of a batch: each has a cadence of its own, so each is refused in its own row (CONTRACT 1.8)."""
    deltas = _sent(request).get("deltas")
    return deltas if isinstance(deltas, list) else []


def _sent(request: httpx.Request) -> Mapping[str, Any]:
    try:
        return read_call(request, {}).body
    except PacSpaceRefusal:
        return {}
