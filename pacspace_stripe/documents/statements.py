"""The statement's view → the values that its template sees."""

from pacspace_stripe.documents.views import StatementView, StatementWindow
from pacspace_stripe.documents.wording import figure, moment, one_line, optional, utc
from pacspace_stripe.domain import quantities

STATEMENT_TEMPLATE = "statement.typ"


def statement_values(view: StatementView) -> dict[str, object]:
    """What the template sees: text and None, figures as their exact digits."""
    issued_at = utc(view.issued_at)
    return {
        "invoice_id": one_line(view.invoice_id),
        "number": optional(view.number),
        "invoice": one_line(view.number or view.invoice_id),
        "customer": one_line(view.customer),
        "vendor": optional(view.vendor),
        "verdict": one_line(view.verdict),
        "reason": one_line(view.reason),
        "windows": [_row(window) for window in view.windows],
        "evidence_sha256": one_line(view.evidence_sha256),
        "footer": [one_line(line) for line in view.footer.splitlines()],
        "keywords": keywords(view.evidence_sha256, *(window.proof_root for window in view.windows)),
        "issued_at": moment(issued_at.replace(microsecond=0)),
        "date": {part: getattr(issued_at, part) for part in ("year", "month", "day", "hour", "minute", "second")},
    }


def keywords(evidence_sha256: str, *proof_roots: str | None) -> list[str]:
    """What a PDF's metadata carries of its evidence: the hash, and each root once."""
    roots = dict.fromkeys(root for root in proof_roots if root)
    return [one_line(f"evidence-sha256:{evidence_sha256}"), *(one_line(f"proof-root:{root}") for root in roots)]


def _row(window: StatementWindow) -> dict[str, object]:
    billed, recorded = window.billed, window.recorded
    difference = None if billed is None or recorded is None else quantities.subtract(billed, recorded)
    return {
        "account": one_line(window.account),
        "meter": one_line(window.meter),
        "start": moment(window.start),
        "end": moment(window.end),
        "billed": figure(billed),
        "recorded": figure(recorded),
        "difference": figure(difference),
        "count": None if window.count is None else str(window.count),
        "proof_root": optional(window.proof_root),
        "verify_url": optional(window.verify_url),
        "record_key": optional(window.record_key),
    }
