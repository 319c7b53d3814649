"""Example reports for trying a template: an empty one, one of observe mode with drifts, one of enforce mode."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pacspace_stripe.comparison.rules.verdicts import Reason
from pacspace_stripe.explain.rules.rejections import RejectedSample, Rejection
from pacspace_stripe.gate.rules.state import FirstSight, InvoiceState, KeptBack
from pacspace_stripe.report.report import Report
from pacspace_stripe.report.rules.checklist import CheckPoint, Standing
from pacspace_stripe.report.rules.lines import InvoiceLine
from pacspace_stripe.vocabulary.invoices import InvoiceStatus
from pacspace_stripe.vocabulary.money import Money
from pacspace_stripe.vocabulary.policy import Mode, Policy

_MADE = datetime(2026, 11, 2, 5, tzinfo=UTC)
_SENT = datetime(2026, 11, 1, 1, tzinfo=UTC)
_FINE = CheckPoint(name="held_today", standing=Standing.FINE, sentence="No open invoice would be held today.", about=())
_LOOK = CheckPoint(
    name="unmapped", standing=Standing.LOOK, sentence="Usage without a ledger account.", about=("cus_4, api_calls",)
)


_REJECTED = Rejection(
    event_id="evt_1",
    at=_SENT,
    meter="api_calls",
    start=_SENT,
    end=_SENT + timedelta(minutes=10),
    code="meter_event_customer_not_found",
    count=3,
    samples=(RejectedSample(identifier="call-7", message="The customer does not exist."),),
)


def reports() -> Iterator[tuple[str, Report]]:
    """Yield the name of each example and its report."""
    observing = Report(made_at=_MADE, since=None, policy=Policy(mode=Mode.OBSERVE), lines=(), checklist=(_FINE, _LOOK))
    yield "nothing yet", replace(observing, checklist=())
    yield "observing", replace(observing, lines=tuple(_lines(observing.policy)), rejections=(_REJECTED,))
    enforcing = Policy(mode=Mode.ENFORCE)
    yield "enforcing", replace(observing, policy=enforcing, since=_SENT, lines=tuple(_lines(enforcing)))


def _lines(policy: Policy) -> Iterator[InvoiceLine]:
    over = KeptBack(since=_SENT, verdict=Reason.OVERBILLED.verdict, reason=Reason.OVERBILLED, detail="differs by 10")
    late = KeptBack(since=_SENT, verdict=Reason.NOT_SETTLED.verdict, reason=Reason.NOT_SETTLED, detail="not verified")
    for state in (
        _state(1, Reason.EXACT),
        replace(_state(2, Reason.OVERBILLED), kept_back=over),
        replace(_state(3, Reason.EXACT), kept_back=replace(late, until=_SENT + timedelta(hours=4)), agreed_at=_MADE),
        replace(_state(4, Reason.UNMAPPED), amount=None),
        replace(_state(5, None), windows=()),
    ):
        yield InvoiceLine(state=state, policy=policy)


def _state(number: int, reason: Reason | None) -> InvoiceState:
    recorded = None if reason is Reason.UNMAPPED else "90" if reason is Reason.OVERBILLED else "100"
    window: dict[str, str | int | None] = {
        "account": f"cus_{number}",
        "meter": "api_calls",
        "start": "2026-10-01T00:00:00Z",
        "end": "2026-11-01T00:00:00Z",
        "billed": "100",
        "recorded": recorded,
        "count": None if recorded is None else 4,
        "reason": (reason or Reason.EXACT).value,
    }
    first = FirstSight(at=_SENT - timedelta(hours=1), auto_advance=True, finalizes_at=_SENT, status=InvoiceStatus.DRAFT)
    return InvoiceState(
        invoice_id=f"in_{number}QXb2LkdIwHu7ix8",
        customer_id=f"cus_{number}",
        subscription_id=f"sub_{number}",
        first=first,
        verdict=reason.verdict if reason else None,
        reason=reason,
        windows=(window,),
        amount=Money(amount=12_345 * number, currency="eur"),
    )
