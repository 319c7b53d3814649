"""The ASGI application: four addresses, small answers, nothing of the inside in them.

POST /webhooks/stripe     200 durable · 400 not signed by Stripe · 408 slow · 413 large · 503 try again
POST /webhooks/pacspace   the same for PacSpace · 404 without its secret
GET  /healthz             200 while the process runs
GET  /readyz              200 when an event could be made durable now, else 503
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Lifespan

from pacspace_stripe.errors import SignatureError, StoreUnavailable, UnreadableEvent
from pacspace_stripe.stripe_api.events import Outcome, Receipt
from webhooks.access_log import AccessLog
from webhooks.body import read_body
from webhooks.receiver import LedgerReceiver, Receiver

BODY_LIMIT: Final = 1024 * 1024
"""Bytes. Stripe's largest events are far below."""
BODY_SECONDS: Final = 10.0
READY_SECONDS: Final = 5.0
_RETRY_AFTER: Final = {"Retry-After": "5"}


def create_app(
    receiver: Receiver,
    *,
    ledger: LedgerReceiver | None = None,
    body_limit: int = BODY_LIMIT,
    body_seconds: float = BODY_SECONDS,
    lifespan: Lifespan[Starlette] | None = None,
) -> Starlette:
    """The endpoint in front of ``receiver``, and of ``ledger`` if there is one. ``lifespan`` as in Starlette."""

    async def stripe(request: Request) -> JSONResponse:
        body = await read_body(request, limit=body_limit, seconds=body_seconds)
        return await _received(partial(receiver.receive, body, _header(request, "Stripe-Signature")), request)

    async def healthz(_: Request) -> JSONResponse:
        return JSONResponse({"status": "running"})

    async def readyz(_: Request) -> JSONResponse:
        return await _readiness(receiver)

    routes = [
        Route("/webhooks/stripe", stripe, methods=["POST"]),
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
    ]
    if ledger is not None:
        routes.append(_ledger_route(ledger, body_limit, body_seconds))
    app = Starlette(
        routes=routes,
        middleware=[Middleware(AccessLog)],
        exception_handlers={HTTPException: _refused},
        lifespan=lifespan,
    )
    # Stripe counts a redirect as a failed delivery: better the 404 that says so.
    app.router.redirect_slashes = False
    return app


def _ledger_route(ledger: LedgerReceiver, body_limit: int, body_seconds: float) -> Route:
    async def pacspace(request: Request) -> JSONResponse:
        receive = partial(
            ledger.receive,
            await read_body(request, limit=body_limit, seconds=body_seconds),
            signature=_header(request, "X-PacSpace-Signature"),
            timestamp=_header(request, "X-PacSpace-Timestamp"),
            event_id=_header(request, "X-Event-ID"),
        )
        return await _received(receive, request)

    return Route("/webhooks/pacspace", pacspace, methods=["POST"])


def _header(request: Request, name: str) -> str | None:
    """Several of one name are joined as HTTP says; two timestamps are then refused."""
    return ",".join(request.headers.getlist(name)) or None


async def _received(receive: Callable[[], Receipt], request: Request) -> JSONResponse:
    ids: dict[str, str] = request.state.ids
    try:
        receipt = await to_thread.run_sync(receive)
    except SignatureError:
        ids["outcome"] = "unsigned"
        return JSONResponse({"error": "signature"}, status_code=400)
    except UnreadableEvent:
        # An error would make Stripe delay every invoice of the account; sending it again would change nothing.
        receipt = Receipt(outcome=Outcome.UNREADABLE)
    except StoreUnavailable:
        ids["outcome"] = "unavailable"
        return JSONResponse({"error": "unavailable"}, status_code=503, headers=_RETRY_AFTER)
    ids.update(_ids(receipt))
    return JSONResponse({"received": True})


def _ids(receipt: Receipt) -> Mapping[str, str]:
    found = {
        "event": receipt.event_id,
        "invoice": receipt.invoice_id,
        "account": receipt.account,
        "outcome": receipt.outcome.value,
    }
    return {name: value for name, value in found.items() if value is not None}


async def _readiness(receiver: Receiver) -> JSONResponse:
    try:
        with anyio.fail_after(READY_SECONDS):
            details = await to_thread.run_sync(receiver.ready, abandon_on_cancel=True)
    except (StoreUnavailable, TimeoutError):
        return JSONResponse({"status": "unavailable"}, status_code=503, headers=_RETRY_AFTER)
    return JSONResponse({"status": "ready", **details})


async def _refused(_: Request, error: Exception) -> JSONResponse:
    """404, 405 and what ``read_body`` refuses."""
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)
