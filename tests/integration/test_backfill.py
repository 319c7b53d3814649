"""The backfill in one process, on both databases: what becomes of invoices of the past."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pasts import Past, past


@pytest.fixture
def made(tmp_path: Path, database_url: str) -> Iterator[Past]:
    with past(tmp_path, database_url=database_url) as there:
        yield there


def everything_written(made: Past) -> list[str]:
    """Requests that changed anything at either vendor; a comparison changes nothing."""
    ledger = [one for one in made.world.ledger_calls() if one.startswith("POST") and not one.endswith("/compare")]
    return made.world.writes() + ledger


def test_a_dry_run_judges_everything_and_writes_nothing(made: Past) -> None:
    matched, drifted = made.billed("100"), made.billed("100", "90", customer="cus_b")
    unproven, fixed = made.billed("7", customer="cus_c", verified=False), made.fixed()
    found = made.backfill()
    assert found.outcomes() == {
        matched: "matched",
        drifted: "drifted",
        unproven: "unproven",
        fixed: "nothing metered",
    }
    assert everything_written(made) == []
    assert made.world.app.store.subjects.invoices() == []
    assert (found.tally.stamped, found.tally.unchanged) == (3, 0)


def test_applied_it_stamps_metadata_and_nothing_else(made: Past) -> None:
    matched, drifted = made.billed("100"), made.billed("100", "90", customer="cus_b")
    before = {one: made.world.invoice(one) for one in (matched, drifted)}
    found = made.backfill(apply=True)
    assert found.outcomes() == {matched: "matched", drifted: "drifted"}
    assert made.metadata(matched)["pacspace_verdict"] == "matched"
    assert made.metadata(matched)["pacspace_proof_root"]
    assert made.metadata(drifted)["pacspace_verdict"] == "drifted"
    for one, was in before.items():
        assert {**made.world.invoice(one), "metadata": {}} == {**was, "metadata": {}}
    assert made.world.writes() == ["POST /v1/invoices/{id}"] * 2
