"""The ASGI application: both vendors' addresses and two for operators; small answers that show nothing of the inside.

POST /webhooks/stripe     200 durable · 400 not signed by Stripe · 408 slow · 413 large · 503 try again
POST /webhooks/pacspace   the same for PacSpace · 404 without its secret
GET  /healthz             200 while the process runs
GET  /readyz              200 when an event could be made durable now, else 503

``pacspace-stripe serve`` runs it. Another ASGI server runs the same application by its factory::

    uvicorn --factory webhooks.app:create_app

A host application mounts it at its root and runs its lifespan, which starts and stops the workers::

    gate = create_app()
    host = Starlette(routes=[..., Mount("/", gate)], lifespan=lambda _: gate.router.lifespan_context(gate))
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Protocol

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Lifespan

from pacspace_stripe.app import App, build
from pacspace_stripe.documents.examples import footers
from pacspace_stripe.errors import SignatureError, StoreUnavailable, UnreadableEvent
from pacspace_stripe.settings import load_settings
from pacspace_stripe.wakeups import Receipt, ReceiptOutcome
from pacspace_stripe.worker import Worker
from webhooks.access_log import AccessLog
from webhooks.inboxes import open_inboxes

BODY_LIMIT: Final = 1024 * 1024
"""Bytes. Stripe's largest events are far below."""
BODY_SECONDS: Final = 10.0
READY_SECONDS: Final = 5.0
_RETRY_AFTER: Final = {"Retry-After": "5"}
_CLOSE: Final = {"Connection": "close"}
"""The rest of a refused body may still be on its way, so its connection cannot be used again."""

_log = logging.getLogger("pacspace_stripe.webhooks")


class StripeReceiver(Protocol):
    """Receiver of Stripe's webhooks. Called from several threads at once; it may block, but not long."""

    def receive(self, body: bytes, signature_header: str | None) -> Receipt:
        """Verify the raw ``body`` and make its event durable. See :class:`~webhooks.inboxes.StripeInbox`."""
        ...

    def ready(self) -> Mapping[str, str]:
        """Return details for a person if an event could be made durable now. Raises StoreUnavailable if not."""
        ...


class PacSpaceReceiver(Protocol):
    """Receiver of PacSpace's webhooks, whose signature is in headers of its own."""

    def receive(
        self, body: bytes, *, signature: str | None, timestamp: str | None, event_id: str | None = None
    ) -> Receipt:
        """Verify the raw ``body`` and make its event durable. See :class:`~webhooks.inboxes.PacSpaceInbox`."""
        ...


def create_app(
    stripe: StripeReceiver | None = None,
    *,
    pacspace: PacSpaceReceiver | None = None,
    body_limit: int = BODY_LIMIT,
    body_seconds: float = BODY_SECONDS,
    lifespan: Lifespan[Starlette] | None = None,
) -> Starlette:
    """Return the application in front of both receivers; without ``stripe``, the whole gate from the environment.

    ``pacspace`` is None where PacSpace's webhook has no secret. From the environment, the application's lifespan starts
    and stops the workers and the queue (:class:`GateService`); a missing or wrong setting raises ConfigurationError.
    """
    if stripe is None:
        return GateService.from_environment().application()

    async def receive_stripe(request: Request) -> JSONResponse:
        body = await read_body(request, limit=body_limit, seconds=body_seconds)
        return await _received(partial(stripe.receive, body, _header(request, "Stripe-Signature")), request)

    async def healthz(_: Request) -> JSONResponse:
        return JSONResponse({"status": "running"})

    async def readyz(_: Request) -> JSONResponse:
        try:
            with anyio.fail_after(READY_SECONDS):
                details = await to_thread.run_sync(stripe.ready, abandon_on_cancel=True)
        except (StoreUnavailable, TimeoutError):
            return JSONResponse({"status": "unavailable"}, status_code=503, headers=_RETRY_AFTER)
        return JSONResponse({"status": "ready", **details})

    routes = [
        Route("/webhooks/stripe", receive_stripe, methods=["POST"]),
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
    ]
    if pacspace is not None:

        async def receive_pacspace(request: Request) -> JSONResponse:
            receive = partial(
                pacspace.receive,
                await read_body(request, limit=body_limit, seconds=body_seconds),
                signature=_header(request, "X-PacSpace-Signature"),
                timestamp=_header(request, "X-PacSpace-Timestamp"),
                event_id=_header(request, "X-Event-ID"),
            )
            return await _received(receive, request)

        routes.append(Route("/webhooks/pacspace", receive_pacspace, methods=["POST"]))
    app = Starlette(
        routes=routes,
        middleware=[Middleware(AccessLog)],
        exception_handlers={HTTPException: _refused},
        lifespan=lifespan,
    )
    # Stripe counts a redirect as a failed delivery: better the 404 that says so.
    app.router.redirect_slashes = False
    return app


