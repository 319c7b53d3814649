"""Reading the ledger with ``PACSPACE_STRIPE_ATTRIBUTION=auto``, beyond the tables of scenarios."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from tests.support.worlds import PERIOD_END, World, world

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
DERIVE = "/api/v1/balance/derive/"


class Busy(World):
    """A world whose ledger gets another record whenever it is asked for a balance."""

    def _answer(self, request: httpx.Request) -> httpx.Response:
        answer = super()._answer(request)
        if DERIVE in request.url.path and self.clock.now() > PERIOD_END:
            # Only spans that are over are listed: the pages of others need not add up while records come in.
            assert datetime.fromisoformat(request.url.params["endDate"]) <= self.clock.now()
            self.clock.advance(1)
            self.record("1", at=self.clock.now())
        return answer


def test_records_that_arrive_during_the_reads_do_not_hold_a_right_invoice(tmp_path: Path) -> None:
    made = Busy(tmp_path)
    made.subscribe()
    made.use("10")
    made.run(HOUR + 1200 * SECOND)
    for number in range(1001):
        made.record("1", at=PERIOD_END + number * SECOND)
    made.run(DAY)
    assert (made.memory().verdict, made.left) == ("matched", {made.invoice_id})
    made.app.close()


def test_the_proof_covers_a_last_day_that_was_accepted_hours_later(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("50", at=PERIOD_END - HOUR)
        made.run(4 * HOUR)
        made.ledger.record("cus_acme", "-50", reference_id="daily_usage_flush:2026-10-31")
        made.run(DAY)
        link = made.app.store.chains.of_job(made.invoice_id)[-1]
        [window] = json.loads(link.document)["windows"]
        assert window["selection"]["end"] == "2026-11-01T03:00:00.001000Z"
        assert window["selection"]["placed_by"] == {"accepted": 0, "usage_time": 1}
        assert window["proof"]["record_count"] == 1
        assert json.loads(link.document)["policy"]["attribution"] == "auto"
