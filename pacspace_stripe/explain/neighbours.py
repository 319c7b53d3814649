"""Other places of the missing usage: the customer's other meters, and ledger accounts with the opposite drift.

Candidates come from the invoice and from our own store: PacSpace and Stripe are never scanned for all customers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from itertools import islice

from pacspace_stripe.explain.meter_account import BillingScope, MeterAccount
from pacspace_stripe.explain.rules.drift_location.window_parts import (
    LocatedFault,
    Neighbour,
    WindowPart,
    neighbouring_entries,
)
from pacspace_stripe.explain.rules.explanation import Cause
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.ledger.rules.selection import Selection
from pacspace_stripe.store import Store
from pacspace_stripe.usage.rules import ledger_account
from pacspace_stripe.vocabulary.policy import Policy
from pacspace_stripe.vocabulary.windows import Window

_MOST_DRIFTED, _MOST_DRIFTED_READ = 200, 6
"""Drifted invoices taken from our store, and accounts of them whose figures are read."""
_MOST_COVERED, _MOST_COVERED_READ = 100, 4
"""Invoices without a verdict taken from our store, and accounts of them whose figures are read."""
_INVOICE_PREFIX = "in_"
"""Start of an invoice's id; an early warning's job has another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A meter account that may have the opposite difference."""

    meter_account: MeterAccount
    cause: Cause
    name: str

    def read(self, faults: tuple[LocatedFault, ...], slack: timedelta) -> Neighbour:
        """Read its figures around each fault of the drifted window, in two requests for each fault.

        Raises RecordsNotListed and RemoteError's children.
        """
        parts: list[WindowPart] = []
        for fault in faults:
            wide = Window(start=fault.part.window.start - slack, end=fault.part.window.end + slack)
            entries = self.meter_account.entries(Window(start=wide.start, end=wide.end + slack))
            billed = self.meter_account.billed(wide)
            parts += [WindowPart.listed(wide, billed, each) for each in neighbouring_entries(wide, entries, slack)]
        return Neighbour(name=self.name, cause=self.cause, parts=tuple(parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourSearch:
    """The search for accounts and meters that may have the usage of one drifted window."""

    ours: MeterAccount
    scope: BillingScope
    window: Window
    drift: Decimal
    """Billed minus recorded, in the meter's unit."""
    store: Store
    policy: Policy
    note: Callable[[str], None] = lambda _: None

    def candidates(self) -> Iterator[Candidate]:
        """Yield the likeliest candidates first, and note those that are left out because there are too many."""
        yield from self._other_meters()
        yield from self._drifted_the_other_way()
        yield from self._without_a_verdict()

    def _other_meters(self) -> Iterator[Candidate]:
        """Yield the other meters of the invoice, where their usage is kept apart from ours."""
        for meter, meter_id in self.scope.meter_ids(self.ours.stripe).items():
            account = ledger_account(
                self.policy.ledger_account,
                customer_id=self.scope.customer_id,
                meter=meter,
                metadata=self.scope.metadata,
            )
            if meter != self.ours.meter and account is not None:
                yield from self._of_another_meter(meter, meter_id, account)

    def _of_another_meter(self, meter: str, meter_id: str, account: str) -> Iterator[Candidate]:
        selection = Selection.of(self.policy, meter)
        # On one account that does not split its records by meter, the other meter's records are ours.
        if account != self.ours.account or selection.splits:
            there = replace(self.ours, meter=meter, meter_id=meter_id, account=account, selection=selection)
            yield Candidate(meter_account=there, cause=Cause.WRONG_METER, name=meter)

    def _drifted_the_other_way(self) -> Iterator[Candidate]:
        """Yield accounts with the opposite drift, first those that drifted by exactly as much."""
        found: list[tuple[bool, InvoiceState, str, str]] = []
        drifted = self.store.coverage.drifting(self.scope.job_id, self.window, most=_MOST_DRIFTED + 1)
        for state in drifted[:_MOST_DRIFTED]:
            for window in state.windows:
                account, billed, recorded = (window.get(key) for key in ("account", "billed", "recorded"))
                if account is None or billed is None or recorded is None:
                    continue
                theirs = Decimal(billed) - Decimal(recorded)
                if theirs * self.drift < 0:
                    found.append((theirs != -self.drift, state, str(account), str(window["meter"])))
        likeliest = sorted(found, key=lambda each: each[0])[:_MOST_DRIFTED_READ]
        for _, state, account, meter in likeliest:
            if meter == self.ours.meter:
                yield from self._of_another_customer(state, account)
            else:
                yield from self._on_another_invoice(state, account, meter)
        if len(drifted) > _MOST_DRIFTED or len(found) > _MOST_DRIFTED_READ:
            count = "more" if len(drifted) > _MOST_DRIFTED else str(len(found) - len(likeliest))
            self.note(f"{count} accounts that drifted the other way were not searched")

    def _of_another_customer(self, state: InvoiceState, account: str) -> Iterator[Candidate]:
        """Yield another account for the same meter."""
        if state.customer_id is not None and account != self.ours.account:
            there = replace(self.ours, customer_id=state.customer_id, account=account)
            yield Candidate(meter_account=there, cause=Cause.WRONG_CUSTOMER, name=account)

    def _on_another_invoice(self, state: InvoiceState, account: str, meter: str) -> Iterator[Candidate]:
        """Yield another meter of the same customer; its id comes from the invoice that bills it."""
        if state.customer_id != self.ours.customer_id or not state.invoice_id.startswith(_INVOICE_PREFIX):
            return
        if account == self.ours.account and not Selection.of(self.policy, meter).splits:
            return
        other = BillingScope.of_invoice(self.ours.stripe.read_invoice(state.invoice_id))
        meter_id = other.meter_ids(self.ours.stripe).get(meter)
        if meter_id is not None:
            yield from self._of_another_meter(meter, meter_id, account)

    def _without_a_verdict(self) -> Iterator[Candidate]:
        """Yield accounts of invoices that bill the same time and were not compared yet."""
        covered = self.store.coverage.unjudged(self.scope.job_id, self.window, most=_MOST_COVERED + 1)
        found = (
            candidate
            for invoice_id, account in covered[:_MOST_COVERED]
            for job in [self.store.jobs.find(invoice_id)]
            if job is not None
            for candidate in self._of_another_customer(job.state, account)
            if self._may_keep_our_meter(candidate.meter_account)
        )
        yield from islice(found, _MOST_COVERED_READ)
        if len(covered) > _MOST_COVERED or next(found, None) is not None:
            self.note(f"of the accounts that are not compared yet, only {_MOST_COVERED_READ} were searched")

    def _may_keep_our_meter(self, there: MeterAccount) -> bool:
        """Return whether an account may have records of our meter.

        Where each meter has an account of its own, only that account may.
        """
        own = ledger_account(self.policy.ledger_account, customer_id=there.customer_id, meter=there.meter, metadata={})
        return "{meter}" not in self.policy.ledger_account or own == there.account
