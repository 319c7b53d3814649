"""The early warning on ``invoice.upcoming``: the same comparison as a check's, days before the invoice is made.

Nothing can be written on an upcoming invoice. The window compared ends at a full cadence before now. Drift blocks the
coming draft; a later match lifts the block. Each window is checkpointed as far as the ledger was read, whatever the
verdict, which freezes nothing of the final window. PacSpace's silence or refusal (a cadence limit, a plan limit) leaves
the verdict as it is: the proof is missing, the row shows it, and a later check asks again.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from pacspace_stripe.comparison.comparer import Comparer, error_reason
from pacspace_stripe.comparison.finding import MOST_RATE_LIMITED_CHECKS, RATE_LIMIT_RETRY
from pacspace_stripe.comparison.rules.verdicts import Finding, MeterTotals, Reason, Verdict, WindowResult, summarize
from pacspace_stripe.errors import LeaseBusy, NotFound, RateLimited, RemoteError
from pacspace_stripe.evidence.rules import document as evidence
from pacspace_stripe.explain.explainer import ExplanationKeeper
from pacspace_stripe.explain.meter_account import BillingScope
from pacspace_stripe.gate.gate_alerts import Alerts
from pacspace_stripe.gate.rules import timing
from pacspace_stripe.gate.rules.result import CheckResult, Shown, result_of, shown_windows
from pacspace_stripe.gate.rules.state import Ended, InvoiceState
from pacspace_stripe.gate.rules.transitions import awaiting, reads_of
from pacspace_stripe.http.client import Transport
from pacspace_stripe.ledger.ledgers import Ledger
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
from pacspace_stripe.vocabulary.canonical_json import Json, canonical, digest
from pacspace_stripe.vocabulary.invoices import BillingReason, Formula, Invoice, Subscription, SubscriptionItem
from pacspace_stripe.vocabulary.policy import Mode, Policy
from pacspace_stripe.vocabulary.windows import Window, floor_to

_log = logging.getLogger(__name__)
BLOCK_WAITS = timedelta(days=3)
"""Time after its period for which a block waits for a draft that was not seen: far longer than a sweep needs."""

_SAME_FIGURES = ("account", "meter", "start", "end", "billed", "recorded", "count")
_NO_WINDOWS = "a record of the settlement ledger has no window: nothing can be compared before the invoice is there"


def upcoming_job_id(subscription_id: str, period_end: datetime | None) -> str:
    """Return the id of an early warning: one per subscription and period. The event has no usable invoice id."""
    return f"upcoming:{subscription_id}:{int(period_end.timestamp()) if period_end else 0}"


def is_of_period(invoice: Invoice, job: str) -> bool:
    """Return whether an early warning was about this invoice; it was not about a threshold invoice before it."""
    period_end = int(job.rpartition(":")[2])
    ends = {int(line.window.end.timestamp()) for line in invoice.line_items if line.window}
    return period_end in ends or period_end == 0 or invoice.billing_reason is BillingReason.SUBSCRIPTION_CYCLE


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningProofs:
    """Finding with the proofs that PacSpace gave for it, and with the cause for each missing one."""

    finding: Finding
    windows: tuple[Shown, ...]
    """Rows that commands and alerts show: a window's root, or the cause for its absence."""
    journal: Mapping[str, Json]
    """Finding as the audit log keeps it."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the causes for missing roots, each once."""
        return tuple(dict.fromkeys(str(row["proof_missing"]) for row in self.windows if row.get("proof_missing")))

    @property
    def core(self) -> str:
        """Return a digest that is equal while there is nothing new to write to the audit log."""
        known: list[dict[str, Json]] = [
            {name: value for name, value in row.items() if name != "proof_missing"} for row in self.windows
        ]
        return digest(canonical({"decision": self.journal["decision"], "windows": [*known]}))

    @property
    def detail(self) -> str:
        """Return the finding's detail, with what is missing."""
        if not self.missing:
            return self.finding.detail
        missing = f"the ledger's proof is missing and is tried again: {', '.join(self.missing)}"
        return "; ".join(filter(None, (self.finding.detail, missing)))

    @property
    def alert(self) -> str:
        """Return the alert's text, with every root that a drifted window has."""
        found = (row for row in self.windows if row["proof_root"] and _drifted(row))
        roots = dict.fromkeys(f"the ledger up to {row['end']} has proof root {row['proof_root']}" for row in found)
        return "; ".join(filter(None, (self.detail, *roots)))


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyWarning:
    """Comparison of the part of a period that is over. It writes nothing but a checkpoint and a row of ours."""

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
        """Check the coming invoice once. Raises LeaseBusy and StoreUnavailable."""
        leased = self.store.jobs.acquire(JobKind.UPCOMING, job, self.lease)
        if leased is None:
            message = f"{job} is being checked by another process"
            raise LeaseBusy(message)
        state, next_check_at = self._guarded(leased)
        if state.ended:
            self.store.coverage.put(job, ())
        leased.give_back(state, next_check_at)
        return result_of(state, status="upcoming", next_check_at=next_check_at)

    def _guarded(self, leased: JobLease) -> tuple[InvoiceState, datetime | None]:
        state = leased.job.state
        if state.ended:
            return state, None
        if not self.comparer.ledger.has_windows:
            return replace(state, position=Ended(), verdict=None, reason=None, windows=(), detail=_NO_WINDOWS), None
        try:
            with self.transport.guarded(leased.guard, reading=leased.keep):
                return self._compare(leased, state)
        except NotFound as error:
            return replace(state, position=Ended(), detail=str(error)), None
        except RemoteError as error:
            if isinstance(error, RateLimited) and state.failures < MOST_RATE_LIMITED_CHECKS:
                wait = max(RATE_LIMIT_RETRY, min(error.retry_after or RATE_LIMIT_RETRY, timedelta(minutes=1)))
                return replace(state, failures=state.failures + 1), self.now() + wait
            _log.warning("job=%s %s", leased.job.job_id, error)
            silent = replace(state, attempts=state.attempts + 1, detail=state.detail or error_reason(error)[1])
            return silent, self.now() + timing.ladder(self.policy, state.attempts)

    def _compare(self, leased: JobLease, state: InvoiceState) -> tuple[InvoiceState, datetime | None]:
        _, subscription_id, period_end = leased.job.job_id.split(":")
        subscription = self.stripe.read_subscription(subscription_id)
        state = replace(state, subscription_id=subscription_id, customer_id=subscription.customer_id)
        now = self.now()
        items = [item for item in subscription.items if is_metered(item.price) and _is_now(item, int(period_end), now)]
        if not items:
            return self._past(state, int(period_end), now)
        windows = [(item, self._over(item.window, now)) for item in items if item.window]
        # Two prices on one meter count the same usage once.
        usages = [*dict.fromkeys(self._usage(subscription, item, window) for item, window in windows if window)]
        # An early warning bills nothing; but an event about one of these accounts wakes it, too.
        self.store.coverage.put(state.invoice_id, (claim for usage in usages if (claim := covered_part(usage))))
        comparer = self.comparer.with_meter_reads(state.reads)
        results = tuple(self._window(comparer, subscription, usage) for usage in usages)
        if not results:
            ends = min(item.window.end for item in items if item.window)
            return replace(state, detail="no full day of the period is over yet"), min(ends, now + self.policy.cadence)
        proofs = self._proven(summarize(results) if self.policy.splits_accounts else _without_shared(results), state)
        found = proofs.finding
        known = self._with_finding(leased, state, proofs)
        scope = BillingScope.of_coming_invoice(subscription, state.invoice_id)
        self.explaining.explain_once(leased, known, scope, found)
        if found.verdict is Verdict.MATCHED and not proofs.missing:
            return known, now + self.policy.cadence
        again_at = timing.next_check_at(known, self.policy, now, found)
        return awaiting(known, again_at), again_at

    def _past(self, state: InvoiceState, period_end: int, now: datetime) -> tuple[InvoiceState, datetime | None]:
        """End the early warning after its period, or where nothing is metered; a block waits for its draft."""
        if state.verdict is Verdict.DRIFTED and now.timestamp() < period_end + BLOCK_WAITS.total_seconds():
            return state, now + self.policy.cadence
        return replace(state, position=Ended(), detail="its period is over, or nothing is metered"), None

    def _over(self, window: Window | None, now: datetime) -> Window | None:
        """Return the part of a period that the ledger surely has: up to the last full cadence before now."""
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

    def _proven(self, finding: Finding, state: InvoiceState) -> WarningProofs:
        """Checkpoint what the ledger has now, whatever the verdict; in observe mode nothing is checkpointed."""
        if self.policy.mode is not Mode.ENFORCE:
            return not_checkpointed(finding)
        return checkpointed(self.comparer.ledger, finding, state)

    def _with_finding(self, leased: JobLease, state: InvoiceState, proofs: WarningProofs) -> InvoiceState:
        finding = proofs.finding
        if state.verdict is Verdict.DRIFTED and finding.verdict is Verdict.UNPROVEN:
            # Only a match lifts a block: silence does not.
            reads, attempts = reads_of(state, finding), state.attempts + 1
            return replace(state, detail=proofs.detail, reads=reads, failures=0, attempts=attempts)
        same = (state.verdict, state.reason) == (finding.verdict, finding.reason)
        if proofs.core != state.evidence_core:
            self.store.journal.note("early_warning", state.invoice_id, canonical(proofs.journal).decode())
        found = replace(
            state,
            verdict=finding.verdict,
            reason=finding.reason,
            detail=proofs.detail,
            windows=proofs.windows,
            reads=reads_of(state, finding),
            evidence_core=proofs.core,
            failures=0,
            attempts=state.attempts + 1 if same else 0,
        )
        if finding.verdict is Verdict.DRIFTED:
            return self.alerts.give(leased, found, f"upcoming_blocked:{finding.reason.value}", proofs.alert)
        return self.alerts.recovered(leased, found, "upcoming_recovered")


