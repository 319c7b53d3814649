"""The Dockerfile without a container: its copies, its install and start lines, in a clean virtual environment."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "webhooks/Dockerfile").read_text().replace("\\\n", " ")
NOWHERE = "http://127.0.0.1:9"


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} +(.*)$", DOCKERFILE, re.MULTILINE)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the image's: ``app`` with what was copied, ``venv`` with what was installed."""
    folder = tmp_path_factory.mktemp("image")
    app = folder / "app"
    for instruction in instructions("COPY"):
        *sources, target = instruction.split()
        for source in sources:
            copied(ROOT / source, app / target / source if target.endswith("/") else app / target)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    # The packages of this environment stand in for the ones that pip would fetch: no test reaches the network.
    site = next((folder / "venv").glob("lib/python*/site-packages"))
    (site / "already-fetched.pth").write_text(sysconfig.get_path("purelib"))
    [install] = [line for line in instructions("RUN") if line.startswith("pip install ")]
    offline = ["--quiet", "--no-index", "--no-build-isolation", "--no-deps", "--ignore-installed"]
    subprocess.run([str(folder / "venv/bin/python"), "-m", *install.split(), *offline], check=True, cwd=app)
    return folder


def copied(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


@pytest.fixture
def served(image: Path, tmp_path: Path) -> Iterator[str]:
    """The URL of what the image's CMD starts, on a port and an address of this test's own."""
    [command] = [json.loads(line) for line in instructions("CMD")]
    port = free_port()
    command = [{"0.0.0.0": "127.0.0.1", "8000": str(port)}.get(word, word) for word in command]  # noqa: S104  # as the Dockerfile says it
    environ = {
        "PATH": f"{image}/venv/bin:{os.environ['PATH']}",
        "STRIPE_API_KEY": "sk_test_nobody",
        "STRIPE_WEBHOOK_SECRET": "whsec_nobody",
        "PACSPACE_API_KEY": "pk_test_nobody.sk_nobody",
        "STRIPE_API_BASE_URL": NOWHERE,
        "PACSPACE_API_BASE_URL": NOWHERE,
        "PACSPACE_STRIPE_DATABASE_URL": f"sqlite:///{tmp_path}/data.db",
    }
    process = subprocess.Popen([f"{image}/venv/bin/{command[0]}", *command[1:]], env=environ, cwd=tmp_path)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) in (0, -signal.SIGTERM)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_the_image_holds_everything_that_is_needed(image: Path) -> None:
    [installed] = (image / "venv").glob("lib/python*/site-packages/pacspace_stripe")
    assert (installed / "py.typed").is_file()
    assert {path.name for path in (installed / "templates").iterdir()} == {
        path.name for path in (ROOT / "templates").iterdir()
    }
    assert (installed.parent / "webhooks/app.py").is_file()
    assert list((installed / "store/migrations/versions").glob("*.py"))


def test_the_image_serves_and_its_health_check_passes(served: str) -> None:
    until = time.monotonic() + 30
    while not healthy(served):
        assert time.monotonic() < until, "not healthy in 30 seconds"
        time.sleep(0.2)
    with httpx.Client(base_url=served, trust_env=False) as client:
        assert client.get("/readyz").status_code == 200
        assert client.post("/webhooks/stripe", content=b"{}").status_code == 400


def healthy(url: str) -> bool:
    """Return whether the HEALTHCHECK line succeeds."""
    [line] = [line for line in instructions("HEALTHCHECK") if "CMD" in line]
    python, *arguments = json.loads(line.partition("CMD ")[2])
    assert python == "python"
    checked = [argument.replace("http://127.0.0.1:8000", url) for argument in arguments]
    return subprocess.run([sys.executable, *checked], check=False, capture_output=True).returncode == 0
