"""Correction plans, carried out on the simulators as a person would: the two sides then agree."""

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pacspace_stripe.cli.ledger import ledger
from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.explain.meter_account import BillingScope
from pacspace_stripe.explain.rules.correction_plan import plan
from pacspace_stripe.explain.rules.corrections import Correction, CorrectionKind
from pacspace_stripe.simulator.planted_faults import Extent, PlantedKind, PlantedMonth, plant
from tests.support.generated.attempts import folder
from tests.support.planted_faults import Played, empty_database, played

API_KEY = {"Authorization": "Bearer sk_test_simulator"}
EVENTS = {CorrectionKind.METER_EVENT, CorrectionKind.LEDGER_RECORD, CorrectionKind.LEDGER_ADJUSTMENT}


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    where = folder()
    yield empty_database(where)
    shutil.rmtree(where, ignore_errors=True)


def drafts(kind: PlantedKind, side: str) -> Iterator[PlantedMonth]:
    """Yield drafts of months with this fault in a part of them: a whole side with the opposite sign is a setting."""
    months = (plant(seed, kind) for seed in range(1000))
    part = (month for month in months if month.planted.extent is not Extent.ALL)
    yield from (month for month in part if not month.month.final and month.planted.on == side)


def stripe_answers(world: Played, command: str) -> httpx.Response:
    """Send what ``curl`` would have sent."""
    words = shlex.split(command)
    assert words[:1] == ["curl"]
    fields = [words[place + 1].partition("=") for place, word in enumerate(words) if word in ("-d", "--data-urlencode")]
    data = {name: value for name, _, value in fields}
    return world.stripe(httpx.Request("POST", words[1], data=data, headers=API_KEY))


def ledger_answers(world: Played, command: str) -> httpx.Response:
    """Send what ``pacspace-stripe ledger record`` would have sent."""
    given = ledger.commands["record"].make_context("record", shlex.split(command)[3:]).params
    body = {
        "customerId": given["customer"],
        "delta": float(given["delta"]),
        "reason": given["reason"],
        "referenceId": given["reference"],
        "metadata": dict(given["metadata"]),
    }
    if given["adjusts_record"]:
        body["adjusts"] = {"recordId": given["adjusts_record"]}
    headers = {"X-Api-Key": "pk_test_simulator.secret", "Content-Type": "application/json"}
    address = "http://127.0.0.1:2/api/v1/balance/delta"
    return world.pacspace(httpx.Request("POST", address, content=json.dumps(body), headers=headers))


def carried_out(world: Played, corrections: tuple[Correction, ...]) -> None:
    for one in corrections:
        if one.kind in EVENTS:
            stripe = one.kind is CorrectionKind.METER_EVENT
            answer = stripe_answers(world, one.command) if stripe else ledger_answers(world, one.command)
            assert answer.is_success, answer.text
    world.clock.advance(3600)


@pytest.mark.parametrize(
    ("kind", "side"),
    [
        (PlantedKind.LOST, "stripe"),
        (PlantedKind.DOUBLED, "stripe"),
        (PlantedKind.SIGN, "stripe"),
        (PlantedKind.LOST, "ledger"),
        (PlantedKind.DOUBLED, "ledger"),
        (PlantedKind.SIGN, "ledger"),
    ],
)
def test_a_draft_whose_plan_was_carried_out_matches(kind: PlantedKind, side: str, template: Path) -> None:
    month = next(drafts(kind, side))
    with played(month, template, attribution="usage_time") as world:
        invoice, finding = world.compared(month.planted.customer)
        assert finding.verdict is Verdict.DRIFTED
        (explanation,) = world.app.explainer.explain_all(BillingScope.of_invoice(invoice), finding)
        policy = world.app.settings.policy
        carried_out(world, plan(explanation, invoice=invoice, now=world.clock.now(), policy=policy))
        _, after = world.compared(month.planted.customer)
    assert after.verdict is Verdict.MATCHED, after.detail
