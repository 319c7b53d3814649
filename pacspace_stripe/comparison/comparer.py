"""Reading both sides and putting them before the rules of ``domain.reconcile``: I/O here, judgement there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from pacspace_stripe.comparison.coverage import Rivals
from pacspace_stripe.comparison.period_edge_reader import EdgeReader
from pacspace_stripe.comparison.rules.period_edge import within_minutes
from pacspace_stripe.comparison.rules.reconcile import Settling, apart, compare_figures, confirm_difference, lacking
from pacspace_stripe.comparison.rules.verdicts import Finding, MeterRead, Reason, Verdict, WindowResult, summarize
from pacspace_stripe.errors import RateLimited, RemoteError, ScopeRefused
from pacspace_stripe.ledger.ledgers import Ledger
from pacspace_stripe.ledger.rules.selection import UnclearRecords
from pacspace_stripe.store import Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.stripe_api.sdk import STRIPE
from pacspace_stripe.usage.billing import Billing
from pacspace_stripe.usage.rules import BilledUsage, below_zero, by_formula, cut_short, lagging, may_be_below_zero
from pacspace_stripe.usage.rules.accounts import covered_part, on_records
from pacspace_stripe.vocabulary.invoices import Formula, Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.ledger import Balance, LedgerProtocol
from pacspace_stripe.vocabulary.policy import FailPolicy, Policy
from pacspace_stripe.vocabulary.quantities import equal, subtract
from pacspace_stripe.vocabulary.windows import Window

_TOO_WIDE = (
    "No one checkpoint proves a period this long: ask PacSpace to raise the limit, bill shorter periods, or release it "
    "with a reason."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparer:
    """Asks Stripe and PacSpace what the comparison needs, and no more."""

    stripe: StripeApi
    ledger: Ledger
    store: Store
    policy: Policy
    now: Callable[[], datetime]
    reads: Mapping[str, MeterRead] = field(default_factory=dict)
    """What earlier looks at this invoice saw of its meters: only what one says twice makes a drift."""

    def with_meter_reads(self, reads: Mapping[str, MeterRead]) -> "Comparer":
        """For one invoice, whose earlier looks saw this."""
        return replace(self, reads=reads)

    @property
    def billing(self) -> Billing:
        """What an invoice bills, asked of Stripe."""
        return Billing(stripe=self.stripe, store=self.store, policy=self.policy)

    def usages(self, invoice: Invoice) -> tuple[BilledUsage, ...]:
        """What the invoice bills per meter and window; empty when nothing on it is metered."""
        usages = self.billing.usages(invoice)
        by_record = self.policy.ledger is LedgerProtocol.SETTLEMENT
        return on_records(invoice, usages, self.policy.record_key) if by_record else usages

    def formulas(self, invoice: Invoice) -> Mapping[str, Formula]:
        """Return the formula of each meter on the invoice, by the meter's name."""
        return self.billing.formulas(invoice)

    def compare(
        self,
        invoice: Invoice,
        usages: tuple[BilledUsage, ...],
        *,
        finalized_by_us: bool,
        raise_rate_limited: bool = True,
    ) -> Finding:
        """Both figures per window, and what they mean. Writes nothing to either vendor.

        ``finalized_by_us``: the lines are read again after we finalize, so a draft line may lag behind its meter.
        ``raise_rate_limited``: a 429 ends the look (RateLimited) instead of counting as a ledger that does not answer.
        """
        found = self._windows(invoice, usages, strict=finalized_by_us, raise_rate_limited=raise_rate_limited)
        if self.billing.finds_thresholds(invoice, found):
            return self._windows(
                invoice, self.usages(invoice), strict=finalized_by_us, raise_rate_limited=raise_rate_limited
            )
        return found

    def _windows(
        self, invoice: Invoice, usages: tuple[BilledUsage, ...], *, strict: bool, raise_rate_limited: bool
    ) -> Finding:
        return summarize(
            tuple(
                self._window(invoice, usage, strict=strict, raise_rate_limited=raise_rate_limited) for usage in usages
            )
        )

    def _window(self, invoice: Invoice, usage: BilledUsage, *, strict: bool, raise_rate_limited: bool) -> WindowResult:
        claim = covered_part(usage)
        if usage.problem is not None or usage.account is None or usage.window is None or claim is None:
            return usage.result(usage.problem or Reason.UNKNOWN_SHAPE, usage.detail)
        try:
            rivals = Rivals(stripe=self.stripe, ledger=self.ledger, store=self.store)
            doubt = rivals.doubt(invoice, usage, claim)
            if doubt is not None:
                return usage.result(*doubt)
            return self._compared(invoice, usage, usage.account, usage.window, strict=strict)
        except RemoteError as error:
            if raise_rate_limited and isinstance(error, RateLimited):
                raise
            return usage.result(*error_reason(error))

    def _compared(
        self, invoice: Invoice, usage: BilledUsage, account: str, window: Window, *, strict: bool
    ) -> WindowResult:
        balance = self.ledger.recorded(account, window, usage.meter)
        if isinstance(balance, UnclearRecords):
            return usage.result(balance.reason, balance.detail)
        sign = self.policy.usage_sign
        result = compare_figures(usage, balance, sign, self.policy.tolerance)
        if result.reason is Reason.ZERO:
            return lagging(result, usage, strict=strict)
        if may_be_below_zero(result):
            result = below_zero(result, self.billing.meter_says(invoice, usage))
        if result.reason.verdict is Verdict.DRIFTED:
            draft = invoice.status is InvoiceStatus.DRAFT
            result = confirm_difference(
                result,
                self.ledger.unsettled(account, window, usage.meter),
                self._meter_now(invoice, usage) if draft else None,
                strict=strict,
                tolerance=self.policy.tolerance,
                settling=self.settling(result.key) if draft else None,
            )
        metered = None if usage.formula is Formula.LAST else partial(self.billing.summed_over, invoice, usage)
        result = self.unless_awaited(result, balance, metered)
        result = by_formula(lagging(result, usage, strict=strict), usage)
        result = cut_short(result) if usage.cut else result
        if usage.formula is not Formula.LAST:
            result = self.at_edge(result, lambda: self._meter_now(invoice, usage))
        return self.ledger.asked(result, balance)

    def unless_awaited(
        self, result: WindowResult, balance: Balance, metered: Callable[[Window], tuple[Decimal, Decimal] | None] | None
    ) -> WindowResult:
        """Return a drift as not settled while exactly the ledger's last summary of the window explains it.

        A ledger of daily records gets a day after the day has ended. ``metered``: what Stripe's meter counted over the
        inner and the outer minutes of a time; it is asked only about a drift that awaits a summary. None for a meter of
        readings: the last reading decides alone, whatever came before it.
        """
        span = balance.awaited
        if span is None or result.reason.verdict is not Verdict.DRIFTED or self.now() >= span.end + self._patience:
            return result
        if metered is not None and not self._explains(metered(span), result):
            return result
        what = f"the ledger's record of {span}"
        return replace(result, reason=Reason.NOT_SETTLED, detail=lacking(result.detail, [what]))

    def _explains(self, counted: tuple[Decimal, Decimal] | None, result: WindowResult) -> bool:
        """Return whether the ledger lacks as much as Stripe counted in some time, within the tolerance."""
        if counted is None or result.billed is None or result.recorded is None:
            return False
        missing = subtract(result.billed, result.recorded)
        nearest = min(max(missing, min(counted)), max(counted))
        return missing > 0 and equal(nearest, missing, tolerance=self.policy.tolerance)

    @property
    def _patience(self) -> timedelta:
        """Return how long after a time has ended its summary may come.

        With fail open it is over well before the backstop, which lets out what is not settled.
        """
        open_until = self.policy.backstop / 2
        return self.policy.cadence if self.policy.fail is FailPolicy.CLOSED else min(self.policy.cadence, open_until)

    def at_edge(self, result: WindowResult, meter_now: Callable[[], tuple[Decimal, Decimal] | None]) -> WindowResult:
        """A drift, with ``PERIOD_EDGE`` and the records when it lies at an edge of its window: see ``domain.edges``.

        What cannot be read here takes nothing from the drift that was found.
        """
        if result.reason.verdict is not Verdict.DRIFTED or result.window is None or result.recorded is None:
            return result
        try:
            moved = EdgeReader(ledger=self.ledger, policy=self.policy, now=self.now()).moved(result)
            metered = None if moved or not result.window.edge_minutes else _bounds(result.metered) or meter_now()
        except RemoteError as error:
            return replace(result, detail=f"{result.detail}; the records at its edges could not be read: {error}")
        said = moved or (metered and within_minutes(result.window, result.recorded, *metered))
        return replace(result, reason=Reason.PERIOD_EDGE, detail=f"{result.detail}; {said}") if said else result

    def settling(self, key: str) -> Settling:
        """What earlier looks know of one meter and window (``WindowResult.key``), for one that is made now."""
        return Settling(now=self.now(), apart=apart(self.policy.settle), earlier=self.reads.get(key))

    def _meter_now(self, invoice: Invoice, usage: BilledUsage) -> tuple[Decimal, Decimal] | None:
        says = usage.meter_totals or self.billing.meter_says(invoice, usage)
        return (says.inner, says.outer) if says else None

    def prove(self, finding: Finding, *, raise_rate_limited: bool = True) -> Finding:
        """The finding with the proof of every window. May freeze what it proves: never in observe mode."""
        waived = finding.verdict is Verdict.WAIVED
        proven = tuple(
            self._proven(result, waived=waived, raise_rate_limited=raise_rate_limited) for result in finding.windows
        )
        if waived:
            return replace(finding, windows=proven)
        return summarize(proven) if proven else finding

    def _proven(self, result: WindowResult, *, waived: bool, raise_rate_limited: bool) -> WindowResult:
        try:
            proven = self.ledger.proven(result)
        except RemoteError as error:
            if raise_rate_limited and isinstance(error, RateLimited):
                raise
            reason, detail = error_reason(error)
            proven = replace(result, reason=reason, detail=detail)
        return replace(proven, reason=result.reason, detail=result.detail) if waived else proven


def _bounds(read: MeterRead | None) -> tuple[Decimal, Decimal] | None:
    return (read.inner, read.outer) if read else None


def error_reason(error: RemoteError) -> tuple[Reason, str]:
    """Return which vendor gave no answer, and what a person reads; a no that repeating does not change is no outage."""
    if isinstance(error, ScopeRefused):
        return Reason.UNKNOWN_SHAPE, f"{error} {_TOO_WIDE}"
    reason = Reason.STRIPE_UNAVAILABLE if error.service == STRIPE else Reason.LEDGER_UNAVAILABLE
    return reason, error.with_hint
