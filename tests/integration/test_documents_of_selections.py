"""Documents of an invoice for which only some of the ledger's records count: genuine ones hold, forged ones do not."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pacspace_stripe.verify import OnlineServices, StepOutcome, online_services, verify
from pacspace_stripe.vocabulary.canonical_json import canonical
from tests.integration.test_verification_online import PACSPACE, STRIPE
from tests.support.received_documents import ReceivedDocuments, received_documents
from tests.support.worlds import PERIOD_END, World, world

SETTINGS = {
    "meter_from": "reason",
    "exclude_reasons": "deposit",
    "attribution": "usage_time",
    "units": "storage=1024",
}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Build two meters on one account, a deposit, a unit, and a summary that was accepted after midnight."""
    with world(tmp_path_factory.mktemp("world"), **SETTINGS) as made:
        storage = made.stripe.add_price(made.stripe.add_meter("storage"))
        made.subscribe(prices=[made.price, storage])
        made.bill("100")
        made.bill("2.5", meter="storage")
        made.ledger.record("cus_acme", 500, PERIOD_END - timedelta(days=20), reason="deposit")
        made.ledger.record("cus_acme", -60, PERIOD_END - timedelta(days=20), reason="api_calls")
        made.ledger.record("cus_acme", -2560, PERIOD_END - timedelta(days=3), reason="storage")
        made.run(timedelta(hours=1, minutes=5))
        late = {"reason": "api_calls", "reference_id": "usage:cus_acme:2026-10-31"}
        made.ledger.record("cus_acme", -40, made.clock.now(), **late)  # type: ignore[arg-type]
        yield made.run()


@pytest.fixture(scope="module")
def made(town: World) -> ReceivedDocuments:
    return received_documents(town)


def verified(folder: Path, data: bytes, asked: OnlineServices | None = None) -> tuple[StepOutcome, str]:
    (folder / "document").write_bytes(data)
    report = verify(str(folder / "document"), asked or OnlineServices())
    return report.outcome, "\n".join(f"{step.checked}: {step.result}" for step in report.steps)


def test_every_document_holds(tmp_path: Path, made: ReceivedDocuments) -> None:
    for document in (made.statement, made.bundle, made.evidence):
        outcome, why = verified(tmp_path, document)
        assert outcome is StepOutcome.HOLDS, why


def test_the_evidence_holds_at_stripe_and_at_pacspace(tmp_path: Path, town: World, made: ReceivedDocuments) -> None:
    with online_services(PACSPACE | STRIPE, town.app.transport) as asked:
        outcome, why = verified(tmp_path, made.statement, asked)
        assert outcome is StepOutcome.HOLDS, why


def test_the_evidence_names_the_selection_and_its_scope(made: ReceivedDocuments) -> None:
    calls, storage = made.document["windows"]
    assert (calls["recorded"], calls["count"]) == ("100", 2)
    assert calls["selection"] == {
        "start": "2026-10-01T00:00:00Z",
        "end": "2026-11-01T00:05:00.001000Z",
        "placed_by": {"accepted": 1, "usage_time": 1},
        "record_count": 4,
        "net_change": "-2160",
        "left_out": [
            {"by": "meter", "name": "storage", "record_count": 1, "net_change": "-2560"},
            {"by": "reason", "name": "deposit", "record_count": 1, "net_change": "500"},
        ],
    }
    assert (storage["recorded"], storage["count"]) == ("2.5", 1)
    assert (storage["selection"]["end"], storage["selection"]["record_count"]) == ("2026-11-01T00:00:00Z", 3)
    assert made.document["policy"]["units"] == {"storage": "1024"}


def test_the_stamp_alone_names_a_root_of_more_records(town: World) -> None:
    metadata = town.invoice()["metadata"]
    assert (metadata["pacspace_delta_count"], metadata["pacspace_root_count"]) == ("2", "4")
    with online_services(PACSPACE | STRIPE, town.app.transport) as asked:
        report = verify(town.invoice_id, asked)
    assert report.outcome is StepOutcome.CANNOT_TELL
    assert any("only the evidence explains it" in str(step.result) for step in report.steps)


def test_the_statement_shows_only_days_of_records_that_count(town: World) -> None:
    statement = town.app.statements.of_invoice(town.invoice_id)
    assert statement.left_out == ()


def more_recorded(document: Any) -> None:  # noqa: ANN401 - JSON
    window = document["windows"][0]
    window.update(recorded="101", billed="101", lines=[{**window["lines"][0], "quantity": "101"}])


def nothing_left_out(document: Any) -> None:  # noqa: ANN401 - JSON
    document["windows"][0]["selection"]["left_out"] = []


@pytest.mark.parametrize("forge", [more_recorded, nothing_left_out])
def test_a_selection_that_does_not_add_up_is_refuted(
    tmp_path: Path, made: ReceivedDocuments, forge: Callable[[Any], None]
) -> None:
    forged = json.loads(made.evidence)
    forge(forged)
    outcome, why = verified(tmp_path, canonical(forged))
    assert outcome is StepOutcome.REFUTED, why


# -- by reason and acceptance, which the ledger's rows show -----------------------------------------------------------


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceivedDocuments]:
    with world(tmp_path_factory.mktemp("shown"), exclude_reasons="deposit") as made:
        made.subscribe()
        made.use("100")
        made.ledger.record("cus_acme", 500, PERIOD_END - timedelta(days=20), reason="deposit")
        made.ledger.record("cus_acme", 20, PERIOD_END - timedelta(days=20), reason="deposit")
        yield received_documents(made.run())


def test_the_rows_of_its_bundle_show_which_of_them_count(tmp_path: Path, shown: ReceivedDocuments) -> None:
    outcome, why = verified(tmp_path, shown.bundle)
    assert outcome is StepOutcome.HOLDS, why
    assert "as many as recorded, and sum to as much" in why


def test_rows_of_other_reasons_refute_what_was_counted(tmp_path: Path, shown: ReceivedDocuments) -> None:
    name = "ledger/0001-records.json"
    rows = json.loads(shown.files[name])
    for row in rows["records"]:
        row["reason"] = {"usage": "deposit", "deposit": "usage"}[row["reason"]]
    outcome, why = verified(tmp_path, shown.with_files({name: canonical(rows)}).bundle)
    assert outcome is StepOutcome.REFUTED, why
    assert "by their reasons other rows count" in why


def test_rows_with_redacted_reasons_are_checked_by_their_sums_only(tmp_path: Path, shown: ReceivedDocuments) -> None:
    name = "ledger/0001-records.json"
    rows = json.loads(shown.files[name])
    rows["records"][0]["reason"] = "for [address removed]"
    outcome, why = verified(tmp_path, shown.with_files({name: canonical(rows)}).bundle)
    assert outcome is StepOutcome.HOLDS, why
    assert "which of them count, they do not show" in why
