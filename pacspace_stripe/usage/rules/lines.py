"""Which lines of an invoice bill usage, which surely bill none, and which nobody can tell. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pacspace_stripe.vocabulary.invoices import BillingReason, Invoice, LineItem, LineParent, Price, UsageType
from pacspace_stripe.vocabulary.windows import Window


def metered_lines(invoice: Invoice, prices: Mapping[str, Price]) -> tuple[LineItem, ...]:
    """Return the lines whose price is metered or could not be read: those that the comparison is about."""
    lines = (
        line for line in invoice.line_items if line_may_bill_usage(line, invoice) and not unknown_kinds(line, invoice)
    )
    return tuple(line for line in lines if _is_metered(line, prices))


def _is_metered(line: LineItem, prices: Mapping[str, Price]) -> bool:
    price = prices.get(line.price_id or "")
    return price is None or is_metered(price)


def is_metered(price: Price) -> bool:
    """Return whether a price bills usage, or may: an unknown usage type is not the absence of one."""
    return price.usage_type in (UsageType.METERED, UsageType.UNKNOWN)


def may_bill_usage(invoice: Invoice) -> bool:
    """Return whether an invoice whose prices cannot be read may bill usage."""
    return bool(invoice.unknown) or any(line_may_bill_usage(line, invoice) for line in invoice.line_items)


def line_may_bill_usage(line: LineItem, invoice: Invoice) -> bool:
    """Return whether a line may bill usage, as far as it says so itself, without its price."""
    if unknown_kinds(line, invoice):
        return True
    priced = line.price_id is not None or line.parent is LineParent.SUBSCRIPTION_ITEM
    return priced and not _opens_a_period(line, invoice)


def _opens_a_period(line: LineItem, invoice: Invoice) -> bool:
    """Return whether a line of quantity 0 only opens a period that a later invoice bills.

    Classic billing mode puts one for each metered price on a subscription's first invoice, with the coming period or
    with an empty one (FACTS 12.4). Compared, it would claim the period, and the renewal that bills it would be
    held. Only why and when the invoice was made tells it from a figure: a renewal that bills 0 for its own period,
    which is over, has to agree with the ledger like any other, as has a threshold's, whose period is not over either.
    So a period that has begun counts as not billed yet on a first invoice alone; on any other the line lies ahead.
    """
    if line.quantity != 0 or line.amount not in (0, None) or line.proration:
        return False
    first = invoice.billing_reason is BillingReason.SUBSCRIPTION_CREATE
    if line.window is None:
        return first
    ahead = line.window.start >= invoice.created_at and invoice.billing_reason is not BillingReason.UNKNOWN
    return ahead or (first and line.window.end > invoice.created_at)


def unknown_kinds(line: LineItem, invoice: Invoice) -> tuple[str, ...]:
    """Return what is not known of a line: kinds that are not listed, or nothing that says what generated it.

    An invoice item without a price is a plain amount (FACTS 12.13). A line that has neither a parent nor a price
    is one only on an invoice that a person made: Stripe documents two parents and does not say how a line that a rate
    card or a pricing plan generated looks at an API version that does not know them (FACTS 12.1).
    """
    if line.unknown or line.price_id or line.parent is not LineParent.NONE:
        return line.unknown
    return () if invoice.billing_reason is BillingReason.MANUAL else ("parent=null",)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownLines:
    """The lines of one unknown kind and period; none where it is the invoice itself that is of an unknown kind."""

    kind: str
    """The word that Stripe says, such as ``rate_card_subscription_details``."""
    detail: str
    window: Window | None = None
    lines: tuple[LineItem, ...] = ()


def of_unknown_kinds(invoice: Invoice) -> Iterator[UnknownLines]:
    """Return everything on an invoice that may bill usage in a way that we do not know."""
    if invoice.unknown:
        detail = f"an invoice of a kind that is not known: {', '.join(invoice.unknown)}"
        yield UnknownLines(kind=_word(invoice.unknown[0]), detail=detail)
    groups: dict[tuple[str, Window | None], list[LineItem]] = {}
    for line in invoice.line_items:
        if unknown := unknown_kinds(line, invoice):
            groups.setdefault((unknown[0], line.window), []).append(line)
    for (_, window), lines in groups.items():
        kinds = dict.fromkeys(kind for line in lines for kind in unknown_kinds(line, invoice))
        detail = f"a line of a kind that is not known: {', '.join(kinds)}; whether it bills usage cannot be said"
        yield UnknownLines(kind=_word(next(iter(kinds))), detail=detail, window=window, lines=tuple(lines))


def _word(unknown: str) -> str:
    """Return the word that Stripe says, or the field that is null where something has to be."""
    field, _, word = unknown.partition("=")
    return field if word in ("null", "unreadable") else word
