"""How the endpoint is served: one uvicorn process, quiet about itself, bounded against strangers."""

from typing import Final

import uvicorn
from starlette.types import ASGIApp

_CONNECTIONS: Final = 512
"""More at once are answered 503, and Stripe comes again."""
_HEADER_BYTES: Final = 64 * 1024
_GRACE_SECONDS: Final = 3
"""What is being received when we are told to stop may be finished; what is not, Stripe sends again."""


def server_config(app: ASGIApp, *, host: str, port: int) -> uvicorn.Config:
    """For ``uvicorn.Server``. Logging stays ours: nothing is configured, no access lines with addresses."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        # Nothing we do depends on the caller's address, so nobody's word for it is taken.
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        h11_max_incomplete_event_size=_HEADER_BYTES,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        http="h11",
        ws="none",
    )
