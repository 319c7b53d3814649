"""PacSpace's answers as models: the published samples, every spelling, and the forms that are refused."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pacspace_stripe.errors import (
    UnexpectedAnswer,
)
from pacspace_stripe.pacspace_api import NewDelta
from pacspace_stripe.pacspace_api.balance import batch_of, comparison_of, emitted_of
from pacspace_stripe.pacspace_api.models import (
    CheckpointRecord,
    CustomerReceipt,
    Delta,
    DeltaFigures,
    DeltaState,
    Gap,
    GapFigures,
    InvoiceProofRecord,
    ProofLinks,
    ReceiptDocument,
    ScopeBalance,
    read_links,
)
from pacspace_stripe.pacspace_api.parsing import read
from pacspace_stripe.pacspace_api.proofs import summary_of, verification_of
from pacspace_stripe.pacspace_api.reconciliation import balance_of, checkpoint_of, ledger_delta
from pacspace_stripe.vocabulary.ledger import Balance, ProofSummary
from pacspace_stripe.vocabulary.windows import Window

WINDOW = Window(start=datetime(2026, 11, 1, tzinfo=UTC), end=datetime(2026, 12, 1, tzinfo=UTC))

YOURS, THEIRS = Decimal(-5), Decimal(-6)


def sample(text: str) -> Any:  # noqa: ANN401  # any JSON
    return json.loads(text, parse_float=Decimal)


WHOLE = Delta(
    status=DeltaState.VERIFIED,
    record_id="rec_1",
    amount=Decimal("-2.5"),
    reason="usage",
    reference_id="r1",
    metadata={"meter": "api_calls"},
    recorded_at=datetime(2026, 10, 15, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("data", "net", "count"),
    [
        ({"computedBalance": -575, "deltasCount": 5}, Decimal(-575), 5),
        ({"computedBalance": Decimal("-0.1"), "deltaCount": 1}, Decimal("-0.1"), 1),
        ({"computedBalance": 0, "deltaCount": 0, "deltasCount": 0, "deltas": []}, Decimal(0), 0),
        ({"computedBalance": "-12.5", "deltasCount": 2, "customerId": "acme"}, Decimal("-12.5"), 2),
    ],
)
def test_a_balance_is_read_in_every_spelling(data: Mapping[str, object], net: Decimal, count: int) -> None:
    assert balance_of(data, "acme", WINDOW) == Balance(account="acme", window=WINDOW, net=net, count=count)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({}, "deltasCount is missing"),
        ({"computedBalance": -5}, "deltasCount is missing"),
        ({"deltasCount": 5}, "computedBalance is missing"),
        ({"computedBalance": None, "deltasCount": 5}, "computedBalance is null"),
        ({"computedBalance": True, "deltasCount": 5}, "computedBalance"),
        ({"computedBalance": Decimal("1e999999"), "deltasCount": 5}, "computedBalance"),
        ({"computedBalance": [], "deltasCount": 5}, "computedBalance"),
        ({"computedBalance": -5, "deltasCount": "5"}, "deltasCount"),
        ({"computedBalance": -5, "deltasCount": Decimal("5.0")}, "deltasCount"),
        ({"computedBalance": -5, "deltasCount": -1}, "deltasCount is negative"),
        ({"computedBalance": -5, "deltasCount": 5, "deltaCount": 6}, "deltasCount/deltaCount contradict"),
        ({"computedBalance": -5, "deltasCount": 5, "deltaCount": "5"}, "deltasCount/deltaCount contradict"),
        ({"computedBalance": -5, "deltasCount": 5, "customerId": "other"}, "customerId is not the one"),
    ],
)
def test_a_balance_in_any_other_form_is_refused(data: Mapping[str, object], named: str) -> None:
    with pytest.raises(UnexpectedAnswer, match=named):
        balance_of(data, "acme", WINDOW)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"matchesYours": True, "matchesTheirs": False, "neutralBalance": -5}, (Decimal(-5), True, False)),
        ({"matchesYours": True, "matchesTheirs": True}, (None, True, True)),
        ({"neutralBalance": Decimal("-5.25"), "discrepancy": 1}, (Decimal("-5.25"), None, None)),
    ],
)
def test_comparisons_are_kept_as_given(data: Mapping[str, object], expected: tuple[object, ...]) -> None:
    found = comparison_of(data, yours=YOURS, theirs=THEIRS)
    assert (found.neutral_balance, found.matches_yours, found.matches_theirs) == expected
    assert (found.your_balance, found.their_balance) == (Decimal(-5), Decimal(-6))


@pytest.mark.parametrize(
    "data", [{}, {"matchesYours": None}, {"matchesYours": "true"}, {"matchesYours": 1}, {"neutralBalance": "five"}]
)
def test_a_comparison_in_any_other_form_is_refused(data: Mapping[str, object]) -> None:
    with pytest.raises(UnexpectedAnswer):
        comparison_of(data, yours=YOURS, theirs=THEIRS)


@pytest.mark.parametrize(
    ("data", "root"),
    [
        ({"status": "QUEUED"}, None),
        ({"proofRoot": None}, None),
        ({"proofRoot": "0xab"}, "0xab"),
        ({"merkleRoot": "0xab"}, "0xab"),
        ({"itemsRoot": "0xab"}, "0xab"),
        ({"proofRoot": "0xab", "merkleRoot": "0xab", "status": "VERIFIED"}, "0xab"),
    ],
)
def test_a_checkpoint_is_read_in_every_spelling(data: dict[str, object], root: str | None) -> None:
    found = checkpoint_of({"checkpointId": "chk_1", **data}, "acme")
    assert (found.checkpoint_id, found.proof_root) == ("chk_1", root)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"checkpointId": None},
        {"checkpointId": 5},
        {"checkpointId": "chk 1"},
        {"checkpointId": "chk_1", "proofRoot": ""},
        {"checkpointId": "chk_1", "proofRoot": 5},
        {"checkpointId": "chk_1", "proofRoot": "0xab\nVerified by us"},
        {"checkpointId": "chk_1", "proofRoot": "0x" + "a" * 500},
        {"checkpointId": "chk_1", "proofRoot": "0xab", "merkleRoot": "0xcd"},
        {"checkpointId": "chk_1", "customerId": "other"},
    ],
)
def test_a_checkpoint_in_any_other_form_is_refused(data: Mapping[str, object]) -> None:
    with pytest.raises(UnexpectedAnswer):
        checkpoint_of(data, "acme")


def test_an_invoice_proof_is_read_without_its_access_hint() -> None:
    data = {
        "customerId": "cust_1",
        "period": "2026-04",
        "proofRoot": "0xproof",
        "verificationApiUrl": "https://app.pacspace.io/api/v1/verify/0xproof",
        "verifyUrl": "https://customer-links.pacspace.io/c/cus_abc123",
        "accessHint": "A1B2C3",
        "customerLinkUrl": "https://customer-links.pacspace.io/c/cus_abc123",
    }
    found = read_links(ProofLinks, "invoice-proof", data, "cust_1")
    assert found == ProofLinks(
        proof_root="0xproof",
        verify_url="https://customer-links.pacspace.io/c/cus_abc123",
        verification_api_url="https://app.pacspace.io/api/v1/verify/0xproof",
    )
    assert "A1B2C3" not in repr(found)


def test_an_invoice_proof_may_name_its_root_alone() -> None:
    assert read_links(ProofLinks, "invoice-proof", {"proofRoot": "0xab"}, "acme") == ProofLinks(
        proof_root="0xab", verify_url=None, verification_api_url=None
    )


def test_an_invoice_proof_without_root_and_customer_is_refused() -> None:
    with pytest.raises(UnexpectedAnswer, match="proofRoot is missing"):
        read_links(ProofLinks, "invoice-proof", {"verifyUrl": "https://app.pacspace.io/x"}, "acme")


@pytest.mark.parametrize(
    "url",
    ["", "javascript:alert(1)", "app.pacspace.io/x", "https://a b", "https://ü", "https://a/\n", 5],
)
def test_a_link_that_is_no_web_address_is_refused(url: object) -> None:
    with pytest.raises(UnexpectedAnswer, match="verifyUrl"):
        read_links(ProofLinks, "invoice-proof", {"proofRoot": "0xab", "verifyUrl": url}, "acme")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"verified": True, "proofRoot": "0xAB", "message": "ok"}, (True, None, None)),
        ({"verified": False, "proofRoot": "0xab", "message": "chain unavailable"}, (False, None, None)),
        ({"verified": True, "summary": {"recordCount": 42, "netChange": -6300}}, (True, 42, Decimal(-6300))),
        ({"verified": True, "summary": {}}, (True, None, None)),
        ({"verified": True, "summary": None}, (True, None, None)),
    ],
)
def test_public_verify_is_read_in_every_spelling(
    data: Mapping[str, object], expected: tuple[bool, int | None, Decimal | None]
) -> None:
    verified, count, net = expected
    assert summary_of(data, "0xab") == ProofSummary(
        proof_root="0xab", verified=verified, record_count=count, net_change=net
    )


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"verified": None},
        {"verified": "true"},
        {"verified": 1},
        {"status": "verified"},
        {"verified": True, "proofRoot": "0xcd"},
        {"verified": True, "summary": {"recordCount": "42"}},
        {"verified": True, "summary": {"netChange": "much"}},
        {"verified": True, "summary": 5},
    ],
)
def test_any_other_answer_of_public_verify_is_refused(data: Mapping[str, object]) -> None:
    with pytest.raises(UnexpectedAnswer):
        summary_of(data, "0xab")


@pytest.mark.parametrize(
    ("item", "unsettled"),
    [
        ({"status": "verified", "time": "2026-11-02T00:00:00Z"}, False),
        ({"status": "VERIFIED", "time": None}, False),
        ({"status": "failed", "time": "2026-11-02T00:00:00Z"}, False),
        ({"status": "queued", "time": "2026-11-02T00:00:00.000Z"}, True),
        ({"status": "PROCESSING", "time": "2026-11-30T23:59:59.999Z"}, True),
        ({"status": "something new", "time": "2026-11-02T00:00:00Z"}, True),
        ({"status": "queued", "time": "2026-10-02T00:00:00Z"}, False),
        ({"status": "queued", "time": "2026-12-01T00:00:00Z"}, False),
        ({"status": "queued", "time": "2026-12-01T01:00:00+02:00"}, True),
        ({"status": "queued", "time": "2026-11-30T23:00:00"}, True),
        ({"status": "queued"}, True),
    ],
)
def test_only_an_open_delta_of_the_window_may_still_change_its_balance(item: object, unsettled: bool) -> None:  # noqa: FBT001
    assert read(DeltaFigures, "row", item).may_still_count(WINDOW.start, WINDOW.end) is unsettled


@pytest.mark.parametrize("item", [{}, {"status": None}, {"status": "queued", "time": "yesterday"}, {"status": 5}])
def test_a_row_of_activity_that_cannot_be_read_is_refused(item: object) -> None:
    with pytest.raises(UnexpectedAnswer):
        read(DeltaFigures, "row", item).may_still_count(WINDOW.start, WINDOW.end)


@pytest.mark.parametrize(
    ("data", "gaps"),
    [
        ({"gaps": []}, 0),
        ({"gaps": [{"fromSequence": "3", "toSequence": "4"}]}, 1),
        ({"totalGaps": 2, "gaps": [{}]}, 2),
        ({"missing": ["3", "4"]}, 2),
        ({"missingSequences": []}, 0),
        ({"totalGaps": 2, "hasGaps": "yes"}, 2),
    ],
)
def test_gaps_are_counted_in_the_known_shapes(data: Mapping[str, object], gaps: int) -> None:
    assert read(GapFigures, "gaps", data).count == gaps


@pytest.mark.parametrize(
    "data",
    [
        *({}, {"complete": True}, {"gaps": None}, {"gaps": 3}, {"totalGaps": "2"}),
        *({"totalGaps": 0, "gaps": [{}]}, {"missingCount": 0, "missing": [3]}, {"totalGaps": 0, "hasGaps": True}),
        *({"totalGaps": 0, "gaps": None}, {"totalGaps": 0, "hasGaps": "yes"}),
    ],
)
def test_gaps_in_another_shape_are_refused(data: Mapping[str, object]) -> None:
    with pytest.raises(UnexpectedAnswer):
        read(GapFigures, "gaps", data)


@pytest.mark.parametrize("count", [0, 2**53, 2**63 - 1])
def test_a_balance_of_no_records_or_of_more_than_anybody_can_count_is_refused(count: int) -> None:
    with pytest.raises(UnexpectedAnswer):
        balance_of({"computedBalance": Decimal(-100), "deltasCount": count}, "acme", WINDOW)


def test_a_listed_delta_keeps_its_amount_time_and_names() -> None:
    found = ledger_delta(WHOLE)
    assert (found.record_id, found.amount, found.accepted_at) == ("rec_1", Decimal("-2.5"), WHOLE.recorded_at)
    assert (found.reason, found.reference_id, found.metadata) == ("usage", "r1", {"meter": "api_calls"})


@pytest.mark.parametrize("lacking", ["record_id", "amount", "recorded_at"])
def test_a_listed_delta_without_id_amount_or_time_is_refused(lacking: str) -> None:
    with pytest.raises(UnexpectedAnswer, match="without its id, amount or time"):
        ledger_delta(WHOLE.model_copy(update={lacking: None}))


def test_a_receipt_is_read_as_in_the_oldest_documentation() -> None:
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


def test_a_receipt_is_read_as_in_the_middle_documentation() -> None:
    root = "0x7f3a"
    found = read_links(
        CustomerReceipt,
        "receipt",
        {"itemsRoot": root, "latestCheckpoint": "0xcd", "receiptId": root, "deltaCount": 1, "startingBalance": 0},
        "c",
    )
    assert (found.proof_root, found.receipt_id, found.latest_checkpoint, found.count) == (root, root, "0xcd", 1)


def test_an_invoice_proof_is_read_as_in_the_sdks_tests() -> None:
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
def test_public_verify_is_read_as_in_every_generation_of_the_documentation(
    text: str, expected: tuple[object, ...]
) -> None:
    found = verification_of(sample(text), "0xroot")
    figures = (found.verified, found.record_count, found.net_change, len(found.records), found.reference)
    assert figures == expected
    for record in found.records:
        assert (record.amount, record.status) == (Decimal(-150), DeltaState.VERIFIED)
        assert record.recorded_at == datetime(2026, 2, 1, 10, tzinfo=UTC)


def test_a_batch_is_read_as_in_the_sdks_tests() -> None:
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
def test_the_answer_to_an_emit_is_read_in_every_spelling(data: dict[str, object]) -> None:
    found = emitted_of(data, NewDelta(customer_id="cust_1", delta=-5, reason="usage"))
    assert (found.record_id, found.receipt_id, found.status) == ("rec_123", "0xabc", DeltaState.QUEUED)


@pytest.mark.parametrize(
    ("data", "root"),
    [
        ({"checkpointId": "chk_1", "status": "QUEUED"}, None),
        ({"checkpointId": "chk_1", "proofRoot": "0xab"}, "0xab"),
        ({"checkpointId": "chk_1", "merkleRoot": "0xab"}, "0xab"),
        ({"checkpointId": "chk_1", "itemsRoot": "0xab", "status": "COMMITTED"}, "0xab"),
    ],
)
def test_a_checkpoint_record_is_read_in_every_spelling(data: dict[str, object], root: str | None) -> None:
    assert read(CheckpointRecord, "checkpoint", data).proof_root == root


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("VERIFIED", DeltaState.VERIFIED),
        ("verified", DeltaState.VERIFIED),
        ("Queued", DeltaState.QUEUED),
        ("COMMITTED", DeltaState.COMMITTED),
        ("recording", DeltaState.UNKNOWN),
        ("", DeltaState.UNKNOWN),
        (None, DeltaState.UNKNOWN),
    ],
)
def test_an_undocumented_state_is_unknown_and_not_final(word: str | None, status: DeltaState) -> None:
    found = read(Delta, "delta", {"status": word}).status
    assert found is status
    assert found.final is (status is DeltaState.VERIFIED)


@pytest.mark.parametrize(("value", "number"), [("7", 7), (7, 7), (None, None), ("9" * 18, 10**18 - 1)])
def test_sequence_numbers_are_text_or_numbers(value: object, number: int | None) -> None:
    assert read(Gap, "gap", {"fromSequence": value}).first == number


@pytest.mark.parametrize("value", ["", "x", "-1", "9" * 19, "\uff11", 1.5, True, [1]])
def test_any_other_sequence_number_is_refused(value: object) -> None:
    with pytest.raises(UnexpectedAnswer):
        read(Gap, "gap", {"fromSequence": value})


@pytest.mark.parametrize(
    "data",
    [
        {"recordId": "a", "anchorId": "b"},
        {"recordId": "1", "anchorId": "1.0"},
        {"delta": 1, "amount": 2},
        {"metadata": [1]},
        {"createdAt": "yesterday"},
        {"createdAt": "0001-01-01T00:00:00+23:00"},
        {"delta": "much"},
        {"delta": True},
        {"receiptId": 5},
    ],
)
def test_a_delta_that_is_ill_typed_or_contradicts_itself_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(UnexpectedAnswer):
        read(Delta, "delta", data)


@pytest.mark.parametrize(
    "more", [{"deltas": {}}, {"deltas": [5]}, {"windowSummaries": [{}]}, {"startingBalance": "x"}, {"customerId": "b"}]
)
def test_a_balance_with_an_ill_typed_field_beside_it_is_refused(more: dict[str, object]) -> None:
    with pytest.raises(UnexpectedAnswer):
        read(ScopeBalance, "derive", {"computedBalance": 1, "deltasCount": 1, **more}, customerId="a")


def test_a_document_is_kept_as_it_came() -> None:
    body = {
        "receiptId": "chk_1",
        "links": {"permalink": "https://app.pacspace.io/receipt/chk_1"},
        "total": Decimal("0.10"),
    }
    found = read(ReceiptDocument, "document", body)
    assert (found.receipt_id, found.permalink, found.body) == ("chk_1", "https://app.pacspace.io/receipt/chk_1", body)
