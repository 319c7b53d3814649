"""The comparer: it reads both sides of one invoice and lets the rules of ``comparison.rules`` judge them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from pacspace_stripe.comparison.coverage import overlap_doubt
from pacspace_stripe.comparison.rules.period_edge import EdgeRecord, EdgeShift, PeriodEdges, within_minutes
from pacspace_stripe.comparison.rules.reconcile import (
    Settling,
    compare_figures,
    confirm_difference,
    reads_apart,
    unless_awaited,
)
from pacspace_stripe.comparison.rules.verdicts import (
    Finding,
    MeterRead,
    MeterTotals,
    Reason,
    Verdict,
    WindowResult,
    summarize,
)
from pacspace_stripe.errors import RateLimited, RemoteError, ScopeRefused
from pacspace_stripe.ledger.ledgers import Ledger
from pacspace_stripe.ledger.rules.selection import Selection, UnclearRecords, is_usage_of
from pacspace_stripe.store import Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.stripe_api.calls import STRIPE
from pacspace_stripe.usage.billing import Billing
from pacspace_stripe.usage.rules import (
    BilledUsage,
    covered_part,
    judge_below_zero,
    judge_by_formula,
    judge_lagging_lines,
    judge_threshold,
    may_be_below_zero,
)
from pacspace_stripe.vocabulary.invoices import Formula, Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import FailPolicy, Policy
from pacspace_stripe.vocabulary.quantities import subtract
from pacspace_stripe.vocabulary.windows import Window

ReadMeter = Callable[[Window], MeterTotals | None]
"""Returns what Stripe's meter counted in a window; None if the meter cannot be asked about it."""
_TOO_WIDE = (
    "No one checkpoint proves a period this long: ask PacSpace to raise the limit, bill shorter periods, or release it "
    "with a reason."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparer:
    """Comparison of one invoice. It asks Stripe and PacSpace what it needs, and no more; only ``prove`` writes."""

    stripe: StripeApi
    ledger: Ledger
    store: Store
    policy: Policy
    now: Callable[[], datetime]
    meter_reads: Mapping[str, MeterRead] = field(default_factory=dict)
    """Meter reads of earlier checks of this invoice, by ``WindowResult.key``: a drift needs two equal reads."""

    def with_meter_reads(self, reads: Mapping[str, MeterRead]) -> "Comparer":
        """Return the comparer for one invoice, with the meter reads of its earlier checks."""
        return replace(self, meter_reads=reads)

    @property
    def billing(self) -> Billing:
        return Billing(stripe=self.stripe, store=self.store, policy=self.policy)

    def usages(self, invoice: Invoice) -> tuple[BilledUsage, ...]:
        """Return what the invoice bills per meter and window; empty if nothing on it is metered."""
        return self.billing.usages(invoice)

    def compare(
        self,
        invoice: Invoice,
        usages: tuple[BilledUsage, ...],
        *,
        finalized_by_us: bool,
        raise_rate_limited: bool = True,
    ) -> Finding:
        """Compare both figures per window.

        ``finalized_by_us``: the lines are read again after the gate finalizes, so a draft's line may lag behind its
        meter until then.
        ``raise_rate_limited``: a 429 raises RateLimited. Otherwise it counts as a ledger that does not answer.
        """
        billing, found_thresholds = self.billing, False
        while True:
            results: list[WindowResult] = []
            for usage in usages:
                part = covered_part(usage)
                if usage.problem is not None or part is None:
                    results.append(usage.result(usage.problem or Reason.UNKNOWN_SHAPE, usage.detail))
                    continue
                try:
                    # The ledger's records vouch for one invoice: none of them may be billed by another one too.
                    doubt = overlap_doubt(
                        invoice, usage, part, stripe=self.stripe, ledger=self.ledger, store=self.store
                    )
                    if doubt is not None:
                        results.append(usage.result(*doubt))
                        continue
                    read_meter = partial(billing.meter_totals, invoice, usage)
                    results.append(self.compare_usage(usage, read_meter, invoice=invoice, strict=finalized_by_us))
                except RemoteError as error:
                    if raise_rate_limited and isinstance(error, RateLimited):
                        raise
                    results.append(usage.result(*error_reason(error)))
            finding = summarize(tuple(results))
            if found_thresholds or not billing.finds_thresholds(invoice, finding):
                return finding
            # Thresholds that the gate never saw billed a part: now that they are known, compare once more with them.
            usages, found_thresholds = billing.usages(invoice), True

    def compare_usage(
        self, usage: BilledUsage, read_meter: ReadMeter, *, invoice: Invoice | None, strict: bool
    ) -> WindowResult:
        """Compare one usage with the ledger. Raises RemoteError's children.

        1. read what the ledger recorded, and compare both figures
        2. a meter below zero bills 0
        3. confirm a difference: it counts once nothing has to settle any more
        4. it does not count while exactly the ledger's last summary of the window is missing
        5. lines that lag, meters that do not sum, and thresholds have rules of their own
        6. name the records at the edge of the period if they explain a drift
        7. store PacSpace's own answer to the comparison

        ``invoice``: None for an early warning, which compares a part of the period before the invoice exists.
        ``strict``: the final lines are read again before the invoice leaves.
        """
        account, window = usage.account, usage.window
        if usage.problem is not None or account is None or window is None:
            return usage.result(usage.problem or Reason.UNKNOWN_SHAPE, usage.detail)
        # 1.
        balance = self.ledger.recorded(account, window, usage.meter)
        if isinstance(balance, UnclearRecords):
            unclear = usage.result(balance.reason, balance.detail)
            # An early warning checkpoints what was read, although it cannot be compared.
            return replace(unclear, selected=balance.read.whole) if balance.read and invoice is None else unclear
        result = compare_figures(usage, balance, self.policy.usage_sign, self.policy.tolerance)
        if result.reason is Reason.ZERO:
            return judge_lagging_lines(result, usage, strict=strict)
        # 2.
        if may_be_below_zero(result):
            result = judge_below_zero(result, read_meter(window))
        # 3.
        if result.reason.verdict is Verdict.DRIFTED:
            unsettled = self.ledger.unsettled(account, window, usage.meter)
            # Nothing about the lines of a final invoice settles any more: its meter may have gone on since.
            settles = invoice is None or invoice.status is InvoiceStatus.DRAFT
            result = confirm_difference(
                result,
                unsettled,
                (usage.meter_totals or read_meter(window)) if settles else None,
                strict=strict,
                tolerance=self.policy.tolerance,
                settling=self._settling(result.key) if settles else None,
            )
        # 4.
        reads_last, span = usage.formula is Formula.LAST, balance.awaited
        drifted = result.reason.verdict is Verdict.DRIFTED
        if span is not None and drifted and self.now() < span.end + self._longest_wait_for_summary:
            what, counted = f"the ledger's record of {span}", None if reads_last else read_meter(span)
            result = unless_awaited(result, what, counted, self.policy.tolerance, decides_alone=reads_last)
        # 5.
        result = judge_by_formula(judge_lagging_lines(result, usage, strict=strict), usage)
        result = judge_threshold(result) if usage.ends_early else result
        # 6.
        if not reads_last:
            result = self._at_period_edge(result, usage, read_meter)
        # 7.
        return self.ledger.compared(result, balance)

    def _settling(self, key: str) -> Settling:
        earlier = self.meter_reads.get(key)
        return Settling(now=self.now(), apart=reads_apart(self.policy.settle), earlier=earlier)

    @property
    def _longest_wait_for_summary(self) -> timedelta:
        """Longest time after a span has ended in which its summary may come: a daily record comes a day later.

        With fail open it ends well before the backstop, which lets out what is not settled.
        """
        before_backstop = self.policy.backstop / 2
        closed = self.policy.fail is FailPolicy.CLOSED
        return self.policy.cadence if closed else min(self.policy.cadence, before_backstop)

    # -- the edges of the period -----------------------------------------------------------------------------------

    def _at_period_edge(self, result: WindowResult, usage: BilledUsage, read_meter: ReadMeter) -> WindowResult:
        """Return a drift with ``PERIOD_EDGE`` and the records, if it lies at an edge: see ``rules.period_edge``.

        A read that fails here changes nothing about the drift that was found.
        """
        window = result.window
        if result.reason.verdict is not Verdict.DRIFTED or window is None or result.recorded is None:
            return result
        try:
            explained: EdgeShift | str | None = self._edge_shift(result, window)
            if explained is None and window.edge_minutes:
                read = result.meter_read
                totals = MeterTotals(inner=read.inner, outer=read.outer) if read else None
                totals = totals or usage.meter_totals or read_meter(window)
                explained = within_minutes(window, result.recorded, totals) if totals else None
        except RemoteError as error:
            return replace(result, detail=f"{result.detail}; the records at its edges could not be read: {error}")
        if explained is None:
            return result
        return replace(result, reason=Reason.PERIOD_EDGE, detail=f"{result.detail}; {explained}")

    def _edge_shift(self, result: WindowResult, window: Window) -> EdgeShift | None:
        """Return the records that make both sides agree on the other side of a bound.

        The ledger lists the records on both sides of both bounds, in four requests at most. Each side is a request of
        its own: which clock PacSpace places a record by is not documented (CONTRACT 4), so its own windows show on
        which side it has one.
        """
        if result.account is None or result.billed is None or result.recorded is None:
            return None
        selection = Selection.of(self.policy, result.meter)
        records: list[EdgeRecord] = []
        for span, inside in self._edge_spans(window):
            near = self.ledger.near(result.account, span)
            if near is None:
                return None
            mine = (delta for delta in near if is_usage_of(delta, selection))
            records += (EdgeRecord.of(delta, window, selection, inside=inside) for delta in mine)
        edges = PeriodEdges(
            window=window,
            difference=subtract(result.billed, result.recorded),
            records=tuple(records),
            attribution=selection.attribution,
            slack=self.policy.edge_slack,
            tolerance=self.policy.tolerance,
        )
        return edges.shift()

    def _edge_spans(self, window: Window) -> Iterator[tuple[Window, bool]]:
        """Yield the spans near the bounds, each with whether it lies inside.

        Before a bound they reach out by the slack; after it by a cadence and the slack, since a summary of the time
        before a bound may be accepted that much later.
        """
        slack, start, end = self.policy.edge_slack, window.start, window.end
        reach = self.policy.cadence + slack
        first, last = min(start + reach, end), max(end - slack, start)
        inside = [(start, end)] if first >= last else [(start, first), (last, end)]
        outside = [(start - slack, start), (end, min(end + reach, self.now()))]
        yield from ((Window(start=one, end=other), True) for one, other in inside if one < other)
        yield from ((Window(start=one, end=other), False) for one, other in outside if one < other)

    # -- proofs ----------------------------------------------------------------------------------------------------

    def prove(self, finding: Finding, *, raise_rate_limited: bool = True) -> Finding:
        """Return the finding with the proof of every window. This may freeze windows: never call it in observe mode.

        A waived finding stays waived, with whatever proof there is.
        """
        waived, windows = finding.verdict is Verdict.WAIVED, list[WindowResult]()
        for result in finding.windows:
            try:
                proven = self.ledger.proven(result)
            except RemoteError as error:
                if raise_rate_limited and isinstance(error, RateLimited):
                    raise
                reason, detail = error_reason(error)
                proven = replace(result, reason=reason, detail=detail)
            windows.append(replace(proven, reason=result.reason, detail=result.detail) if waived else proven)
        if waived:
            return replace(finding, windows=tuple(windows))
        return summarize(tuple(windows)) if windows else finding


def error_reason(error: RemoteError) -> tuple[Reason, str]:
    """Return which vendor gave no answer, with the text for a person.

    A refusal that repeating does not change is no outage: the window is unproven for a reason of its own.
    """
    if isinstance(error, ScopeRefused):
        return Reason.UNKNOWN_SHAPE, f"{error} {_TOO_WIDE}"
    reason = Reason.STRIPE_UNAVAILABLE if error.service == STRIPE else Reason.LEDGER_UNAVAILABLE
    return reason, error.with_hint
