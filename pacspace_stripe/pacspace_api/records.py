"""PacSpace's answers → the client's results, in every documented spelling. Pure; surprises are UnexpectedAnswer."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from pacspace_stripe.errors import UnexpectedAnswer
from pacspace_stripe.http.answers import Fields
from pacspace_stripe.pacspace_api.envelope import COUNTS, RECORD_IDS, count_of, number_of, text_of, total_of, url_of
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.pacspace_api.parsing import (
    checkpoint_from_pacspace,
    invoice_proof_from_pacspace,
    net_and_count,
    proof_summary_from_pacspace,
)
from pacspace_stripe.pacspace_api.results import (
    Batch,
    BatchItem,
    CheckpointPage,
    CheckpointRecord,
    CustomerReceipt,
    Delta,
    Derived,
    InvoiceProofRecord,
    PeriodSummary,
    ReceiptDocument,
    Status,
    Verification,
)
from pacspace_stripe.vocabulary.ledger import LedgerDelta
from pacspace_stripe.vocabulary.quantities import equal

_LINKS = ("verificationReference", "reference", "verificationId")
_PAGES = ("publicLedgerUrl", "verificationExplorerUrl")
_LARGEST_SEQUENCE_DIGITS = 18


def status_of(data: Fields) -> Status:
    """UNKNOWN for any word that is not documented, and for none."""
    return Status(status_word(data))


def status_word(data: Fields) -> str:
    """In capitals: PacSpace writes it either way (CONTRACT 1.10)."""
    return (data.optional_text("status") or "").upper()


def delta_from_pacspace(data: Fields) -> Delta:
    """One record, wherever it is shown (3.1, 3.3, 3.8, 3.11, 3.13)."""
    metadata = data.optional_fields("metadata")
    return Delta(
        status=status_of(data),
        record_id=text_of(data, *RECORD_IDS),
        receipt_id=data.optional_text("receiptId"),
        customer_id=data.optional_text("customerId"),
        amount=number_of(data, "delta", "amount"),
        reason=data.optional_text("reason"),
        reference_id=data.optional_text("referenceId"),
        metadata=dict(metadata.data) if metadata else {},
        sequence_number=sequence_of(data, "sequenceNumber"),
        recorded_at=_first_time(data, "createdAt", "time", "submittedAt"),
        verified_at=_first_time(data, "verifiedAt", "blockTimestamp"),
        verification_reference=text_of(data, *_LINKS),
        error=data.optional_text("error"),
    )


def ledger_delta(delta: Delta) -> LedgerDelta:
    """A listed delta as the comparison needs it. Raises UnexpectedAnswer when it does not say enough to be placed."""
    if delta.record_id is None or delta.amount is None or delta.recorded_at is None:
        message = f"derive lists a delta ({delta.record_id or 'no id'}) without its id, amount or time"
        hint = "Nothing was concluded from it. Please report it; PACSPACE_STRIPE_ATTRIBUTION=accepted reads no list."
        raise UnexpectedAnswer(PACSPACE, message, hint=hint)
    return LedgerDelta(
        record_id=delta.record_id,
        amount=delta.amount,
        accepted_at=delta.recorded_at,
        reason=delta.reason,
        reference_id=delta.reference_id,
        metadata=delta.metadata,
    )


def waiting_delta(row: Fields, otherwise: datetime) -> LedgerDelta:
    """A row of recent activity (CONTRACT 3.11) that is not verified yet, as far as it says anything."""
    delta = delta_from_pacspace(row)
    return LedgerDelta(
        record_id=delta.record_id or "",
        amount=delta.amount or Decimal(0),
        accepted_at=delta.recorded_at or otherwise,
        reason=delta.reason,
        reference_id=delta.reference_id,
        metadata=delta.metadata,
    )


def emitted_from_pacspace(data: Fields, customer_id: str, amount: Decimal) -> Delta:
    """The answer to an emit: about what was sent, and with an id to ask by."""
    delta = delta_from_pacspace(data)
    if delta.record_id is None:
        data.reject("recordId", "is missing")
    if delta.customer_id not in {None, customer_id}:
        data.reject("customerId", "is not the one that was sent")
    if delta.amount is not None and not equal(delta.amount, amount):
        data.reject("delta", "is not the one that was sent")
    return delta


def batch_from_pacspace(data: Fields, sent: int) -> Batch:
    """The answer to a batch of ``sent`` deltas (CONTRACT 3.2)."""
    items = tuple(_batch_item(row, sent) for row in data.items("results")) if "results" in data else ()
    answered = {item.index for item in items}
    if len(answered) != len(items):
        data.reject("results", "answer one delta twice")
    failed = sum(item.status is Status.FAILED for item in items)
    queued, failures = count_of(data, "totalQueued"), count_of(data, "totalFailed")
    return Batch(
        queued=len(items) - failed if queued is None else queued,
        failed=failed if failures is None else failures,
        items=items,
        unanswered=tuple(index for index in range(sent) if index not in answered),
    )


def _batch_item(row: Fields, sent: int) -> BatchItem:
    index = row.integer("index")
    if not 0 <= index < sent:
        row.reject("index", "is not that of a delta that was sent")
    return BatchItem(
        index=index,
        status=status_of(row),
        error=row.optional_text("error"),
        replayed=row.optional_flag("idempotent") or False,
        record_id=text_of(row, *RECORD_IDS),
        receipt_id=row.optional_text("receiptId"),
    )


def derived_from_pacspace(data: Fields, customer_id: str) -> Derived:
    """A derive answer with all that is in it (CONTRACT 3.4)."""
    balance, count = net_and_count(data, customer_id)
    return Derived(
        customer_id=customer_id,
        balance=balance,
        count=count,
        starting_balance=data.optional_number("startingBalance"),
        latest_receipt_id=data.optional_text("latestReceiptId"),
        deltas=_deltas(data, "deltas"),
        summaries=_summaries(data),
    )


def _deltas(data: Fields, name: str) -> tuple[Delta, ...]:
    return tuple(map(delta_from_pacspace, rows_of(data, name)))


def _summaries(data: Fields) -> tuple[PeriodSummary, ...]:
    return tuple(
        PeriodSummary(
            period=row.text("period"),
            credits=row.optional_number("totalCredits"),
            debits=row.optional_number("totalDebits"),
            net=row.optional_number("netChange"),
            count=count_of(row, *COUNTS),
        )
        for row in rows_of(data, "windowSummaries")
    )


def checkpoint_record_from_pacspace(data: Fields, customer_id: str | None) -> CheckpointRecord:
    """A checkpoint with all that is in it (3.6, 3.7)."""
    made = checkpoint_from_pacspace(data, customer_id)
    return CheckpointRecord(
        checkpoint_id=made.checkpoint_id,
        proof_root=made.proof_root,
        status=status_of(data),
        customer_id=data.optional_text("customerId"),
        count=count_of(data, *COUNTS),
        net=data.optional_number("netChange"),
        start_at=data.optional_written_at("startDate"),
        end_at=data.optional_written_at("endDate"),
        created_at=data.optional_written_at("createdAt"),
        verification_reference=text_of(data, *_LINKS),
    )


def checkpoints_from_pacspace(data: Fields, customer_id: str | None) -> CheckpointPage:
    """A list of checkpoints (CONTRACT 3.7)."""
    rows = tuple(checkpoint_record_from_pacspace(row, customer_id) for row in data.items("checkpoints"))
    return CheckpointPage(checkpoints=rows, total=total_of(data, unnamed=len(rows)))


def receipt_from_pacspace(data: Fields, customer_id: str) -> CustomerReceipt:
    """A customer's receipt (CONTRACT 3.8); something of it must be there."""
    proof = invoice_proof_from_pacspace(data, customer_id)
    return CustomerReceipt(
        customer_id=customer_id,
        proof_root=proof.proof_root,
        receipt_id=data.optional_text("receiptId"),
        count=count_of(data, *COUNTS),
        starting_balance=data.optional_number("startingBalance"),
        final_balance=data.optional_number("finalBalance"),
        deltas=_deltas(data, "deltas"),
        summaries=_summaries(data),
        generated_at=data.optional_written_at("generatedAt"),
        latest_checkpoint=data.optional_text("latestCheckpoint"),
        verify_url=proof.verify_url,
        verification_api_url=proof.verification_api_url,
    )


