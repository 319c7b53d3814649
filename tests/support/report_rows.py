"""Customers whose invoices end in every way that a report distinguishes, on compressed time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from pacspace_stripe.report.report import Report, make_report
from pacspace_stripe.report.rules.lines import InvoiceLine
from tests.support.worlds import World

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@contextmanager
def street(folder: Path, *, database_url: str | None = None, **settings: str) -> Iterator[World]:
    """Play a period and a day: one matched, overbilled, late, unrecorded in yen each, two that share an account."""
    seldom = {"sweep": "6h"} | settings
    named = {f"PACSPACE_STRIPE_{name.upper()}": value for name, value in seldom.items()}
    made = World(folder, named, database_url=database_url, validated=False)
    try:
        _live(made)
        yield made
    finally:
        made.app.close()


def _live(made: World) -> None:
    yen = made.stripe.add_price(made.meter, unit_amount=500, currency="jpy")
    euro = made.stripe.add_price(made.meter, unit_amount=250, currency="eur")
    for customer, price in (("cus_match", euro), ("cus_over", euro), ("cus_late", euro), ("cus_yen", yen)):
        made.subscribe(customer, prices=[price])
    for customer in ("cus_one", "cus_two"):
        made.subscribe(customer, metadata={"pacspace_customer_id": "shared"})
        made.bill("3", customer=customer)
    made.use("1250.5", customer="cus_match")
    made.bill("100", customer="cus_over")
    made.record("90", account="cus_over")
    made.bill("12", customer="cus_late")
    made.record("12", account="cus_late", verified=False)
    made.bill("7", customer="cus_yen")
    made.record("6", account="shared")
    made.app.sweep.plan()
    made.run(6 * HOUR)
    made.ledger.verify_all()
    made.run(DAY)


def reported(made: World) -> Report:
    """Return the report of now."""
    return make_report(made.app.store, made.app.settings, now=made.clock.now())


def line_of(report: Report, customer: str) -> InvoiceLine:
    """Return the only invoice of a customer."""
    (line,) = (line for line in report.lines if line.customer_id == customer)
    return line
