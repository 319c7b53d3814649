"""PacSpace's answers → the client's results: the contract's own samples, every spelling, and what is never believed."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pacspace_stripe.errors import UnexpectedAnswer
from pacspace_stripe.pacspace_api import NewDelta
from pacspace_stripe.pacspace_api.balance import batch_of, emitted_of
from pacspace_stripe.pacspace_api.http import listing_of
from pacspace_stripe.pacspace_api.models import (
    CheckpointRecord,
    CustomerReceipt,
    Delta,
    DeltaStatus,
    DerivedBalance,
    Gap,
    InvoiceProofRecord,
    ReceiptDocument,
    read_links,
)
from pacspace_stripe.pacspace_api.parsing import read
from pacspace_stripe.pacspace_api.proofs import verification_of
from pacspace_stripe.pacspace_api.reconciliation import ledger_delta
from tests.unit.test_pacspace_reading import answer


def sample(text: str) -> Any:  # noqa: ANN401  # any JSON
    return json.loads(text, parse_float=Decimal)


WHOLE = Delta(
    status=DeltaStatus.VERIFIED,
    record_id="rec_1",
    amount=Decimal("-2.5"),
    reason="usage",
    reference_id="r1",
    metadata={"meter": "api_calls"},
    recorded_at=datetime(2026, 10, 15, tzinfo=UTC),
)


def test_a_listed_delta_is_placed_by_what_it_says() -> None:
    found = ledger_delta(WHOLE)
    assert (found.record_id, found.amount, found.accepted_at) == ("rec_1", Decimal("-2.5"), WHOLE.recorded_at)
    assert (found.reason, found.reference_id, found.metadata) == ("usage", "r1", {"meter": "api_calls"})


@pytest.mark.parametrize("lacking", ["record_id", "amount", "recorded_at"])
def test_a_listed_delta_that_cannot_be_placed_is_not_guessed_at(lacking: str) -> None:
    with pytest.raises(UnexpectedAnswer, match="without its id, amount or time"):
        ledger_delta(WHOLE.model_copy(update={lacking: None}))


def test_the_receipt_of_the_oldest_documents() -> None:
    found = read_links(
        CustomerReceipt,
        "receipt",
        sample("""{"customerId":"cust_12345","generatedAt":"2026-02-11T12:00:00Z","deltasCount":127,"finalBalance":48500,
        "receiptId":"rcpt_abc123def456",
        "deltas":[{"anchorId":"a_1234567890","delta":-1000,"reason":"Monthly subscription charge",
        "referenceId":"inv_98765","status":"VERIFIED","createdAt":"2026-02-10T14:30:00Z"},
        {"anchorId":"a_1234567891","delta":500,"reason":"Referral bonus","referenceId":null,"status":"VERIFIED",
        "createdAt":"2026-02-11T09:15:00Z"}],
        "windowSummaries":[{"period":"2026-01","totalCredits":10000,"totalDebits":-8500,"netChange":1500,
        "deltasCount":42}],"verification":{}}"""),
        "cust_12345",
    )
    assert (found.proof_root, found.receipt_id) == (None, "rcpt_abc123def456")
    assert (found.count, found.final_balance) == (127, Decimal(48500))
    assert [(each.record_id, each.amount) for each in found.deltas] == [
        ("a_1234567890", Decimal(-1000)),
        ("a_1234567891", Decimal(500)),
    ]
    (month,) = found.summaries
    assert (month.credits, month.debits, month.net, month.count) == (Decimal(10000), Decimal(-8500), Decimal(1500), 42)
    assert found.generated_at == datetime(2026, 2, 11, 12, tzinfo=UTC)


def test_the_receipt_of_the_middle_documents() -> None:
    root = "0x7f3a"
    found = read_links(
        CustomerReceipt,
        "receipt",
        {"itemsRoot": root, "latestCheckpoint": "0xcd", "receiptId": root, "deltaCount": 1, "startingBalance": 0},
        "c",
    )
    assert (found.proof_root, found.receipt_id, found.latest_checkpoint, found.count) == (root, root, "0xcd", 1)


def test_the_invoice_proof_of_the_sdks_tests() -> None:
    found = read_links(
        InvoiceProofRecord,
        "invoice-proof",
        sample("""{"customerId":"cust_1","period":"2026-04","proofRoot":"0xproof",
        "verificationApiUrl":"https://app.pacspace.io/api/v1/verify/0xproof",
        "verifyUrl":"https://customer-links.pacspace.io/c/cus_abc123","accessHint":"A1B2C3",
        "customerLinkUrl":"https://customer-links.pacspace.io/c/cus_abc123",
        "customerLinkHost":"customer-links.pacspace.io"}"""),
        "cust_1",
    )
    assert (found.period, found.proof_root, found.access_hint) == ("2026-04", "0xproof", "A1B2C3")
    assert found.customer_link_url == found.verify_url
    assert "A1B2C3" not in repr(read)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"verified": true, "proofRoot": "0xroot", "message": "ok"}', (True, None, None, 0, None)),
        ('{"verified": false, "proofRoot": "0xroot", "message": "chain unavailable"}', (False, None, None, 0, None)),
        (
            """{"verified":true,"proofRoot":"0xroot","recordedAt":"2026-02-18T14:32:00.000Z",
            "summary":{"recordCount":42,"netChange":-6300,"startingBalance":0,"endingBalance":-6300,
            "firstRecordAt":"2026-02-01T10:00:00.000Z","lastRecordAt":"2026-02-18T14:30:00.000Z"},
            "records":[{"amount":-150,"reason":"api_call","referenceId":"inv_2026_02_item_001","status":"verified",
            "time":"2026-02-01T10:00:00.000Z"}],
            "verification":{"reference":"0xabc123","publicLedgerUrl":"https://hash.test/0xabc123"}}""",
            (True, 42, Decimal(-6300), 1, "0xabc123"),
        ),
        (
            """{"verified":true,"proofRoot":"0xroot","recordedAt":"2026-04-18T14:32:00.000Z",
            "summary":{"recordCount":42,"netChange":-6300},"records":[],
            "verification":{"verificationReference":"0xabc123",
            "verificationExplorerUrl":"https://app.pacspace.io/verify/0xroot"}}""",
            (True, 42, Decimal(-6300), 0, "0xabc123"),
        ),
    ],
)
def test_public_verify_of_every_generation(text: str, expected: tuple[object, ...]) -> None:
    found = verification_of(sample(text), "0xroot")
    figures = (found.verified, found.record_count, found.net_change, len(found.records), found.reference)
    assert figures == expected
    for record in found.records:
        assert (record.amount, record.status) == (Decimal(-150), DeltaStatus.VERIFIED)
        assert record.recorded_at == datetime(2026, 2, 1, 10, tzinfo=UTC)


def test_the_batch_of_the_sdks_tests() -> None:
    found = batch_of(
        sample("""{"totalQueued":1,"totalFailed":1,"results":[
        {"index":0,"customerId":"cust_1","delta":-1,"status":"FAILED","error":"CADENCE_LIMIT"},
        {"index":1,"customerId":"cust_2","delta":-2,"status":"QUEUED","idempotent":true}],"_efficiency":{}}"""),
        2,
    )
    assert (found.queued, found.failed, found.unanswered) == (1, 1, ())
    assert [(item.error, item.replayed) for item in found.items] == [("CADENCE_LIMIT", False), (None, True)]


@pytest.mark.parametrize(
    "data",
    [
        {"recordId": "rec_123", "status": "QUEUED", "receiptId": "0xabc", "customerId": "cust_1", "delta": -5},
        {"recordId": "rec_123", "status": "QUEUED", "receiptId": "0xabc"},
        {"anchorId": "rec_123", "status": "queued", "receiptId": "0xabc"},
        {"anchorId": "rec_123", "recordId": "rec_123", "status": "QUEUED", "receiptId": "0xabc", "delta": "-5.0"},
    ],
)
def test_what_emit_answers(data: dict[str, object]) -> None:
    found = emitted_of(data, NewDelta(customer_id="cust_1", delta=-5, reason="usage"))
    assert (found.record_id, found.receipt_id, found.status) == ("rec_123", "0xabc", DeltaStatus.QUEUED)


@pytest.mark.parametrize(
    ("data", "root"),
    [
        ({"checkpointId": "chk_1", "status": "QUEUED"}, None),
        ({"checkpointId": "chk_1", "proofRoot": "0xab"}, "0xab"),
        ({"checkpointId": "chk_1", "merkleRoot": "0xab"}, "0xab"),
        ({"checkpointId": "chk_1", "itemsRoot": "0xab", "status": "COMMITTED"}, "0xab"),
    ],
)
def test_checkpoints_in_every_spelling(data: dict[str, object], root: str | None) -> None:
    assert read(CheckpointRecord, "checkpoint", data).proof_root == root


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("VERIFIED", DeltaStatus.VERIFIED),
        ("verified", DeltaStatus.VERIFIED),
        ("Queued", DeltaStatus.QUEUED),
        ("COMMITTED", DeltaStatus.COMMITTED),
        ("recording", DeltaStatus.UNKNOWN),
        ("", DeltaStatus.UNKNOWN),
        (None, DeltaStatus.UNKNOWN),
    ],
)
def test_a_status_that_nobody_documented_is_unknown_and_not_final(word: str | None, status: DeltaStatus) -> None:
    found = read(Delta, "delta", {"status": word}).status
    assert found is status
    assert found.final is (status is DeltaStatus.VERIFIED)


@pytest.mark.parametrize(("value", "number"), [("7", 7), (7, 7), (None, None), ("9" * 18, 10**18 - 1)])
def test_sequence_numbers_are_text_or_numbers(value: object, number: int | None) -> None:
    assert read(Gap, "gap", {"fromSequence": value}).first == number


@pytest.mark.parametrize("value", ["", "x", "-1", "9" * 19, "\uff11", 1.5, True, [1]])
def test_nothing_else_is_a_sequence_number(value: object) -> None:
    with pytest.raises(UnexpectedAnswer):
        read(Gap, "gap", {"fromSequence": value})


@pytest.mark.parametrize(
    "data",
    [
        {"recordId": "a", "anchorId": "b"},
        {"delta": 1, "amount": 2},
        {"metadata": [1]},
        {"createdAt": "yesterday"},
        {"createdAt": "0001-01-01T00:00:00+23:00"},
        {"delta": "much"},
        {"delta": True},
        {"receiptId": 5},
    ],
)
def test_a_delta_that_contradicts_itself_is_not_believed(data: dict[str, object]) -> None:
    with pytest.raises(UnexpectedAnswer):
        read(Delta, "delta", data)


@pytest.mark.parametrize(
    "more", [{"deltas": {}}, {"deltas": [5]}, {"windowSummaries": [{}]}, {"startingBalance": "x"}, {"customerId": "b"}]
)
def test_a_balance_with_something_odd_beside_it_is_not_believed(more: dict[str, object]) -> None:
    with pytest.raises(UnexpectedAnswer):
        read(DerivedBalance, "derive", {"computedBalance": 1, "deltasCount": 1, **more}, customerId="a")


def test_a_document_is_kept_as_it_came() -> None:
    body = {
        "receiptId": "chk_1",
        "links": {"permalink": "https://app.pacspace.io/receipt/chk_1"},
        "total": Decimal("0.10"),
    }
    found = read(ReceiptDocument, "document", body)
    assert (found.receipt_id, found.permalink, found.body) == ("chk_1", "https://app.pacspace.io/receipt/chk_1", body)


@pytest.mark.parametrize(
    "data", [[{"a": 1}], {"rows": [{"a": 1}]}, {"items": [{"a": 1}]}, {"rows": [{"a": 1}], "items": [], "total": 7}]
)
def test_a_list_is_found_under_its_names(data: object) -> None:
    found = listing_of("list", answer({"success": True, "data": data}), "rows", "items")
    assert found["rows"] == [{"a": 1}]


@pytest.mark.parametrize(
    "body", [{"success": True, "data": {"other": []}}, {"rows": []}, [], {"success": False, "data": []}]
)
def test_no_list_is_not_an_empty_one(body: object) -> None:
    with pytest.raises(UnexpectedAnswer):
        listing_of("list", answer(body), "rows", "items")
