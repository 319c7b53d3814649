"""An office: an empty folder, PacSpace's dashboard over a socket, and `onboard`, with or without a person."""

import fcntl
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from pacspace_stripe.cli.onboard.env_file import values_of
from pacspace_stripe.cli.processes import COMMAND, wait_for
from pacspace_stripe.simulator.clock import WallClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from pacspace_stripe.simulator.serve import ServedSimulator, serve

EMAIL, PASSWORD, MFA_CODE = "jane@example.com", "correct horse battery", "123456"
STRIPE_KEY, HOOK = "sk_test_onboarding", "whsec_onboarding"
KEY, ADDRESS = "PACSPACE_API_KEY", "PACSPACE_API_BASE_URL"
WHO = ("--name", "Jane Doe", "--organization", "Acme Inc")
PATIENCE = 60.0
_INHERITED = ("PATH", "HOME", "LANG", "COVERAGE_PROCESS_CONFIG")
_AT_TERMINAL = (
    "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from pacspace_stripe.cli import main; main()"
)
"""The command with its standard input for controlling terminal, as a shell would start it."""


@dataclass(slots=True)
class Terminal:
    """One command at a terminal, and the person who types. Also a context manager that kills the command at its end."""

    process: subprocess.Popen[bytes]
    _master: int
    shown: str = ""
    _read: int = 0

    @classmethod
    def start(cls, arguments: tuple[str, ...], folder: Path, environment: dict[str, str]) -> Self:
        master, slave = pty.openpty()
        # Wide enough that no line is broken.
        fcntl.ioctl(slave, termios.TIOCSWINSZ, b"\x32\x00\xff\x00" + b"\x00" * 4)
        process = subprocess.Popen(
            [sys.executable, "-c", _AT_TERMINAL, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        return cls(process, master)

    def until(self, text: str) -> None:
        """Wait until the terminal shows this, after all that was waited for before."""
        deadline = time.monotonic() + PATIENCE
        while (place := self.shown.find(text, self._read)) < 0:
            assert self._receive(deadline), f"{text!r} is not in {self.shown[self._read :]!r}"
        self._read = place + len(text)

    def answers(self, question: str, answer: str) -> None:
        """Type an answer to a question, which the terminal shows."""
        self.until(question)
        assert not self._is_hiding(), question
        os.write(self._master, f"{answer}\n".encode())

    def types_unseen(self, question: str, secret: str) -> None:
        """Type a secret, which the terminal does not show."""
        self.until(question)
        assert self._is_hiding(), question
        os.write(self._master, f"{secret}\n".encode())

    def end(self) -> int:
        """Read what is still shown, and return the exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._receive(deadline):
            pass
        return self.process.wait(timeout=PATIENCE)

    def interrupt(self) -> None:
        """Press Ctrl-C until the command ends: Python's readline misses one that comes while a prompt is written."""
        for _ in range(10):
            os.write(self._master, b"\x03")
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=5)
                return

    def kill(self) -> None:
        """Send SIGKILL: the command cannot clean up."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=PATIENCE)

    def _is_hiding(self) -> bool:
        return not termios.tcgetattr(self._master)[3] & termios.ECHO

    def _receive(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        received = b""
        with suppress(OSError):  # the terminal is closed
            received = os.read(self._master, 65536) if ready else b""
        self.shown += received.decode(errors="replace").replace("\r\n", "\n")
        return bool(received)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.kill()
        os.close(self._master)


@dataclass(slots=True)
class Line:
    """The way to the dashboard. A POST to ``holding`` takes effect, and its answer waits until the line is ``cut``."""

    pacspace: PacSpaceSimulator
    holding: str = ""
    cut: threading.Event = field(default_factory=threading.Event)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = self.pacspace(request)
        if self.holding and (request.method, request.url.path) == ("POST", f"/dashboard/{self.holding}"):
            self.holding = ""
            self.cut.wait(PATIENCE)
        return answer


@dataclass(slots=True)
class Office:
    """One folder, one dashboard, and everything that any command printed."""

    folder: Path
    pacspace: PacSpaceSimulator
    served: ServedSimulator
    line: Line
    said: list[str] = field(default_factory=list)
    secrets: set[str] = field(default_factory=lambda: {PASSWORD, MFA_CODE, STRIPE_KEY, HOOK})

    @property
    def env_file(self) -> Path:
        return self.folder / ".env"

    @property
    def values(self) -> dict[str, str]:
        return values_of(self.env_file.read_text())

    def approved(self, email: str = EMAIL) -> str:
        """Approve the access as PacSpace does, and return the token in its mail."""
        token = self.pacspace.approve_access(email)
        self.secrets.add(token)
        return token

    def has_account(self) -> None:
        """Register Jane, as if she had done so in her browser."""
        who = ("--name", "Jane", "--organization", "Acme", "--key-name", "earlier")
        done = self.run(*who, token=self.approved(), password=PASSWORD)
        assert done.returncode == 0, done.stderr
        self.env_file.unlink()

    def keys(self, name: str = "pacspace-stripe") -> list[str]:
        """Return the ids of the keys of this name that the dashboard lists."""
        session = {"Authorization": f"Bearer {self.pacspace.dashboard_token(EMAIL)}"}
        listed = httpx.get(f"{self.served.url}/dashboard/api-keys", headers=session).json()["data"]["items"]
        return [key["id"] for key in listed if key["name"] == name]

    def until_held(self) -> None:
        """Wait until the dashboard did what the line holds; its answer does not arrive."""
        wait_for("the line to hold", lambda: not self.line.holding, seconds=PATIENCE)

    def made(self, name: str) -> int:
        """Return how often the dashboard was asked for something."""
        return self.pacspace.calls()[f"POST /dashboard/{name}"]

    def run(
        self, *arguments: str, stdin: str | None = None, email: str = EMAIL, at: str | None = None, **secrets: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``onboard`` without a person; ``secrets`` are named by the ends of their variables' names."""
        done = subprocess.run(
            [*COMMAND, "onboard", "--dashboard", at or self.served.url, "--email", email, *arguments],
            cwd=self.folder,
            env=self.environment(**secrets),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.said += [done.stdout, done.stderr]
        return done

    @contextmanager
    def at_terminal(self, *arguments: str, **secrets: str) -> Iterator[Terminal]:
        """Run ``onboard`` with a person at the terminal."""
        command = ("onboard", "--dashboard", self.served.url, *arguments)
        with Terminal.start(command, self.folder, self.environment(**secrets)) as terminal:
            try:
                yield terminal
            finally:
                self.said.append(terminal.shown)

    def environment(self, **secrets: str) -> dict[str, str]:
        names = {"token": "PACSPACE_DASHBOARD_APPROVAL_TOKEN", "code": "PACSPACE_DASHBOARD_MFA_CODE"}
        names |= {"password": "PACSPACE_DASHBOARD_PASSWORD", "key": "STRIPE_API_KEY", "hook": "STRIPE_WEBHOOK_SECRET"}
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return inherited | {names[name]: value for name, value in secrets.items()}

    def settings(self) -> subprocess.CompletedProcess[str]:
        """Run the command of the last line, without serving."""
        next_step = next(said for said in reversed(self.said) if "set -a" in said).splitlines()[-1]
        return self.shell(next_step.partition(": ")[2].removesuffix(" && pacspace-stripe serve"))

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a few lines in a shell."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", "-c", script],  # noqa: S607  # wherever the shell is
            cwd=self.folder,
            env=self.environment() | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def assert_no_secret_shown(self) -> None:
        """Assert that no secret was shown, no file was left behind, and only the owner may read what is kept."""
        kept = self.env_file.read_text() if self.env_file.exists() else ""
        made = re.findall(r"pk_test_[0-9a-f]+\.([0-9a-f]+)", kept)
        for said in self.said:
            for secret in (*self.secrets, *made):
                assert secret not in said
            assert "Traceback" not in said
            assert "pacspace_session" not in said
        for file in self.folder.iterdir():
            assert file.name == ".env", file.name
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


@contextmanager
def office(folder: Path) -> Iterator[Office]:
    """Open an office whose dashboard has no account; at its end, assert that no command showed a secret."""
    pacspace = PacSpaceSimulator(WallClock())
    line = Line(pacspace)
    with serve(line) as served:
        pacspace.base_url = served.url
        try:
            made = Office(folder, pacspace, served, line)
            yield made
            made.assert_no_secret_shown()
        finally:
            line.cut.set()


def complaint(done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    """Return the one line and the hint on standard error."""
    said, hint = done.stderr.splitlines()
    assert said.startswith("pacspace-stripe: ")
    return said.removeprefix("pacspace-stripe: "), hint.strip()
