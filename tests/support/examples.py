"""Ordinary values for unit tests; each test names the unusual fields of its own."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

from pacspace_stripe.comparison.rules.verdicts import BilledLine, Finding, Reason, Verdict, WindowResult, summarize
from pacspace_stripe.gate.rules.state import Backstop, FirstSight, Held, InvoiceState, Released, Stamped, WrittenStamp
from pacspace_stripe.usage.rules import BilledUsage
from pacspace_stripe.vocabulary.invoices import (
    BillingReason,
    CollectionMethod,
    Formula,
    Invoice,
    InvoiceStatus,
    LineItem,
    Meter,
    Price,
    SubscriptionState,
    SubscriptionStatus,
    UsageType,
)
from pacspace_stripe.vocabulary.ledger import Balance, Proof, Unsettled
from pacspace_stripe.vocabulary.windows import Window

Change: TypeAlias = Any
"""Any field of a value: ``replace`` checks its name, and the test gives its meaning."""

OCTOBER = Window(start=datetime(2026, 10, 1, tzinfo=UTC), end=datetime(2026, 11, 1, tzinfo=UTC))
NOVEMBER = Window(start=datetime(2026, 11, 1, tzinfo=UTC), end=datetime(2026, 12, 1, tzinfo=UTC))
CREATED = OCTOBER.end
PLANNED = CREATED + timedelta(hours=1)
SETTLED = CREATED + timedelta(minutes=10)
ROOT = "0x" + "ab" * 32
SHA = "c0ffee" * 10 + "cafe"
METER = "api_calls"
FIGURES = {f"{METER}|{OCTOBER}": "100"}
NOTHING_UNSETTLED = Unsettled(unverified=0, gaps=0)


def line(number: int = 1, **changes: Change) -> LineItem:
    """Return a metered line of October."""
    ordinary = LineItem(
        line_id=f"il_{number}",
        price_id="price_1",
        subscription_id="sub_1",
        proration=False,
        quantity=Decimal(100),
        window=OCTOBER,
    )
    return replace(ordinary, **changes)


def price(**changes: Change) -> Price:
    """Return a metered price per unit."""
    ordinary = Price(price_id="price_1", usage_type=UsageType.METERED, meter_id="mtr_1", tiered=False)
    return replace(ordinary, **changes)


def meter(**changes: Change) -> Meter:
    """Return a meter that sums."""
    ordinary = Meter(meter_id="mtr_1", event_name=METER, display_name="API calls", formula=Formula.SUM)
    return replace(ordinary, **changes)


def subscription_state(**changes: Change) -> SubscriptionState:
    """Return a subscription that was not stopped."""
    ordinary = SubscriptionState(
        subscription_id="sub_1",
        status=SubscriptionStatus.ACTIVE,
        status_text="active",
        paused=False,
        canceled_at=None,
        ended_at=None,
    )
    return replace(ordinary, **changes)


def invoice(**changes: Change) -> Invoice:
    """Return a renewal's draft as Stripe makes it: it advances by itself an hour later."""
    ordinary = Invoice(
        invoice_id="in_1",
        customer_id="cus_1",
        customer_name="Acme",
        subscription_id="sub_1",
        status=InvoiceStatus.DRAFT,
        auto_advance=True,
        automatically_finalizes_at=PLANNED,
        created_at=CREATED,
        finalized_at=None,
        billing_reason=BillingReason.SUBSCRIPTION_CYCLE,
        collection_method=CollectionMethod.CHARGE_AUTOMATICALLY,
        currency="usd",
        number=None,
        footer=None,
        metadata={},
        subscription_metadata={},
        livemode=False,
        attempted=False,
        attempt_count=0,
        amount_due=1000,
        finalization_error=None,
        line_items=(line(),),
        subscriptions=(subscription_state(),),
    )
    return replace(ordinary, **changes)


def held_draft(**changes: Change) -> Invoice:
    """Return the renewal's draft under our hold."""
    return invoice(**({"auto_advance": False, "automatically_finalizes_at": None} | changes))


def left(status: InvoiceStatus = InvoiceStatus.OPEN, **changes: Change) -> Invoice:
    """Return the renewal's draft, finalized."""
    ordinary = {"status": status, "automatically_finalizes_at": None, "finalized_at": PLANNED, "number": "A-1"}
    return invoice(**(ordinary | changes))


SEEN = InvoiceState(
    invoice_id="in_1",
    customer_id="cus_1",
    subscription_id="sub_1",
    first=FirstSight(at=CREATED, auto_advance=True, finalizes_at=PLANNED),
)
HELD = replace(SEEN, position=Held(), held_at=CREATED)
BACKSTOPPED = replace(SEEN, backstop=Backstop(at=CREATED + timedelta(hours=24)))
FOREIGN = replace(SEEN, first=FirstSight(at=CREATED, auto_advance=False, finalizes_at=None))
STAMPED = replace(
    SEEN,
    position=Stamped(),
    stamp=WrittenStamp(verdict=Verdict.MATCHED, evidence_sha256=SHA, figures=FIGURES, at=SETTLED),
)
RELEASED = replace(STAMPED, position=Released(at=PLANNED))


def usage(**changes: Change) -> BilledUsage:
    """Return the usage that the ordinary line bills."""
    ordinary = BilledUsage(
        meter=METER,
        meter_id="mtr_1",
        window=OCTOBER,
        account="cus_1",
        quantity=Decimal(100),
        lines=(BilledLine(line_id="il_1", quantity=Decimal(100)),),
    )
    return replace(ordinary, **changes)


def balance(net: str | Decimal = "-100", count: int = 4) -> Balance:
    """Return the ledger's raw balance for it: usage is negative."""
    return Balance(account="cus_1", window=OCTOBER, net=Decimal(net), count=count)


def result(reason: Reason = Reason.EXACT, **changes: Change) -> WindowResult:
    """Return one window's outcome."""
    ordinary = WindowResult(
        account="cus_1",
        meter=METER,
        window=OCTOBER,
        billed=Decimal(100),
        recorded=Decimal(100),
        count=4,
        reason=reason,
        lines=(BilledLine(line_id="il_1", quantity=Decimal(100)),),
    )
    return replace(ordinary, **changes)


def proof(**changes: Change) -> Proof:
    """Return a cross-checked proof of it."""
    ordinary = Proof(
        account="cus_1",
        window=OCTOBER,
        checkpoint_id="chk_1",
        proof_root=ROOT,
        count=4,
        net=Decimal(-100),
        verify_url=f"https://verify.example/{ROOT}",
        cross_checked=True,
    )
    return replace(ordinary, **changes)


def finding(reason: Reason = Reason.EXACT, **changes: Change) -> Finding:
    """Return the finding of a check with one window and this reason."""
    return replace(summarize((result(reason),)), **changes)


WAIVED = finding(Reason.OVERBILLED, verdict=Verdict.WAIVED)
