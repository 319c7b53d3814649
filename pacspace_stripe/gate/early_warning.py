"""The early warning on ``invoice.upcoming``: a provisional comparison, days before the invoice is made.

Nothing can be written on an upcoming invoice. The window compared ends at a full cadence before now. It is checkpointed
whatever the verdict, which freezes nothing of the final window. Drift blocks the coming draft; a later match lifts the
block.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from pacspace_stripe.comparison.comparer import Comparer, error_reason
from pacspace_stripe.comparison.finding import MOST_RATE_LIMITED_CHECKS, RATE_LIMIT_RETRY
from pacspace_stripe.comparison.rules.verdicts import Finding, MeterTotals, Reason, Verdict, WindowResult, summarize
from pacspace_stripe.errors import LeaseBusy, NotFound, RateLimited, RemoteError
from pacspace_stripe.explain.explainer import ExplanationKeeper
from pacspace_stripe.explain.meter_account import BillingScope
from pacspace_stripe.gate.early_warning_proof import WarningProofs, checkpointed, not_checkpointed
from pacspace_stripe.gate.gate_alerts import Alerts
from pacspace_stripe.gate.rules import timing
from pacspace_stripe.gate.rules.result import CheckResult, result_of
from pacspace_stripe.gate.rules.state import Ended, InvoiceState
from pacspace_stripe.gate.rules.transitions import awaiting, reads_of
from pacspace_stripe.http.client import Transport
from pacspace_stripe.store import JobKind, JobLease, Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.usage.rules import (
    SHARED_ACCOUNT,
    BilledUsage,
    covered_part,
    is_metered,
    ledger_account,
    shared_accounts,
)
from pacspace_stripe.vocabulary.canonical_json import canonical
from pacspace_stripe.vocabulary.invoices import BillingReason, Formula, Invoice, Subscription, SubscriptionItem
from pacspace_stripe.vocabulary.policy import Mode, Policy
from pacspace_stripe.vocabulary.windows import Window, floor_to

_log = logging.getLogger(__name__)
BLOCK_WAITS = timedelta(days=3)
"""How long after its period a block waits for a draft that we have not seen: far longer than a sweep needs."""

_NO_WINDOWS = "a record of the settlement ledger has no window: nothing can be compared before the invoice is there"


def upcoming_job_id(subscription_id: str, period_end: datetime | None) -> str:
    """The early warning's id: one per subscription and period, since the event has no usable invoice id."""
    return f"upcoming:{subscription_id}:{int(period_end.timestamp()) if period_end else 0}"


