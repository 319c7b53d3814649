"""Evidence as the gate writes it: one document of each kind."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from pacspace_stripe.comparison.rules.verdicts import BilledLine, Finding, Reason, Verdict, summarize
from pacspace_stripe.evidence.rules.document import Evidence, confirmation, core, seal
from pacspace_stripe.gate.rules.state import Waiver
from pacspace_stripe.vocabulary.ledger import (
    Comparison,
    LedgerProtocol,
    LeftOut,
    LeftOutBy,
    Record,
    SelectedScope,
    UsageSign,
)
from pacspace_stripe.vocabulary.policy import Attribution, Policy
from tests.support.examples import CREATED, FIGURES, OCTOBER, PLANNED, SHA, invoice, left, proof, result, usage

COMPARED = Comparison(
    your_balance=Decimal(-100),
    their_balance=Decimal(-100),
    neutral_balance=Decimal(-100),
    matches_yours=True,
    matches_theirs=True,
)
WAIVER = Waiver(
    reason="agreed by phone: 50 % \u2028", by="ada", at=PLANNED, figures={"api_calls|-": "unknown", **FIGURES}
)
MATCHED = summarize((result(proof=proof(), comparison=COMPARED),))
OVERBILLED = summarize((result(Reason.OVERBILLED, recorded=Decimal(90), proof=proof(net=Decimal(-90))),))
UNKNOWN = result(
    Reason.UNKNOWN_SHAPE,
    window=None,
    billed=None,
    recorded=None,
    count=None,
    lines=(BilledLine(line_id="il_2", quantity=None),),
)
SETTLEMENT = Policy(ledger=LedgerProtocol.SETTLEMENT, usage_sign=UsageSign.POSITIVE)
RECORD = Record(key="usage-cus_1-2026-10", bits=Decimal(100), writes=4, verified=True)
CHOOSING = Policy(
    meter_from="reason",
    exclude_reasons=frozenset({"deposit"}),
    attribution=Attribution.USAGE_TIME,
    units={"api_calls": Decimal(10)},
)
SELECTED = SelectedScope(
    scope=replace(OCTOBER, end=OCTOBER.end + timedelta(minutes=5)),
    count=9,
    net=Decimal(-600),
    left_out=(
        LeftOut(by=LeftOutBy.METER, name="storage", count=2, net=Decimal(-70)),
        LeftOut(by=LeftOutBy.REASON, name="deposit", count=2, net=Decimal(500)),
        LeftOut(by=LeftOutBy.TIME, name="", count=1, net=Decimal(-30)),
    ),
)
CHOSEN = result(
    selected=SELECTED,
    comparison=replace(
        COMPARED, your_balance=Decimal(-600), their_balance=Decimal(-600), neutral_balance=Decimal(-600)
    ),
    proof=proof(window=SELECTED.scope, count=9, net=Decimal(-600)),
)
BY_REASON = Policy(meter_from="reason")
TWO_PARTS = tuple(
    replace(
        result(meter=meter, lines=(BilledLine(line_id=f"il_{meter}", quantity=Decimal(100)),)),
        selected=SelectedScope(
            scope=OCTOBER,
            count=8,
            net=Decimal(-200),
            left_out=(LeftOut(by=LeftOutBy.METER, name=other, count=4, net=Decimal(-100)),),
        ),
        proof=proof(count=8, net=Decimal(-200)),
    )
    for meter, other in (("api_calls", "storage"), ("storage", "api_calls"))
)


def sealed(finding: Finding, policy: Policy | None = None, waiver: Waiver | None = None) -> Evidence:
    document = core(invoice(), finding, policy or Policy(), waiver)
    return seal(document, chain="sub_1", sequence=2, previous=SHA, decided_at=CREATED)


def confirmed(decision: Evidence) -> Evidence:
    document = confirmation(decision, left(), [usage()])
    assert document is not None
    return seal(document, chain="sub_1", sequence=3, previous=decision.sha256, decided_at=PLANNED)


def waived() -> Evidence:
    windows = (result(Reason.OVERBILLED, recorded=Decimal(90), proof=proof(net=Decimal(-90))), UNKNOWN)
    finding = Finding(verdict=Verdict.WAIVED, reason=Reason.OVERBILLED, detail="", windows=windows)
    return sealed(finding, waiver=WAIVER)


GENUINE = {
    "matched": sealed(MATCHED),
    "nothing metered": sealed(summarize(())),
    "drifted": sealed(OVERBILLED),
    "unproven": sealed(
        summarize((UNKNOWN, result(Reason.ZERO, billed=Decimal(0), recorded=Decimal(0), count=0, lines=())))
    ),
    "waived": waived(),
    "of a part of the ledger": sealed(summarize((CHOSEN,)), CHOOSING),
    "of two parts of one account": sealed(summarize(TWO_PARTS), BY_REASON),
    "of a settlement record": sealed(summarize((result(record=RECORD),)), SETTLEMENT),
    "confirmation": confirmed(sealed(MATCHED)),
    "confirmation of a waiver": confirmed(
        sealed(
            replace(summarize((result(Reason.OVERBILLED, recorded=Decimal(90)),)), verdict=Verdict.WAIVED),
            waiver=replace(WAIVER, figures=FIGURES),
        )
    ),
}
