"""Expectations of a scenario: assertions that it ended as its row describes."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from pacspace_stripe.explain.meter_account import BillingScope
from pacspace_stripe.explain.rules.correction_plan import plan
from pacspace_stripe.explain.rules.explanation import Explanation, Side
from pacspace_stripe.gate.early_warning import upcoming_job_id
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.store import JobKind
from pacspace_stripe.vocabulary.windows import iso
from tests.support.scenarios.tables import Expected, ExpectedPlace, ExpectedWindow, Scenario
from tests.support.worlds import World

_UPCOMING = "upcoming "
_OF_CUSTOMER = "invoice of "


def judge(world: World, scenario: Scenario, expected: Expected, ids: Mapping[str, str]) -> None:
    """Assert what one expectation names; verdict and figures first, since they show best what went wrong."""
    job = _job(world, scenario, expected.of)
    memory = world.memory(job)
    seen = f"{memory.verdict} {memory.reason}: {memory.detail}"
    assert memory.verdict == expected.verdict, seen
    assert expected.reason in (None, memory.reason), seen
    assert _named(expected.says, ids) in memory.detail
    _judge_windows(memory, expected.windows)
    if expected.calls is not None:
        assert len(world.ledger_calls()) <= expected.calls, world.ledger_calls()
    if not job.startswith(f"{JobKind.UPCOMING.value}:"):
        _judge_invoice(world, job, expected)
        _judge_explanation(world, job, expected, ids)


def _job(world: World, scenario: Scenario, of: str | None) -> str:
    if of is None:
        return world.invoice_id
    if of.startswith(_UPCOMING):
        named = of.removeprefix(_UPCOMING)
        return next(upcoming_job_id(each.id, each.end) for each in scenario.subscriptions if each.id == named)
    if of.startswith(_OF_CUSTOMER):
        made = world.stripe.invoices(customer=of.removeprefix(_OF_CUSTOMER))
        return next(each for each in reversed(made) if world.stripe.account.invoices[each].subscription is None)
    subscription, _, place = of.partition("/")
    return world.stripe.invoices(subscription=subscription)[int(place) if place else -1]


def _named(text: str, ids: Mapping[str, str]) -> str:
    for name, an_id in ids.items():
        text = text.replace(f"{{{name}}}", an_id)
    return text


def _judge_windows(memory: InvoiceState, expected: Iterable[ExpectedWindow] | None) -> None:
    if expected is None:
        return
    shown = [{**window} for window in memory.windows]
    _pair([_given(each) for each in expected], shown)


def _given(row: ExpectedWindow | ExpectedPlace) -> dict[str, Any]:
    return {name: value for name, value in row.model_dump().items() if value is not None}


def _pair(expected: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
    """Assert that each expected row was found, and that there are no more."""
    left = list(found)
    for row in expected:
        match = next((each for each in left if all(_same(value, each.get(name)) for name, value in row.items())), None)
        assert match is not None, f"nothing like {row} in {left}"
        left.remove(match)
    assert left == [], f"not expected: {left}"


def _same(expected: object, found: object) -> bool:
    match expected:
        case Decimal():
            return isinstance(found, str | Decimal) and Decimal(found) == expected
        case datetime():
            return found in (expected, iso(expected))
        case tuple():
            return isinstance(found, tuple) and sorted(expected) == sorted(found)
        case _:
            return expected == found


def _judge_invoice(world: World, invoice_id: str, expected: Expected) -> None:
    invoice = world.invoice(invoice_id)
    left = expected.verdict == "matched" if expected.left is None else expected.left
    gone = invoice_id in world.left or invoice["status"] == "paid"
    assert gone is left, f"it is {invoice['status']}"
    if expected.status is not None:
        assert invoice["status"] == expected.status
    stamped = {name: invoice["metadata"].get(name) for name in expected.stamped}
    assert stamped == expected.stamped


def _judge_explanation(world: World, invoice_id: str, expected: Expected, ids: Mapping[str, str]) -> None:
    if expected.located is None and expected.plan is None:
        return
    invoice = world.app.stripe.read_invoice(invoice_id)
    comparer = world.app.checker.services.comparer.with_meter_reads(world.memory(invoice_id).reads)
    finding = comparer.compare(invoice, comparer.usages(invoice), finalized_by_us=True)
    explanations = world.app.explainer.explain_all(BillingScope.of_invoice(invoice), finding)
    if expected.located is not None:
        named = [{**_given(each), **_records(each, ids)} for each in expected.located]
        _pair(named, [place for each in explanations for place in _places(each)])
    if expected.plan is not None:
        now, policy = world.clock.now(), world.app.settings.policy
        plans = [plan(each, invoice=invoice, now=now, policy=policy) for each in explanations]
        assert sorted(each.kind for planned in plans for each in planned) == sorted(expected.plan)


def _records(row: ExpectedPlace, ids: Mapping[str, str]) -> dict[str, Any]:
    return {} if row.records is None else {"records": tuple(ids.get(each, each) for each in row.records)}


def _places(explanation: Explanation) -> list[dict[str, Any]]:
    said = {
        "cause": explanation.cause.value,
        "meter": explanation.meter,
        "counterpart": explanation.counterpart,
        "factor": explanation.factor,
    }
    places = [
        {
            **said,
            "start": each.window.start,
            "end": each.window.end,
            "meter": each.meter,
            "billed": each.billed,
            "recorded": each.recorded,
            "records": tuple(one.record_id for one in each.records if one.side is Side.LEDGER),
        }
        for each in explanation.located
    ]
    return places or [said]
