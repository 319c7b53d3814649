"""``pacspace-stripe demo``: what anybody sees first, and that it would say so if it went wrong."""

import re
import subprocess
from pathlib import Path

import httpx

from pacspace_stripe.cli.processes import COMMAND, wait_for
from pacspace_stripe.simulator.scenarios import CLOSED, DISORDER, KILLED, UPCOMING
from tests.support.bundles import Opened
from tests.support.town import PATIENCE

SECONDS = 90
"""What the demo may take, once everything is installed."""


def demo(*arguments: str) -> subprocess.Popen[str]:
    command = [*COMMAND, "demo", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def checked(paper: str, output: Path) -> subprocess.CompletedProcess[str]:
    """As its receiver does, without settings."""
    arguments = [*COMMAND, "verify", f"demo-output/{paper}", "--offline"]
    return subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=output.parent, env={})


def shown() -> str:
    """What README says that it prints."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    block = re.search(
        r"<!-- verify: begin[^>]*-->\n```console\n\$[^\n]*\n(.*?)```\n<!-- verify: end -->", text, re.DOTALL
    )
    assert block
    return block[1]


def told_apart(said: str) -> str:
    """With what differs from demo to demo left out."""
    times = r"\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?"
    return re.sub(r" {2,}", "  ", re.sub(rf"\b[0-9a-f]{{64}}\b|\b(?:in|sub)_\w+|{times}", "…", said))


def test_every_scenario_ends_as_expected(tmp_path: Path) -> None:
    output = tmp_path / "demo-output"
    said, complaints = demo("--output", str(output)).communicate(timeout=3 * SECONDS)
    assert "9 of 9 scenarios ended as expected; everything is in demo-output/" in said, said
    assert complaints == ""
    for scenario in (*CLOSED, DISORDER, UPCOMING, KILLED):
        assert f"\n{scenario.name}\n  {scenario.story}\n" in said
        assert (output / f"{scenario.name.replace(' ', '-')}.json").is_file()
    assert (output / "statement.pdf").read_bytes().startswith(b"%PDF-")
    bundle = Opened.of((output / "bundle.zip").read_bytes())
    assert bundle.missing == []
    assert bundle.entries["statement.pdf"] == (output / "statement.pdf").read_bytes()
    for paper in ("statement.pdf", "invoice.pdf", "bundle.zip"):
        verified = checked(paper, output)
        assert (verified.returncode, verified.stderr) == (0, ""), verified.stdout
    assert told_apart(checked("statement.pdf", output).stdout) == told_apart(shown())
    for log in output.glob("*/*.log"):
        assert "Traceback" not in log.read_text(), log


def test_an_end_that_is_not_the_expected_one_fails_the_demo(tmp_path: Path) -> None:
    output = tmp_path / "output"
    playing = demo("--output", str(output), "--only", "matched", "--patience", "12")
    # Given a Stripe whose payments fail, which nobody told the demo
    announced = output / "closed" / "simulators.env"
    wait_for("the simulators", lambda: announced.exists() and "PACSPACE_API_BASE_URL=" in announced.read_text())
    [url] = [line.partition("=")[2] for line in announced.read_text().splitlines() if line.startswith("STRIPE_API_B")]
    fault = {"method": "configure", "args": {"payments_succeed": False}}
    httpx.post(f"{url}/_simulator/call", json=fault, timeout=30, trust_env=False).raise_for_status()
    # Then it waits for the payment, says what it found instead, and fails
    said, complaints = playing.communicate(timeout=PATIENCE)
    assert playing.returncode == 1
    assert "waited 12 s for a released invoice" in said
    assert "NOT AS EXPECTED" in said
    assert "0 of 1 scenarios ended as expected" in said
    assert "Traceback" not in complaints


def test_a_folder_of_somebody_else_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    playing = demo("--output", str(tmp_path))
    _, complaints = playing.communicate(timeout=PATIENCE)
    assert playing.returncode == 2
    assert "is not empty and not of an earlier demo" in complaints
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
