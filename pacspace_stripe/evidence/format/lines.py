"""Stripe's side of a window in evidence: its lines, its meter, and what earlier invoices billed."""

from pacspace_stripe.comparison.rules.verdicts import BilledLine, LineKind
from pacspace_stripe.evidence.format.values import Quantity, Strict, Text, Word


class LineModel(Strict):
    """One line of the invoice and the usage it bills, in the meter's unit."""

    id: Text
    quantity: Quantity | None
    kind: Word[LineKind] = LineKind.USAGE
    price: Text | None = None

    def line(self) -> BilledLine:
        """Return it as the domain's value."""
        return BilledLine(line_id=self.id, quantity=self.quantity, kind=self.kind, price=self.price)


class MeterSaysModel(Strict):
    """Stripe's meter summaries over the inner and the outer whole minutes of the window."""

    inner: Quantity
    outer: Quantity


class AlreadyModel(Strict):
    """An earlier invoice of the same period, and what it billed."""

    invoice: Text
    quantity: Quantity
