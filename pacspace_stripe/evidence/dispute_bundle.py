"""The dispute bundle of one invoice: everything that supports its decision, in one ZIP.

Owns which files go in, and that the manifest lists those that are missing. Does not own the documents in it, nor their
verification: ``verify`` reads a bundle without any of this.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.rules.letterhead import Letterhead
from pacspace_stripe.documents.statement import Statements
from pacspace_stripe.documents.views import SummaryView, decided_at, summary_windows
from pacspace_stripe.errors import NotFound
from pacspace_stripe.evidence.archive import BundleFolder, DisputeBundle, shareable, shareable_text
from pacspace_stripe.evidence.rules.document import Evidence, confirmation_of
from pacspace_stripe.explain.rules.explanation import Explanation
from pacspace_stripe.gate.rules.stamp import PREFIX
from pacspace_stripe.pacspace_api import PacSpace, ScopeBalance
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.store import Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.stripe_api.calls import STRIPE
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.invoices import Invoice
from pacspace_stripe.vocabulary.ledger import LedgerProtocol, UsageSign
from pacspace_stripe.vocabulary.quantities import equal, text
from pacspace_stripe.vocabulary.text import plural
from pacspace_stripe.vocabulary.windows import Window, iso

_OURS = "pacspace-stripe"
_NO_RECORD = (Decimal(0), 0, False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeBundles:
    """Maker of bundles from our evidence and both vendors' present answers. It writes to neither vendor."""

    store: Store
    stripe: StripeApi
    pacspace: PacSpace
    documents: Documents
    statements: Statements
    letterhead: Letterhead

    def of_invoice(self, invoice_id: str, *, made_at: datetime) -> DisputeBundle:
        """Return the invoice's bundle: the same bytes for the same answers. Raises NotFound without evidence.

        1. The whole chain of evidence that the decision stands in.
        2. PacSpace's records, receipt and verification of each window now.
        3. Stripe's invoice and its lines now.
        4. The summary for a reviewer, and the statement.
        """
        decision = self.store.chains.decision_of(invoice_id)
        confirmed = confirmation_of(self.store.chains.of_job(invoice_id), decision.sha256)
        document: dict[str, Any] = json.loads(decision.document)
        folder = BundleFolder()
        # 1. Our evidence.
        for number, link in enumerate(self.store.chains.of_chain(document["chain"]["id"]), start=1):
            folder.files[f"evidence/{number:04d}.json"] = link.document
        # 2. PacSpace.
        windows = [window for window in document["windows"] if window["account"] and window["start"]]
        for number, window in enumerate(windows, start=1):
            if document["policy"].get("ledger") == LedgerProtocol.SETTLEMENT.value:
                self._add_settlement_record(folder, f"ledger/{number:04d}", window)
            else:
                sign = UsageSign(document["policy"]["usage_sign"])
                self._add_records(folder, f"ledger/{number:04d}-records.json", window, sign)
                self._add_proof(folder, f"ledger/{number:04d}", window)
        # 3. Stripe.
        names = ("stripe/invoice.json", "stripe/lines.json")
        invoice = folder.ask(STRIPE, names, lambda: self.stripe.read_invoice(invoice_id))
        if invoice is not None:
            for name, content in zip(names, _stripe_files(invoice), strict=True):
                folder.put_json(name, content)
        # 4. The documents. A statement needs no answer of Stripe: without one it shows what is stored.
        explained = self.store.explanations.find(invoice_id)
        view = summary_view(decision, confirmed, invoice, self.letterhead, explained.explanations if explained else ())
        _add_pdf(folder, "summary.pdf", lambda: self.documents.render_summary(view))
        daily = folder.has_answered(PACSPACE)
        _add_pdf(folder, "statement.pdf", lambda: self.statements.of_invoice(invoice_id, daily=daily).pdf)
        return folder.packed(invoice_id, decision.sha256, made_at)

    def _add_records(self, folder: BundleFolder, name: str, window: dict[str, Any], sign: UsageSign) -> None:
        """Add every record of a window, and note a difference from what the decision is about."""
        account, scope = window["account"], _scope(window)
        derived = folder.ask(PACSPACE, (name,), lambda: self._derived(account, scope))
        if derived is None:
            return
        folder.put_json(name, _records_file(account, scope, derived))
        selection = window.get("selection")
        if selection is None:
            figure, count, now = window["recorded"], window["count"], sign.recorded_usage(derived.balance)
        else:
            # Not all of the scope is usage of this meter: then its net is compared, raw and signed.
            figure, count, now = selection["net_change"], selection["record_count"], derived.balance
        if figure is not None and (not equal(now, Decimal(figure)) or derived.count != count):
            decided = f"{figure} in {plural(count, 'record')}"
            folder.notes.append(_difference(name, decided, f"{text(now)} in {derived.count}"))

    def _derived(self, account: str, scope: Window) -> ScopeBalance:
        try:
            return self.pacspace.balance.derive_all(account, scope)
        except NotFound:
            # PacSpace does not know the account: it has no records.
            return ScopeBalance(customer_id=account, balance=Decimal(0), count=0)

    def _add_proof(self, folder: BundleFolder, stem: str, window: dict[str, Any]) -> None:
        """Add PacSpace's receipt and public verification of the window's proof root, if it has one."""
        if window["proof"] is None:
            return
        account, scope, root = window["account"], _scope(window), window["proof"]["proof_root"]
        receipt, verify = f"{stem}-receipt.json", f"{stem}-verify.json"
        proofs = self.pacspace.proofs
        answer = folder.ask(PACSPACE, (receipt,), lambda: shareable(proofs.receipt_answer(account, scope)))
        if answer is not None:
            folder.put_json(receipt, answer)
        answer = folder.ask(PACSPACE, (verify,), lambda: shareable(proofs.verify_answer(root)))
        if answer is not None:
            folder.put_json(verify, answer)

    def _add_settlement_record(self, folder: BundleFolder, stem: str, window: dict[str, Any]) -> None:
        """Add the settlement ledger's record of a key; for a key without writes, that there are no records."""
        key, name = window["account"], f"{stem}-record.json"
        found = folder.ask(PACSPACE, (name,), lambda: self._bucket(key))
        if found is None:
            return
        bits, writes, verified = found
        if found == _NO_RECORD:
            none = ScopeBalance(customer_id=key, balance=Decimal(0), count=0)
            folder.put_json(f"{stem}-records.json", _records_file(key, _scope(window), none))
        else:
            folder.put_json(name, {"key": key, "bits": text(bits), "writes": writes, "verified": verified})
        known = window.get("record") or {"bits": "0", "writes": 0}
        if not equal(bits, Decimal(known["bits"])) or writes != known["writes"]:
            decided = f"{known['bits']} in {plural(known['writes'], 'write')}"
            folder.notes.append(_difference(name, decided, f"{text(bits)} in {writes}"))

    def _bucket(self, key: str) -> tuple[Decimal, int, bool]:
        try:
            bucket = self.pacspace.settlement.bucket(key)
        except NotFound:
            return _NO_RECORD
        return bucket.current_bits, bucket.total_writes, bucket.verified