def proof_record_from_pacspace(data: Fields, customer_id: str) -> InvoiceProofRecord:
    """An invoice proof with all that is in it (CONTRACT 3.9), the payer's access hint included."""
    proof = invoice_proof_from_pacspace(data, customer_id)
    return InvoiceProofRecord(
        customer_id=customer_id,
        period=data.optional_text("period"),
        proof_root=proof.proof_root,
        verify_url=proof.verify_url,
        verification_api_url=proof.verification_api_url,
        customer_link_url=url_of(data, "customerLinkUrl"),
        customer_link_host=data.optional_text("customerLinkHost"),
        access_hint=data.optional_text("accessHint"),
    )


def document_from_pacspace(data: Fields) -> ReceiptDocument:
    """A receipt document (CONTRACT 3.10), or a row of their list."""
    links = data.optional_fields("links")
    return ReceiptDocument(
        receipt_id=data.optional_text("receiptId"),
        permalink=url_of(links, "permalink") if links else None,
        body=plain(data),
    )


def verification_from_pacspace(data: Fields, proof_root: str) -> Verification:
    """A public verify answer with all that is in it (CONTRACT 3.13)."""
    proof = proof_summary_from_pacspace(data, proof_root)
    summary, shown = data.optional_fields("summary"), data.optional_fields("verification")
    return Verification(
        proof_root=proof_root,
        verified=proof.verified,
        message=data.optional_text("message"),
        record_count=proof.record_count,
        net_change=proof.net_change,
        starting_balance=summary.optional_number("startingBalance") if summary else None,
        ending_balance=summary.optional_number("endingBalance") if summary else None,
        records=_deltas(data, "records"),
        recorded_at=data.optional_written_at("recordedAt"),
        reference=text_of(shown, *_LINKS) if shown else None,
        url=next((url for url in (url_of(shown, name) for name in _PAGES) if url), None) if shown else None,
    )


def unverified(proof_root: str, message: str) -> Verification:
    """A root that PacSpace does not know."""
    return verification_from_pacspace(Fields(PACSPACE, "verify", {"verified": False, "message": message}), proof_root)


def rows_of(data: Fields, name: str) -> list[Fields]:
    """A list of rows that may be left out."""
    return data.items(name) if data.data.get(name) is not None else []


def plain(data: Fields) -> Mapping[str, object]:
    """An answer of unpublished shape as it came, numbers exact."""
    return dict(data.data)


def _first_time(data: Fields, *names: str) -> datetime | None:
    return next((at for at in (data.optional_written_at(name) for name in names) if at is not None), None)


def sequence_of(data: Fields, name: str) -> int | None:
    """A sequence number, which PacSpace sends as text (CONTRACT 1.9)."""
    value = data.data.get(name)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _LARGEST_SEQUENCE_DIGITS:
        return int(value)
    return data.optional_integer(name)
