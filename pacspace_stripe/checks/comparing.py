"""Reading both sides and putting them before the rules of ``domain.reconcile``: I/O here, judgement there."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from pacspace_stripe.checks.ledgers import Ledger
from pacspace_stripe.checks.recalling import GIVEN_UP, claims_of
from pacspace_stripe.domain.billing import BilledUsage, billed_usage
from pacspace_stripe.domain.invoices import Formula, Invoice, InvoiceStatus, Meter, Price
from pacspace_stripe.domain.ledger import LedgerProtocol
from pacspace_stripe.domain.policy import Policy
from pacspace_stripe.domain.reconcile import first_look, second_look
from pacspace_stripe.domain.records import Claim, claim_of, on_records
from pacspace_stripe.domain.selection import Unclear
from pacspace_stripe.domain.settling import MeterRead, Settling, apart
from pacspace_stripe.domain.verdicts import Finding, Reason, Verdict, WindowResult, summarize
from pacspace_stripe.domain.windows import Window
from pacspace_stripe.errors import NotFound, RateLimited, RemoteError
from pacspace_stripe.store import Claims, Store
from pacspace_stripe.stripe_api import StripeApi


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparer:
    """Asks Stripe and PacSpace what the comparison needs, and no more."""

    stripe: StripeApi
    ledger: Ledger
    store: Store
    policy: Policy
    now: Callable[[], datetime]
    apart: Claims | None = None
    """Claims of invoices that a dry run has seen: they count as well, and nobody else sees them."""
    reads: Mapping[str, MeterRead] = field(default_factory=dict)
    """What earlier looks at this invoice saw of its meters: only what one says twice makes a drift."""

    def knowing(self, reads: Mapping[str, MeterRead]) -> "Comparer":
        """For one invoice, whose earlier looks saw this."""
        return replace(self, reads=reads)

    def usages(self, invoice: Invoice) -> tuple[BilledUsage, ...]:
        """What the invoice bills per meter and window; empty when nothing on it is metered."""
        prices = self._prices(invoice)
        meters = self._meters(prices)
        split = self.policy.splits_accounts
        usages = billed_usage(invoice, prices, meters, self.policy.ledger_account, split=split)
        by_record = self.policy.ledger is LedgerProtocol.SETTLEMENT
        return on_records(invoice, usages, self.policy.record_key) if by_record else usages

    def formulas(self, invoice: Invoice) -> Mapping[str, Formula]:
        """How each meter on the invoice adds up what it is sent, by the meter's name."""
        meters = self._meters(self._prices(invoice)).values()
        return {meter.event_name: meter.formula for meter in meters}

    def _prices(self, invoice: Invoice) -> Mapping[str, Price]:
        found: dict[str, Price] = {}
        for price_id in {line.price_id for line in invoice.line_items if line.price_id}:
            with suppress(NotFound):
                found[price_id] = self.stripe.price(price_id)
        return found

    def _meters(self, prices: Mapping[str, Price]) -> Mapping[str, Meter]:
        found: dict[str, Meter] = {}
        for meter_id in {price.meter_id for price in prices.values() if price.meter_id}:
            with suppress(NotFound):
                found[meter_id] = self.stripe.meter(meter_id)
        return found

    def compare(
        self, invoice: Invoice, usages: tuple[BilledUsage, ...], *, finalized_by_us: bool, patient: bool = True
    ) -> Finding:
        """Both figures per window, and what they mean. Writes nothing to either vendor.

        ``finalized_by_us``: the lines are read again after we finalize, so a draft line may lag behind its meter.
        ``patient``: a 429 ends the look (RateLimited) instead of counting as a ledger that does not answer.
        """
        return summarize(
            tuple(self._window(invoice, usage, strict=finalized_by_us, patient=patient) for usage in usages)
        )

    def _window(self, invoice: Invoice, usage: BilledUsage, *, strict: bool, patient: bool) -> WindowResult:
        claim = claim_of(usage)
        if usage.problem is not None or usage.account is None or usage.window is None or claim is None:
            return usage.result(usage.problem or Reason.UNKNOWN_SHAPE, usage.detail)
        try:
            rival = self._rival(invoice, claim)
            if rival is not None:
                same = "this very record" if usage.by_record else "this ledger account for the same time"
                return usage.result(Reason.UNMAPPED, f"invoice {rival} bills {same}")
            return self._compared(invoice, usage, usage.account, usage.window, strict=strict)
        except RemoteError as error:
            if patient and isinstance(error, RateLimited):
                raise
            return usage.result(_unavailable(error), _said(error))

    def _rival(self, invoice: Invoice, claim: Claim) -> str | None:
        """Another invoice that bills the same. One that was voided, unheard of by us, bills nothing: asked once."""
        claims = self.store.claims
        while (rival := claims.rival_of(invoice.invoice_id, *claim)) is not None:
            subject = self.store.subjects.find(rival)
            if subject is None or not subject.memory.ended:
                return rival
            if self.stripe.read_invoice(rival).status not in GIVEN_UP:
                return rival
            claims.put(rival, ())
        return self.apart.rival_of(invoice.invoice_id, *claim) if self.apart else None

    def remember_apart(self, invoice: Invoice, usages: tuple[BilledUsage, ...]) -> None:
        """In a dry run: what this invoice bills, as a check would write it down."""
        if self.apart:
            self.apart.put(invoice.invoice_id, claims_of(invoice, usages))

    def _compared(
        self, invoice: Invoice, usage: BilledUsage, account: str, window: Window, *, strict: bool
    ) -> WindowResult:
        balance = self.ledger.recorded(account, window, usage.meter)
        if isinstance(balance, Unclear):
            return usage.result(balance.reason, balance.detail)
        sign = self.policy.usage_sign
        result = first_look(usage, balance, sign, self.policy.tolerance)
        if result.reason is Reason.ZERO:
            return result
        if result.reason.verdict is Verdict.DRIFTED:
            draft = invoice.status is InvoiceStatus.DRAFT
            result = second_look(
                result,
                self.ledger.unsettled(account, window, usage.meter),
                self._meter_now(invoice, usage) if draft else None,
                strict=strict,
                tolerance=self.policy.tolerance,
                settling=self.settling(result.key) if draft else None,
            )
        return self.ledger.asked(result, balance)

    def settling(self, key: str) -> Settling:
        """What earlier looks know of one meter and window (``WindowResult.key``), for one that is made now."""
        return Settling(now=self.now(), apart=apart(self.policy.settle), earlier=self.reads.get(key))

    def _meter_now(self, invoice: Invoice, usage: BilledUsage) -> tuple[Decimal, Decimal] | None:
        if usage.meter_id is None or usage.window is None:
            return None
        inner, outer = usage.window.inner_minutes, usage.window.outer_minutes
        if inner == outer:
            exact = self.stripe.meter_usage(usage.meter_id, invoice.customer_id, outer)
            return exact, exact
        if inner is None or self.stripe.meter(usage.meter_id).formula is Formula.LAST:
            return None
        return (
            self.stripe.meter_usage(usage.meter_id, invoice.customer_id, inner),
            self.stripe.meter_usage(usage.meter_id, invoice.customer_id, outer),
        )

    def prove(self, finding: Finding, *, patient: bool = True) -> Finding:
        """The finding with the proof of every window. May freeze what it proves: never in observe mode."""
        waived = finding.verdict is Verdict.WAIVED
        proven = tuple(self._proven(result, waived=waived, patient=patient) for result in finding.windows)
        if waived:
            return replace(finding, windows=proven)
        return summarize(proven) if proven else finding

    def _proven(self, result: WindowResult, *, waived: bool, patient: bool) -> WindowResult:
        try:
            proven = self.ledger.proven(result)
        except RemoteError as error:
            if patient and isinstance(error, RateLimited):
                raise
            proven = replace(result, reason=_unavailable(error), detail=_said(error))
        return replace(proven, reason=result.reason, detail=result.detail) if waived else proven


def _unavailable(error: RemoteError) -> Reason:
    return Reason.STRIPE_UNAVAILABLE if error.service == "Stripe" else Reason.LEDGER_UNAVAILABLE


def _said(error: RemoteError) -> str:
    return f"{error} {error.hint}".strip()
