"""HTTP parts that both simulators share: routing, the request log, JSON with exact decimals."""

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import httpx


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """One request that a simulator answered; tests count calls and assert writes with it."""

    at: datetime
    method: str
    path: str
    endpoint: str
    """Method and path pattern, such as ``POST /v1/invoices/{id}``: Stripe's unit of rate limiting."""
    idempotency_key: str | None
    status: int
    """0 when a fault kept the answer from arriving."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Parameters as the vendor nests them: form parameters for Stripe, the JSON body for PacSpace."""


Handler = Callable[..., httpx.Response]


@dataclass(frozen=True, slots=True)
class Route:
    """A method, a path pattern with ``{name}`` segments, and the handler that answers it."""

    method: str
    pattern: str
    handler: Handler

    @property
    def endpoint(self) -> str:
        return f"{self.method} {self.pattern}"

    def match(self, method: str, raw_path: str) -> dict[str, str] | None:
        """Return the decoded path values, or None without a match.

        Segments are decoded after splitting, as both vendors do.
        """
        if method != self.method:
            return None
        wanted, given = self.pattern.strip("/").split("/"), raw_path.strip("/").split("/")
        if len(wanted) != len(given):
            return None
        values: dict[str, str] = {}
        for pattern, raw in zip(wanted, given, strict=True):
            found = re.fullmatch(r"\{(\w+)\}", pattern)
            if found:
                values[found[1]] = unquote(raw)
            elif pattern != unquote(raw):
                return None
        return values


def find_route(routes: Iterable[Route], request: httpx.Request) -> tuple[Route, dict[str, str]] | None:
    """Return the first route that answers this request, with its decoded path values."""
    raw_path = request.url.raw_path.decode("ascii").partition("?")[0]
    for route in routes:
        values = route.match(request.method, raw_path)
        if values is not None:
            return route, values
    return None


_MARK = "\ue000"


def _marked(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{_MARK}{value:f}{_MARK}"
    message = f"{type(value).__name__} is not JSON"
    raise TypeError(message)


def exact_json(value: Any) -> bytes:
    """Return JSON bytes in which every Decimal is a number with exactly its digits."""
    text = json.dumps(value, ensure_ascii=False, default=_marked)
    return re.sub(f'"{_MARK}([^{_MARK}]*){_MARK}"', r"\1", text).encode()


def json_response(status: int, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    """Return a JSON answer as both vendors send it."""
    return httpx.Response(
        status, content=exact_json(body), headers={"Content-Type": "application/json", **(headers or {})}
    )


def require_loopback(host: str) -> None:
    """Raise ValueError unless ``host`` is this machine's loopback address."""
    if host == "localhost":
        return
    try:
        if ipaddress.ip_address(host.strip("[]")).is_loopback:
            return
    except ValueError:
        pass
    message = f"the simulators use loopback addresses only, not {host}"
    raise ValueError(message)
