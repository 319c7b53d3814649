"""Lines of invoices, their prices and the usage that they bill, as values."""

from datetime import UTC, datetime
from decimal import Decimal

from pacspace_stripe.usage.rules import (
    THRESHOLD,
    BilledUsage,
    billed_usage,
)
from pacspace_stripe.vocabulary.invoices import (
    Invoice,
    InvoiceStatus,
    LineItem,
    LineParent,
    Price,
    Tier,
)
from pacspace_stripe.vocabulary.windows import Window
from tests.support.examples import OCTOBER, Change, invoice, line, meter, price

TIERS = (
    Tier(up_to=Decimal(100), unit_amount=Decimal(3), flat_amount=Decimal(900)),
    Tier(up_to=None, unit_amount=Decimal("0.5"), flat_amount=Decimal(0)),
)
PLAIN, TIERED = price(), price(tiered=True, tiers=TIERS)
SUPPORT = price(price_id="price_2")
MIDDLE = datetime(2026, 10, 15, 12, 34, 56, tzinfo=UTC)
FIRST, SECOND = Window(start=OCTOBER.start, end=MIDDLE), Window(start=MIDDLE, end=OCTOBER.end)


def bills(number: int = 1, quantity: str | None = "100", **changes: Change) -> LineItem:
    return line(number, quantity=None if quantity is None else Decimal(quantity), **changes)


def billed(
    *lines: LineItem, prices: tuple[Price, ...] = (PLAIN,), earlier: tuple[Invoice, ...] = (), **changes: Change
) -> tuple[BilledUsage, ...]:
    known = {each.price_id: each for each in prices}
    return billed_usage(invoice(line_items=lines, **changes), known, {"mtr_1": meter()}, "{customer}", earlier=earlier)


def one(*lines: LineItem, prices: tuple[Price, ...] = (PLAIN,), **changes: Change) -> BilledUsage:
    (only,) = billed(*lines, prices=prices, **changes)
    return only


PLAIN_AMOUNT: dict[str, Change] = {"price_id": None, "parent": LineParent.INVOICE_ITEM, "quantity": "1"}


def threshold(number: int, quantity: str, window: Window, **changes: Change) -> Invoice:
    made: dict[str, Change] = {
        "invoice_id": f"in_t{number}",
        "created_at": window.end,
        "billing_reason": THRESHOLD,
        "status": InvoiceStatus.PAID,
        "line_items": (bills(number, quantity, window=window),),
    }
    return invoice(**made | changes)
