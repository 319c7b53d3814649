"""Invoices that carry our stamp, and a database that never stamped them: what is known and made of them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pacspace_stripe.cli import cli
from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.errors import NotFound
from pacspace_stripe.gate.rules.state import Waiver
from pacspace_stripe.report.rules.lines import Holding
from tests.support.databases import Databases
from tests.support.databases import Engine as Kind
from tests.support.pasts import Past, past
from tests.support.report_rows import reported

KEY = "pacspace_evidence_sha256"


@pytest.fixture
def lost(tmp_path: Path, sqlite_url: str) -> Iterator[Past]:
    """A past in which everything is stamped, before its database is lost."""
    with past(tmp_path, database_url=sqlite_url) as there:
        yield there


def stamped(made: Past, databases: Databases) -> str:
    """An invoice that carries the stamp of a database that is gone."""
    invoice_id = made.billed("100")
    made.backfill(apply=True)
    made.world.clock.advance(3600)
    made.new_database(databases.new(Kind.SQLITE))
    made.backfill(apply=True)
    return invoice_id


def evidence(made: Past, *arguments: str) -> Result:
    environment = {"PACSPACE_STRIPE_DATABASE_URL": made.world.database_url or ""}
    return CliRunner().invoke(cli, ["evidence", *arguments], env=environment)


def test_a_second_comparison_is_evidence_of_its_own_and_not_the_stamped_one(lost: Past, databases: Databases) -> None:
    invoice_id = stamped(lost, databases)
    on_it = lost.metadata(invoice_id)[KEY]
    (link,) = lost.world.app.store.chains.of_job(invoice_id)
    assert link.sha256 != on_it
    shown = evidence(lost, invoice_id)
    assert shown.exit_code == 0
    assert shown.stdout.startswith(f"{invoice_id}  matched (EXACT)\n")
    assert f"carries the stamp of evidence {on_it}, which is not in this database" in shown.stderr
    assert "it is not what is stamped" in shown.stderr
    exact = evidence(lost, invoice_id, "--json")
    assert hashlib.sha256(exact.stdout_bytes).hexdigest() == link.sha256
    # and another check adds nothing
    lost.backfill(apply=True)
    lost.world.app.checker.check(invoice_id)
    assert lost.world.app.store.chains.of_job(invoice_id) == [link]


def test_no_document_is_made_that_the_stamp_would_not_vouch_for(lost: Past, databases: Databases) -> None:
    invoice_id = stamped(lost, databases)
    app = lost.world.app
    for make in (lambda: app.statements.of_invoice(invoice_id).pdf, lambda: app.invoice_stamper.stamp(invoice_id)):
        with pytest.raises(NotFound, match=f"the one that {invoice_id} names is not in this database") as refused:
            make()
        assert "Set PACSPACE_STRIPE_DATABASE_URL to where it was stamped from" in refused.value.hint


def test_the_report_shows_an_adopted_invoice_as_matched(lost: Past, databases: Databases) -> None:
    invoice_id = stamped(lost, databases)
    (line,) = [line for line in reported(lost.world).lines if line.invoice_id == invoice_id]
    assert (line.state.verdict, line.holding) == (Verdict.MATCHED, Holding.NO)


def test_an_old_hash_that_a_person_removed_comes_back(lost: Past, databases: Databases) -> None:
    invoice_id = stamped(lost, databases)
    before = lost.metadata(invoice_id)
    (link,) = lost.world.app.store.chains.of_job(invoice_id)
    del lost.world.stripe.account.invoices[invoice_id].metadata[KEY]
    lost.backfill(apply=True)
    assert lost.metadata(invoice_id) == before
    assert lost.world.app.store.chains.of_job(invoice_id) == [link]


def test_the_hash_comes_back_unchanged_with_its_own_database(lost: Past) -> None:
    invoice_id = lost.billed("100")
    lost.backfill(apply=True)
    before = lost.metadata(invoice_id)
    del lost.world.stripe.account.invoices[invoice_id].metadata[KEY]
    lost.backfill(apply=True)
    assert lost.metadata(invoice_id) == before


def test_a_waiver_of_a_lost_database_has_no_evidence(lost: Past, databases: Databases) -> None:
    waived = lost.billed("100", "90")
    waiver = Waiver(reason="agreed by phone", by="jane", at=lost.world.clock.now(), figures={})
    lost.world.app.checker.check(waived, waiver=waiver)
    lost.new_database(databases.new(Kind.SQLITE))
    lost.backfill(apply=True)
    assert lost.world.app.store.chains.of_job(waived) == []
    assert isinstance(evidence(lost, waived).exception, NotFound)
    assert f"the one that {waived} names is not in this database" in str(evidence(lost, waived).exception)


def test_an_invoice_that_was_never_compared_is_still_distinguished(lost: Past) -> None:
    done = evidence(lost, "in_unknown")
    assert "it was not compared yet" in str(done.exception)
