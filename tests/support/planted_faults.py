"""Months with one planted fault: played in both simulators, compared, explained, and checked against the plant."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from pacspace_stripe.app import App, build
from pacspace_stripe.comparison.rules.verdicts import Finding, Verdict
from pacspace_stripe.explain.meter_account import BillingScope
from pacspace_stripe.explain.rules.explanation import Cause, Explanation
from pacspace_stripe.settings import load_settings
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from pacspace_stripe.simulator.planted_faults import Extent, PlantedKind, PlantedMonth
from pacspace_stripe.simulator.stripe import StripeSimulator
from pacspace_stripe.store import Store
from pacspace_stripe.vocabulary.invoices import Invoice
from tests.support.worlds import ENVIRONMENT, STRIPE_PORT

LONG_AGO = datetime(2025, 11, 1, tzinfo=UTC)
"""Before every month."""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOST_CALLS = 60
RIGHT: dict[tuple[PlantedKind, str], Cause] = {
    (PlantedKind.LOST, "stripe"): Cause.NOT_IN_STRIPE,
    (PlantedKind.LOST, "ledger"): Cause.NOT_IN_LEDGER,
    (PlantedKind.DOUBLED, "stripe"): Cause.TWICE_IN_STRIPE,
    (PlantedKind.DOUBLED, "ledger"): Cause.TWICE_IN_LEDGER,
    (PlantedKind.WRONG_CUSTOMER, "stripe"): Cause.WRONG_CUSTOMER,
    (PlantedKind.WRONG_CUSTOMER, "ledger"): Cause.WRONG_CUSTOMER,
    (PlantedKind.LATE, "ledger"): Cause.RECORDED_LATE,
    (PlantedKind.UNIT, "stripe"): Cause.UNIT_FACTOR,
    (PlantedKind.UNIT, "ledger"): Cause.UNIT_FACTOR,
    (PlantedKind.SIGN, "stripe"): Cause.WRONG_SIGN,
    (PlantedKind.SIGN, "ledger"): Cause.WRONG_SIGN,
    (PlantedKind.BOUNDARY, "stripe"): Cause.PERIOD_EDGE,
    (PlantedKind.BOUNDARY, "ledger"): Cause.PERIOD_EDGE,
}
"""The right cause of each kind of planted fault, by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedFault:
    """One seed: what was planted, what was explained, and what is wrong about that."""

    planted: PlantedMonth
    explanation: Explanation
    wrong: tuple[str, ...]

    @property
    def row(self) -> str:
        fault = self.planted.planted
        return f"{fault.kind} on {fault.on}, {fault.extent}"

    @property
    def story(self) -> str:
        """Return the planted fault and its explanation, for a person who debugs it."""
        fault, whose, found = self.planted.planted, self.planted.subscriber, self.explanation
        places = [f"{part.window} billed {part.billed} recorded {part.recorded}" for part in found.located]
        other = found.counterpart or found.factor or ""
        final = "final" if self.planted.month.final else "a draft"
        return "\n    ".join(
            [
                f"seed {self.planted.seed}: {self.row}, {whose.cadence}, {final}: {'; '.join(self.wrong)}",
                f"{fault.customer} {fault.meter} {whose.start} to {whose.end}",
                f"planted {fault.quantity} at {fault.first} to {fault.last}, {fault.counterpart or fault.factor or ''}",
                f"explained {found.cause} {other} differs {found.billed - found.recorded}",
                *places[:4],
                *found.notes,
            ]
        )


