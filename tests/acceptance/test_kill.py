"""``kill -9`` of ``serve`` at random moments: nothing is lost or doubled, and no wrong invoice leaves."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import pytest

from pacspace_stripe.cli.processes import kill, wait_for
from pacspace_stripe.vocabulary.webhooks import SUBSCRIBED
from tests.support.town import PATIENCE, Bill, Links, Town, town

ROUNDS, SOAK_ROUNDS = 1, int(os.environ.get("SOAK_ROUNDS", "20"))
SEEDS = [
    *range(1, ROUNDS + 1),
    *(pytest.param(100 + seed, marks=pytest.mark.soak) for seed in range(1, SOAK_ROUNDS + 1)),
]
SECONDS = 20
"""From a draft to its finalization: a killed ``serve`` is back, and its lease is over, before Stripe finalizes a draft
whose event was taken and that was not held yet."""
RETRY = "500ms,500ms,1s,1s,2s,4s,15s"
"""Drifted invoices are checked at growing intervals: each round leaves some behind, and Stripe's rate is limited."""
INVOICE = ("/v1/invoices/{id}", "/v1/invoices/{id}/finalize")
HANDLED = {kind.value for kind in SUBSCRIBED}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, module_database_url: str) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("killed")
    with town(folder, database_url=module_database_url, seconds=SECONDS, retry=RETRY) as made:
        made.stripe("set_webhook", copies=2, shuffled=True)
        yield made


@dataclass(slots=True, kw_only=True)
class Round:
    """One round: customers of every kind, billed at once, and a process that dies."""

    place: Town
    seed: int
    chance: Random = field(init=False)
    bills: dict[str, Bill] = field(default_factory=dict)
    fails: str = ""

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)

    def begin(self) -> None:
        kinds = {
            "matched": ("1250.5", "1250.5"),
            "also_matched": ("3", "3"),
            "drifted": ("100", "90"),
            "turns_drifted_at_stripe": ("40", "40"),
            "turns_drifted_in_the_ledger": ("50", "50"),
            "turns_matched": ("60", "55"),
        }
        for name, (billed, recorded) in self.chance.sample(list(kinds.items()), len(kinds)):
            self.bills[name] = self.place.invoiced(billed, recorded, name=f"{name}_{self.seed}_")
        for name in ("verified_late", "fails_late"):
            self.bills[name] = self.place.invoiced("7", "0", name=f"{name}_{self.seed}_")
        self.place.record(self.bills["verified_late"].customer, "7", verified=False)
        self.fails = self.place.record(self.bills["fails_late"].customer, "7", verified=False)

    def change_the_truth(self) -> None:
        """Act while the process is dead."""
        self.place.bill(self.bills["turns_drifted_at_stripe"].customer, "2")
        self.place.record(self.bills["turns_drifted_in_the_ledger"].customer, "2")
        self.place.record(self.bills["turns_matched"].customer, "5")
        self.place.pacspace("fail", record_id=self.fails)

    def die(self, requests: int) -> None:
        """Wait for a number of further requests about invoices, or until there are no more."""
        begun, before = time.monotonic(), len(self.place.stripe.log())
        while self.requests(after=before) < requests and time.monotonic() < begun + 3:
            time.sleep(0.01)
        kill(self.place.stack.serving[-1])

    def requests(self, after: int) -> int:
        return sum(one["endpoint"].endswith(INVOICE) for one in self.place.stripe.log(after=after))

    def live_again(self) -> None:
        time.sleep(self.chance.uniform(0, 0.3))
        self.place.stack.serve()

    @property
    def late(self) -> list[Bill]:
        """Return the invoices whose usage changes before they may be finalized."""
        return [bill for name, bill in self.bills.items() if name.startswith(("turns", "fails"))]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_process_loses_nothing_and_doubles_nothing(place: Town, seed: int) -> None:
    if not place.stack.serving or place.stack.serving[-1].poll() is not None:
        place.stack.serve()
    # Given customers of every kind, billed at once
    begun_at = len(place.stripe.log())
    played = Round(place=place, seed=seed)
    played.begin()
    # When the process dies while it holds their drafts, and usage changes meanwhile
    played.die(requests=played.chance.randint(1, 20))
    assert {place.invoice(bill.invoice_id)["status"] for bill in played.late} == {"draft"}
    played.change_the_truth()
    played.live_again()
    # and it dies again, while it stamps, finalizes and releases
    place.until_held(*played.bills.values())
    wait_for("the first stamp", lambda: stamping(place, after=begun_at), seconds=PATIENCE, every=0.02)
    for _ in range(played.chance.randint(1, 2)):
        played.die(requests=played.chance.randint(1, 25))
        played.live_again()
    place.pacspace("verify_all", account=played.bills["verified_late"].customer)
    # Then every right invoice has left once, no wrong one has
    place.until_paid(*(played.bills[name] for name in ("matched", "also_matched", "turns_matched", "verified_late")))
    place.until_verdict("drifted", *(played.bills[name] for name in ("drifted", "turns_drifted_in_the_ledger")))
    place.until_verdict("drifted", *(played.bills[name] for name in ("turns_drifted_at_stripe", "fails_late")))
    place.until_acknowledged()
    assert_right(place, played)
    assert_nothing_lost_or_doubled(place, played)


def stamping(place: Town, after: int) -> bool:
    return any("pacspace_verdict" in one["params"].get("metadata", {}) for one in place.stripe.log(after=after))


def assert_right(place: Town, played: Round) -> None:
    charged = place.charged()
    for name, bill in played.bills.items():
        invoice, writes = place.invoice(bill.invoice_id), place.writes(bill.invoice_id)
        right = place.is_right(bill)
        assert right == (name in {"matched", "also_matched", "turns_matched", "verified_late"}), name
        assert charged[bill.invoice_id] == int(right), name
        assert writes.count("finalize") == int(invoice["status"] != "draft"), (name, writes)
        assert writes.count("release") == int(right), (name, writes)
        if right:
            assert (invoice["status"], invoice["metadata"]["pacspace_verdict"]) == ("paid", "matched"), name
            assert writes.count("stamp") == 1, (name, writes)
            assert invoice["metadata"]["pacspace_proof_root"] in invoice["footer"]
        else:
            assert not invoice["auto_advance"], name


def assert_nothing_lost_or_doubled(place: Town, played: Round) -> None:
    listed = place.listed()
    for name, bill in played.bills.items():
        assert listed[bill.invoice_id]["verdict"] == ("matched" if place.is_right(bill) else "drifted"), name
    snapshot = place.stripe("snapshot")
    taken = {one["event_id"] for one in snapshot["deliveries"] if one["status"] == 200 and one["type"] in HANDLED}
    with place.store() as store:
        assert taken <= store.journal.event_outcomes().keys()
        for name, bill in played.bills.items():
            assert Links.of(store, bill).problems() == [], name
