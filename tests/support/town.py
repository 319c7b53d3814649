"""A town of customers who are billed over real processes: what happens to them, and what became of their invoices."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from pacspace_stripe.cli.processes import Remote, Stack, wait_for
from pacspace_stripe.evidence.rules.document import Evidence, meaning
from pacspace_stripe.store import Store
from pacspace_stripe.vocabulary.canonical_json import digest

METER = "api_calls"
PERIOD, USAGE_AGO = timedelta(days=30), timedelta(days=3)
PATIENCE = 90.0
"""Seconds until a test gives up on a state. Only what hangs takes as long."""
FAST = {
    "PACSPACE_STRIPE_SETTLE": "200ms",
    "PACSPACE_STRIPE_RETRY": "500ms",
    "PACSPACE_STRIPE_LEASE": "4s",
    "PACSPACE_STRIPE_SWEEP": "2s",
}
"""Seconds instead of minutes: real processes know wall time only."""


@dataclass(slots=True, kw_only=True)
class Bill:
    """One customer's invoice of one period."""

    customer: str
    subscription: str
    invoice_id: str
    start: str
    end: str


@dataclass(slots=True, kw_only=True)
class Town:
    """Everything there is: both simulators, any number of our processes, one database."""

    stack: Stack
    _price: str = ""
    _moved_in: int = field(default=0)

    # -- what happens -------------------------------------------------------------------------------------------------

    def invoiced(
        self, billed: str = "100", recorded: str | None = None, *, verified: bool = True, name: str = "town"
    ) -> Bill:
        """Add a customer whose period ends now, with usage on both sides (equal by default), and return the draft."""
        self._moved_in += 1
        customer, now = f"cus_{name}{self._moved_in}", datetime.now(UTC)
        start = (now - PERIOD).isoformat()
        self.stripe("add_customer", id=customer, name=f"Customer {self._moved_in}", email=f"{customer}@example.com")
        self.bill(customer, billed)
        if (recorded or billed) != "0":
            self.record(customer, recorded or billed, verified=verified)
        subscription = self.stripe(
            "add_subscription",
            customer=customer,
            prices=[self._metered_price()],
            period_start=start,
            period_end=(now + timedelta(days=1)).isoformat(),
        )
        invoice_id = self.stripe("renew_now", subscription=subscription)
        line = self.invoice(invoice_id)["lines"]["data"][0]["period"]
        return Bill(
            customer=customer,
            subscription=subscription,
            invoice_id=invoice_id,
            start=datetime.fromtimestamp(line["start"], UTC).isoformat(),
            end=datetime.fromtimestamp(line["end"], UTC).isoformat(),
        )

    def _metered_price(self) -> str:
        if not self._price:
            self._price = self.stripe("add_price", meter=self.stripe("add_meter", event_name=METER))
        return self._price

    def bill(self, customer: str, quantity: str) -> None:
        """Report usage in the period that ends to Stripe."""
        at = (datetime.now(UTC) - USAGE_AGO).isoformat()
        self.stripe("record_usage", customer=customer, event_name=METER, value=quantity, at=at)

    def record(self, customer: str, quantity: str, *, verified: bool = True) -> str:
        """Record usage in the period that ends in the ledger; return the record's id."""
        at = (datetime.now(UTC) - USAGE_AGO).isoformat()
        return str(self.pacspace("record", account=customer, delta=f"-{quantity}", at=at, verified=verified))

    def quiet(self) -> None:
        """Send no webhook any more."""
        self.stripe("set_webhook", enabled_events=[])

    # -- what is so ---------------------------------------------------------------------------------------------------

    @property
    def stripe(self) -> Remote:
        """Return the simulated Stripe."""
        return self.stack.stripe

    @property
    def pacspace(self) -> Remote:
        """Return the simulated PacSpace."""
        return self.stack.pacspace

    def invoice(self, invoice_id: str) -> dict[str, Any]:
        """Return the invoice as Stripe has it."""
        return dict(self.stripe("invoice", invoice=invoice_id))

    def is_right(self, bill: Bill) -> bool:
        """Return whether the invoice bills now what the ledger has verified, by the simulators alone."""
        lines = self.invoice(bill.invoice_id)["lines"]["data"]
        billed = sum((Decimal(line["quantity_decimal"]) for line in lines), Decimal(0))
        net, _ = self.pacspace("balance", account=bill.customer, start=bill.start, end=bill.end)
        return billed == -Decimal(net)

    def charged(self) -> Counter[str]:
        """Return how often money was taken, by invoice."""
        return Counter(charge["invoice"] for charge in self.stripe("snapshot")["charges"])

    def writes(self, invoice_id: str) -> list[str]:
        """Return the changes and refused changes of an invoice through Stripe's API, oldest first, in our words."""
        return [
            _in_words(entry) if entry["status"] == 200 else f"refused {_in_words(entry)}"
            for entry in self.stripe.log()
            if entry["method"] == "POST" and f"/{invoice_id}" in entry["path"]
        ]

    def all_writes(self) -> list[str]:
        """Return every request that changed something on either side. A comparison changes nothing."""
        entries = [*self.stripe.log(), *self.pacspace.log()]
        return [
            entry["endpoint"]
            for entry in entries
            if entry["method"] != "GET" and not entry["endpoint"].endswith("/compare")
        ]

    def listed(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """Return the output of ``pacspace-stripe invoices --json``, by invoice."""
        done = self.stack.run("invoices", "--json", *arguments)
        assert done.returncode in (0, 1), done.stderr
        return {one["invoice"]: one for one in json.loads(done.stdout)}

    def log(self, name: str = "serve") -> str:
        """Return the log of a process so far."""
        path = self.stack.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    @contextmanager
    def store(self) -> Iterator[Store]:
        """Open our own database, for reading."""
        url = self.stack.environment["PACSPACE_STRIPE_DATABASE_URL"]
        opened = Store(
            url.replace("postgresql://", "postgresql+psycopg://"),
            now=lambda: datetime.now(UTC),
            lost_after=timedelta(seconds=1),
        )
        try:
            yield opened
        finally:
            opened.close()

    # -- waiting for it -----------------------------------------------------------------------------------------------

    def until_paid(self, *bills: Bill) -> None:
        """Wait until money was taken for all of them."""
        wait_for("the payments", lambda: self.charged().keys() >= _ids(bills), seconds=PATIENCE, every=0.2)

    def until_verdict(self, verdict: str, *bills: Bill) -> None:
        """Wait until the product has this verdict on all of them."""

        def said() -> bool:
            with self.store() as store:
                found = {one.job_id for one in store.jobs.invoices(status=verdict)}
            return found >= _ids(bills)

        wait_for(f"the verdict {verdict}", said, seconds=PATIENCE, every=0.2)

    def until_held(self, *bills: Bill) -> None:
        """Wait until Stripe advances none of them by itself."""

        def held() -> bool:
            return not any(self.invoice(bill.invoice_id)["auto_advance"] for bill in bills)

        wait_for("the holds", held, seconds=PATIENCE)

    def until_checking(self, *bills: Bill) -> None:
        """Wait until some process is in the middle of a check of each of them."""

        def looked_at() -> bool:
            with self.store() as store:
                jobs = [store.jobs.find(bill.invoice_id) for bill in bills]
            return all(job is not None and job.lease_owner for job in jobs)

        wait_for("the checks", looked_at, seconds=PATIENCE)

    def until_logged(self, text: str, name: str = "serve", times: int = 1) -> None:
        """Wait until a process has logged this text."""
        wait_for(f"{text!r} in {name}.log", lambda: self.log(name).count(text) >= times, seconds=PATIENCE)

    def until_acknowledged(self) -> None:
        """Wait until every event that was sent was taken."""

        def taken() -> bool:
            return not any(event["pending_webhooks"] for event in self.stripe("snapshot")["events"])

        wait_for("the webhooks to be taken", taken, seconds=PATIENCE, every=0.2)


@contextmanager
def town(folder: Path, *, database_url: str | None = None, seconds: float = 4, **settings: str) -> Iterator[Town]:
    """Open a town whose drafts Stripe finalizes after ``seconds``; ``fail="open"`` is PACSPACE_STRIPE_FAIL.

    As at Stripe, that time begins when the endpoint has taken ``invoice.created``: a slow start lets no draft slip.
    """
    ours = {f"PACSPACE_STRIPE_{name.upper()}": value for name, value in settings.items()}
    with Stack(folder=folder, settings=FAST | ours, database_url=database_url) as stack:
        stack.stripe("configure", finalization_delay=seconds, payment_delay=0.2, webhook_gate=True)
        stack.stripe("set_webhook", retry_after=[0.3])
        yield Town(stack=stack)
        assert_logs_hide_secrets(stack)


def assert_logs_hide_secrets(stack: Stack) -> None:
    """Assert that no process logged a secret, a person's name or a traceback; called at the end of every test."""
    for log in stack.folder.glob("*.log"):
        said = log.read_text()
        for name in ("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", "PACSPACE_API_KEY"):
            assert stack.environment[name] not in said, f"{name} in {log.name}"
        assert "@example.com" not in said, f"a customer's address in {log.name}"
        assert "Customer " not in said, f"a customer's name in {log.name}"
        assert "Traceback" not in said, f"a traceback in {log.name}:\n{said[said.index('Traceback') :]}"


@dataclass(frozen=True, slots=True)
class Links:
    """The evidence of one subscription, in order."""

    documents: tuple[Evidence, ...]

    @classmethod
    def of(cls, store: Store, bill: Bill) -> Self:
        return cls(tuple(store.chains.of_job(bill.invoice_id)))

    def verdicts(self) -> list[str]:
        """Return the decisions, oldest first, without those that only confirm one."""
        said = [json.loads(link.document) for link in self.documents]
        return [one["decision"]["verdict"] for one in said if one["confirms"] is None]

    def problems(self) -> list[str]:
        """Return the faults of the chain; empty if it has every link, once, unchanged."""
        found: list[str] = []
        previous: str | None = None
        for place, link in enumerate(self.documents, start=1):
            chain: Mapping[str, Any] = json.loads(link.document)["chain"]
            if digest(link.document) != link.sha256:
                found.append(f"link {place} was changed")
            if (chain["sequence"], chain["previous_sha256"]) != (place, previous):
                found.append(f"link {place} does not follow the one before")
            previous = link.sha256
        said = [meaning(json.loads(link.document)) for link in self.documents]
        twice = [place for place in range(1, len(said)) if said[place] == said[place - 1]]
        return found + [f"link {place + 1} says what the one before says" for place in twice]


def _ids(bills: tuple[Bill, ...]) -> set[str]:
    return {bill.invoice_id for bill in bills}


def _in_words(entry: Mapping[str, Any]) -> str:
    if entry["path"].endswith("/finalize"):
        return "finalize"
    asked = entry["params"]
    releases = str(asked.get("auto_advance", "")).lower() == "true"
    words = {
        # A release repeats the stamp's metadata; only a stamp writes the footer with it.
        "stamp": "pacspace_verdict" in asked.get("metadata", {}) and (not releases or "footer" in asked),
        "backstop": "automatically_finalizes_at" in asked,
        "hold": str(asked.get("auto_advance", "")).lower() == "false",
        "release": releases,
    }
    return "+".join(word for word, said in words.items() if said) or "nothing known"
