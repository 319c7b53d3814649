"""Reading both sides and putting them before the rules of ``domain.reconcile``: I/O here, judgement there."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal

from pacspace_stripe.checks.recalling import GIVEN_UP
from pacspace_stripe.domain.evidence import digest
from pacspace_stripe.domain.invoices import Formula, Invoice, InvoiceStatus, Meter, Price
from pacspace_stripe.domain.ledger import Balance, Proof
from pacspace_stripe.domain.policy import Policy
from pacspace_stripe.domain.quantities import text
from pacspace_stripe.domain.reconcile import (
    BilledUsage,
    after_compare,
    after_verify,
    billed_usage,
    first_look,
    second_look,
)
from pacspace_stripe.domain.verdicts import Finding, Reason, Verdict, WindowResult, summarize
from pacspace_stripe.domain.windows import Window
from pacspace_stripe.errors import NotFound, RateLimited, RemoteError
from pacspace_stripe.pacspace_api import PacSpaceApi
from pacspace_stripe.store import Store
from pacspace_stripe.stripe_api import StripeApi

LONGEST_LINK = 500
"""A metadata value's limit: a longer link could not be stamped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparer:
    """Asks Stripe and PacSpace what the comparison needs, and no more."""

    stripe: StripeApi
    ledger: PacSpaceApi
    store: Store
    policy: Policy

    def usages(self, invoice: Invoice) -> tuple[BilledUsage, ...]:
        """What the invoice bills per meter and window; empty when nothing on it is metered."""
        prices = self._prices(invoice)
        meters = self._meters(prices)
        return billed_usage(invoice, prices, meters, self.policy.ledger_account)

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
        if usage.problem is not None or usage.account is None or usage.window is None:
            return usage.result(usage.problem or Reason.UNKNOWN_SHAPE, usage.detail)
        try:
            rival = self._rival(invoice, usage.account, usage.window)
            if rival is not None:
                return usage.result(Reason.UNMAPPED, f"invoice {rival} bills this ledger account for the same time")
            return self._compared(invoice, usage, usage.account, usage.window, strict=strict)
        except RemoteError as error:
            if patient and isinstance(error, RateLimited):
                raise
            return usage.result(_unavailable(error), _said(error))

    def _rival(self, invoice: Invoice, account: str, window: Window) -> str | None:
        """Another invoice that bills the same. One that was voided, unheard of by us, bills nothing: asked once."""
        claims = self.store.claims
        while (rival := claims.rival_of(invoice.invoice_id, account, window)) is not None:
            subject = self.store.subjects.find(rival)
            if subject is None or not subject.memory.ended:
                return rival
            if self.stripe.read_invoice(rival).status not in GIVEN_UP:
                return rival
            claims.put(rival, ())
        return None

    def _compared(
        self, invoice: Invoice, usage: BilledUsage, account: str, window: Window, *, strict: bool
    ) -> WindowResult:
        balance = self.ledger.derive(account, window)
        sign = self.policy.usage_sign
        result = first_look(usage, balance, sign, self.policy.tolerance)
        if result.reason is Reason.ZERO:
            return result
        if result.reason.verdict is Verdict.DRIFTED:
            meter_now = self._meter_now(invoice, usage) if invoice.status is InvoiceStatus.DRAFT else None
            unsettled, tolerance = self.ledger.unsettled(account, window), self.policy.tolerance
            result = second_look(result, unsettled, meter_now, strict=strict, tolerance=tolerance)
        return self.asked(result, balance)

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

    def asked(self, result: WindowResult, balance: Balance) -> WindowResult:
        """The result with the answer of PacSpace's own compare: asked, not assumed."""
        if result.billed is None or not balance.known:
            return result
        yours = self.policy.usage_sign.raw_balance(result.billed)
        comparison = self.ledger.compare(balance.account, balance.window, yours=yours, theirs=balance.net)
        return after_compare(result, balance, comparison)

    def prove(self, finding: Finding, *, patient: bool = True) -> Finding:
        """Checkpoint every window that has records, and cross-check each proof root. Freezes: never in observe mode."""
        waived = finding.verdict is Verdict.WAIVED
        proven = tuple(self._proven(result, waived=waived, patient=patient) for result in finding.windows)
        if waived:
            return replace(finding, windows=proven)
        return summarize(proven) if proven else finding

    def _proven(self, result: WindowResult, *, waived: bool, patient: bool) -> WindowResult:
        if not result.count or result.account is None or result.window is None or result.recorded is None:
            return result
        try:
            proven = self._proof(result, result.account, result.window)
        except RemoteError as error:
            if patient and isinstance(error, RateLimited):
                raise
            proven = replace(result, reason=_unavailable(error), detail=_said(error))
        return replace(proven, reason=result.reason, detail=result.detail) if waived else proven

    def _proof(self, result: WindowResult, account: str, window: Window) -> WindowResult:
        net = self.policy.usage_sign.raw_balance(result.recorded or Decimal(0))
        count = result.count or 0
        key = _checkpoint_key(account, window, count, text(net))
        checkpoint = self.ledger.checkpoint(account, window, idempotency_key=key)
        if checkpoint.proof_root is None:
            checkpoint = self.ledger.find_checkpoint(account, window, checkpoint.checkpoint_id) or checkpoint
        if checkpoint.proof_root is None:
            detail = f"checkpoint {checkpoint.checkpoint_id} is not committed yet"
            return replace(result, reason=Reason.NOT_SETTLED, detail=detail)
        proof = Proof(
            account=account,
            window=window,
            checkpoint_id=checkpoint.checkpoint_id,
            proof_root=checkpoint.proof_root,
            count=count,
            net=net,
            verify_url=self._verify_url(account, window, checkpoint.proof_root),
            cross_checked=False,
        )
        return after_verify(result, proof, self.ledger.verify(checkpoint.proof_root))

    def _verify_url(self, account: str, window: Window, proof_root: str) -> str:
        """The link for people, when it is about this root; else the public address of the root itself."""
        links = self.ledger.invoice_proof(account, window)
        fallback = self.ledger.verify_address(proof_root)
        if links.proof_root != proof_root or not links.verify_url:
            return fallback
        usable = links.verify_url.startswith(("https://", "http://")) and len(links.verify_url) <= LONGEST_LINK
        return links.verify_url if usable else fallback


def _checkpoint_key(account: str, window: Window, count: int, net: str) -> str:
    """The same request again is the same checkpoint; a ledger that grew asks for a new one."""
    return "pacspace-stripe-" + digest(f"{account}|{window}|{count}|{net}".encode())[:40]


def _unavailable(error: RemoteError) -> Reason:
    return Reason.STRIPE_UNAVAILABLE if error.service == "Stripe" else Reason.LEDGER_UNAVAILABLE


def _said(error: RemoteError) -> str:
    return f"{error} {error.hint}".strip()