def _is_now(item: SubscriptionItem, period_end: int, now: datetime) -> bool:
    """Return whether the item is still in the period that the event was about."""
    if item.window is None or item.window.end <= now:
        return False
    return period_end in (0, int(item.window.end.timestamp()))


def _without_shared(results: tuple[WindowResult, ...]) -> Finding:
    """Return one finding, in which meters that share a ledger account are unmapped: their usage is one sum."""
    shared = shared_accounts((result.account, result.meter) for result in results)
    return summarize(
        tuple(
            replace(result, reason=Reason.UNMAPPED, detail=SHARED_ACCOUNT) if result.account in shared else result
            for result in results
        )
    )


# -- proof roots -----------------------------------------------------------------------------------------------------


def checkpointed(ledger: Ledger, finding: Finding, known: InvoiceState) -> WarningProofs:
    """Checkpoint every window that has records. Raises what the transport's guard raises, nothing of PacSpace's."""
    results: list[WindowResult] = []
    missing: dict[str, str] = {}
    for result in finding.windows:
        try:
            proven = ledger.proven(_whole_scope(result))
        except RemoteError as error:
            missing[result.key] = error.with_hint
            results.append(result)
            continue
        if proven.proof is None or proven.detail != result.detail:
            stale = proven.reason is Reason.ROOT_STALE and result.reason.verdict is Verdict.MATCHED
            if not stale and proven.detail != result.detail:
                missing[result.key] = proven.detail
            results.append(proven if stale else result)
            continue
        results.append(replace(result, proof=proven.proof))
    found = summarize(tuple(results))
    return WarningProofs(finding=found, windows=_rows(found, missing, known.windows), journal=_journal(found, missing))


