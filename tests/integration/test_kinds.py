"""Unknown kinds of Stripe's objects: every command holds and names them, and never takes them for no usage."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from pacspace_stripe.comparison.rules.verdicts import Finding, Reason
from pacspace_stripe.explain.meter_account import BillingScope
from pacspace_stripe.gate.early_warning import upcoming_job_id
from pacspace_stripe.gate.rules.state import Waiver
from pacspace_stripe.vocabulary.invoices import Invoice
from tests.integration.test_gate import kinds, verdict
from tests.support.openapi.rules import object_problems
from tests.support.pasts import past
from tests.support.worlds import PERIOD_END, World, world

Json = dict[str, Any]
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@dataclass
class Reworded(World):
    """A world in which Stripe's answers have another word, in every object of one kind, however deep."""

    kind: str = ""
    change: Callable[[Json], Any] = dict
    validated: bool = False

    def close(self) -> None:
        self.app.close()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        response = super()._answer(request)
        if not self.kind or request.method != "GET":
            return response
        body = json.loads(response.content)
        self._reword(body)
        return httpx.Response(response.status_code, json=body)

    def _reword(self, data: object) -> None:
        if isinstance(data, dict) and data.get("object") == self.kind:
            self.change(data)
        for inner in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
            self._reword(inner)


def said(*path: str, word: object) -> Callable[[Json], None]:
    """Set the value at a path."""

    def change(found: Json) -> None:
        *outer, last = path
        for name in outer:
            found[name] = found[name] or {}
            found = found[name]
        found[last] = word

    return change


def finding_of(made: World) -> tuple[Invoice, Finding]:
    comparer = made.app.checker.services.comparer.with_meter_reads(made.memory().reads)
    invoice = made.app.stripe.read_invoice(made.invoice_id)
    return invoice, comparer.compare(invoice, comparer.usages(invoice), finalized_by_us=True)


def stays_held_and_named(tmp_path: Path, kind: str, change: Callable[[Json], Any], named: str) -> None:
    with closing(Reworded(tmp_path, kind=kind, change=change)) as made:
        made.subscribe()
        made.use("100")
        made.run(DAY)
        assert verdict(made) == ("unproven", "UNKNOWN_SHAPE")
        assert named in made.memory().detail
        assert made.left == set()


WORDS = [
    pytest.param("price", said("recurring", "usage_type", word="guessed"), "usage_type=guessed", id="usage type"),
    pytest.param("price", said("billing_scheme", word="sloped"), "billing_scheme=sloped", id="billing scheme"),
    pytest.param("price", said("tiers_mode", word="stepped"), "tiers_mode=stepped", id="tiers mode"),
    pytest.param(
        "price", said("transform_quantity", word={"divide_by": 5, "round": "even"}), "transform_quantity.round=even",
        id="rounding",
    ),
    pytest.param(
        "billing.meter", said("default_aggregation", "formula", word="mean"), "default_aggregation.formula=mean",
        id="formula",
    ),
    pytest.param("billing.meter", said("event_time_window", word="week"), "event_time_window=week", id="event window"),
    pytest.param("billing.meter", said("status", word="asleep"), "status=asleep", id="meter status"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "change", "named"), WORDS)
def test_an_unknown_word_about_a_price_or_meter_holds_and_is_named(
    tmp_path: Path, kind: str, change: Callable[[Json], None], named: str
) -> None:
    stays_held_and_named(tmp_path, kind, change, named)


@pytest.mark.parametrize(("kind", "change", "named"), WORDS)
def test_the_early_warning_does_not_take_an_unknown_word_for_nothing_metered(
    tmp_path: Path, kind: str, change: Callable[[Json], None], named: str
) -> None:
    with closing(Reworded(tmp_path, kind=kind, change=change)) as made:
        subscription = made.subscribe()
        made.use("100")
        made.stripe.send_upcoming(subscription)
        made.settle()
        early = made.memory(upcoming_job_id(subscription, PERIOD_END))
        assert (early.verdict, early.reason) == ("unproven", "UNKNOWN_SHAPE")
        assert named in early.detail


def test_the_sweep_warns_of_an_unknown_usage_type_and_collection_method_too(tmp_path: Path) -> None:
    def change(found: Json) -> None:
        if found["object"] == "subscription":
            found["collection_method"] = "by_pigeon"
            for item in found["items"]["data"]:
                item["price"]["recurring"]["usage_type"] = "guessed"

    with closing(Reworded(tmp_path, {"PACSPACE_STRIPE_WARNING": "3d"}, kind="subscription", change=change)) as made:
        subscription = made.subscribe()
        assert upcoming_job_id(subscription, PERIOD_END) in made.app.sweep.run(widely=True)


def test_an_inactive_meter_is_compared_and_named_in_the_explanation(tmp_path: Path) -> None:
    with closing(Reworded(tmp_path, kind="billing.meter", change=said("status", word="inactive"))) as made:
        made.subscribe()
        made.bill("100")
        made.record("130")
        made.run(DAY)
        assert verdict(made) == ("drifted", "UNDERBILLED")
        invoice, finding = finding_of(made)
        [found] = made.app.explainer.explain_all(BillingScope.of_invoice(invoice), finding)
        assert "its meter is inactive: Stripe rejects every event for it" in found.notes


