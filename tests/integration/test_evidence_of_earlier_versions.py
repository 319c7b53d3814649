"""A database in which an earlier version wrote evidence: lines by their ids alone, and no confirmations."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pacspace_stripe.cli import cli
from pacspace_stripe.evidence.rules.document import Evidence, confirmation
from pacspace_stripe.verify import OnlineServices, StepOutcome, VerificationReport, verify
from pacspace_stripe.vocabulary.canonical_json import canonical, digest
from tests.support.examples import left, usage
from tests.support.received_documents import MADE_AT
from tests.support.worlds import World, world


def older(document: dict[str, Any]) -> dict[str, Any]:
    """Return the decision in the shape that the earlier version wrote."""
    windows = [
        {name: value for name, value in window.items() if name != "lines"}
        | {"line_items": [line["id"] for line in window["lines"]]}
        for window in document["windows"]
    ]
    kept = {name: value for name, value in document.items() if name not in ("confirms", "chain", "decided_at")}
    return kept | {"windows": windows}


def decision(town: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(town.app.store.chains.decision_of(town.invoice_id).document)
    return found


def append_older(town: World, core: dict[str, Any]) -> Evidence:
    chain = core["subscription"]
    return town.app.store.chains.append(core, chain=chain, job_id=core["invoice"], decided_at=town.clock.now())


def first_link_by_an_earlier_version(folder: Path, town: World) -> None:
    """Make the chain's first link one of last month's invoice by the earlier version."""
    with world(folder / "before") as before:
        before.subscribe()
        before.use("7")
        core = older(decision(before.run()))
    append_older(town, core | {"invoice": "in_before", "subscription": town.subscribe()})


def bundle_of(folder: Path, town: World) -> VerificationReport:
    path = folder / "bundle.zip"
    path.write_bytes(town.app.dispute_bundles.of_invoice(town.invoice_id, made_at=MADE_AT).content)
    return verify(str(path), OnlineServices())


def outcomes(report: VerificationReport) -> list[StepOutcome]:
    return [step.result.outcome for step in report.steps]


def test_a_chain_that_an_earlier_version_began_is_whole(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    with world(tmp_path) as town:
        first_link_by_an_earlier_version(tmp_path, town)
        town.use("100")
        report = bundle_of(tmp_path, town.run())
    assert report.outcome is StepOutcome.CANNOT_TELL, report
    assert outcomes(report)[1:4] == [StepOutcome.CANNOT_TELL, StepOutcome.HOLDS, StepOutcome.HOLDS]
    assert "evidence/0001.json was written by an earlier version" in report.steps[1].result.detail
    assert "3 links" in report.steps[2].result.detail


def test_a_decision_of_an_earlier_version_is_shown_and_nothing_crashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = World(tmp_path)
    town.subscribe()
    town.use("100")
    town.run()
    made = append_older(town, older(decision(town)))
    assert town.app.store.chains.decision_of(town.invoice_id) == made
    assert town.app.statements.of_invoice(town.invoice_id).pdf.startswith(b"%PDF")
    assert town.app.invoice_stamper.stamp(town.invoice_id).evidence_sha256 != made.sha256
    report = bundle_of(tmp_path, town)
    invoice = town.invoice_id
    town.app.close()
    assert report.outcome is StepOutcome.CANNOT_TELL, report
    assert StepOutcome.REFUTED not in outcomes(report)
    monkeypatch.setenv("PACSPACE_STRIPE_DATABASE_URL", f"sqlite:///{tmp_path / 'world.db'}")
    for options in ([], ["--all"], ["--json"], ["--all", "--json"]):
        done = CliRunner().invoke(cli, ["evidence", invoice, *options])
        assert done.exit_code == 0, done.output


def test_a_decision_of_an_earlier_version_is_not_confirmed(tmp_path: Path) -> None:
    with world(tmp_path) as town:
        town.subscribe()
        town.use("100")
        document = decision(town.run())
    data = canonical(older(document))
    assert confirmation(Evidence(sha256=digest(data), document=data), left(), [usage()]) is None
