"""The ASGI application: three addresses, small answers, nothing of the inside in them.

POST /webhooks/stripe   200 durable · 400 not signed by Stripe · 408 slow · 413 large · 503 try again
GET  /healthz           200 while the process runs
GET  /readyz            200 when an event could be made durable now, else 503
"""

from collections.abc import Mapping
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
from pacspace_stripe.events import Outcome, Receipt
from webhooks.access_log import AccessLog
from webhooks.body import read_body
from webhooks.receiver import Receiver

BODY_LIMIT: Final = 1024 * 1024
"""Bytes. Stripe's largest events are far below."""
BODY_SECONDS: Final = 10.0
READY_SECONDS: Final = 5.0
_RETRY_AFTER: Final = {"Retry-After": "5"}


def create_app(
    receiver: Receiver,
    *,
    body_limit: int = BODY_LIMIT,
    body_seconds: float = BODY_SECONDS,
    lifespan: Lifespan[Starlette] | None = None,
) -> Starlette:
    """The endpoint in front of ``receiver``. ``lifespan`` runs around it, as in Starlette."""

    async def stripe(request: Request) -> JSONResponse:
        body = await read_body(request, limit=body_limit, seconds=body_seconds)
        return await _received(receiver, body, request)

    async def healthz(_: Request) -> JSONResponse:
        return JSONResponse({"status": "running"})

    async def readyz(_: Request) -> JSONResponse:
        return await _readiness(receiver)

    app = Starlette(
        routes=[
            Route("/webhooks/stripe", stripe, methods=["POST"]),
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
        ],
        middleware=[Middleware(AccessLog)],
        exception_handlers={HTTPException: _refused},
        lifespan=lifespan,
    )
    # Stripe counts a redirect as a failed delivery: better the 404 that says so.
    app.router.redirect_slashes = False
    return app


async def _received(receiver: Receiver, body: bytes, request: Request) -> JSONResponse:
    ids: dict[str, str] = request.state.ids
    # Several headers are joined as HTTP says; two timestamps are then refused.
    signature = ",".join(request.headers.getlist("stripe-signature")) or None
    try:
        receipt = await to_thread.run_sync(receiver.receive, body, signature)
    except SignatureError:
        ids["outcome"] = "unsigned"
        return JSONResponse({"error": "signature"}, status_code=400)
    except UnreadableEvent:
        # An error would make Stripe delay every invoice of the account, and sending it again changes nothing.
        receipt = Receipt(outcome=Outcome.UNREADABLE)
    except StoreUnavailable:
        ids["outcome"] = "unavailable"
        return JSONResponse({"error": "unavailable"}, status_code=503, headers=_RETRY_AFTER)
    ids.update(_ids(receipt))
    return JSONResponse({"received": True})


def _ids(receipt: Receipt) -> Mapping[str, str]:
    found = {"event": receipt.event_id, "invoice": receipt.invoice_id, "outcome": receipt.outcome.value}
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
