"""A past for backfills: customers who were billed for months before anything was compared."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from pacspace_stripe.backfill.backfill import Backfill
from pacspace_stripe.backfill.results import BackfillRow
from pacspace_stripe.backfill.retries import RetryPolicy
from pacspace_stripe.backfill.rules.tally import STATUSES, BackfillSelection, ListPosition, Tally
from pacspace_stripe.store import Store
from pacspace_stripe.vocabulary.invoices import InvoiceStatus
from pacspace_stripe.vocabulary.windows import Window
from tests.support.worlds import World

MONTHS = [
    Window(start=datetime(2026, month, 1, tzinfo=UTC), end=datetime(2026, month + 1, 1, tzinfo=UTC))
    for month in (6, 7, 8, 9)
]
SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


@dataclass
class Past:
    """A world with invoices of earlier months."""

    world: World
    subscriptions: dict[str, str] = field(default_factory=dict)
    scratches: list[Store] = field(default_factory=list)

    def billed(
        self,
        billed: str = "100",
        recorded: str | None = None,
        *,
        customer: str = "cus_acme",
        month: Window = MONTHS[-1],
        status: str = "paid",
        verified: bool = True,
    ) -> str:
        """Make a month's invoice with usage on both sides, equal by default, and return its id."""
        at = month.start + timedelta(days=10)
        if customer not in self.subscriptions:
            self.subscriptions[customer] = self.world.subscribe(customer)
        if billed != "0":
            self.world.bill(billed, customer=customer, at=at)
        if (recorded or billed) != "0":
            self.world.record(recorded or billed, account=customer, at=at, verified=verified)
        return self.world.stripe.add_past_invoice(self.subscriptions[customer], month.start, month.end, status=status)

    def fixed(self, customer: str = "cus_fixed", month: Window = MONTHS[-1]) -> str:
        """Make a month's invoice without usage."""
        subscription = self.world.subscribe(customer, prices=[self.world.stripe.add_price()])
        return self.world.stripe.add_past_invoice(subscription, month.start, month.end)

    def advancing(self, invoice_id: str) -> str:
        """Let Stripe collect an open invoice."""
        self.world.stripe.account.invoices[invoice_id].auto_advance = True
        return invoice_id

    def metadata(self, invoice_id: str) -> dict[str, Any]:
        """Return the metadata of an invoice."""
        return dict(self.world.invoice(invoice_id)["metadata"])

    def spoil_in_lists(self, invoice_id: str) -> None:
        """Make Stripe's list show an invoice in a way that cannot be read."""

        def spoiled(page: bytes) -> bytes:
            body = json.loads(page)
            for row in body["data"]:
                row["footer"] = 7 if row["id"] == invoice_id else row["footer"]
            return json.dumps(body).encode()

        self._lists_become(spoiled)

    def cut_lists(self, times: int) -> None:
        """Make a number of pages of Stripe's list break off in the middle."""
        left = iter(range(times))
        self._lists_become(lambda page: page[: len(page) // 2] if next(left, None) is not None else page)

    def throttle_lists(self) -> None:
        """Make Stripe refuse every page behind the first one."""

        def throttled(request: httpx.Request, response: httpx.Response) -> httpx.Response:
            if "starting_after" not in request.url.params:
                return response
            return httpx.Response(429, json={"error": {"type": "invalid_request_error", "message": "Too many"}})

        self._lists_are_answered(throttled)

    def _lists_become(self, change: Callable[[bytes], bytes]) -> None:
        self._lists_are_answered(
            lambda _, response: httpx.Response(
                response.status_code, headers=response.headers, content=change(response.content)
            )
        )

    def _lists_are_answered(self, change: Callable[[httpx.Request, httpx.Response], httpx.Response]) -> None:
        answer = self.world._at_stripe  # noqa: SLF001 - the way to Stripe is not for tests to change, but for this one

        def changed(request: httpx.Request) -> httpx.Response:
            response = answer(request)
            return change(request, response) if request.url.path == "/v1/invoices" else response

        self.world._at_stripe = changed  # type: ignore[assignment]  # noqa: SLF001 - as above

    def new_database(self, url: str) -> None:
        """Start a new process with an empty database, as if the first one was lost."""
        self.world.app.close()
        self.world.database_url = url
        self.world.restart()

    def scratch(self) -> Store:
        """Return the store in which a dry run keeps coverage."""
        url = f"sqlite:///{self.world.folder / f'apart-{len(self.scratches)}.db'}"
        self.scratches.append(Store(url, now=self.world.clock.now, lost_after=timedelta(seconds=1)))
        self.scratches[-1].migrate()
        return self.scratches[-1]

    def backfill(
        self,
        *,
        apply: bool = False,
        statuses: tuple[InvoiceStatus, ...] = STATUSES,
        customers: tuple[str, ...] = (),
        since: datetime = SINCE,
        until: datetime = UNTIL,
        place: ListPosition | None = None,
        jobs: int = 1,
        stop: threading.Event | None = None,
        portions: int | None = None,
    ) -> "Found":
        """Run a backfill in this process, to its end or for a number of portions."""
        app, event = self.world.app, stop or threading.Event()
        retries = RetryPolicy(stop=event, busy_for=app.settings.lease, wait=self.world.clock.advance)
        checker = app.checker if apply else app.checker.with_coverage_in(self.scratch().coverage)
        run = Backfill(stripe=app.stripe, store=app.store, checker=checker, retries=retries, apply=apply, jobs=jobs)
        selection = BackfillSelection(since=since, until=until, customers=customers, statuses=statuses)
        found = Found()
        for portion in run.portions(selection, place or ListPosition()):
            found.portions += 1
            found.next = portion.next
            for row in portion.rows:
                found.rows[row.invoice_id] = row
                found.seen[row.invoice_id] += 1
                row.add_to(found.tally, app.settings.policy)
            if found.portions == portions:
                break
        return found


@dataclass
class Found:
    """The results of a backfill."""

    rows: dict[str, BackfillRow] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    tally: Tally = field(default_factory=Tally)
    portions: int = 0
    next: ListPosition | None = None

    def outcomes(self) -> dict[str, str]:
        return {invoice_id: row.outcome.value for invoice_id, row in self.rows.items()}

    def steps(self, invoice_id: str) -> tuple[str, ...]:
        return self.rows[invoice_id].result.steps


@contextmanager
def past(folder: Path, *, database_url: str | None = None, validated: bool = True, **settings: str) -> Iterator[Past]:
    """Open a past over a database; settings by short name, as for a world."""
    named = {f"PACSPACE_STRIPE_{name.upper()}": value for name, value in settings.items()}
    made = World(folder, named, database_url=database_url, validated=validated)
    there = Past(made)
    try:
        yield there
    finally:
        made.app.close()
        for scratch in there.scratches:
            scratch.close()
