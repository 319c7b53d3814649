"""The dispute bundle on both databases: read back and recomputed by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from pacspace_stripe.errors import NotFound
from pacspace_stripe.evidence.archive import DisputeBundle
from pacspace_stripe.gate.rules.state import Waiver
from pacspace_stripe.pacspace_api import PacSpace
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from pacspace_stripe.vocabulary.windows import Window
from tests.support.bundles import Opened, sha256
from tests.support.worlds import ENVIRONMENT, MIDDLE, PERIOD_END, PERIOD_START, World

DAY = timedelta(days=1)
OCTOBER = Window(start=PERIOD_START, end=PERIOD_END)
MADE_AT = datetime(2026, 12, 24, 18, 0, tzinfo=UTC)


@contextmanager
def world(folder: Path, url: str | None = None, **settings: str) -> Iterator[World]:
    named = {f"PACSPACE_STRIPE_{name.upper()}": value for name, value in settings.items()}
    made = World(folder, named, database_url=url)
    try:
        yield made
    finally:
        made.app.close()


def bundle(made: World, invoice_id: str | None = None) -> DisputeBundle:
    return made.app.dispute_bundles.of_invoice(invoice_id or made.invoice_id, made_at=MADE_AT)


def opened(made: World, invoice_id: str | None = None) -> Opened:
    return Opened.of(bundle(made, invoice_id).content)


def test_a_bundle_has_everything_that_supports_the_decision(tmp_path: Path, database_url: str) -> None:
    with world(tmp_path, database_url) as made:
        made.subscribe()
        made.use("1000")
        made.use("250.5")
        made.run()
        found = bundle(made)
        there = Opened.of(found.content)
        assert list(there.entries) == [
            "evidence/0001.json",
            "evidence/0002.json",
            "ledger/0001-receipt.json",
            "ledger/0001-records.json",
            "ledger/0001-verify.json",
            "manifest.json",
            "statement.pdf",
            "stripe/invoice.json",
            "stripe/lines.json",
            "summary.pdf",
        ]
        assert (found.missing, found.notes, found.files) == ((), (), tuple(there.entries))
        assert found.manifest == there.manifest


def test_the_manifest_hashes_every_other_file_to_the_byte(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("7")
        made.run()
        there = opened(made)
        manifest = there.manifest
        assert manifest["format"] == "pacspace-stripe/bundle/1"
        assert (manifest["invoice"], manifest["made_at"]) == (made.invoice_id, "2026-12-24T18:00:00Z")
        assert manifest["evidence_sha256"] == made.invoice()["metadata"]["pacspace_evidence_sha256"]
        assert manifest["files"] == {
            name: {"sha256": sha256(content), "bytes": len(content)}
            for name, content in there.entries.items()
            if name != "manifest.json"
        }


def test_the_figures_add_up_by_hand(tmp_path: Path, database_url: str) -> None:
    with world(tmp_path, database_url) as made:
        made.subscribe()
        for quantity in ("0.1", "0.2", "1249.7"):
            made.use(quantity)
        made.run()
        there = opened(made)
        # The chain: every link is canonical and names the one before
        previous = None
        for number, name in enumerate([name for name in there.entries if name.startswith("evidence/")], start=1):
            link = there.json(name)
            assert (link["chain"]["sequence"], link["chain"]["previous_sha256"]) == (number, previous)
            previous = sha256(there.entries[name])
        # Both sides' figures, from their own rows
        [window] = there.decision()["windows"]
        records = there.json("ledger/0001-records.json")
        assert (records["account"], records["start"], records["end"]) == ("cus_acme", window["start"], window["end"])
        assert records["count"] == len(records["records"]) == window["count"] == 3
        net = sum(Decimal(record["delta"]) for record in records["records"])
        assert Decimal(records["net"]) == net == -Decimal(window["recorded"]) == -Decimal("1250.0")
        assert {record["status"] for record in records["records"]} == {"VERIFIED"}
        assert {record["at"] for record in records["records"]} == {MIDDLE.isoformat().replace("+00:00", "Z")}
        lines = there.json("stripe/lines.json")
        assert sum(Decimal(line["quantity"]) for line in lines) == Decimal(window["billed"]) == 1250
        assert [(line["id"], line["quantity"]) for line in lines] == [
            (line["id"], line["quantity"]) for line in window["lines"]
        ]
        assert {(line["start"], line["end"]) for line in lines} == {(window["start"], window["end"])}
        # The stamp, and PacSpace's public verification of it
        invoice = there.json("stripe/invoice.json")
        assert invoice["metadata"]["pacspace_evidence_sha256"] == there.manifest["evidence_sha256"]
        assert invoice["metadata"] == {
            name: value for name, value in made.invoice()["metadata"].items() if name.startswith("pacspace_")
        }
        assert (invoice["status"], invoice["number"]) == ("paid", made.invoice()["number"])
        root = window["proof"]["proof_root"]
        assert root in invoice["footer"]
        verify, receipt = there.json("ledger/0001-verify.json"), there.json("ledger/0001-receipt.json")
        assert (verify["verified"], verify["proofRoot"], receipt["proofRoot"]) == (True, root, root)
        assert verify["summary"]["recordCount"] == receipt["deltasCount"] == 3
        assert Decimal(str(verify["summary"]["netChange"])) == Decimal(str(receipt["finalBalance"])) == net


def test_the_chain_is_the_subscriptions_and_the_decision_this_invoices(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("5")
        made.run(DAY)
        first = made.invoice_id
        made.run(20 * DAY)
        made.use("6", at=MIDDLE + 31 * DAY)
        made.run(12 * DAY)
        assert made.invoice_id != first
        there = opened(made, first)
        assert [link["invoice"] for link in there.chain] == [first, first, made.invoice_id, made.invoice_id]
        assert there.decision()["invoice"] == first
        assert there.json("ledger/0001-records.json")["net"] == "-5"
        assert opened(made).json("ledger/0001-records.json")["net"] == "-6"


def test_equal_answers_are_equal_bytes(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("1250.5")
        made.run()
        one, other = bundle(made), bundle(made)
        assert one.content == other.content
        later = made.app.dispute_bundles.of_invoice(made.invoice_id, made_at=MADE_AT + DAY)
        first, second = Opened.of(one.content), Opened.of(later.content)
        assert first.manifest.pop("made_at") != second.manifest.pop("made_at")
        assert [name for name in first.entries if first.entries[name] != second.entries[name]] == ["manifest.json"]


def test_records_of_several_pages_are_all_there(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("2300")
        for _ in range(2300):
            made.record("1")
        made.run()
        records = opened(made).json("ledger/0001-records.json")
        assert records["count"] == len(records["records"]) == 2300
        assert len({record["record_id"] for record in records["records"]}) == 2300
        assert sum(Decimal(record["delta"]) for record in records["records"]) == Decimal(records["net"]) == -2300


def test_every_window_has_files_of_its_own(tmp_path: Path) -> None:
    with world(tmp_path, ledger_account="{customer}:{meter}") as made:
        other = made.stripe.add_price(made.stripe.add_meter("storage"))
        made.subscribe(prices=[made.price, other])
        made.bill("5")
        made.record("5", account="cus_acme:api_calls")
        made.bill("9", meter="storage")
        made.record("9", account="cus_acme:storage")
        made.run()
        there = opened(made)
        windows = there.decision()["windows"]
        assert [window["meter"] for window in windows] == ["api_calls", "storage"]
        for number, window in enumerate(windows, start=1):
            assert there.json(f"ledger/{number:04d}-records.json")["account"] == window["account"]
            assert there.json(f"ledger/{number:04d}-verify.json")["proofRoot"] == window["proof"]["proof_root"]


def test_with_the_settlement_ledger_the_record_itself_is_there(tmp_path: Path, database_url: str) -> None:
    with world(tmp_path, database_url, ledger="settlement") as made:
        made.subscribe()
        made.bill("500")
        made.write("400")
        made.write("100")
        made.run()
        there = opened(made)
        assert [name for name in there.entries if name.startswith("ledger/")] == ["ledger/0001-record.json"]
        [window] = there.decision()["windows"]
        record = {"key": "usage-cus_acme-2026-10", "bits": "500", "writes": 2, "verified": True}
        assert there.json("ledger/0001-record.json") == record == window["record"]
        assert "Record usage-cus_acme-2026-10" in there.text("summary.pdf")[0]


@pytest.mark.parametrize("ledger", ["balance", "settlement"])
def test_an_account_without_records_is_zero_and_not_missing(tmp_path: Path, ledger: str) -> None:
    with world(tmp_path, ledger=ledger) as made:
        made.subscribe()
        made.run(DAY)
        there = opened(made)
        assert there.missing == []
        assert [name for name in there.entries if name.startswith("ledger/")] == ["ledger/0001-records.json"]
        said = there.json("ledger/0001-records.json")
        assert (said["net"], said["count"], said["records"]) == ("0", 0, [])
        assert "No usage was charged" in there.text("summary.pdf")[0]


# -- verdicts ---------------------------------------------------------------------------------------------------------


def test_the_bundle_of_a_drifted_invoice_says_so(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("100")
        made.record("90")
        made.run()
        there = opened(made)
        assert there.decision()["decision"] == {"verdict": "drifted", "reason": "OVERBILLED"}
        [page] = there.text("summary.pdf")
        assert "The usage charged is not the usage on record" in page
        assert "The invoice names the same value" not in page
        assert "100 90 1" in page
        assert "ledger/0001-verify.json" not in there.entries


def test_the_bundle_of_a_waived_invoice_names_who_waived_it(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("100")
        made.record("90")
        made.run()
        reason = "agreed by phone with ann@example.com"
        waiver = Waiver(reason=reason, by="ada", at=made.clock.now(), figures={})
        made.app.checker.check(made.invoice_id, waiver=waiver)
        made.run()
        there = opened(made)
        assert there.decision()["waiver"]["reason"] == reason
        [page] = there.text("summary.pdf")
        assert "The seller let this invoice go without full agreement" in page
        assert "agreed by phone with [address removed]" in page
        assert there.json("stripe/invoice.json")["metadata"]["pacspace_verdict"] == "waived"


def test_an_unproven_invoice_has_a_bundle_too(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("100")
        made.record("100", verified=False)
        made.run()
        there = opened(made)
        assert there.decision()["decision"]["verdict"] == "unproven"
        assert "could not be compared" in there.text("summary.pdf")[0]


def test_an_invoice_that_was_never_compared_has_no_bundle(tmp_path: Path) -> None:
    with world(tmp_path) as made, pytest.raises(NotFound, match="none about in_unknown"):
        made.app.dispute_bundles.of_invoice("in_unknown", made_at=MADE_AT)


def test_a_ledger_that_grew_since_is_noted(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("100")
        made.run()
        made.record("10")
        found = bundle(made)
        assert found.missing == ()
        assert found.notes == (
            "ledger/0001-records.json: the decision is about 100 in 1 record, PacSpace now has 110 in 2",
        )


def test_a_settlement_record_that_grew_since_is_noted(tmp_path: Path) -> None:
    with world(tmp_path, ledger="settlement") as made:
        made.subscribe()
        made.bill("500")
        made.write("500")
        made.run()
        made.write("5")
        assert bundle(made).notes == (
            "ledger/0001-record.json: the decision is about 500 in 1 write, PacSpace now has 505 in 2",
        )


# -- vendors that do not answer ----------------------------------------------------------------------------------------


def test_without_pacspace_its_files_are_listed_as_missing(tmp_path: Path, database_url: str) -> None:
    with world(tmp_path, database_url) as made:
        made.subscribe()
        made.use("100")
        made.run()
        made.ledger.add_fault("503")
        before = len(made.ledger_calls())
        found = bundle(made)
        there = Opened.of(found.content)
        assert there.missing == [
            "ledger/0001-records.json",
            "ledger/0001-receipt.json",
            "ledger/0001-verify.json",
        ]
        assert [lack.name for lack in found.missing] == there.missing
        for lack in found.missing:
            assert "PacSpace" in lack.why
            assert lack.name not in there.entries
        assert {"evidence/0001.json", "stripe/lines.json", "summary.pdf", "statement.pdf"} <= there.entries.keys()
        assert len(made.ledger_calls()) - before <= 3, "one that does not answer is not asked again and again"


def test_without_stripe_the_summary_is_made_of_the_evidence_alone(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("100")
        made.run()
        made.stripe.add_fault("500")
        there = opened(made)
        assert there.missing == ["stripe/invoice.json", "stripe/lines.json"]
        assert there.entries["statement.pdf"] == made.app.statements.of_invoice(made.invoice_id).pdf
        [page] = there.text("summary.pdf")
        assert f"Usage record for invoice {made.invoice_id}" in page
        assert "The invoice names the same value" not in page


def test_with_neither_there_is_still_the_evidence(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("100")
        made.run()
        made.stripe.add_fault("500")
        made.ledger.add_fault("503")
        there = opened(made)
        assert list(there.entries) == [
            "evidence/0001.json",
            "evidence/0002.json",
            "manifest.json",
            "statement.pdf",
            "summary.pdf",
        ]
        assert len(there.missing) == 5


def test_one_refused_question_leaves_the_others(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("100")
        made.run()
        made.ledger.add_fault("429", endpoint="GET /api/v1/balance/receipt/{customerId}")
        assert opened(made).missing == ["ledger/0001-receipt.json"]


@pytest.mark.parametrize("unknown", ["unverified", "not_found"])
def test_a_pacspace_that_no_longer_knows_the_account_is_quoted(tmp_path: Path, unknown: str) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("100")
        made.run()
        root = made.invoice()["metadata"]["pacspace_proof_root"]
        made.ledger = PacSpaceSimulator(made.clock, base_url=ENVIRONMENT["PACSPACE_API_BASE_URL"])
        made.ledger.configure(unknown_root=unknown)
        found = bundle(made)
        there = Opened.of(found.content)
        verify = there.json("ledger/0001-verify.json")
        assert (verify["verified"], verify["proofRoot"]) == (False, root)
        assert there.json("ledger/0001-records.json")["records"] == []
        assert there.missing == ["ledger/0001-receipt.json"]
        assert len(found.notes) == 1


# -- what must not be in a bundle --------------------------------------------------------------------------------------


def test_a_bundle_has_no_secret_no_mail_address_and_no_metadata_of_records(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.ledger.configure(shared_record=True, verify_records=True)
        made.subscribe(customer_footer="Questions: billing@acme.example or +49 89 1")
        made.bill("100")
        made.ledger.record(
            "cus_acme",
            Decimal(-100),
            MIDDLE,
            reason="calls of bob@customer.example",
            reference_id="bob@customer.example:1",
            metadata={"email": "bob@customer.example", "name": "Bob"},
        )
        made.run()
        there = opened(made)
        links = PacSpace("pk_test_simulator.secret", base_url="http://127.0.0.1:2", transport=made.app.transport)
        [window] = there.decision()["windows"]
        hint = links.proofs.invoice_proof("cus_acme", OCTOBER).access_hint
        assert hint
        assert links.proofs.verify(window["proof"]["proof_root"]).records
        everything = b"".join(there.entries.values()) + "".join(there.text("summary.pdf")).encode()
        for private in (hint, "accessHint", "Bob", "bob@", "billing@", "sk_test_", "pk_test_", "whsec_"):
            assert private.encode() not in everything, private
        [record] = there.json("ledger/0001-records.json")["records"]
        assert record["reason"] == "calls of [address removed]"
        assert "Questions: [address removed] or +49 89 1" in there.json("stripe/invoice.json")["footer"]
        assert made.invoice()["metadata"]["pacspace_proof_root"] in there.json("stripe/invoice.json")["footer"]


def test_the_page_claims_no_more_than_public_verify_answered(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.ledger.configure(verify_summary=False)
        made.subscribe()
        made.use("1")
        made.run()
        there = opened(made)
        assert there.decision()["windows"][0]["proof"]["cross_checked"] is False
        assert "PacSpace states for it" not in there.text("summary.pdf")[0]


def test_a_customers_name_is_shown_to_the_reviewer_and_a_mail_address_is_not(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.stripe.add_customer("cus_mail", name="ann@example.com")
        made.subscribe("cus_mail")
        made.use("1", customer="cus_mail")
        made.run()
        [page] = opened(made).text("summary.pdf")
        assert "[address removed]" in page
        assert "ann@example.com" not in page


# -- the page for a reviewer ------------------------------------------------------------------------------------------


def test_the_summary_is_one_page_in_plain_words(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("1250.5")
        made.run()
        there = opened(made)
        [page] = there.text("summary.pdf")
        [window] = there.decision()["windows"]
        assert f"Usage record for invoice {made.invoice()['number']}" in page
        for said in (
            "Acme cus_acme",
            "Test data: nobody was charged.",
            "This invoice charges for exactly the usage that PacSpace, an independent record keeper, had on record",
            "before the invoice was sent, and again on",
            "api_calls",
            "1250.5 1250.5 1",
            "1 October 2026 up to 1 November 2026",
            "PacSpace states for it: 1 entry, net change -1250.5",
            window["proof"]["proof_root"],
            window["proof"]["verify_url"],
            there.manifest["evidence_sha256"],
            "The invoice names the same value",
        ):
            assert said in page, said
        for jargon in ("EXACT", "checkpoint", "delta", "RFC", "canonical", "webhook", "metadata"):
            assert jargon not in page, jargon
