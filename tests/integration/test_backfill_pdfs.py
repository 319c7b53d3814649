"""``backfill --pdf-dir`` over real sockets: one stamped PDF for each finalized invoice that is matched or waived."""

import csv
import json
from pathlib import Path

import pytest

from pacspace_stripe.verify.pdf import read_pdf
from tests.integration.test_backfill_command import SINCE, Desk, desk

__all__ = ["desk"]
PDFS = "pdfs"


def folder(desk: Desk) -> Path:
    return desk.folder / PDFS


def names(desk: Desk) -> set[str]:
    return {path.name for path in folder(desk).iterdir()}


def numbered(desk: Desk, customer: str, number: str) -> str:
    """Make a matched invoice with a number of the merchant's own."""
    invoice_id = desk.billed(customer, "100", "100")
    desk.stripe.account.invoices[invoice_id].number = number
    return invoice_id


def downloads(desk: Desk) -> int:
    return sum("/pdf" in entry.path for entry in desk.stripe.log)


def test_each_matched_or_waived_invoice_gets_a_pdf_and_no_other_does(desk: Desk) -> None:
    matched, _ = numbered(desk, "cus_a", "NW-0042"), desk.billed("cus_b", "100", "90")
    done = desk.run(*SINCE, "--apply", "--pdf-dir", str(folder(desk)), "--csv", str(desk.folder / "report.csv"))
    assert done.exit_code == 1, done.output  # one drifted
    assert names(desk) == {"NW-0042.pdf"}
    evidence = json.loads(read_pdf((folder(desk) / "NW-0042.pdf").read_bytes()).evidence)
    assert (evidence["invoice"], evidence["decision"]["verdict"]) == (matched, "matched")
    assert "1 stamped PDF written, 0 there before" in done.stdout
    with (desk.folder / "report.csv").open(newline="") as file:
        assert {row["invoice"]: row["pdf"] for row in csv.DictReader(file)}[matched] == "NW-0042.pdf"


def test_a_dry_run_counts_pdfs_and_makes_none(desk: Desk) -> None:
    numbered(desk, "cus_a", "NW-1"), desk.billed("cus_b", "100", "90")
    done = desk.run(*SINCE, "--pdf-dir", str(folder(desk)), "--json")
    said = json.loads(done.stdout)
    assert said["summary"]["pdfs"] == {"written": 0, "there": 0, "missing": 1, "failed": 0}
    # its list, the two read again, and for the PDF the invoice and its address; a drifted one asks for its subscription
    without = json.loads(desk.run(*SINCE, "--json").stdout)["summary"]["plan"]
    assert said["summary"]["plan"]["stripe_reads"] == without["stripe_reads"] + 2
    assert said["summary"]["plan"]["downloads_calls"] == 1
    assert "1 stamped PDF written, 0 there already" in desk.run(*SINCE, "--pdf-dir", str(folder(desk))).stdout
    assert not folder(desk).exists()
    assert downloads(desk) == 0


def test_a_pdf_with_the_same_evidence_is_kept_without_a_call(desk: Desk) -> None:
    numbered(desk, "cus_a", "NW-1")
    command = (*SINCE, "--apply", "--pdf-dir", str(folder(desk)))
    desk.run(*command)
    before, asked = (folder(desk) / "NW-1.pdf").stat().st_mtime_ns, len(desk.stripe.log)
    again = desk.run(*command)
    assert again.exit_code == 0, again.output
    assert "0 stamped PDFs written, 1 there before" in again.stdout
    assert (folder(desk) / "NW-1.pdf").stat().st_mtime_ns == before
    assert [entry.endpoint for entry in desk.stripe.log[asked:]].count("GET /v1/invoices/{id}") == 0
    # and a deleted file is made again, to the byte
    content = (folder(desk) / "NW-1.pdf").read_bytes()
    (folder(desk) / "NW-1.pdf").unlink()
    desk.run(*command)
    assert (folder(desk) / "NW-1.pdf").read_bytes() == content


