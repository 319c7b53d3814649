"""The uvicorn settings of the endpoint: quiet about itself, bounded against unknown senders."""

from typing import Final

import uvicorn
from starlette.types import ASGIApp

_CONNECTIONS: Final = 512
"""More connections at once are answered 503, and Stripe sends again."""
_HEADER_BYTES: Final = 64 * 1024
_GRACE_SECONDS: Final = 3
"""Time to finish requests under way at a stop; Stripe sends again what was not finished."""


def server_config(app: ASGIApp, *, host: str, port: int) -> uvicorn.Config:
    """Return the settings for ``uvicorn.Server``. uvicorn configures no logging, and writes no lines with addresses."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        # Nothing depends on the caller's address, so no header is believed about it.
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        h11_max_incomplete_event_size=_HEADER_BYTES,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        http="h11",
        ws="none",
    )
