"""Evidence chains: append-only, without gaps and forks."""

import json

import pytest
import sqlalchemy as sa

from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import Store
from tests.support.stores import LOST_AFTER, START, append, at_once, normal


def test_every_link_names_the_one_before(store: Store) -> None:
    hashes = [append(store, number) for number in range(3)]
    links = [json.loads(link.document)["chain"] for link in store.chains.of_job("in_1")]
    assert [link["sequence"] for link in links] == [1, 2, 3]
    assert [link["previous_sha256"] for link in links] == [None, *hashes[:-1]]


def test_every_chain_has_its_own_first_link(store: Store) -> None:
    append(store, chain="sub_1")
    append(store, chain="sub_2", job_id="in_2")
    (link,) = store.chains.of_job("in_2")
    assert json.loads(link.document)["chain"] == {"id": "sub_2", "sequence": 1, "previous_sha256": None}


def test_a_chain_continues_from_invoice_to_invoice(store: Store) -> None:
    first = append(store, job_id="in_1")
    append(store, job_id="in_2")
    (link,) = store.chains.of_job("in_2")
    assert json.loads(link.document)["chain"]["previous_sha256"] == first


def test_a_repeated_decision_appends_no_link(store: Store) -> None:
    assert len({append(store) for _ in range(3)}) == 1
    assert len(store.chains.of_job("in_1")) == 1


def test_a_decision_that_changed_in_between_appends_a_link(store: Store) -> None:
    assert len({append(store, number) for number in (1, 2, 1)}) == 3


def test_evidence_comes_back_to_the_byte(store: Store) -> None:
    sealed = store.chains.append(
        {"decision": {}, "text": "ß \u2028 東京"}, chain="sub_1", job_id="in_1", decided_at=START
    )
    assert store.chains.of_job("in_1") == [sealed]


def test_a_chain_has_no_gap_and_no_fork_when_many_append_at_once(store: Store) -> None:
    hashes = at_once(lambda number: append(store, number), times=48)
    assert len(set(hashes)) == 48
    links = store.chains.of_job("in_1")
    places = [json.loads(link.document)["chain"] for link in links]
    assert [place["sequence"] for place in places] == list(range(1, 49))
    assert [place["previous_sha256"] for place in places] == [None, *(link.sha256 for link in links[:-1])]


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE pacspace_evidence SET document = document",
        "UPDATE pacspace_evidence SET subject_id = 'in_2' WHERE sequence = 1",
        "DELETE FROM pacspace_evidence",
        "DELETE FROM pacspace_evidence WHERE sequence = 2",
    ],
)
def test_the_database_refuses_to_change_or_delete_evidence(store: Store, tampering: str) -> None:
    for number in range(2):
        append(store, number)
    before = store.chains.of_job("in_1")
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), store.engine.begin() as connection:
        connection.exec_driver_sql(tampering)
    assert store.chains.of_job("in_1") == before


def test_no_evidence_takes_the_place_of_another(store: Store) -> None:
    first = append(store)
    columns = "chain_id, sequence, sha256, subject_id, document, decided_at"
    forged = "SELECT chain_id, sequence, 'other', subject_id, document, decided_at FROM pacspace_evidence"
    with pytest.raises(sa.exc.IntegrityError), store.engine.begin() as connection:
        connection.exec_driver_sql(f"INSERT INTO pacspace_evidence ({columns}) {forged}")
    assert [link.sha256 for link in store.chains.of_job("in_1")] == [first]


def test_sqlite_refuses_to_replace_evidence(sqlite_url: str, clock: ManualClock) -> None:
    store = Store(normal(sqlite_url), now=clock.now, lost_after=LOST_AFTER)
    store.migrate()
    first = append(store)
    forged = "SELECT chain_id, sequence, 'other', subject_id, document, decided_at FROM pacspace_evidence"
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), store.engine.begin() as connection:
        connection.exec_driver_sql(f"INSERT OR REPLACE INTO pacspace_evidence {forged}")
    assert [link.sha256 for link in store.chains.of_job("in_1")] == [first]
    store.close()


def test_postgresql_refuses_to_truncate_evidence(postgresql_url: str, clock: ManualClock) -> None:
    store = Store(normal(postgresql_url), now=clock.now, lost_after=LOST_AFTER)
    store.migrate()
    first = append(store)
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), store.engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE pacspace_evidence")
    assert [link.sha256 for link in store.chains.of_job("in_1")] == [first]
    store.close()
