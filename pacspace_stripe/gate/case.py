"""One invoice in one check: the services of the check, and the acts that every step may take."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pacspace_stripe.comparison.comparer import Comparer
from pacspace_stripe.comparison.finding import Findings
from pacspace_stripe.explain.explainer import ExplanationKeeper
from pacspace_stripe.gate.gate_alerts import Alerts
from pacspace_stripe.gate.rules import actions, timing
from pacspace_stripe.gate.rules.stamp import (
    HOLD_KEY,
)
from pacspace_stripe.gate.rules.state import Cleared, Ended, HoldCause, InvoiceState
from pacspace_stripe.gate.rules.stops import Stop, check_again_at
from pacspace_stripe.gate.rules.transitions import (
    forgotten,
    undone,
)
from pacspace_stripe.gate.stripe_writes import Rendering, StripeWrites
from pacspace_stripe.store import Coverage, JobLease, Store
from pacspace_stripe.stripe_api import PreviewStripe, StripeApi
from pacspace_stripe.usage.rules import (
    BilledUsage,
)
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import Mode, Policy

_log = logging.getLogger("pacspace_stripe.gate")
_SILENT = logging.Logger("preview")  # noqa: LOG001 - a preview takes no step, so no handler may log one
_SILENT.disabled = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Stripe, the ledger, the store, the alerts and the policy, as one check or one preview uses them."""

    stripe: StripeApi
    comparer: Comparer
    findings: Findings
    rendering: Rendering
    store: Store
    alerts: Alerts
    policy: Policy
    explaining: ExplanationKeeper | None
    """None in a preview, which explains nothing."""
    log: logging.Logger = _log

    def recording(self, now: Callable[[], datetime], *, read: Invoice | None, beside: Coverage | None) -> "Services":
        """Return the services of one preview, with which a whole check runs and changes nothing.

        A check changes things through Stripe, the store and the ledger only. Each of them records here what it would
        write, and reads it back as if it were written. ``read`` is the invoice as Stripe has it now; ``beside`` keeps
        the coverage of a dry run over many invoices.
        """
        stripe, store = PreviewStripe(self.stripe, now=now, read=read), self.store.preview(beside=beside)
        comparer = replace(self.comparer, stripe=stripe, store=store, ledger=self.comparer.ledger.read_only())
        return replace(
            self,
            stripe=stripe,
            store=store,
            comparer=comparer,
            findings=replace(self.findings, stripe=stripe, comparer=comparer),
            alerts=replace(self.alerts, store=store, log=_SILENT),
            explaining=None,
            log=_SILENT,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRequest:
    """A check that a backfill asks for: what has left is reported and stamped, and not held.

    ``patient``: a transient finding is not written down; the check ends with the status ``UNSETTLED``.
    """

    patient: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOutcome:
    """State and status at the end of a check, and the time of the next one."""

    state: InvoiceState
    status: str
    next_check_at: datetime | None
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One invoice as a check knows it: the state that is kept, and what was read for it."""

    state: InvoiceState
    now: datetime
    ahead: timedelta | None = None
    """Lead of ``now`` over real time, where the invoice lives by a test clock; else None."""
    read: Invoice
    """The invoice as Stripe has it."""
    invoice: Invoice
    """The invoice with the ledger account in force, and as later steps changed it."""
    usages: tuple[BilledUsage, ...] = ()
    cause: HoldCause = HoldCause.METERED
    """Cause of a hold or a backstop, should this check set one."""

    @property
    def real_now(self) -> datetime:
        """Return real time, by which ledger records and meter reads are dated whatever a test clock says."""
        return self.now - (self.ahead or timedelta(0))

    @property
    def status(self) -> str:
        return self.invoice.status.value

    @property
    def has_left(self) -> bool:
        return self.invoice.status in (InvoiceStatus.OPEN, InvoiceStatus.PAID)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckContext:
    """Services, lease and request of one check. Nothing of it changes but the list of steps for people."""

    services: Services
    leased: JobLease
    started_at: datetime
    backfill: BackfillRequest | None = None
    done: list[str] = field(default_factory=list)
    """Steps for people, in order. Nothing is decided from them."""

    def writes(self, case: Case) -> StripeWrites:
        """Return the writer of this invoice, at the case's time and under the lease."""
        services = self.services
        return StripeWrites(
            stripe=services.stripe,
            store=services.store,
            rendering=services.rendering,
            leased=self.leased,
            now=case.now,
        )

    def did(self, state: InvoiceState, step: str) -> None:
        """Log a step, and list it for people."""
        self.done.append(step)
        self.services.log.info("invoice=%s step=%r verdict=%s", state.invoice_id, step, state.verdict)

    def alerted(self, state: InvoiceState, kind: str, detail: str) -> InvoiceState:
        """Give an alert unless it was given before, and return the state that remembers it."""
        alerted = self.services.alerts.give(self.leased, state, kind, detail)
        if alerted.alerted != state.alerted:
            self.did(alerted, str(actions.RaiseAlert(kind=kind)))
        return alerted

    def hold(self, case: Case, *, again: bool) -> Case:
        """Hold the invoice; ``again`` when another party undid our hold, which raises an alert each time."""
        state = case.state
        if again:
            state = self.alerted(state, "hold_undone", "another party set auto_advance=true under our hold: held again")
            state = forgotten(state, "hold_undone")
        if again or case.invoice.status is InvoiceStatus.OPEN:
            state = undone(state, case.invoice, case.now)
        state, invoice = self.writes(case).hold(case.invoice, state, case.cause)
        self.did(state, str(actions.Hold()))
        return replace(case, state=state, invoice=invoice)

    def set_backstop(self, case: Case, at: datetime) -> Case:
        """Let Stripe itself finalize the invoice at ``at``, should the gate die."""
        state = self.writes(case).backstop(case.invoice, case.state, at, case.cause)
        self.did(state, str(actions.SetBackstop(at=at)))
        return replace(case, state=state, invoice=replace(case.invoice, automatically_finalizes_at=at))

    def remove_hold_sign(self, case: Case) -> None:
        """Take the sign of our hold off an invoice on which nothing is held any more."""
        if HOLD_KEY in case.invoice.metadata and self.services.policy.mode is Mode.ENFORCE:
            self.writes(case).unsign(case.invoice)

    def stays(self, case: Case, stopped: tuple[Stop, ...]) -> CheckOutcome:
        """Leave the invoice where it is because another party is stopping it: alert, and check again later."""
        state = replace(case.state, detail="; ".join(stop.detail for stop in stopped))
        for stop in stopped:
            state = self.alerted(state, stop.alert.kind, stop.detail)
        again_at = check_again_at(stopped, state, self.services.policy, case.now)
        return self.until(replace(case, state=state), again_at)

    def until(self, case: Case, until: datetime, *, status: str | None = None) -> CheckOutcome:
        """End the check; the next one is at ``until``, by the invoice's own clock."""
        at = until if case.ahead is None else timing.by_real_time(until - case.now, case.real_now)
        return CheckOutcome(state=case.state, status=status or case.status, next_check_at=at)

    def end(self, case: Case, detail: str, *, cleared: bool | None = None) -> CheckOutcome:
        """End the invoice; without ``cleared``, whether its final lines were matched or waived stays as it was."""
        clear = case.state.cleared if cleared is None else cleared
        ended = replace(case.state, position=Cleared() if clear else Ended(), detail=detail)
        return CheckOutcome(state=ended, status=case.status, next_check_at=None)
