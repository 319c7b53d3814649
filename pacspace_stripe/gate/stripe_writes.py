"""Writes on one invoice: evidence, hold, backstop, stamp, finalize, release.

Each is saved as an intent before Stripe gets it, and as done after Stripe took it. A check that dies in between leaves
a state from which the next one knows what may have happened.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pacspace_stripe.comparison.rules.verdicts import Finding, Verdict, WindowResult
from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.views import footer_view
from pacspace_stripe.errors import NotEditable
from pacspace_stripe.evidence.rules import document as evidence
from pacspace_stripe.gate.rules.actions import WriteStamp
from pacspace_stripe.gate.rules.footer import FOOTER_LIMIT, TooLong, find_block, insert_block
from pacspace_stripe.gate.rules.stamp import EVIDENCE_KEY, HOLD_KEY, ChangedStamp, Sign, metadata_stamp, ours
from pacspace_stripe.gate.rules.state import (
    Backstop,
    Finalizer,
    Free,
    Held,
    HoldCause,
    HoldStep,
    InvoiceState,
    Released,
    Stamped,
    WrittenStamp,
)
from pacspace_stripe.store import JobLease, Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.usage.rules import BilledUsage, figures_of, same_figures
from pacspace_stripe.vocabulary.canonical_json import digest
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import Policy
from pacspace_stripe.vocabulary.windows import iso


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """Renderer of the footer's text for a finding."""

    documents: Documents

    def footer(self, finding: Finding, evidence_sha256: str) -> str:
        """Return our block, from the template, of evidence like every other document. Raises RenderError."""
        return self.documents.render_footer(footer_view(evidence.decision_and_windows(finding), evidence_sha256))


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeWrites:
    """Writer of one invoice, under its lease.

    Each write is noted in the audit log before it is sent: nothing that Stripe got from the gate is missing there.
    """

    stripe: StripeApi
    store: Store
    rendering: Rendering
    leased: JobLease
    now: datetime

    def _noted(self, kind: str, invoice: Invoice, **detail: object) -> None:
        self.store.journal.note(kind, invoice.invoice_id, json.dumps(detail, default=str))

    def seal(self, invoice: Invoice, state: InvoiceState, finding: Finding, policy: Policy) -> InvoiceState:
        """Append one link of evidence, unless figures, policy and result equal those of the last one."""
        core = evidence.core(invoice, finding, policy, state.waiver)
        known = digest(evidence.meaning(core))
        if known == state.evidence_core and not self._lost(invoice, state):
            return state
        if printed := self._printed(invoice, state, finding):
            return replace(state, evidence_sha256=printed)
        chain = invoice.subscription_id or invoice.invoice_id
        # Without the lease, only the process that has it now may extend the chain.
        self.leased.guard()
        sealed = self.store.chains.append(core, chain=chain, job_id=invoice.invoice_id, decided_at=self.now)
        done = replace(state, evidence_sha256=sealed.sha256, evidence_core=known)
        self.leased.save(done)
        return done

    def _lost(self, invoice: Invoice, state: InvoiceState) -> bool:
        """Return whether nothing is left of what an earlier database stamped: neither its evidence nor the stamp."""
        sha = state.evidence_sha256 or ""
        return invoice.metadata.get(EVIDENCE_KEY) != sha and self.store.chains.find(sha) is None

    def _printed(self, invoice: Invoice, state: InvoiceState, finding: Finding) -> str | None:
        """Return the evidence that the frozen footer names, when it proves this match: the PDF can name no other."""
        stamped, block = state.stamp, find_block(invoice.footer) or ""
        if stamped is None or invoice.status is InvoiceStatus.DRAFT or stamped.evidence_sha256 not in block:
            return None
        matched = stamped.verdict is finding.verdict is Verdict.MATCHED
        rooted = all(one.proof.proof_root in block for one in finding.windows if one.proof)
        same = matched and rooted and same_figures(stamped.figures, figures_of(finding))
        return stamped.evidence_sha256 if same and self.store.chains.find(stamped.evidence_sha256) else None

    def adopt(
        self, invoice: Invoice, state: InvoiceState, finding: Finding, sha256: str, policy: Policy
    ) -> InvoiceState:
        """Adopt the stamp on the invoice as our last one: an earlier database, or an earlier check, wrote it.

        What was compared now is appended as evidence of its own, except for a waiver, whose author is not known.
        """
        core = evidence.core(invoice, finding, policy, None)
        if finding.verdict is Verdict.MATCHED and self.store.chains.find(sha256) is None:
            self.leased.guard()
            chain = invoice.subscription_id or invoice.invoice_id
            self.store.chains.append(core, chain=chain, job_id=invoice.invoice_id, decided_at=self.now)
        known = state.stamp if state.stamp and state.stamp.evidence_sha256 == sha256 else None
        stamp = known or WrittenStamp(
            verdict=finding.verdict, evidence_sha256=sha256, figures=figures_of(finding), at=self.now
        )
        if not stamp.metadata:
            stamp = replace(stamp, metadata=ours(invoice.metadata), footer=find_block(invoice.footer), written=True)
        meaning = digest(evidence.meaning(core))
        done = replace(state, stamp=stamp, evidence_sha256=sha256, evidence_core=meaning)
        self.leased.save(done)
        return done

    def confirm(self, final: Invoice, sha256: str, billed: Iterable[BilledUsage | WindowResult]) -> None:
        """Append a link to evidence about the draft: it was finalized, and its lines still bill the same."""
        decided = self.store.chains.find(sha256)
        core = evidence.confirmation(decided, final, billed) if decided else None
        if core is not None:
            chain = final.subscription_id or final.invoice_id
            self.leased.guard()
            self.store.chains.append(core, chain=chain, job_id=final.invoice_id, decided_at=self.now)

    def hold(self, invoice: Invoice, state: InvoiceState, cause: HoldCause) -> tuple[InvoiceState, Invoice]:
        """Set ``auto_advance=false``, signed as ours; return the invoice as it is then. It is ours to release.

        The sign goes into the same update: it distinguishes our hold from a person's after a crash, and after the
        loss of the database.
        """
        intent = state if state.held else replace(state, position=Held(step=HoldStep.REQUESTED, cause=cause))
        self.leased.save(intent)
        self._noted("hold", invoice)
        sign = Sign(
            invoice_id=invoice.invoice_id,
            since=state.held_at or self.now,
            planned_at=state.first.finalizes_at if state.first else None,
            cause=cause,
        ).written(invoice.metadata)
        self.stripe.update_invoice(invoice.invoice_id, auto_advance=False, metadata=sign)
        finalized = isinstance(state.position, Held) and state.position.step is HoldStep.FINALIZED
        step = HoldStep.FINALIZED if finalized else HoldStep.HELD
        done = replace(state, position=Held(step=step, cause=cause), held_at=state.held_at or self.now)
        self.leased.save(done)
        metadata = {**invoice.metadata, **sign}
        return done, replace(invoice, auto_advance=False, automatically_finalizes_at=None, metadata=metadata)

    def backstop(self, invoice: Invoice, state: InvoiceState, at: datetime, cause: HoldCause) -> InvoiceState:
        """Set Stripe's own finalization time as the fallback, once."""
        self.leased.save(state)
        if at > self.now and invoice.automatically_finalizes_at != at:
            self._noted("backstop", invoice, at=iso(at))
            self.stripe.update_invoice(invoice.invoice_id, automatically_finalizes_at=at)
        done = replace(state, position=Free(), backstop=Backstop(at=at, cause=cause))
        self.leased.save(done)
        return done

    def give_back(self, invoice: Invoice, state: InvoiceState, finalizes_at: datetime | None) -> InvoiceState:
        """Undo a precautionary hold or backstop on an invoice that has no metered lines."""
        self._noted("give_back", invoice)
        if state.held:
            self.stripe.update_invoice(invoice.invoice_id, auto_advance=True, metadata=_unsigned(invoice))
        elif finalizes_at is not None and finalizes_at != invoice.automatically_finalizes_at:
            self.stripe.update_invoice(invoice.invoice_id, automatically_finalizes_at=finalizes_at)
        done = replace(state, position=Free(), backstop=None)
        self.leased.save(done)
        return done

    def stamp(
        self, invoice: Invoice, state: InvoiceState, finding: Finding, action: WriteStamp
    ) -> tuple[InvoiceState, bool]:
        """Write verdict and proof in one update; return whether anything had to be written. Raises RenderError."""
        sha = state.evidence_sha256 or ""
        waiver = state.waiver.reason if state.waiver and finding.verdict.value == "waived" else None
        alive = invoice.status in (InvoiceStatus.DRAFT, InvoiceStatus.OPEN)
        # When nothing is due, the finalization after the stamp is the payment: no later write takes the sign off.
        paid_next = action.footer and invoice.amount_due == 0
        stays_held = state.held and alive and not action.auto_advance and not paid_next
        metadata = metadata_stamp(invoice.metadata, finding, sha, waiver, stays_held=stays_held)
        footer, left_out = self._footer(invoice, finding, sha) if action.footer else (None, {})
        stamped = WrittenStamp(
            verdict=finding.verdict,
            evidence_sha256=sha,
            figures=figures_of(finding),
            at=self.now,
            metadata=ours({**invoice.metadata, **metadata.changes}),
            footer=find_block(footer) if footer is not None else find_block(invoice.footer),
            without_footer=left_out.get("footer_too_long", ""),
        )
        intent = replace(state, stamp=_following(state.stamp, stamped))
        self.leased.save(intent)
        changes = _changes(invoice, metadata.changes, footer, action)
        if changes:
            self._noted("stamp", invoice, verdict=finding.verdict.value, evidence=sha, fields=sorted(changes))
            if metadata.shortened:
                left_out["metadata_shortened"] = "no room among the merchant's own keys"
            for kind, reason in left_out.items():
                self._noted(kind, invoice, reason=reason)
            self.stripe.update_invoice(invoice.invoice_id, **changes)  # type: ignore[arg-type]  # keywords by name
        done = _after_stamp(replace(intent, stamp=replace(intent.stamp or stamped, written=True)), action)
        self.leased.save(done)
        return done, bool(changes)

    def put_back(self, invoice: Invoice, state: InvoiceState, changed: ChangedStamp) -> tuple[InvoiceState, Invoice]:
        """Write our last stamp again where another party changed it, the footer on drafts only; return the invoice."""
        changes: dict[str, Any] = {"metadata": changed.metadata} if changed.metadata else {}
        block = state.stamp.footer if state.stamp else None
        if changed.footer and block and invoice.status is InvoiceStatus.DRAFT:
            footer = insert_block(invoice.footer, block)
            changes |= {} if isinstance(footer, TooLong) else {"footer": footer}
        if changes:
            self._noted("put_back", invoice, changed=str(changed))
            self.stripe.update_invoice(invoice.invoice_id, **changes)
        # Counted once Stripe took it: a write without an answer does not show who changes the stamp.
        done = replace(state, put_back=state.put_back + 1)
        self.leased.save(done)
        metadata = {key: value for key, value in {**invoice.metadata, **changed.metadata}.items() if value}
        return done, replace(invoice, metadata=metadata, footer=changes.get("footer", invoice.footer))

    def _footer(self, invoice: Invoice, finding: Finding, sha: str) -> tuple[str | None, dict[str, str]]:
        """Return the whole new footer, or None to leave it as it is, with notes on why. Raises RenderError."""
        footer = insert_block(invoice.footer, self.rendering.footer(finding, sha))
        if isinstance(footer, TooLong):
            return None, {"footer_too_long": f"the footer would have more than {FOOTER_LIMIT:,} characters"}
        return footer, {}

    def finalize(self, invoice: Invoice, state: InvoiceState) -> InvoiceState:
        """Finalize with ``auto_advance=false``: the invoice is open and numbered, and does not advance."""
        intent = replace(state, finalizer=Finalizer.US)
        self.leased.save(intent)
        self._noted("finalize", invoice)
        try:
            self.stripe.finalize_invoice(invoice.invoice_id)
        except NotEditable:
            # Another party finalized it, maybe to void it, or an earlier request of ours did: Stripe's events show it.
            self.leased.save(state)
            raise
        done = intent.at_step(HoldStep.FINALIZED)
        self.leased.save(done)
        return done

    def unsign(self, invoice: Invoice) -> None:
        """Take the sign of our hold off an invoice that is not held any more."""
        self._noted("unsign", invoice)
        self.stripe.update_invoice(invoice.invoice_id, metadata=_unsigned(invoice))

    def release(self, invoice: Invoice, state: InvoiceState) -> InvoiceState:
        """Set ``auto_advance=true`` on an invoice under our hold."""
        intent = state.at_step(HoldStep.RELEASING)
        self.leased.save(intent)
        self._noted("release", invoice, verdict=state.verdict.value if state.verdict else None)
        # The stamp goes along in the same update: it is whole again even if a key was removed after the last read.
        stamped = state.stamp
        proof = stamped.metadata if stamped and stamped.evidence_sha256 == state.evidence_sha256 else {}
        metadata = {**proof, **_unsigned(invoice)}
        self.stripe.update_invoice(invoice.invoice_id, auto_advance=True, metadata=metadata)
        done = replace(intent, position=Released(at=self.now))
        self.leased.save(done)
        return done


