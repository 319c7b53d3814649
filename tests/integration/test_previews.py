"""A preview shows what the check that follows does, and changes nothing, in scenarios and in generated worlds."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.gate.rules.state import (
    Backstop,
    Cleared,
    Ended,
    Finalizer,
    FirstSight,
    Free,
    Held,
    HoldCause,
    HoldStep,
    InvoiceState,
    KeptBack,
    Origin,
    Position,
    Released,
    Stamped,
    Waiver,
    WrittenStamp,
)
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import JobKind
from pacspace_stripe.vocabulary.invoices import InvoiceStatus
from tests.support.generated.attempts import folder
from tests.support.generated.plans import Crash, Outage, Person, Plan, Stall
from tests.support.generated.player import Player
from tests.support.generated.worlds import draw
from tests.support.previews import Previewed
from tests.support.worlds import MIDDLE, PERIOD_END, START, World, world

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def where() -> Iterator[Path]:
    made = folder()
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_the_preview_of_a_blocked_subscriptions_draft_holds_it_as_the_check_does(tmp_path: Path) -> None:
    made = World(tmp_path, {"PACSPACE_STRIPE_FAIL": "open"}, clock=ManualClock(PERIOD_END - 2 * DAY))
    made.stripe.configure(upcoming_before=DAY)
    made.subscribe()
    made.bill("100")
    made.run(2 * DAY - MINUTE)
    assert [block.verdict for block in made.app.store.jobs.blocks()] == ["drifted"]
    made.clock.advance(90)
    made.stripe.run_due()
    made.queue.clear()
    previewed = made.app.checker.preview(made.invoice_id)
    assert "hold (auto_advance=false)" in previewed.steps
    assert not [step for step in previewed.steps if "let Stripe finalize" in step]
    assert made.app.store.jobs.blocks() != []
    assert made.app.checker.check(made.invoice_id) == previewed
    made.app.close()


def test_a_preview_says_that_the_lines_are_read_again_after_finalization(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("10")
        made.run(HOUR + MINUTE)
        made.clock.advance(2 * HOUR)
        previewed = made.app.checker.preview(made.invoice_id)
        assert previewed.status == "draft"
        assert previewed.steps == (
            "prove with PacSpace's checkpoints",
            "stamp metadata and footer",
            "finalize without advancing, read all lines again",
            "release (auto_advance=true)",
        )
        assert made.ledger.checkpoints() == []
        assert made.app.checker.check(made.invoice_id).steps == previewed.steps


def test_a_preview_needs_no_lease_and_takes_none(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("10")
        made.run(3 * HOUR)
        leased = made.app.store.jobs.acquire(JobKind.INVOICE, made.invoice_id, HOUR)
        assert leased is not None
        assert made.app.checker.preview(made.invoice_id).verdict == "drifted"
        leased.guard()


def test_a_preview_is_silent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("10")
        made.run(HOUR + MINUTE)
        made.clock.advance(2 * HOUR)
        caplog.clear()
        caplog.set_level(logging.INFO, logger="pacspace_stripe")
        assert "alert drifted:LEDGER_MISSING" in made.app.checker.preview(made.invoice_id).steps
        assert [record.getMessage() for record in caplog.records if "httpx" not in record.name] == []


class PreviewedPlayer(Previewed, Player):
    """A generated world in which each check is previewed first."""


def calm(plan: Plan) -> Plan:
    """The plan without what may strike a preview and not the check, or the other way round."""
    acts = tuple(
        act
        for act in plan.acts
        if not isinstance(act, Crash | Stall | Outage) and not (isinstance(act, Person) and act.during)
    )
    unlimited = [(name, value) for name, value in plan.settings if name != "rate"]
    return replace(plan, acts=acts, settings=(*unlimited, ("rate", "100000/100000")))


@pytest.mark.no_cover
@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("seed", range(2000, 2015))
def test_previews_hold_at_every_moment_of_generated_worlds(seed: int, where: Path) -> None:
    place = where / f"world-{seed}"
    place.mkdir(parents=True)
    player = PreviewedPlayer(place, plan=calm(draw(seed)))
    try:
        player.play()
        player.heal()
        player.finish()
        assert player.wrong == []
        assert player.checks
    finally:
        player.app.close()


# -- any state, any invoice, any policy, any finding --------------------------------------------------------------

POLICIES = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["enforce", "enforce", "enforce", "observe"]),
        "fail": st.sampled_from(["closed", "open"]),
        "finalize": st.sampled_from(["strict", "fast"]),
        "settle": st.sampled_from(["0", "10m"]),
        "tolerance": st.sampled_from(["0", "5"]),
        "rate": st.just("100000/100000"),
    }
)
FINDINGS = st.sampled_from(
    [("10", "10"), ("10", "7"), ("7", "10"), ("10", None), (None, "10"), (None, None), ("10", "8")]
)
"""Usage on each side; None is nothing."""
ACTS = st.lists(
    st.sampled_from(["let it stand", "hold", "lift", "finalize", "void", "pay", "erase", "check", "waive", "late"]),
    max_size=3,
)
DIGEST = "0" * 64
BACKSTOPS = (PERIOD_END + DAY, PERIOD_END)
POSITIONS: tuple[Position, ...] = (
    *(Free(), Stamped(), Released(at=PERIOD_END), Cleared(), Ended()),
    *(Held(step=step, cause=cause) for step in HoldStep for cause in HoldCause),
)


@st.composite
def memories(draw: st.DrawFn) -> dict[str, object]:
    """Changes to what is remembered, in any combination."""
    verdict = draw(st.sampled_from([Verdict.MATCHED, Verdict.DRIFTED, Verdict.UNPROVEN, Verdict.WAIVED]))
    figures = {"api_calls|2026-10-01T00:00:00Z/2026-11-01T00:00:00Z": draw(st.sampled_from(["10", "7", "0"]))}
    stamped = WrittenStamp(verdict=verdict, evidence_sha256=DIGEST, figures=figures, at=START)
    waiver = Waiver(reason="agreed", by="jane", at=START, figures=figures)
    first = FirstSight(at=START, auto_advance=True, finalizes_at=PERIOD_END + HOUR, status=InvoiceStatus.DRAFT)
    kept = KeptBack(since=START, verdict=verdict, reason=Reason.OVERBILLED, detail="before")
    fields: dict[str, st.SearchStrategy[object]] = {
        "position": st.sampled_from(POSITIONS),
        "held_at": st.sampled_from([None, START, PERIOD_END]),
        "early_warning_id": st.sampled_from([None, "upcoming:sub_1:0"]),
        "first": st.sampled_from([first, replace(first, origin=Origin.PAST)]),
        "finalizer": st.sampled_from([None, *Finalizer]),
        "backstop": st.sampled_from([None, *(Backstop(at=at, cause=cause) for at in BACKSTOPS for cause in HoldCause)]),
        "verdict": st.just(verdict),
        "reason": st.sampled_from([Reason.EXACT, Reason.OVERBILLED, Reason.NOT_SETTLED, Reason.LEDGER_UNAVAILABLE]),
        "attempts": st.sampled_from([0, 1, 9]),
        "failures": st.sampled_from([0, 6]),
        "stamp": st.just(stamped),
        "evidence_sha256": st.just(DIGEST),
        "waiver": st.just(waiver),
        "kept_back": st.just(kept),
        "mapping": st.sampled_from([None, "cus_acme", "other"]),
        "alerted": st.sampled_from([(), ("drifted:OVERBILLED",), ("hold_undone",)]),
    }
    chosen = draw(st.lists(st.sampled_from(sorted(fields)), max_size=6, unique=True))
    return {name: draw(fields[name]) for name in chosen}


class Stated(Previewed):
    """A world that is brought into any state."""

    def does(self, act: str) -> None:
        path = f"/v1/invoices/{self.invoice_id}"
        match act:
            case "hold" | "lift":
                self._ask(path, auto_advance="true" if act == "lift" else "false")
            case "finalize" | "void" | "pay":
                self._ask(f"{path}/{act}")
            case "erase":
                names = [name for name in self.invoice()["metadata"] if name.startswith("pacspace_")]
                self._ask(path, footer="", **{f"metadata[{name}]": "" for name in names})
            case "check" | "waive":
                waiver = Waiver(reason="agreed", by="jane", at=self.clock.now(), figures={})
                self.app.checker.check(self.invoice_id, waiver=waiver if act == "waive" else None)
            case "late":
                self.bill("3", at=MIDDLE)

    def _ask(self, path: str, **form: str) -> None:
        """Send a person's own request to Stripe, which may refuse it."""
        headers = {"Authorization": "Bearer sk_test_simulator"}
        self.stripe(httpx.Request("POST", f"http://127.0.0.1:1{path}", headers=headers, data=form))

    def remember(self, changes: dict[str, object]) -> None:
        leased = self.app.store.jobs.acquire(JobKind.INVOICE, self.invoice_id, HOUR)
        assert leased is not None
        known: InvoiceState = replace(leased.saved, **changes)  # type: ignore[arg-type]  # by name
        leased.give_back(known, self.clock.now())