def test_the_sweep_finds_an_invoice_of_an_unknown_status(tmp_path: Path) -> None:
    with closing(Reworded(tmp_path, kind="invoice", change=said("status", word="asleep"))) as made:
        made.stripe.set_webhook(enabled_events=["customer.created"])
        made.subscribe()
        made.use("100")
        made.run(3 * HOUR)
        assert made.stripe.invoices(status="draft") == []
        assert made.invoice_id in made.app.sweep.run(widely=True)
        made.settle()
        assert "alert:unknown_status:EXACT" in kinds(made)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("collection_method", None),
        ("attempt_count", None),
        ("status_transitions", None),
        ("customer", None),
        ("billing_reason", 5),
        ("test_clock", 5),
    ],
)
def test_an_invoice_with_something_unreadable_is_held(tmp_path: Path, field: str, value: object) -> None:
    with closing(Reworded(tmp_path, kind="invoice", change=said(field, word=value))) as made:
        made.subscribe()
        made.use("100")
        made.run(DAY)
        assert made.memory().verdict == "unproven"
        assert made.memory().held
        assert field in str(made.memory().windows) + made.memory().detail
        assert made.left == set()


@pytest.mark.parametrize("settings", [{}, {"PACSPACE_STRIPE_FAIL": "open"}], ids=["closed", "open"])
def test_an_invoice_without_usage_leaves_once_its_kind_is_known(tmp_path: Path, settings: dict[str, str]) -> None:
    """Release a precautionary hold once the invoice is known to have no metered lines."""
    change = said("parent", word={"type": "rate_card_details"})
    with closing(Reworded(tmp_path, settings, kind="line_item", change=change)) as made:
        made.subscribe(prices=[made.stripe.add_price()])
        made.run(6 * HOUR)
        assert verdict(made) == ("unproven", "UNKNOWN_SHAPE")
        assert made.left == set()
        made.kind = ""
        made.run(DAY)
        assert made.memory().detail == "nothing metered"
        assert made.left == {made.invoice_id}


def test_a_metronome_invoice_leaves_once_its_items_are_marked_as_no_usage(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        metronome_fee(made)
        made.run(HOUR)
        assert made.memory().held
        made.restart(PACSPACE_STRIPE_USAGE_ITEMS="amount=-")
        made.run(DAY)
        assert made.left == {made.invoice_id}


def test_a_metronome_invoice_stays_held_when_its_name_is_removed(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        metronome_fee(made)
        made.run(HOUR)
        made.stripe.account.invoices[made.invoice_id].metadata.pop("metronome_invoice_id")
        made.run(2 * DAY)
        assert made.memory().held
        assert made.left == set()


def metronome_fee(made: World) -> None:
    made.stripe.add_customer("cus_acme", name="Acme")
    made.stripe.push_invoice(
        "cus_acme", [{"quantity": 1, "amount": 900}], metadata={"metronome_invoice_id": "8deed800"}
    )


def test_a_person_releases_an_unknown_kind_with_a_reason(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe()
        made.use("100")
        made.stripe.add_invoice_item(subscription, amount=500, quantity=7, kind="rate_card")
        made.run(DAY)
        assert made.left == set()
        made.app.checker.check(
            made.invoice_id, waiver=Waiver(by="ann", reason="compared by hand", at=made.clock.now(), figures={})
        )
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert made.invoice()["metadata"]["pacspace_verdict"] == "waived"


@pytest.mark.parametrize(
    ("kind", "change", "named"),
    [
        pytest.param("line_item", lambda line: line.pop("pricing"), "pricing is missing", id="no pricing"),
        pytest.param("line_item", lambda line: line.pop("parent"), "parent is missing", id="no parent"),
        pytest.param("line_item", said("quantity_decimal", word="many"), "quantity_decimal", id="no number"),
        pytest.param("line_item", said("period", word=None), "period", id="no period"),
        pytest.param("line_item", lambda line: line.pop("id"), "id is missing", id="no id"),
        pytest.param("invoice", lambda invoice: invoice.pop("parent"), "parent is missing", id="no parent at all"),
        pytest.param("invoice", said("parent", "type", word=None), "type is null", id="a parent without a type"),
    ],
)  # fmt: skip
def test_an_unreadable_line_does_not_release_its_invoice(
    tmp_path: Path, kind: str, change: Callable[[Json], Any], named: str
) -> None:
    stays_held_and_named(tmp_path, kind, change, named)


def test_an_unknown_kind_is_held_while_prices_cannot_be_read(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe()
        priced = made.stripe.add_price(None, unit_amount=500)
        made.stripe.add_invoice_item(subscription, amount=500, kind="rate_card")
        made.stripe.add_invoice_item(subscription, amount=500, price=priced)
        made.stripe.add_fault("500", endpoint="GET /v1/prices/{id}", times=40)
        made.stripe.invoice_pending("cus_acme")
        made.run(HOUR)
        assert "alert:held_unread" in kinds(made)
        assert made.left == set()


@pytest.mark.parametrize("apply", [False, True])
def test_a_backfill_does_not_list_an_unknown_kind_as_nothing_metered(
    tmp_path: Path, sqlite_url: str, *, apply: bool
) -> None:
    with past(tmp_path, database_url=sqlite_url) as made:
        invoice_id = made.fixed()
        for line in made.world.stripe.account.invoices[invoice_id].lines:
            line.kind = "rate_card"
        found = made.backfill(apply=apply)
        assert found.outcomes() == {invoice_id: "unproven"}
        assert found.rows[invoice_id].result.reason is Reason.UNKNOWN_SHAPE


def test_the_simulator_writes_preview_kinds_as_the_preview_describes_them(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe()
        for kind in ("rate_card", "license_fee"):
            made.stripe.add_invoice_item(subscription, amount=500, kind=kind)
        invoice = made.stripe.invoice(made.stripe.invoice_pending("cus_acme", by_cadence=True))
        assert object_problems(invoice) == []
        assert invoice["parent"]["type"] == "billing_cadence_details"
        assert [line["parent"]["type"] for line in invoice["lines"]["data"]] == [
            "rate_card_subscription_details",
            "pricing_plan_subscription_details",
        ]
