"""Real HTTP for a simulator, on loopback, with a clock thread and a control endpoint for other processes."""

import json
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import httpx
from pydantic import ConfigDict, ValidationError, validate_call
from pydantic_core import to_jsonable_python

from pacspace_stripe.simulator.http import LoggedRequest, require_loopback

CONTROL = "/_simulator/"
LARGEST_BODY = 4 * 1024 * 1024
TICK_SECONDS = 0.05

logger = logging.getLogger(__name__)

RequestHandler = Callable[[httpx.Request], httpx.Response]


@runtime_checkable
class Controllable(Protocol):
    """A simulator that other processes may steer: its request log, and the methods that they may call."""

    log: list[LoggedRequest]

    def controls(self) -> Mapping[str, Callable[..., object]]: ...


class ServedSimulator:
    """A running server; also a context manager. ``url`` has no trailing slash."""

    def __init__(
        self,
        handler: RequestHandler,
        address: tuple[str, int],
        *,
        tick: Callable[[], object] | None,
        control: Controllable | None,
        tick_seconds: float,
    ) -> None:
        self._server = _Server(address, handler, control)
        host, port = self._server.server_address[:2]
        self.port = int(port)
        shown = host.decode() if isinstance(host, bytes | bytearray) else str(host)
        self.url = f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)]
        if tick is not None:
            self._threads.append(threading.Thread(target=self._tick, args=(tick, tick_seconds), daemon=True))
        for thread in self._threads:
            thread.start()

    def _tick(self, tick: Callable[[], object], seconds: float) -> None:
        while not self._closing.wait(seconds):
            try:
                tick()
            except Exception:
                logger.exception("the simulator's clock thread failed once and goes on")

    def close(self) -> None:
        """Stop serving and ticking; safe to call twice."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        for thread in self._threads:
            thread.join(timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def serve(
    handler: RequestHandler,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    tick: Callable[[], object] | None = None,
    control: Controllable | None = None,
    tick_seconds: float = TICK_SECONDS,
) -> ServedSimulator:
    """Serve a simulator until it is closed; port 0 takes a free one.

    ``tick`` (by default the handler's own ``tick``) is called every ``tick_seconds``. ``control`` (by default the
    handler, when it has ``controls``) is mounted under ``/_simulator/``: ``POST /_simulator/call`` with
    ``{"method": …, "args": {…}}``, and ``GET /_simulator/log``, with ``?after=N`` to leave out the first N requests.
    Raises ValueError for a host that is not loopback.
    """
    require_loopback(host)
    if control is None and isinstance(handler, Controllable):
        control = handler
    tick = tick or getattr(handler, "tick", None)
    return ServedSimulator(handler, (host, port), tick=tick, control=control, tick_seconds=tick_seconds)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: RequestHandler, control: Controllable | None) -> None:
        self.handler = handler
        self.control = ServerControl(control) if control is not None else None
        self._open: set[Any] = set()
        super().__init__(address, _Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End kept-alive connections, whose threads would otherwise wait for a next request."""
        for request in list(self._open):
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class calls it
        logger.debug("connection to %s ended: %s", client_address, sys.exception())


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server
    timeout = 60

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class looks them up

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        logger.debug(format, *args)

    def _handle(self) -> None:
        body = self._body()
        if body is None:
            return
        if not self._is_for_us():
            self._write(
                httpx.Response(421, json={"error": {"message": "the simulators answer to loopback names only"}})
            )
            return
        url = f"http://{self.headers.get('Host', 'localhost')}{self.path}"
        request = httpx.Request(self.command, url, headers=list(self.headers.items()), content=body)
        try:
            response = self._answer(request)
        except httpx.TransportError:
            self.close_connection = True
            return
        except Exception:
            logger.exception("the simulator failed on %s %s", self.command, self.path)
            response = httpx.Response(500, json={"error": {"type": "api_error", "message": "the simulator failed"}})
        self._write(response)

    def _is_for_us(self) -> bool:
        """Return True if the Host header names this machine.

        A web page elsewhere must not reach the control endpoint.
        """
        try:
            require_loopback(httpx.URL(f"http://{self.headers.get('Host', 'localhost')}").host)
        except (ValueError, httpx.InvalidURL):
            return False
        return True

    def _body(self) -> bytes | None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST_BODY or "chunked" in self.headers.get("Transfer-Encoding", ""):
            self.close_connection = True
            self._write(httpx.Response(413, json={"error": {"message": "the body is too large or has no length"}}))
            return None
        body = self.rfile.read(length)
        if len(body) < length:
            # The sender closed the connection in the middle: nothing of the request is done.
            self.close_connection = True
            return None
        return body

    def _answer(self, request: httpx.Request) -> httpx.Response:
        control = self.server.control
        if control is not None and request.url.path.startswith(CONTROL):
            return control(request)
        return self.server.handler(request)

    def _write(self, response: httpx.Response) -> None:
        self.send_response(response.status_code)
        for name, value in response.headers.multi_items():
            if name.lower() not in {"content-length", "transfer-encoding", "connection", "content-encoding"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.content)
        self.wfile.flush()


class ServerControl:
    """The control endpoint, which calls a simulator's methods and reads its log.

    Times are ISO 8601, decimals are strings; the methods' own annotations validate the arguments.
    """

    def __init__(self, simulator: Controllable) -> None:
        self._simulator = simulator
        self._methods = simulator.controls()
        self._checked: dict[str, Callable[..., object]] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request under ``/_simulator/``."""
        asked = (request.method, request.url.path.removeprefix(CONTROL))
        if asked == ("GET", "log"):
            return _json(200, {"log": self._simulator.log[int(request.url.params.get("after", 0)) :]})
        if asked == ("POST", "call"):
            return self._call(request.content)
        return _json(404, {"error": f"no such control: {asked[0]} {asked[1]}"})

    def _call(self, body: bytes) -> httpx.Response:
        try:
            asked = json.loads(body)
            return _json(200, {"result": self._method(asked["method"])(**asked.get("args", {}))})
        except (ValidationError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            return _json(400, {"error": f"{type(error).__name__}: {error}"})

    def _method(self, name: str) -> Callable[..., object]:
        if name not in self._checked:
            config = ConfigDict(arbitrary_types_allowed=True)
            self._checked[name] = validate_call(config=config)(self._methods[name])
        return self._checked[name]


def _json(status: int, body: Any) -> httpx.Response:
    return httpx.Response(status, json=to_jsonable_python(body, fallback=str))
