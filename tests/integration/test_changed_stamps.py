"""Changes of our stamp by another party: noticed, audited, alerted and put back; nothing leaves without it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from pacspace_stripe.gate.intake import MOST_PUT_BACK
from pacspace_stripe.gate.rules.footer import find_block
from pacspace_stripe.gate.rules.state import ANY_STOP, Waiver
from pacspace_stripe.store import JobKind
from tests.integration.test_gate import kinds
from tests.integration.test_sweep import request
from tests.support.pasts import Past
from tests.support.worlds import World, world

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EDITS = {
    "verdict removed": {"metadata[pacspace_verdict]": ""},
    "evidence removed": {"metadata[pacspace_evidence_sha256]": ""},
    "root changed": {"metadata[pacspace_proof_root]": "0x00"},
    "verdict changed": {"metadata[pacspace_verdict]": "drifted", "metadata[order_id]": "8"},
    "evidence made up": {"metadata[pacspace_evidence_sha256]": "0" * 64},
    "key of ours added": {"metadata[pacspace_waiver]": "agreed"},
    "everything removed": {"metadata": ""},
}


def edit(made: World, form: dict[str, str], invoice_id: str | None = None) -> None:
    assert request(made, "POST", f"/v1/invoices/{invoice_id or made.invoice_id}", **form).status_code == 200


def stamp(made: World) -> dict[str, str]:
    return {key: value for key, value in made.invoice()["metadata"].items() if key.startswith("pacspace_")}


def paid(made: World, after: timedelta = DAY) -> dict[str, str]:
    """An invoice that left long ago, and its stamp."""
    made.subscribe()
    made.use("100")
    made.run(DAY)
    assert (made.invoice()["status"], made.memory().ended) == ("paid", True)
    made.clock.advance(after.total_seconds())
    made.run(0)
    return stamp(made)


@pytest.mark.parametrize("form", EDITS.values(), ids=EDITS.keys())
@pytest.mark.parametrize("silent", [False, True], ids=["", "while PacSpace is silent"])
def test_a_stamp_changed_weeks_after_it_was_paid_is_put_back(
    tmp_path: Path, form: dict[str, str], *, silent: bool
) -> None:
    with world(tmp_path, sweep="6h") as made:
        before = paid(made, 20 * DAY)
        if silent:
            made.ledger.faults.add("500")
        made.stripe.account.invoices[made.invoice_id].metadata["order_id"] = "7"
        edit(made, form)
        calls = len(made.stripe_calls())
        made.settle()
        assert stamp(made) == before
        assert made.invoice()["metadata"].get("order_id") == {"metadata": None}.get(
            next(iter(form)), form.get("metadata[order_id]", "7")
        )
        assert made.stripe_calls()[calls:] == ["GET /v1/invoices/{id}", "POST /v1/invoices/{id}"]
        assert kinds(made)[-2:] == ["alert:stamp_changed", "put_back"]
        made.run(DAY)
        assert kinds(made).count("put_back") == 1
        assert made.memory().verdict == "matched"


def test_a_stamp_of_an_earlier_version_is_put_back_as_the_pdf_names_it(tmp_path: Path) -> None:
    with world(tmp_path, sweep="6h") as made:
        before = paid(made)
        # An earlier version kept no metadata of its stamps, and its evidence did not name the attribution.
        leased = made.app.store.jobs.acquire(JobKind.INVOICE, made.invoice_id, MINUTE)
        stamped = made.memory().stamp
        assert leased is not None
        assert stamped is not None
        kept = replace(stamped, metadata={}, footer=None, written=False)
        leased.give_back(replace(made.memory(), stamp=kept, evidence_core="of an earlier version"), None)
        edit(made, EDITS["everything removed"])
        made.run(DAY)
        assert stamp(made) == before
        assert before["pacspace_evidence_sha256"] in made.invoice()["footer"]


def test_a_stamp_changed_twice_is_put_back_twice(tmp_path: Path) -> None:
    with world(tmp_path, sweep="6h") as made:
        before = paid(made)
        for _ in range(2):
            edit(made, EDITS["verdict removed"])
            made.run(DAY)
        assert stamp(made) == before
        assert kinds(made).count("put_back") == 2


def test_a_stamp_is_put_back_however_often_stripe_refuses_the_write(tmp_path: Path) -> None:
    with world(tmp_path, sweep="6h", retry="5m") as made:
        before = paid(made)
        made.stripe.faults.add("502", endpoint="POST *")
        made.stripe.account.invoices[made.invoice_id].metadata["pacspace_evidence_sha256"] = "edited"
        made.app.sweep.run(widely=True)
        made.run(HOUR)
        assert "alert:stamp_contested" not in kinds(made)
        made.stripe.faults.clear()
        made.run(HOUR)
        assert stamp(made) == before


def test_other_changes_of_an_invoice_that_left_cost_nothing(tmp_path: Path) -> None:
    with world(tmp_path, sweep="6h") as made:
        paid(made)
        edit(made, {"metadata[order_id]": "7", "metadata[pacspace_customer_id]": "acme"})
        calls = len(made.stripe_calls())
        made.settle()
        assert made.stripe_calls()[calls:] == []


@pytest.mark.parametrize("found_by", ["sweep", "check", "backfill"])
def test_the_sweep_or_a_check_finds_a_changed_stamp_without_an_event(tmp_path: Path, found_by: str) -> None:
    with world(tmp_path, sweep="6h") as made:
        before = paid(made)
        kept = {"backfill": "pacspace_evidence_sha256"}.get(found_by)
        metadata = made.stripe.account.invoices[made.invoice_id].metadata
        for key in [key for key in metadata if key != kept]:
            del metadata[key]
        if found_by == "backfill":
            Past(made).backfill(apply=True)
        elif found_by == "sweep":
            assert made.app.sweep.run(widely=True) == [made.invoice_id]
            made.settle()
        else:
            made.app.checker.check(made.invoice_id)
        assert stamp(made) == before
        assert made.app.sweep.run(widely=True) == []


def test_observe_mode_only_alerts_about_a_changed_stamp(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        before = paid(made)
        made.restart(PACSPACE_STRIPE_MODE="observe")
        edit(made, EDITS["verdict removed"])
        made.run(DAY)
        assert stamp(made) == {key: before[key] for key in before if key != "pacspace_verdict"}
        assert "alert:stamp_changed" in kinds(made)


def test_a_tool_that_removes_the_stamp_again_and_again_is_left_to_people(tmp_path: Path) -> None:
    with world(tmp_path, sweep="6h") as made:
        paid(made)
        invoice_id, answer = made.invoice_id, made._at_stripe  # noqa: SLF001 - as the way to Stripe, with a tool beside

        def beside(asked: httpx.Request) -> httpx.Response:
            said = answer(asked)
            if asked.method == "POST":
                edit(made, EDITS["everything removed"], invoice_id)
            return said

        made._at_stripe = beside  # type: ignore[assignment]  # noqa: SLF001 - as above
        edit(made, EDITS["everything removed"])
        made.run(DAY)
        assert kinds(made).count("put_back") == MOST_PUT_BACK
        assert "alert:stamp_contested" in kinds(made)


# -- drafts, whose footer can still be put back --------------------------------------------------------------------


def kept_back(made: World) -> None:
    """Return a stamped draft that another party keeps back."""
    made.subscribe(customer_footer="Acme Ltd.")
    made.use("100")
    made.run(HOUR + MINUTE)
    made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=False)
    made.run(3 * HOUR)
    assert (made.invoice()["status"], stamp(made)["pacspace_verdict"]) == ("draft", "matched")


@pytest.mark.parametrize("footer", ["", "Acme Ltd.", "New text\n\nAcme Ltd."])
@pytest.mark.parametrize("event", [True, False])
def test_a_footer_taken_off_a_draft_is_put_back_beside_the_merchants_text(
    tmp_path: Path, footer: str, *, event: bool
) -> None:
    with world(tmp_path, fail="open", backstop="30d", sweep="2h") as made:
        kept_back(made)
        block = find_block(made.invoice()["footer"])
        assert block
        if event:
            edit(made, {"footer": footer})
        else:
            made.stripe.account.invoices[made.invoice_id].footer = footer
            assert made.app.sweep.run() == [made.invoice_id]
        made.run(3 * HOUR)
        assert find_block(made.invoice()["footer"]) == block
        assert made.invoice()["footer"].startswith(footer)
        assert kinds(made).count("put_back") == 1


# -- between our stamp and the invoice's leaving -------------------------------------------------------------------


def before_finalization(made: World, act: Callable[[], None]) -> None:
    """Just before our finalization reaches Stripe, somebody acts and no event tells it."""
    answer = made._at_stripe  # noqa: SLF001 - the way to Stripe, with a person beside it

    def ambushed(asked: httpx.Request) -> httpx.Response:
        if asked.method == "POST" and asked.url.path.endswith("/finalize"):
            act()
        return answer(asked)

    made._at_stripe = ambushed  # type: ignore[assignment]  # noqa: SLF001 - as above


@pytest.mark.parametrize("free", [False, True], ids=["charged", "nothing due"])
def test_a_stamp_removed_before_our_finalization_is_back_when_it_leaves(tmp_path: Path, *, free: bool) -> None:
    with world(tmp_path) as made:
        if free:
            made.price = made.stripe.add_price(made.meter, unit_amount=0)
        made.subscribe()
        made.use("100")
        seen: list[dict[str, str]] = []

        def act() -> None:
            seen.append(stamp(made))
            made.stripe.account.invoices[made.invoice_id].metadata.clear()

        before_finalization(made, act)
        made.run(4 * HOUR)
        expected = {key: value for key, value in seen[0].items() if key != "pacspace_hold"}
        assert stamp(made) == expected
        assert made.invoice()["status"] == "paid"
        assert "alert:stamp_changed" in kinds(made)


def test_an_invoice_whose_footer_was_taken_off_before_our_finalization_stays_until_a_person_releases_it(
    tmp_path: Path,
) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("100")

        def act() -> None:
            made.stripe.account.invoices[made.invoice_id].footer = ""

        before_finalization(made, act)
        made.run(DAY)
        assert made.left == set()
        assert "alert:not_released:footer_changed" in kinds(made)
        assert kinds(made).count("put_back") == 0
        assert "the PDF would not name the proof" in made.memory().detail
        assert stamp(made)["pacspace_verdict"] == "matched"
        waiver = Waiver(reason="agreed", by="fin", at=made.clock.now(), figures={}, despite=(ANY_STOP,))
        made.app.checker.check(made.invoice_id, waiver=waiver)
        made.run(DAY)
        assert made.left == {made.invoice_id}


@pytest.mark.parametrize("settings", [{"finalize": "fast"}, {"fail": "open"}], ids=["fast", "open"])
def test_a_stamp_removed_while_stripes_clock_ran_is_put_back_after_the_invoice_left(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    with world(tmp_path, **settings) as made:
        made.subscribe()
        made.use("100")
        made.run(HOUR + MINUTE)
        while not stamp(made).get("pacspace_verdict"):
            made.run(MINUTE)
        assert made.invoice()["status"] == "draft"
        before = stamp(made)
        made.stripe.account.invoices[made.invoice_id].metadata.clear()
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert stamp(made) == before
        assert kinds(made).count("put_back") == 1


def test_a_stamp_removed_after_our_last_read_is_on_the_invoice_when_it_leaves(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("100")
        answer, seen = made._at_stripe, list[dict[str, str]]()  # noqa: SLF001 - the way to Stripe, with a person beside it

        def ambushed(asked: httpx.Request) -> httpx.Response:
            if asked.method != "POST" or b"auto_advance=true" not in asked.content:
                return answer(asked)
            seen.append(stamp(made))
            made.stripe.account.invoices[made.invoice_id].metadata.clear()
            said = answer(asked)
            seen.append(stamp(made))
            return said

        made._at_stripe = ambushed  # type: ignore[assignment]  # noqa: SLF001 - as above
        made.run(DAY)
        before, released = seen
        del before["pacspace_hold"]
        assert released == before == stamp(made)


def test_an_invoice_that_a_person_finalizes_just_before_us_is_theirs(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("100")

        def act() -> None:
            if made.invoice()["status"] == "draft":
                path = f"/v1/invoices/{made.invoice_id}/finalize"
                assert request(made, "POST", path, auto_advance="false").status_code == 200

        before_finalization(made, act)
        made.run(DAY)
        assert made.left == set()
        assert (made.invoice()["status"], made.invoice()["auto_advance"]) == ("open", False)
        assert stamp(made)["pacspace_verdict"] == "matched"
        assert any(kind.startswith("alert:not_released:finalized_by_somebody") for kind in kinds(made))
