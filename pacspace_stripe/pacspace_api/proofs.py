"""Receipts, invoice proofs, receipt documents and public verify (CONTRACT 3.8 to CONTRACT 3.10, CONTRACT 3.13)."""

from collections.abc import Mapping

from pacspace_stripe.errors import NotFound, UnexpectedAnswer
from pacspace_stripe.pacspace_api import inputs
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.pacspace_api.http import BALANCE, Data, PacSpaceHttp, Query
from pacspace_stripe.pacspace_api.inputs import Source, Span, span_fields
from pacspace_stripe.pacspace_api.models import (
    CustomerReceipt,
    InvoiceProofRecord,
    ReceiptDocument,
    RootFigures,
    Verification,
    VerifyAnswer,
    read_links,
    read_root,
)
from pacspace_stripe.pacspace_api.parsing import read, rows
from pacspace_stripe.vocabulary.ledger import ProofSummary

VERIFY = "/api/v1/verify/{id}"
"""Path at which anyone may ask about a root (CONTRACT 3.13)."""
_PDF = b"%PDF-"


class ProofsApi:
    """``PacSpace.proofs``. Thread-safe. Raises InvalidInput before anything is sent, RemoteError's children after."""

    def __init__(self, http: PacSpaceHttp) -> None:
        self._http = http

    def receipt(self, customer_id: str, scope: Span | None = None) -> CustomerReceipt:
        """Return the verified deltas of a span with their proof (CONTRACT 3.8). Raises NotFound: unknown customer."""
        return read_links(CustomerReceipt, "receipt", self.receipt_answer(customer_id, scope), customer_id)

    def receipt_answer(self, customer_id: str, scope: Span | None = None) -> Mapping[str, object]:
        """Return PacSpace's receipt unchanged, numbers exact, to be kept as it came. Raises what ``receipt`` raises."""
        path = f"{BALANCE}/receipt/{{id}}"
        data = self._http.get("receipt", path, inputs.customer_id(customer_id), span_fields(scope))
        read_links(CustomerReceipt, "receipt", data, customer_id)
        return data

    def invoice_proof(self, customer_id: str, scope: Span | None = None) -> InvoiceProofRecord:
        """Return the addresses of a span's proof, for an invoice (CONTRACT 3.9). Raises NotFound: no checkpoint yet."""
        path = f"{BALANCE}/invoice-proof/{{id}}"
        data = self._http.get("invoice-proof", path, inputs.customer_id(customer_id), span_fields(scope))
        return read_links(InvoiceProofRecord, "invoice-proof", data, customer_id)

    def receipts(self, customer_id: str, *, limit: int = 25) -> tuple[ReceiptDocument, ...]:
        """List the customer's receipt documents, newest first (CONTRACT 3.10)."""
        query = {"limit": inputs.whole("limit", limit, least=1, most=100)}
        path = f"{BALANCE}/customers/{{id}}/receipts"
        data = self._http.get_rows("receipts", path, inputs.customer_id(customer_id), query, "receipts", "items")
        return rows(ReceiptDocument, "receipts.receipts", data["receipts"])

    def document(
        self,
        receipt_id: str,
        *,
        customer_display_name: bool | None = None,
        locale: str | None = None,
        timezone: str | None = None,
        unit: str | None = None,
    ) -> ReceiptDocument:
        """Return a receipt as a document, worded for a reader (CONTRACT 3.10)."""
        shown = None if customer_display_name is None else str(customer_display_name).lower()
        wishes = {"customerDisplayName": shown, "locale": locale, "timezone": timezone, "unit": unit}
        query = {name: inputs.text(name, value) for name, value in wishes.items() if value is not None}
        path, named = f"{BALANCE}/receipts/{{id}}", inputs.text("receipt_id", receipt_id)
        return read(ReceiptDocument, "receipt document", self._http.get("receipt document", path, named, query))

    def public_document(self, receipt_id: str) -> ReceiptDocument:
        """Return a receipt's document as anyone may read it, without a key."""
        named = inputs.text("receipt_id", receipt_id)
        return read(ReceiptDocument, "receipt", self._http.get_public("receipt", "/api/v1/receipt/{id}", named))

    def pdf(self, receipt_id: str) -> bytes:
        """Return a receipt's document as a PDF, for anyone. Raises UnexpectedAnswer when the answer is no PDF."""
        answer = self._http.get_file("/api/v1/receipt/{id}.pdf", inputs.text("receipt_id", receipt_id))
        if not answer.body.startswith(_PDF):
            message = "receipt: what came is not a PDF"
            raise UnexpectedAnswer(PACSPACE, message, status=answer.status, request_id=answer.request_id)
        return answer.body

    def verify(self, proof_root: str, source: Source = Source.DB) -> Verification:
        """Return the public knowledge about a root, asked without a key (CONTRACT 3.13).

        The root is a checkpoint's, or the receipt id of one delta. It is not verified when PacSpace does not know it,
        whichever of its two ways PacSpace answers in.
        """
        chosen = inputs.choice(Source, "source", source)
        try:
            return verification_of(_asked(self._http, proof_root, chosen), proof_root)
        except NotFound as unknown:
            return Verification(proof_root=proof_root, verified=False, message=str(unknown))

    def verify_answer(self, proof_root: str) -> Mapping[str, object]:
        """Return public verify's answer unchanged, numbers exact; for an unknown root, that it is not verified."""
        try:
            data = _asked(self._http, proof_root, Source.DB)
        except NotFound as unknown:
            return {"verified": False, "proofRoot": proof_root, "message": str(unknown)}
        read_root(VerifyAnswer, data, proof_root)
        return data

    def verify_address(self, proof_root: str) -> str:
        """Return the address at which anyone may ask about a root."""
        return self._http.address(VERIFY, inputs.text("proof_root", proof_root))


def verification_of(data: Data, proof_root: str) -> Verification:
    """Return an answer of public verify with all its fields. Raises UnexpectedAnswer."""
    answer = read_root(VerifyAnswer, data, proof_root)
    summary, entry = answer.summary, answer.verification
    return Verification(
        proof_root=proof_root,
        verified=answer.verified,
        message=answer.message,
        record_count=summary.record_count if summary else None,
        net_change=summary.net_change if summary else None,
        starting_balance=summary.starting_balance if summary else None,
        ending_balance=summary.ending_balance if summary else None,
        records=answer.records,
        recorded_at=answer.recorded_at,
        reference=entry.reference if entry else None,
        url=entry.public_ledger_url or entry.verification_explorer_url if entry else None,
    )


def proof_summary(http: PacSpaceHttp, proof_root: str, source: Source) -> ProofSummary:
    """Return public verify of a root, read only as far as it is judged; ``unknown`` when PacSpace does not know it."""
    try:
        return summary_of(_asked(http, proof_root, source), proof_root)
    except NotFound:
        return ProofSummary(proof_root=proof_root, verified=False, record_count=None, net_change=None, unknown=True)


def summary_of(data: Data, proof_root: str) -> ProofSummary:
    """Return the verdict and the figures in an answer of public verify. Raises UnexpectedAnswer."""
    answer = read_root(RootFigures, data, proof_root)
    return ProofSummary(
        proof_root=proof_root,
        verified=answer.verified,
        record_count=answer.summary.record_count if answer.summary else None,
        net_change=answer.summary.net_change if answer.summary else None,
        message=answer.message,
    )


def _asked(http: PacSpaceHttp, proof_root: str, source: Source) -> Data:
    query: Query = {} if source is Source.DB else {"source": source.value}
    return http.get_public("verify", VERIFY, inputs.text("proof_root", proof_root), query)
