"""The link that confirms a decision is written under the invoice's lease only."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pacspace_stripe.errors import LeaseLost
from pacspace_stripe.evidence.rules.document import confirmation_of
from pacspace_stripe.gate.stripe_writes import StripeWrites
from pacspace_stripe.store import JobKind, JobLease
from pacspace_stripe.vocabulary.invoices import InvoiceStatus
from tests.support.worlds import World

LEASE = timedelta(seconds=30)


def actor(town: World, leased: JobLease) -> StripeWrites:
    app = town.app
    return StripeWrites(
        stripe=app.stripe,
        store=app.store,
        rendering=app.checker.services.rendering,
        leased=leased,
        now=town.clock.now(),
    )


def lease(town: World) -> JobLease:
    found = town.app.store.jobs.acquire(JobKind.INVOICE, town.invoice_id, LEASE)
    assert found is not None
    return found


def test_a_check_whose_lease_is_gone_confirms_nothing(tmp_path: Path) -> None:
    town = World(tmp_path)
    town.subscribe()
    town.bill("100")
    town.record("90")
    town.run()
    chains = town.app.store.chains
    before = chains.of_job(town.invoice_id)
    decided = chains.decision_of(town.invoice_id)
    final = replace(town.app.stripe.read_invoice(town.invoice_id), status=InvoiceStatus.OPEN)
    late = lease(town)
    town.clock.advance(LEASE.total_seconds() + 1)
    with pytest.raises(LeaseLost):
        actor(town, late).confirm(final, decided.sha256, [])
    assert chains.of_job(town.invoice_id) == before
    actor(town, lease(town)).confirm(final, decided.sha256, [])
    assert confirmation_of(chains.of_job(town.invoice_id), decided.sha256) is not None
    town.app.close()