def empty_database(folder: Path) -> Path:
    """Return a database with empty tables: each month starts from a copy."""
    template = folder / "template.db"
    store = Store(f"sqlite:///{template}", now=lambda: LONG_AGO, lost_after=HOUR)
    store.migrate()
    store.close()
    return template


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A month in both simulators, and the product before it has seen any of it."""

    app: App
    invoices: dict[str, str]
    stripe: StripeSimulator
    pacspace: PacSpaceSimulator
    clock: ManualClock

    def compared(self, customer: str) -> tuple[Invoice, Finding]:
        """Return a customer's invoice as it is now, and the finding of the gate's Comparer."""
        comparer = self.app.checker.services.comparer
        invoice = self.app.stripe.read_invoice(self.invoices[customer])
        return invoice, comparer.compare(invoice, comparer.usages(invoice), finalized_by_us=True)


def _through(clock: ManualClock) -> Callable[[float], None]:
    def sleep(seconds: float) -> None:
        clock.advance(seconds)

    return sleep


@contextmanager
def played(month: PlantedMonth, template: Path, **settings: str) -> Iterator[Played]:
    """Play a month; ``settings`` by short name."""
    clock = ManualClock(LONG_AGO)
    stripe, pacspace = StripeSimulator(clock, seed=month.seed), PacSpaceSimulator(clock, seed=month.seed)
    pacspace.configure(fast_roots=True)
    invoices = month.month.play(stripe, pacspace, clock)
    database = template.with_name("month.db")
    shutil.copyfile(template, database)
    environment = ENVIRONMENT | {
        "PACSPACE_STRIPE_DATABASE_URL": f"sqlite:///{database}",
        "PACSPACE_STRIPE_LEDGER_ACCOUNT": "{customer}:{meter}",
        "PACSPACE_STRIPE_SETTLE": "0",  # all of it has long been counted: one check is enough
        "PACSPACE_STRIPE_USAGE_SIGN": "positive" if month.month.positive else "negative",
    }
    environment |= {f"PACSPACE_STRIPE_{name.upper()}": value for name, value in settings.items()}
    transport = httpx.MockTransport(lambda sent: stripe(sent) if sent.url.port == STRIPE_PORT else pacspace(sent))
    app = build(
        load_settings(environment), now=clock.now, httpx_transport=transport, sleep=_through(clock), migrate=False
    )
    try:
        yield Played(app=app, invoices=invoices, stripe=stripe, pacspace=pacspace, clock=clock)
    finally:
        app.close()


def explain_fault(month: PlantedMonth, template: Path, *, others: bool) -> ExplainedFault:
    """Explain the drift of a planted fault. With ``others`` the gate has checked every other invoice, too."""
    fault = month.planted
    with played(month, template) as world:
        for customer, invoice_id in world.invoices.items():
            if customer == fault.counterpart or (others and customer != fault.customer):
                world.app.checker.check(invoice_id)
        invoice, finding = world.compared(fault.customer)
        (explanation,) = world.app.explainer.explain_all(BillingScope.of_invoice(invoice), finding)
    return ExplainedFault(planted=month, explanation=explanation, wrong=tuple(_wrong(month, finding, explanation)))


def _wrong(month: PlantedMonth, finding: Finding, explanation: Explanation) -> Iterator[str]:
    fault = month.planted
    drifted = [result.meter for result in finding.windows if result.reason.verdict is Verdict.DRIFTED]
    if drifted != [fault.meter]:
        yield f"drifted {drifted}"
    if explanation.cause is not RIGHT[fault.kind, fault.on]:
        yield f"cause {explanation.cause}"
    elif fault.counterpart and explanation.counterpart != f"{fault.counterpart}:{fault.meter}":
        yield f"counterpart {explanation.counterpart}"
    elif fault.factor and not _same_factor(explanation, month):
        yield f"factor {explanation.factor}"
    if not _in_place(month, explanation):
        yield f"window {[str(part.window) for part in explanation.located]}"


def _same_factor(explanation: Explanation, month: PlantedMonth) -> bool:
    factor, planted = explanation.factor, month.planted.factor
    return factor is not None and planted is not None and (factor == planted or abs(factor * planted - 1) < 1e-6)


def _in_place(month: PlantedMonth, explanation: Explanation) -> bool:
    """Return whether all of it is located with at most an hour more on each side, or a day where hours are unknown."""
    fault, located = month.planted, explanation.located
    if not located:
        return False
    many = fault.extent in (Extent.SINCE, Extent.ALL)
    slack = DAY if many or month.subscriber.cadence == "daily" else HOUR
    start, end = located[0].window.start, max(part.window.end for part in located)
    return fault.first - slack <= start <= fault.first + HOUR and fault.last - HOUR <= end <= fault.last + slack


def confusion(seeds: list[ExplainedFault]) -> str:
    """Return a table of planted kinds by explained cause, with the number of wrong windows."""
    counted: dict[str, Counter[str]] = {}
    for one in sorted(seeds, key=lambda each: each.row):
        counted.setdefault(one.row, Counter())[one.explanation.cause.value] += 1
    lines = []
    for row, causes in counted.items():
        among = [one for one in seeds if one.row == row]
        misplaced = sum(any(each.startswith("window") for each in one.wrong) for one in among)
        wrong = sum(bool(one.wrong) for one in among)
        calls = max(one.explanation.calls for one in among)
        found = ", ".join(f"{cause} {number}" for cause, number in causes.most_common())
        lines.append(f"{row:36} {len(among):5}  wrong {wrong:4}  misplaced {misplaced:4}  calls ≤ {calls:2}  {found}")
    return "\n".join(lines)
