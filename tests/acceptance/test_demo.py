"""``demo``: every scenario ends as expected, the documents show its output, and a wrong end fails it."""

import re
import subprocess
from pathlib import Path

import httpx

from pacspace_stripe.cli.processes import COMMAND, wait_for
from pacspace_stripe.simulator.scenarios import CLOSED, DISORDER, KILLED, UPCOMING
from tests.support.bundles import Opened
from tests.support.documents import is_cut_from, part
from tests.support.town import PATIENCE

SECONDS = 90
"""Seconds that the demo may take, once everything is installed."""


def demo(*arguments: str) -> subprocess.Popen[str]:
    command = [*COMMAND, "demo", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def verified(document: str, output: Path) -> subprocess.CompletedProcess[str]:
    """Verify a document as its receiver does, without settings."""
    arguments = [*COMMAND, "verify", f"demo-output/{document}", "--offline"]
    return subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=output.parent, env={})


def documented(name: str) -> str:
    """Return the output that a document shows, without the command above it."""
    output = re.fullmatch(r"```(?:console\n\$[^\n]*|text)\n(.*?)```\n", part(name), re.DOTALL)
    assert output, name
    return output[1]


def alike(text: str) -> str:
    """Return an output without what differs from demo to demo: hashes, ids, times and the widths of their columns."""
    times = r"\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?"
    return re.sub(r" {2,}", "  ", re.sub(rf"\b(?:0x)?[0-9a-f]{{64}}\b|\b(?:in|sub)_\w+|{times}", "~", text))


def shows(name: str, printed: str) -> bool:
    """Return whether the documented output is what was printed, cut at its dots."""
    return is_cut_from(alike(documented(name)).splitlines(), alike(printed))


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
    for document in ("statement.pdf", "invoice.pdf", "bundle.zip"):
        done = verified(document, output)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert shows("demo output", said), said
    assert shows("verify", verified("statement.pdf", output).stdout)
    assert shows("verify in short", verified("invoice.pdf", output).stdout)
    for log in output.glob("*/*.log"):
        assert "Traceback" not in log.read_text(), log


def test_an_unexpected_end_state_fails_the_demo(tmp_path: Path) -> None:
    output = tmp_path / "output"
    playing = demo("--output", str(output), "--only", "matched", "--patience", "12")
    # Given a Stripe whose payments fail, which the demo does not know
    announced = output / "closed" / "simulators.env"
    wait_for("the simulators", lambda: announced.exists() and "PACSPACE_API_BASE_URL=" in announced.read_text())
    [url] = [line.partition("=")[2] for line in announced.read_text().splitlines() if line.startswith("STRIPE_API_B")]
    fault = {"method": "configure", "args": {"payments_succeed": False}}
    httpx.post(f"{url}/_simulator/call", json=fault, timeout=30, trust_env=False).raise_for_status()
    # Then the demo waits for the payment, prints the end state that it found, and fails
    said, complaints = playing.communicate(timeout=PATIENCE)
    assert playing.returncode == 1
    assert "waited 12 s for a released invoice" in said
    assert "NOT AS EXPECTED" in said
    assert "0 of 1 scenarios ended as expected" in said
    assert "Traceback" not in complaints


def test_a_folder_that_is_not_of_a_demo_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    playing = demo("--output", str(tmp_path))
    _, complaints = playing.communicate(timeout=PATIENCE)
    assert playing.returncode == 2
    assert "is not empty and not of an earlier demo" in complaints
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
