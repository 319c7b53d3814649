"""Questions about other people's acts before a pass releases an invoice, and leaving one that they stop."""

from dataclasses import dataclass, replace
from datetime import datetime

from pacspace_stripe.comparison.finding import mapped
from pacspace_stripe.comparison.rules.verdicts import Finding, Verdict
from pacspace_stripe.errors import NotEditable, RateLimited, RemoteError
from pacspace_stripe.gate.check_parts import Pass
from pacspace_stripe.gate.rules import decide, timing
from pacspace_stripe.gate.rules.actions import Action, RaiseAlert
from pacspace_stripe.gate.rules.carried_stamp import carries_stamp
from pacspace_stripe.gate.rules.stamp import HOLD_KEY
from pacspace_stripe.gate.rules.state import ANY_STOP, Finalizer, HoldCause, InvoiceState, Waiver
from pacspace_stripe.gate.rules.stops import Stop, check_again_at, frees_unread, stops
from pacspace_stripe.gate.rules.transitions import as_past
from pacspace_stripe.gate.services import Looked
from pacspace_stripe.stripe_api.calls import STRIPE
from pacspace_stripe.usage.rules import UNNAMED, BilledUsage, names_metronome, same_figures
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus, TestClock
from pacspace_stripe.vocabulary.policy import Mode