def _add_pdf(folder: BundleFolder, name: str, render: Callable[[], bytes]) -> None:
    pdf = folder.ask(_OURS, (name,), render)
    if pdf is not None:
        folder.files[name] = pdf


def _difference(name: str, decided: str, now: str) -> str:
    return f"{name}: the decision is about {decided}, PacSpace now has {now}"


def _scope(window: dict[str, Any]) -> Window:
    """Return the time that PacSpace was asked about: the window's own, or that which its records were chosen from."""
    scope = window.get("selection") or window
    return Window(start=datetime.fromisoformat(scope["start"]), end=datetime.fromisoformat(scope["end"]))


def _records_file(account: str, scope: Window, derived: ScopeBalance) -> dict[str, Json]:
    return {
        "account": account,
        "start": iso(scope.start),
        "end": iso(scope.end),
        "net": text(derived.balance),
        "count": derived.count,
        "records": [
            {
                "record_id": delta.record_id,
                "at": iso(delta.recorded_at) if delta.recorded_at else None,
                "delta": None if delta.amount is None else text(delta.amount),
                "reason": shareable_text(delta.reason) if delta.reason else delta.reason,
                "reference_id": shareable_text(delta.reference_id) if delta.reference_id else delta.reference_id,
                "status": delta.status.value,
            }
            for delta in derived.deltas
        ],
    }


def _stripe_files(invoice: Invoice) -> tuple[Json, Json]:
    """Return the invoice, with our metadata only, and its lines."""
    return {
        "invoice": invoice.invoice_id,
        "number": invoice.number,
        "status": invoice.status.value,
        "metadata": {name: value for name, value in invoice.metadata.items() if name.startswith(PREFIX)},
        "footer": None if invoice.footer is None else shareable_text(invoice.footer),
    }, [
        {
            "id": line.line_id,
            "quantity": None if line.quantity is None else text(line.quantity),
            "price": line.price_id,
            "start": iso(line.window.start) if line.window else None,
            "end": iso(line.window.end) if line.window else None,
        }
        for line in invoice.line_items
    ]


def summary_view(
    decision: Evidence,
    confirmed: Evidence | None,
    invoice: Invoice | None,
    letterhead: Letterhead,
    explanations: Iterable[Explanation] = (),
) -> SummaryView:
    """Return the page for a dispute's reviewer. ``invoice`` is None when Stripe does not answer."""
    document: dict[str, Any] = json.loads(decision.document)
    name = invoice.customer_name if invoice and invoice.customer_name else None
    return SummaryView(
        invoice_id=document["invoice"],
        number=invoice.number if invoice else None,
        customer_id=document["customer"],
        customer=shareable_text(name) if name else None,
        livemode=document["livemode"],
        verdict=document["decision"]["verdict"],
        reason=document["decision"]["reason"],
        tolerance=Decimal(document["policy"]["tolerance"]),
        waiver=shareable_text(document["waiver"]["reason"]) if document["waiver"] else None,
        of_draft=document["invoice_status"] == "draft",
        decided_at=decided_at(document),
        confirmed_at=decided_at(json.loads(confirmed.document)) if confirmed else None,
        windows=summary_windows(document, explanations),
        evidence_sha256=decision.sha256,
        stamped=invoice is not None and invoice.metadata.get(f"{PREFIX}evidence_sha256") == decision.sha256,
        letterhead=letterhead,
    )
