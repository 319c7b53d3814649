"""Child processes of the demo and the acceptance tests: one runs both simulators, others run ``serve``."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

COMMAND = (sys.executable, "-c", "from pacspace_stripe.cli import main; main()")
"""The command line that starts the console script, also where it is not on the PATH."""
_READY_SECONDS = 30.0
_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "COVERAGE_PROCESS_CONFIG", "USER", "LOGNAME")


Found = TypeVar("Found")


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(
    what: str, ready: Callable[[], Found | None], *, seconds: float = _READY_SECONDS, every: float = 0.05
) -> Found:
    """Call ``ready`` until its answer is true, and return the answer. Raises TimeoutError that names ``what``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = ready()
        if found:
            return found
        time.sleep(every)
    message = f"waited {seconds:g} s for {what}"
    raise TimeoutError(message)


@dataclass(slots=True)
class Remote:
    """A served simulator, controlled over HTTP."""

    url: str
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self._client = httpx.Client(base_url=f"{self.url}/_simulator", timeout=30, trust_env=False)

    def __call__(self, method: str, **args: object) -> Any:  # noqa: ANN401 - any JSON
        """Call one of the simulator's control methods. Raises RuntimeError with the simulator's message."""
        answer = self._client.post("/call", json={"method": method, "args": args})
        if answer.status_code != httpx.codes.OK:
            message = f"{method}: {answer.text}"
            raise RuntimeError(message)
        return answer.json()["result"]

    def log(self, *, after: int = 0) -> list[dict[str, Any]]:
        """Return the requests that the simulator answered, oldest first, without the first ``after`` ones."""
        return list(self._client.get("/log", params={"after": after}).json()["log"])

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


@dataclass(slots=True, kw_only=True)
class Stack:
    """Both simulators and one or more ``serve`` processes, with their logs and database in one folder."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    database_url: str | None = None
    port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)
    serving: list[subprocess.Popen[bytes]] = field(default_factory=list)
    """The ``serve`` processes started so far, the newest last."""
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _stripe: Remote | None = None
    _pacspace: Remote | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._simulate()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def stripe(self) -> Remote:
        """Return the simulated Stripe. Raises RuntimeError before it was started."""
        if self._stripe is None:
            message = "the simulators were not started"
            raise RuntimeError(message)
        return self._stripe

    @property
    def pacspace(self) -> Remote:
        """Return the simulated PacSpace. Raises RuntimeError before it was started."""
        if self._pacspace is None:
            message = "the simulators were not started"
            raise RuntimeError(message)
        return self._pacspace

    def _simulate(self) -> None:
        announced = self.folder / "simulators.env"
        hook = f"http://127.0.0.1:{self.port}/webhooks/stripe"
        arguments = ("simulate", "--stripe-port", "0", "--pacspace-port", "0", "--webhook-url", hook)
        self._start(arguments, announced, self.folder / "simulators.log", {})
        lines = wait_for("the simulators", lambda: _complete(announced)) or []
        self.environment = dict(line.split("=", 1) for line in lines)
        database = self.database_url or f"sqlite:///{self.folder / 'pacspace-stripe.db'}"
        self.environment |= {"PACSPACE_STRIPE_DATABASE_URL": database, **self.settings}
        self._stripe = Remote(self.environment["STRIPE_API_BASE_URL"])
        self._pacspace = Remote(self.environment["PACSPACE_API_BASE_URL"])

    def serve(self, port: int | None = None) -> subprocess.Popen[bytes]:
        """Start ``pacspace-stripe serve`` and wait until it is ready; logs to ``serve.log`` or ``serve-PORT.log``."""
        chosen = port or self.port
        log = self.folder / (f"serve-{port}.log" if port else "serve.log")
        process = self._start(("serve", "--port", str(chosen)), log, log, self.environment)

        def ready() -> bool:
            if process.poll() is not None:
                message = f"serve ended with {process.returncode}: see {log}"
                raise RuntimeError(message)
            with suppress(httpx.TransportError):
                answer = httpx.get(f"http://127.0.0.1:{chosen}/readyz", timeout=5, trust_env=False)
                return answer.status_code == httpx.codes.OK
            return False

        wait_for("serve to be ready", ready)
        self.serving.append(process)
        return process

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end, in this environment."""
        return subprocess.run(  # noqa: S603 - our own command
            [*COMMAND, *arguments],
            env=_inherited() | self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def launch(self, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one command in this environment; its output goes to ``log``."""
        return self._start(arguments, log, log, self.environment)

    def _start(
        self, arguments: tuple[str, ...], output: Path, errors: Path, environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        with output.open("ab") as out, errors.open("ab") as err:
            process = subprocess.Popen(  # noqa: S603 - our own command
                [*COMMAND, *arguments], env=_inherited() | dict(environment), cwd=self.folder, stdout=out, stderr=err
            )
        self._processes.append(process)
        return process

    def close(self) -> None:
        """Stop every process, first with SIGTERM."""
        for process in reversed(self._processes):
            stop(process)
        for remote in (self._stripe, self._pacspace):
            if remote is not None:
                remote.close()


def stop(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM, and SIGKILL if the process does not end."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=5)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Send SIGKILL: the process cannot clean up."""
    process.kill()
    process.wait(timeout=5)


def _inherited() -> dict[str, str]:
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return environment | {"PYTHONUNBUFFERED": "1"}


def _complete(announced: Path) -> list[str] | None:
    lines = announced.read_text().splitlines() if announced.exists() else []
    return lines if any(line.startswith("PACSPACE_API_BASE_URL=") for line in lines) else None