def _unsigned(invoice: Invoice) -> dict[str, str]:
    """Return the metadata change that takes the sign of our hold off the invoice."""
    return {HOLD_KEY: ""} if HOLD_KEY in invoice.metadata else {}


def _following(before: WrittenStamp | None, now: WrittenStamp) -> WrittenStamp:
    """Return the new stamp; one that equals the stamp before it keeps its time."""
    same = (
        before is not None
        and replace(before, verdict=now.verdict, evidence_sha256=now.evidence_sha256, figures=now.figures) == before
    )
    return replace(now, at=before.at, written=before.written) if before and same else now


def _after_stamp(state: InvoiceState, action: WriteStamp) -> InvoiceState:
    if action.auto_advance or not isinstance(state.position, Held):
        return replace(state, position=Stamped())
    return state if state.position.step is HoldStep.FINALIZED else state.at_step(HoldStep.STAMPED)


def _changes(
    invoice: Invoice, metadata: Mapping[str, str], footer: str | None, action: WriteStamp
) -> dict[str, object]:
    """Return only the fields that differ from the invoice as it is."""
    changes: dict[str, object] = {}
    if metadata:
        changes["metadata"] = metadata
    if footer is not None and footer != (invoice.footer or ""):
        changes["footer"] = footer
    if action.auto_advance is not None and action.auto_advance != invoice.auto_advance:
        changes["auto_advance"] = action.auto_advance
    if action.finalizes_at is not None and action.finalizes_at != invoice.automatically_finalizes_at:
        changes["automatically_finalizes_at"] = action.finalizes_at
    return changes
