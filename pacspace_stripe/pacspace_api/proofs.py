"""Receipts, invoice proofs, receipt documents and public verify (3.8 to 3.10, 3.13)."""

from collections.abc import Mapping

from pacspace_stripe.errors import NotFound, UnexpectedAnswer
from pacspace_stripe.pacspace_api import inputs, records
from pacspace_stripe.pacspace_api.calls import VERIFY, Calls
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.pacspace_api.results import (
    CustomerReceipt,
    InvoiceProofRecord,
    ReceiptDocument,
    Source,
    Verification,
)
from pacspace_stripe.pacspace_api.scopes import Span, span_fields

_PDF = b"%PDF-"


class ProofsApi:
    """``PacSpace.proofs``. Thread-safe. Raises InvalidInput before anything is sent, RemoteError's children after."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def receipt(self, customer_id: str, scope: Span | None = None) -> CustomerReceipt:
        """The verified records of a span with their proof (CONTRACT 3.8). NotFound for an unknown customer."""
        data = self._calls.receipt(inputs.customer_id(customer_id), span_fields(scope))
        return records.receipt_from_pacspace(data, customer_id)

    def receipt_answer(self, customer_id: str, scope: Span | None = None) -> Mapping[str, object]:
        """PacSpace's own words of a receipt, numbers exact: for keeping beside what was made of them."""
        data = self._calls.receipt(inputs.customer_id(customer_id), span_fields(scope))
        records.receipt_from_pacspace(data, customer_id)
        return records.plain(data)

    def invoice_proof(self, customer_id: str, scope: Span | None = None) -> InvoiceProofRecord:
        """Where the proof of a span is shown, for an invoice (CONTRACT 3.9). NotFound while there is no checkpoint."""
        data = self._calls.invoice_proof(inputs.customer_id(customer_id), span_fields(scope))
        return records.proof_record_from_pacspace(data, customer_id)

    def receipts(self, customer_id: str, *, limit: int = 25) -> tuple[ReceiptDocument, ...]:
        """The customer's receipt documents, newest first (CONTRACT 3.10)."""
        query = {"limit": inputs.whole("limit", limit, least=1, most=100)}
        data = self._calls.receipts(inputs.customer_id(customer_id), query)
        return tuple(map(records.document_from_pacspace, data.items("receipts")))

    def document(
        self,
        receipt_id: str,
        *,
        customer_display_name: bool | None = None,
        locale: str | None = None,
        timezone: str | None = None,
        unit: str | None = None,
    ) -> ReceiptDocument:
        """A receipt as a document, worded for a reader (CONTRACT 3.10)."""
        shown = None if customer_display_name is None else str(customer_display_name).lower()
        wishes = {"customerDisplayName": shown, "locale": locale, "timezone": timezone, "unit": unit}
        query = {name: inputs.text(name, value) for name, value in wishes.items() if value is not None}
        return records.document_from_pacspace(self._calls.receipt_document(_id(receipt_id), query))

    def public_document(self, receipt_id: str) -> ReceiptDocument:
        """The same as anyone may read it, without a key."""
        return records.document_from_pacspace(self._calls.public_receipt(_id(receipt_id)))

    def pdf(self, receipt_id: str) -> bytes:
        """The same as a PDF, for anyone. UnexpectedAnswer when what comes is none."""
        answer = self._calls.receipt_pdf(_id(receipt_id))
        if not answer.body.startswith(_PDF):
            message = "receipt: what came is not a PDF"
            raise UnexpectedAnswer(PACSPACE, message, status=answer.status, request_id=answer.request_id)
        return answer.body

    def verify(self, proof_root: str, source: Source = Source.DB) -> Verification:
        """What anyone may know of a root, without a key (CONTRACT 3.13): of a checkpoint, or of one record by its receipt id.

        Not verified when PacSpace does not know it, whichever of its two ways it says so in.
        """
        chosen = inputs.choice(Source, "source", source)
        query = {} if chosen is Source.DB else {"source": chosen.value}
        try:
            data = self._calls.verify(inputs.text("proof_root", proof_root), query)
        except NotFound as unknown:
            return records.unverified(proof_root, str(unknown))
        return records.verification_from_pacspace(data, proof_root)

    def verify_answer(self, proof_root: str) -> Mapping[str, object]:
        """PacSpace's own words of public verify, numbers exact; that it does not know the root is one answer of two."""
        try:
            data = self._calls.verify(inputs.text("proof_root", proof_root), {})
        except NotFound as unknown:
            return {"verified": False, "proofRoot": proof_root, "message": str(unknown)}
        records.verification_from_pacspace(data, proof_root)
        return records.plain(data)

    def verify_address(self, proof_root: str) -> str:
        """Where anyone may ask about a root."""
        return self._calls.wire.address(VERIFY, inputs.text("proof_root", proof_root))


def _id(receipt_id: str) -> str:
    return inputs.text("receipt_id", receipt_id)
