"""Connections on which a call ends by its deadline, however slowly the vendor connects, answers or reads.

httpx's own read timeout restarts with every byte that arrives. This module is a transport, httpx's documented
seam, over a network backend, httpcore's documented seam. Proxies of the environment are used as httpx would.
"""

import importlib.util
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from pacspace_stripe.errors import ConfigurationError

_MOST, _MOST_IDLE, _IDLE_SECONDS = 100, 20, 5.0
"""Limits of the connection pool; httpx's own defaults."""
_SHARE = 1.0
"""Least time in seconds for each of a host's addresses to connect, while there is time."""
_PROXIED = ("http", "https", "all")
_PIECE = 16_384
"""Bytes written at once, each piece with a timeout of its own."""
_CORE_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
_left: ContextVar[Callable[[], float] | None] = ContextVar("pacspace_time_left", default=None)


@contextmanager
def bounded(left: Callable[[], float]) -> Iterator[None]:
    """Let nothing on a connection inside last longer than the seconds that are ``left()`` when it begins."""
    token = _left.set(left)
    try:
        yield
    finally:
        _left.reset(token)


def _allowed(timeout: float | None, over: type[Exception]) -> float | None:
    left = _left.get()
    if left is None:
        return timeout
    seconds = left() if timeout is None else min(timeout, left())
    if seconds <= 0:
        message = "the call's time is over"
        raise over(message)
    return seconds


class _Stream(httpcore.NetworkStream):
    """One connection, whose every read and write ends by the deadline of the call."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _allowed(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            self._inner.write(buffer[start : start + _PIECE], _allowed(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = _allowed(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, seconds))

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


class _Network(httpcore.NetworkBackend):
    """Backend that opens connections. All addresses of a host share the time to connect; not each gets all of it."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = _addresses(host, port)
        last: Exception = httpcore.ConnectTimeout("no time to connect")
        started = time.monotonic()
        for place, address in enumerate(addresses):
            seconds = _allowed(timeout, httpcore.ConnectTimeout)
            if seconds is not None and timeout is not None:
                rest = min(seconds, timeout - (time.monotonic() - started))
                seconds = max(rest / (len(addresses) - place), min(_SHARE, rest))
            if seconds is not None and seconds <= 0:
                break
            try:
                return _Stream(self._inner.connect_tcp(address, port, seconds, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


def _addresses(host: str, port: int) -> list[str]:
    """Return a host's addresses in the operating system's order; how long it resolves them cannot be bounded here."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        problem = str(error)
    else:
        return list(dict.fromkeys(str(each[4][0]) for each in found))
    raise httpcore.ConnectError(problem)


class _Body(httpx.SyncByteStream):
    """Body of an answer, read as it arrives."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._response.iter_stream()
        except _CORE_ERRORS as error:
            failure = _as_httpx(error)
        else:
            return
        raise failure

    def close(self) -> None:
        self._response.close()


class Connections(httpx.BaseTransport):
    """The process's connections. Thread-safe. It raises httpx's errors without their causes, which hold requests."""

    def __init__(self) -> None:
        self._ssl = httpx.create_ssl_context()
        self._proxies = {scheme: _proxy(scheme, url) for scheme, url in getproxies().items() if scheme in _PROXIED}
        self._pools: dict[str, httpcore.ConnectionPool] = {}
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        below = httpcore.Request(
            method=request.method.encode("ascii"),
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            response = self._pool(request.url).handle_request(below)
        except _CORE_ERRORS as error:
            failure = _as_httpx(error)
        else:
            headers, body = response.headers, _Body(response)
            return httpx.Response(response.status, headers=headers, stream=body, extensions=response.extensions)
        raise failure

    def close(self) -> None:
        with self._lock:
            for pool in self._pools.values():
                pool.close()

    def _pool(self, url: httpx.URL) -> httpcore.ConnectionPool:
        """Return the pool for an address, over the proxy that the environment names for it, if any."""
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        scheme = "" if proxy is None or proxy_bypass(url.netloc.decode("ascii")) else url.scheme
        with self._lock:
            if scheme not in self._pools:
                self._pools[scheme] = self._new_pool(proxy if scheme else None)
            return self._pools[scheme]

    def _new_pool(self, proxy: httpcore.Proxy | None) -> httpcore.ConnectionPool:
        return httpcore.ConnectionPool(
            ssl_context=self._ssl,
            proxy=proxy,
            max_connections=_MOST,
            max_keepalive_connections=_MOST_IDLE,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=_Network(),
        )


def _proxy(scheme: str, url: str) -> httpcore.Proxy:
    """Read a proxy of the environment. Raises ConfigurationError, without the address, for one that cannot be used."""
    parsed = None
    with suppress(ValueError, httpx.InvalidURL):
        parsed = httpx.Proxy(url if "://" in url else f"http://{url}")
    if parsed is None or not (parsed.url.scheme in {"http", "https"} or importlib.util.find_spec("socksio")):
        variable = f"{scheme}_proxy"
        raise ConfigurationError(variable, "is not an http:// or https:// address of a proxy")
    core = httpcore.URL(
        scheme=parsed.url.raw_scheme, host=parsed.url.raw_host, port=parsed.url.port, target=parsed.url.raw_path
    )
    return httpcore.Proxy(core, auth=parsed.raw_auth, headers=parsed.headers.raw)


def _as_httpx(error: Exception) -> httpx.TransportError:
    """Return httpx's error of the same name; both libraries name them alike, and the text says nothing of a request."""
    kinds = (getattr(httpx, each.__name__, None) for each in type(error).__mro__)
    kind = next((each for each in kinds if isinstance(each, type) and issubclass(each, httpx.TransportError)), None)
    return (kind or httpx.TransportError)(str(error))
