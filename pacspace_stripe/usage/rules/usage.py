"""The usage that one invoice bills of one meter in one window. Values only."""

from dataclasses import dataclass
from decimal import Decimal

from pacspace_stripe.comparison.rules.verdicts import (
    BilledAs,
    BilledLine,
    EarlierBilling,
    LineKind,
    MeterTotals,
    Reason,
    WindowResult,
    window_key,
)
from pacspace_stripe.usage.rules.line_reading import Share
from pacspace_stripe.vocabulary.invoices import Formula
from pacspace_stripe.vocabulary.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledUsage:
    """Usage that one invoice bills for one meter and window, before the ledger is asked."""

    meter: str
    meter_id: str | None
    window: Window | None
    account: str | None
    quantity: Decimal | None
    lines: tuple[BilledLine, ...]
    problem: Reason | None = None
    detail: str = ""
    by_record: bool = False
    """``account`` is the key of a settlement record: see ``domain.records``."""
    split_for: str | None = None
    """The Stripe customer, where the records of its ledger account tell their meter: several may share it."""
    formula: Formula = Formula.SUM
    shares: tuple[Share, ...] = ()
    billed_as: BilledAs = BilledAs.SUM
    meter_totals: MeterTotals | None = None
    billed_earlier: tuple[EarlierBilling, ...] = ()
    """``quantity`` counts what earlier invoices of the period billed."""
    lags: bool = False
    """A draft's lines say something else than its meter, where only both together say what is billed."""
    named_account: str | None = None
    """The ledger account that the metadata of its subscription names."""
    subscription_id: str | None = None
    """The subscription that its lines name, where that is not the invoice's own."""
    cut: bool = False
    """A threshold's line: its period is not over, and the invoice's own time ends the window."""
    pushed: bool = False
    """Another system counted it: invoice items bill it, and Stripe has no meter of it."""

    @property
    def key(self) -> str:
        """Return the key of its window, as ``WindowResult.key`` has it."""
        return window_key(self.meter, self.window, self.subscription_id)

    def result(
        self, reason: Reason, detail: str = "", *, recorded: Decimal | None = None, count: int | None = None
    ) -> WindowResult:
        """The usage as a result with its reason, beside the ledger's figures where they were read."""
        return WindowResult(
            account=self.account,
            meter=self.meter,
            window=self.window,
            billed=self.quantity,
            recorded=recorded,
            count=count,
            reason=reason,
            detail=detail,
            lines=tuple(sorted(self.lines, key=lambda line: line.line_id)),
            billed_as=self.billed_as,
            meter_totals=self.meter_totals,
            billed_earlier=self.billed_earlier,
            subscription_id=self.subscription_id,
        )

    @property
    def unsaid(self) -> bool:
        """Return whether it may turn out that nothing here is metered: nobody can say that it is usage."""
        unknown = all(line.kind is LineKind.UNKNOWN for line in self.lines)
        return unknown and self.problem is Reason.UNKNOWN_SHAPE and self.account is None and self.meter_id is None

    @property
    def asks_meter(self) -> bool:
        """Return whether only its meter's summaries can say what its lines bill."""
        return self.problem is None and any(share.asks_meter for share in self.shares)
