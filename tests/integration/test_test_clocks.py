"""Invoices of a Stripe test clock are compared by the clock's time, wherever it stands."""

from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.integration.test_gate import kinds, verdict
from tests.support.worlds import MIDDLE, PERIOD_END, PERIOD_START, World, world

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
CLOCK = "/v1/test_helpers/test_clocks"


def post(made: World, path: str, **form: str) -> str:
    headers = {"Authorization": "Bearer sk_test_simulator"}
    request = httpx.Request("POST", f"http://127.0.0.1:1{path}", headers=headers, data=form)
    answer = made._at_stripe(request)  # noqa: SLF001 - held to the OpenAPI, as what the product asks is
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def start(made: World, shift: timedelta) -> str:
    """Make a subscription on a test clock that stands ``shift`` away from the real October, with usage on both
    sides.

    A ledger places records by real time, so the usage itself lies in the past of both clocks.
    """
    begin, used = min(PERIOD_START, PERIOD_START + shift), min(MIDDLE, MIDDLE + shift)
    clock = post(made, CLOCK, frozen_time=seconds(begin))
    made.stripe.add_customer("cus_acme", name="Acme", test_clock=clock)
    made.stripe.add_subscription("cus_acme", [made.price], period_start=begin, period_end=PERIOD_END + shift)
    made.use("5", at=used)
    return clock


def seconds(at: datetime) -> str:
    return str(int(at.timestamp()))


def advance(made: World, clock: str, to: datetime) -> None:
    post(made, f"{CLOCK}/{clock}/advance", frozen_time=seconds(to))
    made.run(10 * MINUTE)


@pytest.mark.parametrize("policy", [{}, {"finalize": "fast"}])
@pytest.mark.parametrize("shift", [20 * DAY, -20 * DAY], ids=["ahead", "behind"])
def test_a_draft_of_a_test_clock_leaves_when_the_clock_reaches_its_time(
    tmp_path: Path, shift: timedelta, policy: dict[str, str]
) -> None:
    with world(tmp_path, **policy) as made:
        clock = start(made, shift)
        advance(made, clock, PERIOD_END + shift)
        assert made.invoice()["test_clock"] == clock
        assert made.memory().held
        assert made.memory().detail.endswith("by its test clock")
        made.run(2 * HOUR)
        assert made.invoice()["status"] == "draft"
        advance(made, clock, PERIOD_END + shift + 2 * HOUR)
        assert verdict(made) == ("matched", "EXACT")
        advance(made, clock, PERIOD_END + shift + 5 * HOUR)
        assert made.left == {made.invoice_id}
        assert made.memory().ended


def test_open_lets_stripe_finalize_by_the_test_clock(tmp_path: Path) -> None:
    with world(tmp_path, fail="open") as made:
        clock = start(made, 20 * DAY)
        advance(made, clock, PERIOD_END + 20 * DAY)
        planned = PERIOD_END + 21 * DAY
        assert made.invoice()["automatically_finalizes_at"] == int(planned.timestamp())
        advance(made, clock, PERIOD_END + 20 * DAY + 30 * MINUTE)
        assert made.invoice()["automatically_finalizes_at"] < int(planned.timestamp())
        advance(made, clock, PERIOD_END + 20 * DAY + 3 * HOUR)
        assert made.left == {made.invoice_id}


def test_a_drift_on_a_test_clock_is_found_without_another_move_of_the_clock(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        clock = start(made, 20 * DAY)
        made.bill("7")
        advance(made, clock, PERIOD_END + 20 * DAY)
        advance(made, clock, PERIOD_END + 20 * DAY + 2 * HOUR)
        made.run(HOUR)
        assert verdict(made) == ("drifted", "OVERBILLED")
        assert "alert:drifted:OVERBILLED" in kinds(made)
        assert made.left == set()


def test_a_test_clock_that_cannot_be_read_is_alerted_and_the_invoice_stays(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.stripe.forbid_expanding("test_clock")
        clock = start(made, 20 * DAY)
        advance(made, clock, PERIOD_END + 20 * DAY)
        assert "alert:test_clock_unread" in kinds(made)
        made.run(3 * HOUR)
        assert made.left == set()