class GateService:
    """The gate of one process: its addresses, its queue, its due rows and its alert deliveries."""

    def __init__(self, app: App) -> None:
        self._app = app
        url = app.settings.database_url.get_secret_value()
        self._worker = Worker(store=app.store, url=url, run_job=app.check, alert_senders=app.alert_senders())

    @classmethod
    def from_environment(cls) -> "GateService":
        """Build the gate from environment variables. Raises ConfigurationError, and RenderError for a broken footer."""
        app = build(load_settings(os.environ))
        app.documents.render_footer(next(view for _, view in footers()))
        return cls(app)

    def start(self) -> None:
        """Start the worker and plan a wide sweep. One process starts one service."""
        self._worker.start()
        if self._app.adopt_policy():
            _log.warning("the policy changed: every open invoice is checked again")
        self._app.sweep.plan()

    def stop(self) -> int:
        """Stop the worker, and return how many checks are still not done."""
        unfinished = self._worker.stop()
        if unfinished:
            _log.warning("stopped in the middle of %d checks: they are made again", unfinished)
        return unfinished

    def endpoint(self, *, lifespan: Lifespan[Starlette] | None = None) -> Starlette:
        """Return the application for a caller that starts and stops this service itself."""
        stripe, pacspace = open_inboxes(self._app, self._worker.enqueue)
        return create_app(stripe, pacspace=pacspace, lifespan=lifespan)

    def application(self) -> Starlette:
        """Return the application whose lifespan starts and stops this service, and closes its connections."""

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            try:
                await to_thread.run_sync(self.start)
                yield
            finally:
                await to_thread.run_sync(self.stop)
                await to_thread.run_sync(self._app.close)

        return self.endpoint(lifespan=lifespan)


async def read_body(request: Request, *, limit: int, seconds: float) -> bytes:
    """Return the whole body of a request from an unknown sender, bounded in size and in time.

    Raises HTTPException: 413 above ``limit`` bytes, 408 after ``seconds``, 400 if the body breaks off.
    """
    declared = request.headers.get("content-length", "")
    # Refused before a byte is read; a chunked body declares nothing and is counted instead.
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise HTTPException(413, "too large", headers=_CLOSE)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise HTTPException(413, "too large", headers=_CLOSE)
    except TimeoutError:
        raise HTTPException(408, "too slow", headers=_CLOSE) from None
    except ClientDisconnect:
        raise HTTPException(400, "incomplete", headers=_CLOSE) from None
    return bytes(body)


def _header(request: Request, name: str) -> str | None:
    """Return a header; several of one name are joined as HTTP says, and two timestamps are then refused."""
    return ",".join(request.headers.getlist(name)) or None


async def _received(receive: Callable[[], Receipt], request: Request) -> JSONResponse:
    ids: dict[str, str] = request.state.ids
    try:
        receipt = await to_thread.run_sync(receive)
    except SignatureError:
        ids["outcome"] = "unsigned"
        return JSONResponse({"error": "signature"}, status_code=400)
    except UnreadableEvent:
        # An error would make Stripe delay every invoice of the account (FACTS 2.1); a resend would change nothing.
        receipt = Receipt(outcome=ReceiptOutcome.UNREADABLE)
    except StoreUnavailable:
        ids["outcome"] = "unavailable"
        return JSONResponse({"error": "unavailable"}, status_code=503, headers=_RETRY_AFTER)
    named = {
        "event": receipt.event_id,
        "invoice": receipt.invoice_id,
        "account": receipt.account,
        "outcome": receipt.outcome.value,
    }
    ids.update({name: value for name, value in named.items() if value is not None})
    return JSONResponse({"received": True})


async def _refused(_: Request, error: Exception) -> JSONResponse:
    """Answer 404, 405 and what ``read_body`` refuses."""
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)