@dataclass(slots=True, kw_only=True)
class ReleaseGuard(Pass):
    """A pass that releases nothing that somebody else is stopping: ``domain.stops`` decides."""

    def _is_precaution(self, invoice: Invoice, usages: tuple[BilledUsage, ...]) -> bool:
        """Return whether a hold is for want of an answer alone: nobody can say that anything on the invoice is metered.

        Where somebody took away what named the system that counted its usage, the items that may bill it are still
        there, and nothing was answered.
        """
        memory = self.memory
        if usages:
            return memory.stopped_for is not HoldCause.METERED and all(usage.may_be_unmetered for usage in usages)
        unnamed = any(window["meter"] == UNNAMED for window in memory.windows)
        return memory.stopped_for is HoldCause.PRECAUTION and (names_metronome(invoice) or not unnamed)

    def _give_back(self, invoice: Invoice) -> Looked | None:
        """Undo a precautionary hold on an invoice that has no metered lines, unless somebody else stopped it, too."""
        draft = invoice.status is InvoiceStatus.DRAFT
        held = self.memory.held and not invoice.auto_advance and (draft or invoice.status is InvoiceStatus.OPEN)
        postponed = self.memory.backstop_at is not None and draft
        if self.memory.stopped_for is HoldCause.PRECAUTION and (held or postponed):
            stopped = stops(invoice, self.memory)
            if stopped:
                return self._stays(invoice, stopped)
            at = timing.given_back_at(invoice, self.memory, self.now)
            self.memory = self._actor.give_back(invoice, self.memory, at)
            self._did("give back")
        return None

    def _read_invoice(self) -> Invoice:
        """Read the invoice with whatever may have stopped it, and what other people's requests did to it."""
        one_off = self.memory.first is not None and self.memory.subscription_id is None
        invoice = self.parts.stripe.read_invoice_standing(self.memory.invoice_id, customer=one_off)
        if invoice.test_clock is not None:
            self._live_by(invoice.test_clock)
        if self.memory.held:
            self.memory = self._updated(self.memory)
        return invoice

    def _planned(self, invoice: Invoice, finding: Finding) -> tuple[tuple[Action, ...], Invoice]:
        """Return what the finding asks for, and the invoice as it was read for that."""
        # A backfill holds nothing that has left.
        seen = as_past(self.memory) if self.back else self.memory
        told = finding.shifted(self.ahead) if self.ahead else finding
        actions = decide.after_comparison(invoice, seen, self.parts.policy, self.now, told)
        if not frees_unread(actions):
            return actions, invoice
        fresh = self._read_before_release(invoice)
        seen = as_past(self.memory) if self.back else self.memory
        return decide.after_comparison(fresh, seen, self.parts.policy, self.now, told), fresh

    def _read_before_release(self, invoice: Invoice) -> Invoice:
        """Read an invoice that is to be set free once more: it may have been stopped while it was compared.

        Raises NotEditable when it is not where it was.
        """
        fresh = mapped(self._put_back(self._read_invoice()), self.memory.mapping)
        if (fresh.status, fresh.auto_advance) != (invoice.status, invoice.auto_advance):
            raise NotEditable(STRIPE, "it was changed while it was compared")
        return fresh

    def _live_by(self, clock: TestClock) -> None:
        """Take a test clock's time for the invoice's: Stripe plans, finalizes and collects by it."""
        if clock.frozen_at is None:
            detail = f"its test clock {clock.clock_id} could not be read: it is compared by real time"
            return self._alert("test_clock_unread", detail)
        self.ahead, self.now = clock.frozen_at - self.real_now, clock.frozen_at
        return None

    def _updated(self, memory: InvoiceState) -> InvoiceState:
        """InvoiceState with what the updates that somebody else sent under our hold say of ``auto_advance``."""
        journal, stopped_at = self.parts.store.journal, memory.stopped_at
        unread: tuple[datetime, ...] = ()
        for at in journal.pending_updates(memory.invoice_id):
            try:
                updates = self.parts.stripe.invoice_updates(memory.invoice_id, at)
            except RateLimited:
                raise
            except RemoteError as error:
                self.parts.log.warning("invoice=%s who changed it is not known: %s", memory.invoice_id, error)
                updates = ()
            for update in updates:
                if not update.ours and update.auto_advance is not None:
                    stopped_at = None if update.auto_advance else update.at
            if updates:
                journal.forget_update(memory.invoice_id, at)
            unread = unread if updates else (*unread, at)
        return replace(memory, stopped_at=stopped_at, unread_updates=unread)

    def _finalizer_known(self, invoice: Invoice) -> None:
        """Ask Stripe who finalized it, where that was not us and somebody may be in the middle of ending it."""
        memory = self.memory
        under_hold = memory.held and memory.finalizer is not Finalizer.US and invoice.status is InvoiceStatus.OPEN
        asked = memory.finalizer not in (None, Finalizer.UNKNOWN)
        if not under_hold or asked or invoice.finalized_at is None:
            return
        try:
            finalizer = self.parts.stripe.finalizer(invoice.invoice_id, invoice.finalized_at)
        except RateLimited:
            raise
        except RemoteError as error:
            self.parts.log.warning(
                "invoice=%s its finalization's event could not be read: %s", memory.invoice_id, error
            )
            finalizer = Finalizer.UNKNOWN
        self.memory = replace(memory, finalizer=finalizer)

    def _overruled(self, invoice: Invoice, given: Waiver) -> tuple[str, ...]:
        """Return the stops that keep the invoice back now, when a person asks to release it although they do."""
        if ANY_STOP not in given.despite or not (self.memory.held or self.memory.backstop_at):
            return ()
        self._finalizer_known(invoice)
        return tuple(stop.key for stop in stops(invoice, replace(self.memory, waiver=None)))

    def _stamped_as(self, given: Waiver, invoice: Invoice) -> bool:
        """Return whether the stamp names an earlier decision that covers this one: two would contradict each other."""
        known, stamped = self.memory.waiver, self.memory.stamp
        waived = stamped is not None and stamped.verdict is Verdict.WAIVED and carries_stamp(invoice, self.memory)
        if not waived or known is None or not known.covers(given) or not same_figures(known.figures, given.figures):
            return False
        self._did(f"not waived again: {known.by} released it already")
        return True

    def _stays(self, invoice: Invoice, stopped: tuple[Stop, ...]) -> Looked:
        """Leave it where it is, because somebody else is stopping it: say what, and check again."""
        self.memory = replace(self.memory, detail="; ".join(stop.detail for stop in stopped))
        for stop in stopped:
            self._alert(stop.alert.kind, stop.detail)
        return self._until(invoice.status.value, check_again_at(stopped, self.memory, self.parts.policy, self.now))

    def _gone(self) -> Looked:
        """End an invoice that Stripe's events say was deleted; while we hold another one, it is missed, not ended.

        A subscription's draft can't be deleted (FACTS 2.2): a 404 may be a key of another account, or too early
        a read. What we do not hold ends when it is missed again and again.
        """
        if self.memory.held and self._was_deleted():
            self.parts.store.coverage.put(self.memory.invoice_id, ())
            return self._end("deleted", "deleted in Stripe")
        if self.memory.held:
            detail = "Stripe does not know an invoice that we hold: is STRIPE_API_KEY of this account?"
            self._alert("held_but_gone", detail)
        elif self.memory.attempts >= len(self.parts.policy.retry):
            self.parts.store.coverage.put(self.memory.invoice_id, ())
            return self._end("deleted", "deleted in Stripe, or of another account")
        self.memory = replace(self.memory, attempts=self.memory.attempts + 1)
        return self._until("deleted", self.now + timing.ladder(self.parts.policy, self.memory.attempts))

    def _was_deleted(self) -> bool:
        """Return whether Stripe has an event of the deletion: one that cannot be read says nothing."""
        since = min(self.memory.first.at if self.memory.first else self.now, self.real_now)
        try:
            return self.parts.stripe.was_deleted(self.memory.invoice_id, since)
        except RateLimited:
            raise
        except RemoteError as error:
            self.parts.log.warning("invoice=%s whether it was deleted is not known: %s", self.memory.invoice_id, error)
            return False

    def _unsign(self, invoice: Invoice) -> None:
        """Take the sign of our hold off an invoice on which nothing is held any more."""
        if HOLD_KEY in invoice.metadata and self.parts.policy.mode is Mode.ENFORCE:
            self._actor.unsign(invoice)

    def _told(self, action: RaiseAlert, finding: Finding) -> None:
        """Tell what the finding says; or what the action itself says, which is what the invoice then waits for."""
        if action.detail is None:
            return self._alert(f"{action.kind}:{finding.reason.value}", finding.detail)
        self.memory = replace(self.memory, detail=action.detail)
        return self._alert(action.kind, action.detail)
