"""The simulated invoice from renewal to its end, on compressed time."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.stripe_worlds import APRIL, HOUR, MAY, StripeWorld, unix

SECOND = timedelta(seconds=1)


@pytest.fixture
def world() -> Iterator[StripeWorld]:
    one = StripeWorld()
    yield one
    one.check_events()


def test_an_unheld_invoice_is_finalized_after_an_hour_and_charged(world: StripeWorld) -> None:
    world.use("5")
    invoice_id = world.renewed()
    world.run_until(APRIL + 2 * HOUR)
    invoice = world.get(f"invoices/{invoice_id}")
    assert invoice["status"] == "paid"
    assert invoice["status_transitions"]["finalized_at"] == unix(APRIL + HOUR)
    assert (invoice["attempted"], invoice["attempt_count"], invoice["auto_advance"]) == (True, 1, False)
    assert invoice["automatically_finalizes_at"] is None
    assert invoice["number"].endswith("-0001")
    assert [(charge.invoice, charge.amount) for charge in world.simulator.charges] == [(invoice_id, 10)]
    mine = [event["type"] for event in world.inbox.events if event["data"]["object"].get("id") == invoice_id]
    assert mine == [
        "invoice.created",
        "invoice.finalized",
        "invoice.updated",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]


def test_a_send_invoice_is_mailed_and_stays_open(world: StripeWorld) -> None:
    world.use("5")
    invoice_id = world.renewed(collection_method="send_invoice", days_until_due=14)
    world.run_until(APRIL + 2 * HOUR)
    invoice = world.get(f"invoices/{invoice_id}")
    assert (invoice["status"], invoice["due_date"]) == ("open", unix(APRIL + HOUR + timedelta(days=14)))
    assert [mail.invoice for mail in world.simulator.mail_sent] == [invoice_id]
    assert world.simulator.charges == []


@pytest.mark.parametrize("method", ["charge_automatically", "send_invoice"])
def test_a_held_invoice_goes_nowhere(world: StripeWorld, method: str) -> None:
    world.use("5")
    invoice_id = world.renewed(collection_method=method)
    held = world.post(f"invoices/{invoice_id}", auto_advance="false")
    assert (held["automatically_finalizes_at"], held["next_payment_attempt"]) == (None, None)
    world.run_until(MAY - HOUR)
    assert world.get(f"invoices/{invoice_id}")["status"] == "draft"
    world.post(f"invoices/{invoice_id}/finalize", auto_advance="false")
    world.run_until(MAY - SECOND)
    assert world.get(f"invoices/{invoice_id}")["status"] == "open"
    assert (world.simulator.charges, world.simulator.mail_sent) == ([], [])
    world.post(f"invoices/{invoice_id}", auto_advance="true")
    world.run_until(MAY)
    left = [charge.invoice for charge in world.simulator.charges]
    left += [mail.invoice for mail in world.simulator.mail_sent]
    assert left == [invoice_id]


def test_a_released_draft_gets_a_new_grace_period(world: StripeWorld) -> None:
    invoice_id = world.renewed()
    world.post(f"invoices/{invoice_id}", auto_advance="false")
    world.run_until(APRIL + 5 * HOUR)
    released = world.post(f"invoices/{invoice_id}", auto_advance="true")
    assert released["automatically_finalizes_at"] == unix(APRIL + 6 * HOUR)


def test_a_release_may_name_its_finalization_time(world: StripeWorld) -> None:
    path, asked = f"invoices/{world.renewed()}", APRIL + 3 * HOUR
    world.post(path, auto_advance="false")
    released = world.post(path, auto_advance="true", automatically_finalizes_at=unix(asked))
    assert released["automatically_finalizes_at"] == unix(asked)


def test_finalizing_with_auto_advance_lets_the_invoice_go(world: StripeWorld) -> None:
    world.use("5")
    path = f"invoices/{world.renewed()}"
    world.post(path, auto_advance="false")
    assert world.post(f"{path}/finalize", auto_advance="true")["auto_advance"] is True
    world.run_until(APRIL + HOUR)
    assert world.get(path)["status"] == "paid"


def test_finalizing_keeps_a_hold_when_nothing_else_is_asked(world: StripeWorld) -> None:
    world.use("5")
    path = f"invoices/{world.renewed()}"
    world.post(path, auto_advance="false")
    assert world.post(f"{path}/finalize")["auto_advance"] is False


def test_a_finalization_time_of_ones_own_is_kept(world: StripeWorld) -> None:
    invoice_id, asked = world.renewed(), APRIL + 24 * HOUR
    updated = world.post(f"invoices/{invoice_id}", automatically_finalizes_at=unix(asked))
    assert updated["automatically_finalizes_at"] == unix(asked)
    world.run_until(asked - SECOND)
    assert world.get(f"invoices/{invoice_id}")["status"] == "draft"
    world.run_until(asked)
    assert world.get(f"invoices/{invoice_id}")["status"] != "draft"


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"automatically_finalizes_at": unix(APRIL)}, "automatically_finalizes_at"),
        ({"automatically_finalizes_at": unix(APRIL + timedelta(days=2000))}, "automatically_finalizes_at"),
        ({"automatically_finalizes_at": unix(MAY), "auto_advance": "false"}, "automatically_finalizes_at"),
        ({"footer": "x" * 5001}, "footer"),
        ({"description": "x" * 1501}, "description"),
        ({"number": "x" * 27}, "number"),
        ({"auto_advance": "yes"}, "auto_advance"),
        ({"metadata[key]": "x" * 501}, "metadata[key]"),
        ({f"metadata[{'k' * 41}]": "x"}, f"metadata[{'k' * 41}]"),
        ({f"metadata[{place}]": "x" for place in range(51)}, "metadata"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_an_update_outside_the_limits_is_refused_and_changes_nothing(
    world: StripeWorld, params: dict[str, Any], param: str
) -> None:
    invoice_id = world.renewed()
    before = world.simulator.invoice(invoice_id)
    assert world.refused(f"invoices/{invoice_id}", **{"metadata[also]": "sent"} | params)["param"] == param
    assert world.simulator.invoice(invoice_id) == before


def test_the_limits_themselves_pass(world: StripeWorld) -> None:
    invoice_id = world.renewed()
    keys = {f"metadata[{place:040}]": "x" * 500 for place in range(50)}
    updated = world.post(f"invoices/{invoice_id}", footer="x" * 5000, **keys)
    assert (len(updated["footer"]), len(updated["metadata"])) == (5000, 50)


def test_metadata_is_merged_and_an_empty_value_deletes_a_key(world: StripeWorld) -> None:
    path = f"invoices/{world.renewed()}"
    world.post(path, **{"metadata[a]": "1", "metadata[b]": "2"})
    assert world.post(path, **{"metadata[a]": "", "metadata[c]": "3"})["metadata"] == {"b": "2", "c": "3"}
    assert world.post(path, metadata="")["metadata"] == {}


@pytest.mark.parametrize("state", ["open", "paid", "void"])
@pytest.mark.parametrize("name", ["footer", "description", "number", "collection_method", "automatically_finalizes_at"])
def test_a_finalized_invoice_refuses_frozen_fields(world: StripeWorld, state: str, name: str) -> None:
    world.use("5")
    path = f"invoices/{world.renewed()}"
    world.post(f"{path}/finalize", auto_advance="false")
    if state != "open":
        world.post(f"{path}/{'pay' if state == 'paid' else 'void'}")
    values = {"collection_method": "send_invoice", "automatically_finalizes_at": unix(MAY)}
    error = world.refused(path, **{name: values.get(name, "x"), "auto_advance": "true"})
    assert (error["code"], error["param"]) == ("invoice_not_editable", name)
    assert world.post(path, **{"metadata[a]": "1"})["metadata"] == {"a": "1"}
    assert world.post(path, **{"rendering[pdf][page_size]": "a4"})["rendering"]["pdf"] == {"page_size": "a4"}


def test_a_paid_invoice_cannot_be_advanced(world: StripeWorld) -> None:
    world.use("5")
    invoice_id = world.renewed()
    world.post(f"invoices/{invoice_id}/pay")
    assert world.refused(f"invoices/{invoice_id}", auto_advance="true")["code"] == "invoice_not_editable"


def test_only_drafts_finalize_and_only_open_invoices_are_voided(world: StripeWorld) -> None:
    world.use("5")
    path = f"invoices/{world.renewed()}"
    assert world.refused(f"{path}/void")["type"] == "invalid_request_error"
    world.post(f"{path}/finalize", auto_advance="false")
    assert world.refused(f"{path}/finalize")["code"] == "invoice_not_editable"
    assert world.post(f"{path}/void")["status"] == "void"
    assert world.refused(f"{path}/void")["param"] == "invoice"
    assert world.refused(f"{path}/pay")["type"] == "invalid_request_error"


def test_only_one_off_drafts_are_deleted(world: StripeWorld) -> None:
    one_off = world.post("invoices", customer=world.customer)
    assert (one_off["billing_reason"], one_off["auto_advance"], one_off["parent"]) == ("manual", False, None)
    assert world.http.delete(f"/v1/invoices/{one_off['id']}").json()["deleted"] is True
    assert world.http.get(f"/v1/invoices/{one_off['id']}").status_code == 404
    refused = world.http.delete(f"/v1/invoices/{world.renewed()}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invoice_not_editable")


def test_an_uncollectible_invoice_can_still_be_voided(world: StripeWorld) -> None:
    world.use("5")
    path = f"invoices/{world.renewed()}"
    world.post(f"{path}/finalize", auto_advance="false")
    assert world.post(f"{path}/mark_uncollectible")["auto_advance"] is False
    assert world.post(f"{path}/void")["status"] == "void"


def test_an_invoice_of_zero_is_paid_when_it_is_finalized(world: StripeWorld) -> None:
    invoice = world.post(f"invoices/{world.renewed()}/finalize", auto_advance="false")
    assert (invoice["status"], invoice["attempted"], invoice["amount_paid"]) == ("paid", True, 0)
    assert world.simulator.charges == []


def test_a_person_flips_auto_advance_and_the_event_names_no_key(world: StripeWorld) -> None:
    invoice_id = world.renewed()
    world.simulator.set_auto_advance_by_person(invoice_id, auto_advance=False)
    world.simulator.run_due()
    event = world.inbox.events[-1]
    assert (event["type"], event["request"]["idempotency_key"]) == ("invoice.updated", None)
    assert event["data"]["previous_attributes"]["auto_advance"] is True


def test_a_failed_payment_is_tried_again(world: StripeWorld) -> None:
    world.simulator.configure(payments_succeed=False)
    world.use("5")
    invoice_id = world.renewed()
    world.run_until(APRIL + 2 * HOUR)
    assert "invoice.payment_failed" in world.inbox.types
    world.simulator.configure(payments_succeed=True)
    world.run_until(APRIL + timedelta(days=4))
    assert world.get(f"invoices/{invoice_id}")["attempt_count"] == 2
    assert world.refused(f"invoices/{invoice_id}/mark_uncollectible")["param"] == "invoice"
    assert len(world.simulator.charges) == 1


def test_an_invoice_that_cannot_be_finalized_stays_a_draft_and_says_why(world: StripeWorld) -> None:
    world.simulator.configure(finalization_fails=True)
    path = f"invoices/{world.renewed()}"
    world.run_until(APRIL + 2 * HOUR)
    draft = world.get(path)
    assert (draft["status"], draft["automatically_finalizes_at"]) == ("draft", None)
    assert draft["last_finalization_error"]["code"] == "customer_tax_location_invalid"
    assert world.inbox.types[-1] == "invoice.finalization_failed"
    assert world.refused(f"{path}/finalize")["code"] == "customer_tax_location_invalid"
    world.simulator.configure(finalization_fails=False)
    assert world.post(f"{path}/finalize")["last_finalization_error"] is None


STEPS = ("hold", "release", "finalize", "void", "wait", "late usage", "stamp")


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(STEPS), max_size=12))
def test_nothing_leaves_while_it_is_held_whatever_happens(steps: list[str]) -> None:
    world = StripeWorld()
    world.use("5")
    path = f"invoices/{world.renewed()}"
    requests = {
        "hold": (path, {"auto_advance": "false"}),
        "release": (path, {"auto_advance": "true"}),
        "finalize": (f"{path}/finalize", {"auto_advance": "false"}),
        "void": (f"{path}/void", {}),
        "stamp": (path, {"metadata[a]": "1"}),
    }
    released = True
    for step in steps:
        left = len(world.simulator.charges)
        if step == "wait":
            world.run_until(world.clock.now() + timedelta(minutes=40))
        elif step == "late usage":
            world.use("1")
        else:
            world.http.post(f"/v1/{requests[step][0]}", data=requests[step][1])
        invoice = world.get(path)
        assert len(world.simulator.charges) == left or released
        assert bool(world.simulator.charges) is (invoice["status"] == "paid")
        planned = invoice["status"] == "draft" and invoice["auto_advance"]
        assert (invoice["automatically_finalizes_at"] is not None) is planned
        assert not (invoice["auto_advance"] and invoice["status"] in {"paid", "void"})
        released = invoice["auto_advance"]


def test_a_person_pays_a_draft(world: StripeWorld) -> None:
    world.use("5")
    invoice_id = world.renewed()
    assert world.post(f"invoices/{invoice_id}/pay")["status"] == "paid"
    assert [charge.by_person for charge in world.simulator.charges] == [True]
    assert "already paid" in world.refused(f"invoices/{invoice_id}/pay")["message"]


@pytest.mark.parametrize(("broken", "status"), [(timedelta(hours=2), "draft"), (timedelta(days=4), "open")])
def test_with_the_webhook_gate_on_finalization_waits_for_the_endpoint(
    world: StripeWorld, broken: timedelta, status: str
) -> None:
    world.simulator.configure(webhook_gate=True, payments_succeed=False)
    world.use("5")
    world.inbox.answer = lambda _: 200 if world.clock.now() >= APRIL + broken else 500
    invoice_id = world.renewed()
    world.run_until(APRIL + broken - SECOND)
    assert world.get(f"invoices/{invoice_id}")["status"] == status
    world.run_until(APRIL + broken + timedelta(hours=8))
    assert world.get(f"invoices/{invoice_id}")["status"] == "open"