@pytest.mark.parametrize("number", ["../NW-1", "-rf", "NW\n1", ""])
def test_an_invoice_number_that_is_no_file_name_is_replaced_by_the_id(desk: Desk, number: str) -> None:
    invoice_id = numbered(desk, "cus_a", number)
    done = desk.run(*SINCE, "--apply", "--pdf-dir", str(folder(desk)))
    assert done.exit_code == 0, done.output
    assert names(desk) == {f"{invoice_id}.pdf"}
    assert {path.name for path in desk.folder.iterdir() if path.suffix == ".pdf"} == set()


def test_two_invoices_of_one_number_never_replace_each_other(desk: Desk) -> None:
    ids = {numbered(desk, customer, "NW-1") for customer in ("cus_a", "cus_b")}
    command = (*SINCE, "--apply", "--pdf-dir", str(folder(desk)))
    desk.run(*command)
    assert len(names(desk)) == 2
    about = {json.loads(read_pdf(path.read_bytes()).evidence)["invoice"] for path in folder(desk).iterdir()}
    assert about == ids
    assert "0 stamped PDFs written, 2 there before" in desk.run(*command).stdout


def test_a_file_that_is_not_ours_is_never_replaced(desk: Desk) -> None:
    invoice_id = numbered(desk, "cus_a", "NW-1")
    folder(desk).mkdir()
    (folder(desk) / "NW-1.pdf").write_text("mine")
    (folder(desk) / f"NW-1-{invoice_id}.pdf").mkdir()
    done = desk.run(*SINCE, "--apply", "--pdf-dir", str(folder(desk)))
    assert done.exit_code == 1
    assert f"NW-1-{invoice_id}.pdf: another file has this name" in done.stdout
    assert (folder(desk) / "NW-1.pdf").read_text() == "mine"


def test_a_pdf_that_cannot_be_made_is_named_and_stops_no_other(desk: Desk) -> None:
    bad, _ = numbered(desk, "cus_a", "NW-1"), numbered(desk, "cus_b", "NW-2")
    desk.run(*SINCE, "--apply")
    desk.stripe.account.invoices[bad].metadata["pacspace_evidence_sha256"] = "0" * 64
    desk.stripe.forbid("POST /v1/invoices/{id}")
    command = (*SINCE, "--apply", "--pdf-dir", str(folder(desk)), "--jobs", "2")
    done = desk.run(*command, "--json")
    assert done.exit_code == 1
    said = {one["invoice"]: one for one in json.loads(done.stdout)["invoices"]}
    assert (said[bad]["outcome"], said[bad]["pdf"]["state"]) == ("matched", "failed")
    assert names(desk) == {"NW-2.pdf"}


def test_a_folder_that_cannot_be_written_is_reported_before_any_request(desk: Desk) -> None:
    (desk.folder / "file").write_text("")
    done = desk.run(*SINCE, "--apply", "--pdf-dir", str(desk.folder / "file" / "below"))
    assert done.exit_code == 2
    assert "--pdf-dir" in done.stderr
    assert desk.stripe.log == []


def test_the_problem_of_an_adopted_stamp_names_where_its_evidence_is(desk: Desk) -> None:
    invoice_id = numbered(desk, "cus_a", "NW-1")
    desk.run(*SINCE, "--apply")
    lost = {"PACSPACE_STRIPE_DATABASE_URL": f"sqlite:///{desk.folder / 'new.db'}"}
    done = desk.run(*SINCE, "--apply", "--pdf-dir", str(folder(desk)), **lost)
    assert done.exit_code == 1
    assert "Without their PDF\n" in done.stdout
    assert f"  {invoice_id}  evidence: the one that {invoice_id} names is not in this database" in done.stdout
    assert "Set PACSPACE_STRIPE_DATABASE_URL to where it was stamped from" in done.stdout
    assert names(desk) == set()
