"""A process that asks Stripe as fast as it may.

Run as ``python -m tests.support.senders INVOICE SECONDS THREADS [background]``.

Settings come from the environment, as for any command. The process prints how many requests were answered, and how many
ended without an answer.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pacspace_stripe.app import App, build
from pacspace_stripe.errors import RemoteUnavailable
from pacspace_stripe.settings import load_settings

ROOT = Path(__file__).parents[2]


def start(
    environment: Mapping[str, str], invoice: str, seconds: float, threads: int, *, background: bool = False
) -> "subprocess.Popen[str]":
    """Start such a process."""
    command = [sys.executable, "-m", "tests.support.senders", invoice, str(seconds), str(threads)]
    return subprocess.Popen(
        [*command, *(["background"] if background else [])],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def counts_of(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Wait for the process to end; return the counts that it printed."""
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    answered: dict[str, Any] = json.loads(out)
    return answered


def ask(app: App, invoice: str, seconds: float, *, background: bool) -> dict[str, int]:
    """Send requests in one thread until the time is over; return the counts."""
    ends, counts = time.monotonic() + seconds, {"answered": 0, "failed": 0}
    with app.transport.background() if background else contextlib.nullcontext():
        while time.monotonic() < ends:
            try:
                app.stripe.read_invoice(invoice)
                counts["answered"] += 1
            except RemoteUnavailable:
                counts["failed"] += 1
    return counts


def main(invoice: str, seconds: float, threads: int, *, background: bool) -> None:
    """Run the process."""
    app = build(load_settings(os.environ))
    with ThreadPoolExecutor(threads) as pool:
        work = [pool.submit(ask, app, invoice, seconds, background=background) for _ in range(threads)]
        done = [each.result() for each in work]
    app.close()
    print(json.dumps({name: sum(each[name] for each in done) for name in done[0]}))  # noqa: T201  # its result


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), background="background" in sys.argv[4:])
