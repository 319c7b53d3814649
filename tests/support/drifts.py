"""Explained drifts that the tests of correction plans start from."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from pacspace_stripe.explain.rules.correction_plan import plan
from pacspace_stripe.explain.rules.corrections import Correction
from pacspace_stripe.explain.rules.explanation import Cause, Explanation, LocatedPart, LocatedRecord, Side
from pacspace_stripe.vocabulary.invoices import Formula, Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import Attribution, Policy
from pacspace_stripe.vocabulary.windows import Window
from tests.support.examples import CREATED, METER, OCTOBER, Change, held_draft, left

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
AT = datetime(2026, 10, 17, 14, 20, 3, tzinfo=UTC)
THAT_HOUR = Window(start=datetime(2026, 10, 17, 14, tzinfo=UTC), end=datetime(2026, 10, 17, 15, tzinfo=UTC))
LAST_HOUR = Window(start=OCTOBER.end - HOUR, end=OCTOBER.end)
SOON, LATER = CREATED + HOUR, CREATED + 25 * DAY
MUCH_LATER = OCTOBER.end + timedelta(days=36)
POLICY = Policy(attribution=Attribution.ACCEPTED)


def explained(
    cause: Cause,
    billed: str,
    recorded: str,
    *records: LocatedRecord,
    within: Window = THAT_HOUR,
    **changes: Change,
) -> Explanation:
    """Return an explanation with all of the difference in one hour."""
    part = LocatedPart(window=within, meter=METER, billed=Decimal(billed), recorded=Decimal(recorded), records=records)
    ordinary = Explanation(
        account="cus_1",
        meter=METER,
        window=OCTOBER,
        billed=Decimal(100) + Decimal(billed),
        recorded=Decimal(100) + Decimal(recorded),
        cause=cause,
        located=(part,),
    )
    return replace(ordinary, **changes)


def record(quantity: str = "7", at: datetime = AT, record_id: str = "rec_1") -> LocatedRecord:
    return LocatedRecord(side=Side.LEDGER, quantity=Decimal(quantity), at=at, record_id=record_id)


def planned(
    explanation: Explanation,
    invoice: Invoice | None = None,
    now: datetime = SOON,
    formula: Formula = Formula.SUM,
    **policy: Change,
) -> tuple[Correction, ...]:
    return plan(
        explanation, invoice=invoice or held_draft(), now=now, policy=replace(POLICY, **policy), formula=formula
    )


def kinds(corrections: tuple[Correction, ...]) -> list[str]:
    return [one.kind.value for one in corrections]


NOT_IN_STRIPE = explained(Cause.NOT_IN_STRIPE, "0", "7", record())
TWICE_IN_STRIPE = explained(Cause.TWICE_IN_STRIPE, "14", "7", record())
TWICE_AT_THE_END = explained(Cause.TWICE_IN_STRIPE, "14", "7", record(at=LAST_HOUR.start), within=LAST_HOUR)
NOT_IN_LEDGER = explained(Cause.NOT_IN_LEDGER, "7", "0")
TWICE_IN_LEDGER = explained(Cause.TWICE_IN_LEDGER, "7", "14", record(), record(record_id="rec_2"))
LATE = explained(Cause.RECORDED_LATE, "7", "0")
EDGE = explained(Cause.PERIOD_EDGE, "7", "0", within=LAST_HOUR)
SIGN_IN_LEDGER = explained(Cause.WRONG_SIGN, "7", "-7", record("-7"))
SIGN_IN_STRIPE = explained(Cause.WRONG_SIGN, "-7", "7", record())
CUT_IN_STRIPE = explained(Cause.TRUNCATED_DECIMALS, "7", "7.25", record("7.25"))
CUT_IN_LEDGER = explained(Cause.TRUNCATED_DECIMALS, "7.25", "7", record())
WRONG_CUSTOMER = explained(Cause.WRONG_CUSTOMER, "7", "0", counterpart="cus_2")
UNEXPLAINED = explained(Cause.UNEXPLAINED, "7", "3")
UNIT = replace(
    explained(Cause.UNIT_FACTOR, "7", "7000", factor=Decimal(1000)), billed=Decimal(5), recorded=Decimal(5000)
)
UNIT_IN_PART = explained(Cause.UNIT_FACTOR, "7", "7000", record("7000"), factor=Decimal(1000))

DRAFT, HELD_LATER = (held_draft(), SOON), (held_draft(), LATER)
TOO_LATE = (held_draft(), MUCH_LATER)
OPEN, PAID = (left(auto_advance=False), SOON), (left(InvoiceStatus.PAID), SOON)
VOID, GIVEN_UP = (left(InvoiceStatus.VOID), SOON), (left(InvoiceStatus.UNCOLLECTIBLE), SOON)
UNKNOWN = (left(InvoiceStatus.UNKNOWN), SOON)