def not_checkpointed(finding: Finding) -> WarningProofs:
    """Return a finding without any proof, as in observe mode."""
    return WarningProofs(finding=finding, windows=_rows(finding, {}, ()), journal=_journal(finding, {}))


def _whole_scope(result: WindowResult) -> WindowResult:
    """Return the result as its whole scope is proven, where nothing of it counts or what counts is unknown."""
    selected = result.selected
    if selected is None or result.count or result.reason is Reason.ZERO:
        return result
    return replace(result, recorded=result.recorded or Decimal(0), count=selected.count)


def _rows(finding: Finding, missing: Mapping[str, str], known: Iterable[Shown]) -> tuple[Shown, ...]:
    """Return every window with its root. A root of the very same figures, found before, stays."""
    roots = {_figures(row): row for row in known if row.get("proof_root")}
    rows: list[Shown] = []
    for window, result in zip(shown_windows(finding), finding.windows, strict=True):
        before = roots.get(_figures(window), {}) if result.proof is None else {}
        row: dict[str, str | int | None] = {
            **window,
            "proof_root": result.proof.proof_root if result.proof else before.get("proof_root"),
            "checkpoint_id": result.proof.checkpoint_id if result.proof else before.get("checkpoint_id"),
        }
        if result.key in missing and not row["proof_root"]:
            row["proof_missing"] = missing[result.key]
        rows.append(row)
    return tuple(rows)


def _figures(row: Shown) -> tuple[object, ...]:
    return tuple(row.get(name) for name in _SAME_FIGURES)


def _journal(finding: Finding, missing: Mapping[str, str]) -> Mapping[str, Json]:
    document = evidence.decision_and_windows(finding)
    return {**document, "proof_missing": dict(missing)} if missing else document


def _drifted(row: Shown) -> bool:
    return Reason(str(row["reason"])).verdict is Verdict.DRIFTED
