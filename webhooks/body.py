"""Reading a request's body from a sender nobody knows yet: bounded in size and in time."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

# The rest of such a body may still be on its way, so the connection cannot be used again.
_CLOSE = {"Connection": "close"}


async def read_body(request: Request, *, limit: int, seconds: float) -> bytes:
    """The whole body. Raises HTTPException: 413 above ``limit`` bytes, 408 after ``seconds``, 400 if it breaks off."""
    declared = request.headers.get("content-length", "")
    # Refused before a byte is read; a chunked body declares nothing and is counted instead.
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise HTTPException(413, "too large", headers=_CLOSE)
    try:
        async with asyncio.timeout(seconds):
            return await _counted(request, limit)
    except TimeoutError:
        raise HTTPException(408, "too slow", headers=_CLOSE) from None
    except ClientDisconnect:
        raise HTTPException(400, "incomplete", headers=_CLOSE) from None


async def _counted(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise HTTPException(413, "too large", headers=_CLOSE)
    return bytes(body)