def is_of_period(invoice: Invoice, job: str) -> bool:
    """Whether an invoice is the one that an early warning was about: a threshold invoice before it is not."""
    period_end = int(job.rpartition(":")[2])
    ends = {int(line.window.end.timestamp()) for line in invoice.line_items if line.window}
    return period_end in ends or period_end == 0 or invoice.billing_reason is BillingReason.SUBSCRIPTION_CYCLE


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyWarning:
    """Compares the part of the period that is over; writes nothing but a checkpoint and a row of ours."""

    stripe: StripeApi
    comparer: Comparer
    store: Store
    alerts: Alerts
    transport: Transport
    policy: Policy
    lease: timedelta
    now: Callable[[], datetime]
    explaining: ExplanationKeeper

    def check(self, job: str) -> CheckResult:
        """One look at the coming invoice. Raises LeaseBusy, StoreUnavailable."""
        leased = self.store.jobs.acquire(JobKind.UPCOMING, job, self.lease)
        if leased is None:
            message = f"{job} is being looked at by another process"
            raise LeaseBusy(message)
        memory, next_check_at = self._looked(leased)
        if memory.ended:
            self.store.coverage.put(job, ())
        leased.give_back(memory, next_check_at)
        return result_of(memory, status="upcoming", next_check_at=next_check_at)

    def _looked(self, leased: JobLease) -> tuple[InvoiceState, datetime | None]:
        memory = leased.job.memory
        if memory.ended:
            return memory, None
        if not self.comparer.ledger.has_windows:
            return replace(memory, position=Ended(), verdict=None, reason=None, windows=(), detail=_NO_WINDOWS), None
        try:
            with self.transport.guarded(leased.guard, reading=leased.keep):
                return self._look(leased, memory)
        except NotFound as error:
            return replace(memory, position=Ended(), detail=str(error)), None
        except RemoteError as error:
            if isinstance(error, RateLimited) and memory.failures < MOST_RATE_LIMITED_CHECKS:
                wait = max(RATE_LIMIT_RETRY, min(error.retry_after or RATE_LIMIT_RETRY, timedelta(minutes=1)))
                return replace(memory, failures=memory.failures + 1), self.now() + wait
            _log.warning("job=%s %s", leased.job.job_id, error)
            waited = replace(memory, attempts=memory.attempts + 1, detail=memory.detail or error_reason(error)[1])
            return waited, self.now() + timing.ladder(self.policy, memory.attempts)

    def _look(self, leased: JobLease, memory: InvoiceState) -> tuple[InvoiceState, datetime | None]:
        _, subscription_id, period_end = leased.job.job_id.split(":")
        subscription = self.stripe.read_subscription(subscription_id)
        memory = replace(memory, subscription_id=subscription_id, customer_id=subscription.customer_id)
        now = self.now()
        items = [item for item in subscription.items if is_metered(item.price) and _is_now(item, int(period_end), now)]
        if not items:
            return self._past(memory, int(period_end), now)
        windows = [(item, self._over(item.window, now)) for item in items if item.window]
        # Two prices on one meter are one use.
        usages = [*dict.fromkeys(self._usage(subscription, item, window) for item, window in windows if window)]
        # Nothing is billed by it; but an event about one of these accounts is for us too.
        self.store.coverage.put(memory.invoice_id, (claim for usage in usages if (claim := covered_part(usage))))
        comparer = self.comparer.with_meter_reads(memory.reads)
        results = tuple(self._window(comparer, subscription, usage) for usage in usages)
        if not results:
            ends = min(item.window.end for item in items if item.window)
            return replace(memory, detail="no full day of the period is over yet"), min(ends, now + self.policy.cadence)
        proofs = self._proven(summarize(results) if self.policy.splits_accounts else _apart(results), memory)
        found = proofs.finding
        remembered = self._remember(leased, memory, proofs)
        scope = BillingScope.of_coming_invoice(subscription, memory.invoice_id)
        self.explaining.explain_once(leased, remembered, scope, found)
        if found.verdict is Verdict.MATCHED and not proofs.missing:
            return remembered, now + self.policy.cadence
        again_at = timing.next_check_at(remembered, self.policy, now, found)
        return awaiting(remembered, again_at), again_at

    def _past(self, memory: InvoiceState, period_end: int, now: datetime) -> tuple[InvoiceState, datetime | None]:
        """Its period is over, or nothing is metered: a block waits for the draft it is about, anything else ends."""
        if memory.verdict is Verdict.DRIFTED and now.timestamp() < period_end + BLOCK_WAITS.total_seconds():
            return memory, now + self.policy.cadence
        return replace(memory, position=Ended(), detail="its period is over, or nothing is metered"), None

    def _over(self, window: Window | None, now: datetime) -> Window | None:
        """The part of a period that the ledger surely has: up to the last full cadence before now."""
        if window is None:
            return None
        as_of = min(floor_to(now - self.policy.settle, self.policy.cadence), window.end)
        return Window(start=window.start, end=as_of) if window.start < as_of < window.end else None

    def _usage(self, subscription: Subscription, item: SubscriptionItem, window: Window) -> BilledUsage:
        meter = self.stripe.meter(item.price.meter_id) if item.price.meter_id else None
        account = ledger_account(
            self.policy.ledger_account,
            customer_id=subscription.customer_id,
            meter=meter.event_name if meter else None,
            metadata=subscription.metadata,
        )
        usage = BilledUsage(
            meter=meter.event_name if meter else item.price.price_id,
            meter_id=item.price.meter_id,
            window=window,
            account=account,
            quantity=None,
            lines=(),
            split_for=subscription.customer_id if self.policy.splits_accounts else None,
        )
        if unknown := (*item.price.unknown, *(meter.unknown if meter else ())):
            detail = f"a price or meter of a kind that is not known: {', '.join(unknown)}"
            return replace(usage, problem=Reason.UNKNOWN_SHAPE, detail=detail)
        if meter is None or meter.formula not in (Formula.SUM, Formula.COUNT):
            return replace(usage, problem=Reason.UNKNOWN_SHAPE, detail="a meter whose usage so far cannot be asked")
        if account is None:
            detail = "no ledger account: check the template and the subscription's metadata"
            return replace(usage, problem=Reason.UNMAPPED, detail=detail)
        return usage

    def _window(self, comparer: Comparer, subscription: Subscription, usage: BilledUsage) -> WindowResult:
        """Compare the usage so far. Summaries take whole minutes: outside the inner and the outer window it drifted."""
        window = usage.window
        if usage.problem is not None or window is None:
            return usage.result(usage.problem or Reason.UNMAPPED, usage.detail)
        try:
            so_far = self._so_far(subscription.customer_id, usage, window)

            def read_meter(span: Window) -> MeterTotals:
                return so_far if span == window else self._so_far(subscription.customer_id, usage, span)

            counted = replace(usage, quantity=so_far.inner)
            return comparer.compare_usage(counted, read_meter, invoice=None, strict=True)
        except RateLimited:
            raise
        except RemoteError as error:
            return usage.result(*error_reason(error))

    def _so_far(self, customer_id: str, usage: BilledUsage, window: Window) -> MeterTotals:
        meter_id, inner, outer = usage.meter_id or "", window.inner_minutes, window.outer_minutes
        widest = self.stripe.meter_usage(meter_id, customer_id, outer)
        if inner is None or inner == outer:
            return MeterTotals(inner=Decimal(0) if inner is None else widest, outer=widest)
        return MeterTotals(inner=self.stripe.meter_usage(meter_id, customer_id, inner), outer=widest)

    def _proven(self, finding: Finding, memory: InvoiceState) -> WarningProofs:
        """Fix what the ledger says now, whatever the verdict; in observe mode nothing is checkpointed."""
        if self.policy.mode is not Mode.ENFORCE:
            return not_checkpointed(finding)
        return checkpointed(self.comparer.ledger, finding, memory)

    def _remember(self, leased: JobLease, memory: InvoiceState, proofs: WarningProofs) -> InvoiceState:
        finding = proofs.finding
        if memory.verdict is Verdict.DRIFTED and finding.verdict is Verdict.UNPROVEN:
            # Only a match lifts a block: what cannot be said now does not.
            reads, attempts = reads_of(memory, finding), memory.attempts + 1
            return replace(memory, detail=proofs.detail, reads=reads, failures=0, attempts=attempts)
        same = (memory.verdict, memory.reason) == (finding.verdict, finding.reason)
        if proofs.core != memory.evidence_core:
            self.store.journal.note("early_warning", memory.invoice_id, canonical(proofs.journal).decode())
        found = replace(
            memory,
            verdict=finding.verdict,
            reason=finding.reason,
            detail=proofs.detail,
            windows=proofs.windows,
            reads=reads_of(memory, finding),
            evidence_core=proofs.core,
            failures=0,
            attempts=memory.attempts + 1 if same else 0,
        )
        if finding.verdict is Verdict.DRIFTED:
            return self.alerts.tell(leased, found, f"upcoming_blocked:{finding.reason.value}", proofs.alert)
        return self.alerts.recovered(leased, found, "upcoming_recovered")


def _is_now(item: SubscriptionItem, period_end: int, now: datetime) -> bool:
    """Whether the item is still in the period that the event was about."""
    if item.window is None or item.window.end <= now:
        return False
    return period_end in (0, int(item.window.end.timestamp()))


def _apart(results: tuple[WindowResult, ...]) -> Finding:
    """One finding; several meters on one ledger account cannot be told apart."""
    shared = shared_accounts((result.account, result.meter) for result in results)
    return summarize(
        tuple(
            replace(result, reason=Reason.UNMAPPED, detail=SHARED_ACCOUNT) if result.account in shared else result
            for result in results
        )
    )