@pytest.mark.no_cover
@pytest.mark.usefixtures("quiet")
@settings(max_examples=20)
@given(
    policy=POLICIES,
    finding=FINDINGS,
    age=st.sampled_from([MINUTE, 20 * MINUTE, 3 * HOUR, 30 * HOUR, 6 * DAY]),
    acts=ACTS,
    memory=memories(),
    known=st.booleans(),
)
def test_previews_hold_in_any_state(
    *,
    where: Path,
    policy: dict[str, str],
    finding: tuple[str | None, str | None],
    age: timedelta,
    acts: list[str],
    memory: dict[str, object],
    known: bool,
) -> None:
    database = where / "any.db"
    for left in where.glob("any.db*"):
        left.unlink()
    named = {f"PACSPACE_STRIPE_{name.upper()}": value for name, value in policy.items()}
    made = Stated(where, named, database_url=f"sqlite:///{database}", validated=False)
    try:
        made.ledger.configure(fast_roots=True)
        made.subscribe()
        billed, recorded = finding
        if billed:
            made.bill(billed)
        if recorded:
            made.record(recorded)
        if known:
            made.run(HOUR + age)
        else:
            made.clock.advance_to(PERIOD_END + age)
            made.stripe.run_due()
            made.queue.clear()
        for act in acts:
            made.does(act)
        if known:
            made.remember(memory)
        made.app.checker.check(made.invoice_id)
        made.app.checker.check(made.invoice_id)
        assert made.wrong == []
    finally:
        made.app.close()
