"""Our writes to Stripe: one request each, under a fresh key, and never without the lease."""

from datetime import timedelta

import pytest

from pacspace_stripe.errors import (
    LeaseLost,
)
from pacspace_stripe.stripe_api import OUR_KEY_PREFIX
from pacspace_stripe.vocabulary.invoices import InvoiceStatus
from tests.support.stripe_api_world import END, ApiWorld

# Writing


def test_one_request_changes_everything_that_is_given() -> None:
    world = ApiWorld()
    invoice_id = world.draft()
    at = END + timedelta(hours=24, microseconds=5)
    world.api.update_invoice(
        invoice_id,
        auto_advance=True,
        automatically_finalizes_at=at,
        metadata={"pacspace_verdict": "matched", "old": ""},
        footer="Ünïted\nFooter & more",
    )
    assert world.asked() == [f"POST /v1/invoices/{invoice_id}"]
    invoice = world.api.read_invoice(invoice_id)
    assert invoice.footer == "Ünïted\nFooter & more"
    assert invoice.metadata == {"pacspace_verdict": "matched"}
    assert invoice.automatically_finalizes_at == END + timedelta(hours=24)


def test_only_what_is_given_is_sent() -> None:
    world = ApiWorld()
    world.api.update_invoice(world.draft(), auto_advance=False)
    assert world.seen[0].content == b"auto_advance=false"


def test_an_empty_footer_clears_it_and_an_empty_value_deletes_a_key() -> None:
    world = ApiWorld()
    invoice_id = world.draft()
    world.api.update_invoice(invoice_id, footer="x", metadata={"a": "1", "b": "2"})
    world.api.update_invoice(invoice_id, footer="", metadata={"a": ""})
    invoice = world.api.read_invoice(invoice_id)
    assert (invoice.footer or "", dict(invoice.metadata)) == ("", {"b": "2"})


def test_an_update_without_changes_is_an_error() -> None:
    world = ApiWorld()
    with pytest.raises(ValueError, match="nothing to change"):
        world.api.update_invoice(world.draft(), metadata={})


def test_finalizing_lets_stripe_do_nothing_more() -> None:
    world = ApiWorld()
    world.use("5")
    invoice_id = world.draft()
    world.api.finalize_invoice(invoice_id)
    assert world.seen[0].content == b"auto_advance=false"
    world.clock.advance(timedelta(days=3))
    world.stripe.run_due()
    invoice = world.api.read_invoice(invoice_id)
    assert (invoice.status, invoice.auto_advance, invoice.attempted) == (InvoiceStatus.OPEN, False, False)
    assert invoice.number
    assert invoice.finalized_at == END + timedelta(minutes=1)


def test_every_write_has_a_fresh_key_of_ours() -> None:
    world = ApiWorld()
    invoice_id = world.draft()
    for _ in range(2):
        world.api.update_invoice(invoice_id, auto_advance=False)
    world.api.finalize_invoice(invoice_id)
    keys = [request.headers["Idempotency-Key"] for request in world.seen]
    assert len(set(keys)) == 3
    assert all(key.startswith(OUR_KEY_PREFIX) and len(key) == len(OUR_KEY_PREFIX) + 32 for key in keys)
    ours = [
        event["request"]["idempotency_key"] for event in world.stripe.events if event["type"] == "invoice.finalized"
    ]
    assert ours == [keys[2]]


def test_a_write_whose_answer_was_lost_is_done_once() -> None:
    world = ApiWorld()
    invoice_id = world.draft()
    world.stripe.faults.add("lost_reply", endpoint="POST /v1/invoices/{id}/finalize", times=1)
    world.api.finalize_invoice(invoice_id)
    assert len({request.headers["Idempotency-Key"] for request in world.seen}) == 1
    assert len(world.seen) == 2
    assert [event["type"] for event in world.stripe.events].count("invoice.finalized") == 1


def test_no_write_leaves_without_the_lease() -> None:
    world = ApiWorld()
    invoice_id = world.draft()

    def lost() -> None:
        message = "the lease is gone"
        raise LeaseLost(message)

    with world.transport.guarded(lost):
        world.api.read_invoice(invoice_id)
        with pytest.raises(LeaseLost):
            world.api.update_invoice(invoice_id, auto_advance=False)
        with pytest.raises(LeaseLost):
            world.api.finalize_invoice(invoice_id)
    assert world.asked() == [f"GET /v1/invoices/{invoice_id}"]
