"""Every command as a process: its exit code, its output for people and for machines, and what it never prints."""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pypdfium2
import pytest

from pacspace_stripe.cli.processes import wait_for
from pacspace_stripe.explain.rules.explanation import Cause
from tests.support.bundles import Opened
from tests.support.town import PATIENCE, Bill, Town, town

SCRIPT = str(Path(sys.executable).with_name("pacspace-stripe"))
REASON = "agreed with the customer by phone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Street:
    """Invoices that only commands check: no process serves here."""

    place: Town
    matched: Bill
    drifted: Bill
    unproven: Bill
    also_drifted: Bill
    swept: tuple[subprocess.CompletedProcess[str], ...]

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run one command, with some settings changed."""
        environment = self.place.stack.environment
        before = dict(environment)
        environment.update(changes)
        try:
            return self.place.stack.run(*arguments)
        finally:
            environment.clear()
            environment.update(before)


def _all_judged(place: Town) -> bool:
    return all(one["verdict"] for one in place.listed().values())


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with town(tmp_path_factory.mktemp("commands"), seconds=12) as place:
        place.quiet()
        matched, drifted = place.invoiced("1250.5"), place.invoiced("100", "90")
        unproven, also_drifted = place.invoiced("7", "0"), place.invoiced("3", "0")
        place.record(unproven.customer, "7", verified=False)
        swept = [place.stack.run("sweep", "--json")]
        while place.invoice(matched.invoice_id)["status"] != "paid" or not _all_judged(place):
            swept.append(place.stack.run("sweep", "--json"))
            assert len(swept) < PATIENCE
        made = Street(
            place=place,
            matched=matched,
            drifted=drifted,
            unproven=unproven,
            also_drifted=also_drifted,
            swept=tuple(swept),
        )
        yield made


def complaint(done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    """Return the line and the hint with which a failed command ends."""
    assert done.stdout == ""
    said, hint = done.stderr.splitlines()
    assert said.startswith("pacspace-stripe: ")
    assert hint.startswith("  ")
    return said, hint.strip()


# -- sweep, check, invoices ---------------------------------------------------------------------------------------


def test_sweeps_alone_do_the_whole_job(street: Street) -> None:
    first, *_, last = street.swept
    assert {one["invoice"] for one in json.loads(first.stdout)} == {
        bill.invoice_id for bill in (street.matched, street.drifted, street.unproven, street.also_drifted)
    }
    assert first.returncode == 0
    assert last.returncode == 1
    assert street.place.writes(street.matched.invoice_id) == ["hold", "stamp", "finalize", "release"]
    assert street.place.writes(street.drifted.invoice_id) == ["hold"]


def test_a_check_shows_both_figures_the_reason_and_the_planned_writes(street: Street) -> None:
    done = street.run("check", street.drifted.invoice_id)
    assert (done.returncode, done.stderr) == (1, "")
    first, names, figures, *steps = done.stdout.splitlines()[:1] + done.stdout.splitlines()[-3:]
    assert first == f"{street.drifted.invoice_id}  draft  drifted (OVERBILLED)"
    assert names.split() == ["account", "meter", "from", "(UTC)", "to", "billed", "recorded", "records", "reason"]
    assert figures.split()[-4:] == ["100", "90", "1", "OVERBILLED"]
    assert [step.split()[:2] for step in steps] == [["would", "check"]]
    assert street.place.writes(street.drifted.invoice_id) == ["hold"]


def test_a_check_in_json_has_the_one_shape(street: Street) -> None:
    done = street.run("check", street.drifted.invoice_id, "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert {"invoice", "verdict", "reason", "windows"} <= found.keys()
    assert (found["verdict"], found["reason"]) == ("drifted", "OVERBILLED")
    [window] = found["windows"]
    assert {"account", "meter", "start", "end", "billed", "recorded", "count"} <= window.keys()
    assert (window["billed"], window["recorded"], window["count"]) == ("100", "90", 1)
    assert window["account"] == street.drifted.customer
    assert window["start"].endswith("Z")
    listed = street.place.listed()[street.drifted.invoice_id]
    assert listed["windows"] == found["windows"]
    assert listed.keys() == found.keys()


@pytest.mark.parametrize(("which", "code"), [("matched", 0), ("unproven", 1)])
def test_a_checks_exit_code_is_its_verdict(street: Street, which: str, code: int) -> None:
    done = street.run("check", getattr(street, which).invoice_id, "--json")
    assert done.returncode == code
    assert json.loads(done.stdout)["verdict"] == which


def test_a_drift_is_explained_from_the_stored_explanation(street: Street) -> None:
    asked = len(street.place.pacspace.log())
    done = street.run("explain", street.drifted.invoice_id, "--json")
    assert done.returncode == 1
    (window,) = json.loads(done.stdout)["windows"]
    assert window["cause"] in {cause.value for cause in Cause}
    assert window["sentence"].endswith(".")
    assert len(street.place.pacspace.log()) == asked
    assert street.run("explain", street.matched.invoice_id).returncode == 0


def test_an_invoice_without_metered_lines_is_left_alone(street: Street) -> None:
    place = street.place
    start, end = street.matched.start, street.matched.end
    place.stripe("add_customer", id="cus_fixed", name="Fixed")
    subscription = place.stripe(
        "add_subscription", customer="cus_fixed", prices=[place.stripe("add_price")], period_start=start, period_end=end
    )
    wait_for("the draft", lambda: place.stripe("invoices", customer="cus_fixed"), seconds=PATIENCE)
    [invoice_id] = place.stripe("invoices", subscription=subscription)
    done = street.run("check", invoice_id, "--apply")
    assert done.returncode == 0
    assert "nothing metered" in done.stdout
    assert place.writes(invoice_id) == []


def test_invoices_can_be_narrowed(street: Street) -> None:
    everything = street.run("invoices")
    assert everything.returncode == 1
    for bill in (street.matched, street.drifted, street.unproven):
        assert bill.invoice_id in everything.stdout
    matched = street.run("invoices", "--status", "matched")
    assert matched.returncode == 0
    assert street.matched.invoice_id in matched.stdout
    assert street.drifted.invoice_id not in matched.stdout


@pytest.mark.parametrize("arguments", [("check",), ("check", "--apply"), ("explain",), ("release", "--reason", REASON)])
def test_an_invoice_that_stripe_does_not_know_is_an_error(street: Street, arguments: Sequence[str]) -> None:
    command, *options = arguments
    done = street.run(command, "in_nobodyKnows", *options)
    assert done.returncode == 2
    assert "No such invoice: 'in_nobodyKnows'" in done.stderr
    assert "in_nobodyKnows" not in street.place.listed()


def test_a_text_that_is_no_invoice_id_is_refused(street: Street) -> None:
    asked = len(street.place.stripe.log())
    done = street.run("check", "../customers/cus_1")
    assert done.returncode == 2
    assert "an invoice's id starts with in_" in done.stderr
    assert len(street.place.stripe.log()) == asked


# -- release, statement -------------------------------------------------------------------------------------------


def test_a_waiver_releases_one_invoice_and_then_every_held_one(street: Street) -> None:
    done = street.run("release", street.also_drifted.invoice_id, "--reason", REASON, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "waived"
    unasked = street.run("release", "--all-held", "--reason", REASON)
    assert (unasked.returncode, "add --yes" in unasked.stderr) == (2, True)
    everything = street.run("release", "--all-held", "--reason", REASON, "--by", "Jane Doe", "--yes", "--json")
    assert everything.returncode == 0, everything.stderr
    assert {one["invoice"] for one in json.loads(everything.stdout)} == {
        street.drifted.invoice_id,
        street.unproven.invoice_id,
    }
    street.place.until_paid(street.also_drifted, street.drifted, street.unproven)
    for bill in (street.also_drifted, street.drifted, street.unproven):
        metadata = street.place.invoice(bill.invoice_id)["metadata"]
        assert metadata["pacspace_verdict"] == "waived"
        assert REASON in metadata.values()
    nothing_left = street.run("release", "--all-held", "--reason", REASON, "--json")
    assert (nothing_left.returncode, json.loads(nothing_left.stdout)) == (0, [])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("in_1",), "Missing option '--reason'"),
        (("--reason", REASON), "name one invoice, or --all-held"),
        (("in_1", "--all-held", "--reason", REASON), "name one invoice, or --all-held"),
        (("in_1", "--reason", " "), "--reason is "),
        (("in_1", "--reason", REASON, "--by", ""), "--by is "),
    ],
)
def test_a_waiver_needs_an_invoice_and_a_reason(street: Street, arguments: Sequence[str], said: str) -> None:
    done = street.run("release", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    "arguments", [("check", "in_1", "--apply"), ("release", "in_1", "--reason", REASON)], ids=["check", "release"]
)
def test_observe_mode_refuses_commands_that_act(street: Street, arguments: Sequence[str]) -> None:
    done = street.run(*arguments, PACSPACE_STRIPE_MODE="observe")
    assert done.returncode == 2
    said, hint = complaint(done)
    assert "PACSPACE_STRIPE_MODE: observe writes nothing" in said
    assert "PACSPACE_STRIPE_MODE=enforce" in hint


def test_a_statement_is_a_pdf_whose_every_page_has_the_invoices_footer(street: Street, tmp_path: Path) -> None:
    target = tmp_path / "statement.pdf"
    done = street.run("statement", street.matched.invoice_id, "-o", str(target))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{target}: ")
    metadata = street.place.invoice(street.matched.invoice_id)["metadata"]
    with pypdfium2.PdfDocument(target) as document:
        pages = [page.get_textpage().get_text_range() for page in document]
    assert pages
    for page in pages:
        assert metadata["pacspace_proof_root"] in "".join(page.split())
        assert metadata["pacspace_evidence_sha256"] in "".join(page.split())


# -- evidence ---------------------------------------------------------------------------------------------------------


def test_the_evidence_needs_neither_vendor_nor_its_keys(street: Street) -> None:
    gone = {"STRIPE_API_BASE_URL": "http://127.0.0.1:9", "PACSPACE_API_BASE_URL": "http://127.0.0.1:9"}
    done = street.run("evidence", street.matched.invoice_id, "--json", **gone)
    assert (done.returncode, done.stderr) == (0, "")
    stamped = street.place.invoice(street.matched.invoice_id)["metadata"]["pacspace_evidence_sha256"]
    assert hashlib.sha256(done.stdout.encode()).hexdigest() == stamped


def test_a_bundle_is_written_whole_and_lists_its_contents(street: Street, tmp_path: Path) -> None:
    target = tmp_path / "bundle.zip"
    done = street.run("evidence", street.matched.invoice_id, "--bundle", str(target))
    assert (done.returncode, done.stderr) == (0, "")
    there = Opened.of(target.read_bytes())
    assert done.stdout == f"{target}: {target.stat().st_size:,} bytes, {len(there.entries)} files\n"
    assert there.missing == []
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.zip"]
    listed = street.run("evidence", street.matched.invoice_id, "--bundle", str(target), "--json")
    assert json.loads(listed.stdout)["evidence_sha256"] == there.manifest["evidence_sha256"]


def test_a_bundle_without_pacspace_lists_what_is_missing_and_fails(street: Street, tmp_path: Path) -> None:
    target = tmp_path / "bundle.zip"
    gone = {"PACSPACE_API_BASE_URL": "http://127.0.0.1:9"}
    done = street.run("evidence", street.matched.invoice_id, "--bundle", str(target), **gone)
    assert done.returncode == 1
    there = Opened.of(target.read_bytes())
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == there.missing
    assert len(there.missing) == 3


def test_missing_evidence_and_a_missing_folder_are_errors(street: Street, tmp_path: Path) -> None:
    unknown = street.run("evidence", "in_nobodyKnows", "--bundle", str(tmp_path / "bundle.zip"))
    assert unknown.returncode == 2
    said, hint = complaint(unknown)
    assert "none about in_nobodyKnows" in said
    assert "check in_nobodyKnows --apply" in hint
    nowhere = street.run("evidence", street.drifted.invoice_id, "--bundle", str(tmp_path / "missing" / "bundle.zip"))
    assert nowhere.returncode == 1
    assert "Traceback" not in nowhere.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_invoices_own_pdf_is_fetched_and_stamped(street: Street, tmp_path: Path) -> None:
    target = tmp_path / "invoice.pdf"
    done = street.run("stamp-pdf", street.matched.invoice_id, "-o", str(target))
    assert (done.returncode, done.stderr) == (0, "")
    invoice = street.place.invoice(street.matched.invoice_id)
    metadata = invoice["metadata"]
    assert done.stdout.startswith(f"{target}: 2 pages stamped, evidence {metadata['pacspace_evidence_sha256']}, ")
    with pypdfium2.PdfDocument(target) as document:
        pages = ["".join(page.get_textpage().get_text_range().split()) for page in document]
    assert f"Invoice{invoice['number']}" in pages[0]
    assert all(metadata["pacspace_proof_root"] in page for page in pages)


def test_a_statement_needs_evidence_and_a_place(street: Street, tmp_path: Path) -> None:
    unknown = street.run("statement", "in_nobodyKnows", "-o", str(tmp_path / "statement.pdf"))
    assert unknown.returncode == 2
    nowhere = street.run("statement", street.matched.invoice_id, "-o", str(tmp_path / "missing" / "statement.pdf"))
    assert nowhere.returncode == 1
    assert "No such file or directory" in nowhere.stderr
    assert "Traceback" not in unknown.stderr + nowhere.stderr


# -- settings, simulate, help -------------------------------------------------------------------------------------


def test_settings_show_no_secret(street: Street) -> None:
    address = "postgresql://me:very-secret@127.0.0.1/mine"
    text = street.run("settings", PACSPACE_STRIPE_DATABASE_URL=address)
    document = street.run("settings", "--json", PACSPACE_STRIPE_DATABASE_URL=address)
    for done in (text, document):
        assert done.returncode == 0
        for name in ("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", "PACSPACE_API_KEY"):
            assert name in done.stdout
            assert street.place.stack.environment[name] not in done.stdout
        assert "very-secret" not in done.stdout
    rows = {row["name"]: row for row in json.loads(document.stdout)}
    assert rows["PACSPACE_STRIPE_RETRY"]["current"] == "500ms"
    assert rows["PACSPACE_STRIPE_RETRY"]["default"] == "1m,5m,15m,1h"


def test_settings_with_mistakes_name_every_variable_and_no_value(street: Street) -> None:
    done = street.run("settings", STRIPE_API_KEY="hunter2", PACSPACE_STRIPE_SETTLE="soon", PACSPACE_STRIPE_SETTEL="10m")
    assert done.returncode == 2
    for name in ("STRIPE_API_KEY", "PACSPACE_STRIPE_SETTLE", "PACSPACE_STRIPE_SETTEL"):
        assert f"{name}: " in done.stderr
    assert "did you mean PACSPACE_STRIPE_SETTLE?" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "soon" not in done.stderr
    assert "PACSPACE_STRIPE_TOLERANCE" in done.stdout


def test_simulate_prints_an_environment_that_works(street: Street) -> None:
    lines = (street.place.stack.folder / "simulators.env").read_text().splitlines()
    assert [line.partition("=")[0] for line in lines] == [
        "STRIPE_API_KEY",
        "STRIPE_WEBHOOK_SECRET",
        "STRIPE_API_BASE_URL",
        "PACSPACE_API_KEY",
        "PACSPACE_API_BASE_URL",
        "PACSPACE_WEBHOOK_SECRET",
    ]
    environment = {"PATH": os.environ["PATH"], **dict(line.split("=", 1) for line in lines)}
    ours = street.place.stack.folder / "another.db"
    environment["PACSPACE_STRIPE_DATABASE_URL"] = f"sqlite:///{ours}"
    command = [SCRIPT, "check", street.matched.invoice_id]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "matched (EXACT)" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--fault", "stripe:earthquake"), "'stripe:earthquake'"),
        (("--fault", "mail:500"), "write stripe:NAME or pacspace:NAME"),
        (("--webhook-url", "https://example.com/hook"), "loopback"),
        (("--pacspace-webhook-url", "https://example.com/hook"), "loopback"),
        (("--stripe-port", "{taken}"), "cannot listen on port"),
    ],
)
def test_simulate_refuses_what_it_cannot_do(street: Street, arguments: Sequence[str], said: str) -> None:
    taken = street.place.stripe.url.rpartition(":")[2]
    chosen = [argument.format(taken=taken) for argument in arguments]
    done = street.run("simulate", "--stripe-port", "0", "--pacspace-port", "0", *chosen)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_help_imports_nothing_slow() -> None:
    code = (
        "import sys; from pacspace_stripe.cli import cli; cli.main(['--help'], standalone_mode=False);"
        "sys.exit(bool({'sqlalchemy', 'stripe', 'httpx', 'dbos', 'pydantic'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in (
        "serve",
        "check",
        "release",
        "sweep",
        "invoices",
        "evidence",
        "statement",
        "stamp-pdf",
        "settings",
        "demo",
        "simulate",
    ):
        assert f"\n  {command} " in done.stdout


# -- when it goes wrong -------------------------------------------------------------------------------------------


def test_a_stripe_that_does_not_answer_is_an_error(street: Street) -> None:
    street.place.stripe("add_fault", name="503", endpoint="GET /v1/invoices/{id}")
    try:
        done = street.run("check", street.matched.invoice_id)
    finally:
        street.place.stripe("clear_faults")
    assert done.returncode == 1
    said, hint = complaint(done)
    assert said.startswith("pacspace-stripe: Stripe: ")
    assert hint == "Nothing to do: it is tried again by itself."


def test_a_ledger_that_does_not_answer_changes_no_verdict(street: Street) -> None:
    street.place.pacspace("add_fault", name="503")
    try:
        done = street.run("check", street.matched.invoice_id, "--json")
    finally:
        street.place.pacspace("clear_faults")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert (found["verdict"], found["reason"]) == ("matched", "EXACT")
    assert Decimal(found["windows"][0]["billed"]) == Decimal("1250.5")


def test_a_database_that_does_not_answer_is_an_error(street: Street) -> None:
    done = street.run("invoices", PACSPACE_STRIPE_DATABASE_URL="postgresql://nobody:secret@127.0.0.1:1/none")
    assert done.returncode == 1
    said, hint = complaint(done)
    problem = "the database does not answer: nothing accepts connections at that address (ECONNREFUSED)"
    assert said == f"pacspace-stripe: {problem}"
    assert hint.startswith("Start PostgreSQL, or correct host and port in PACSPACE_STRIPE_DATABASE_URL")


def test_a_database_of_a_newer_version_is_an_error(street: Street, tmp_path: Path) -> None:
    file = tmp_path / "newer.db"
    address = f"sqlite:///{file}"
    assert street.run("invoices", PACSPACE_STRIPE_DATABASE_URL=address).returncode == 0
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE pacspace_alembic_version SET version_num = '9999'")
    done = street.run("invoices", PACSPACE_STRIPE_DATABASE_URL=address)
    assert done.returncode == 1
    said, hint = complaint(done)
    assert said == "pacspace-stripe: the database was made by a newer version of pacspace-stripe"
    assert hint == "Install that version again, or name another database."


def test_ctrl_c_ends_a_command_without_a_traceback(street: Street) -> None:
    place = street.place
    bill = place.invoiced()
    place.stripe("add_fault", name="slow", endpoint="GET /v1/invoices/{id}", skip=1, times=1, seconds=6)
    process = place.stack.launch(place.stack.folder / "interrupted.log", "check", bill.invoice_id, "--apply")
    place.until_checking(bill)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE) == 130
    assert place.log("interrupted").strip() == ""


def test_serve_refuses_another_package_named_webhooks(street: Street, tmp_path: Path) -> None:
    """The console script does not look into the working folder, `python -c` and PYTHONPATH do."""
    theirs = tmp_path / "webhooks"
    theirs.mkdir()
    (theirs / "__init__.py").write_text("raise SystemExit('somebody else was imported')")
    environment = street.place.stack.environment | {"PATH": os.environ["PATH"]}
    at_home = subprocess.run(
        [SCRIPT, "serve", "--help"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert at_home.returncode == 0, at_home.stderr
    (theirs / "__init__.py").write_text("")
    abroad = subprocess.run(
        [SCRIPT, "serve", "--port", "0"],
        env=environment | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert abroad.returncode == 2
    said, hint = complaint(abroad)
    assert f"another package named webhooks comes first ({theirs}" in said
    assert hint == "Take that folder off PYTHONPATH for `serve`."


def test_capacity_measures_both_vendors(street: Street) -> None:
    done = street.run("capacity", "--invoices", "1000", "--measure", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["policies"]["closed"]["fits"] is True
    assert "Stripe answers in 300ms" not in done.stdout
