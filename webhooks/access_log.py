"""One log line and one id per request, and the last line of defence for unexpected errors.

Logs carry ids, never bodies, headers, addresses or secrets.
"""

import logging
import time
import traceback
import uuid

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-Id"
_QUIET = frozenset({"/healthz", "/readyz"})
_log = logging.getLogger("pacspace_stripe.webhooks")


class AccessLog:
    """Outermost ASGI middleware: every answer carries an id, and no exception leaves the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{uuid.uuid4().hex}"
        ids: dict[str, str] = {}
        scope.setdefault("state", {})["ids"] = ids
        status, started_at = 0, time.monotonic()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (HEADER.lower().encode(), request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:  # noqa: BLE001  # for any error Stripe gets a clean 500 and sends the event again
            _log.error("request=%s failed: %s", request_id, _where(error))
            if not status:
                await JSONResponse({"error": "internal"}, status_code=500)(scope, receive, send_with_id)
        finally:
            level = logging.DEBUG if scope["path"] in _QUIET else logging.INFO
            milliseconds = (time.monotonic() - started_at) * 1000
            named = "".join(f" {name}={value}" for name, value in ids.items())
            _log.log(level, "request=%s status=%d ms=%.1f%s", request_id, status, milliseconds, named)


def _where(error: BaseException) -> str:
    """Return an error's type and place, not its message: a foreign error may quote the request."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    return f"{type(error).__qualname__} at " + " < ".join(f"{frame.filename}:{frame.lineno}" for frame in frames)
