"""The arithmetic of a backfill: which invoices it is about, what was found, what applying it would take."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from pacspace_stripe.http.ratelimit.rules.rate import Rate
from pacspace_stripe.vocabulary.invoices import InvoiceStatus
from pacspace_stripe.vocabulary.policy import FailPolicy, FinalizePolicy, Policy
from pacspace_stripe.vocabulary.windows import iso

STATUSES = (InvoiceStatus.DRAFT, InvoiceStatus.OPEN, InvoiceStatus.PAID)
"""What a backfill can be about, in the order that an invoice takes: so one that moves on meanwhile is not missed."""
MOST_NAMED = 10
"""Bad invoices that the summary names."""
READS_A_MONTH = 10_000
"""Stripe's read allowance of every account; 500 reads per transaction over 30 days when that is more (facts 6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One list that Stripe is asked for, with the filters it has."""

    customer: str | None
    status: InvoiceStatus | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Invoices created in ``[since, until)``, aware UTC, of some customers (none named: all) in some statuses."""

    since: datetime
    until: datetime
    customers: tuple[str, ...] = ()
    statuses: tuple[InvoiceStatus, ...] = STATUSES

    def listings(self) -> tuple[Listing, ...]:
        """Stripe filters by one status and one customer at a time.

        Most invoices are paid: with these among others, one list of all is the cheapest, newest first throughout.
        """
        one_list = len(self.statuses) > 1 and InvoiceStatus.PAID in self.statuses
        statuses = (None,) if one_list else tuple(status for status in STATUSES if status in self.statuses)
        customers = self.customers or (None,)
        return tuple(Listing(customer=customer, status=status) for customer in customers for status in statuses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far it got: a place in a listing, behind its last finished portion."""

    listing: int = 0
    after: str | None = None
    created_at: datetime | None = None
    """When the invoice ``after`` was created."""

    def share(self, selection: Selection) -> float:
        """How much of the selected time lies behind it, 0 to 1: the best guess, since Stripe counts nothing."""
        span = (selection.until - selection.since).total_seconds()
        done = (selection.until - self.created_at).total_seconds() / span if self.created_at and span > 0 else 0.0
        return (self.listing + min(max(done, 0.0), 1.0)) / len(selection.listings())


class Outcome(StrEnum):
    """What became of one invoice: its verdict, or why it has none."""

    MATCHED = "matched"
    WAIVED = "waived"
    DRIFTED = "drifted"
    UNPROVEN = "unproven"
    NOT_YET = "not yet judged"
    """A draft whose usage may still settle: the gate goes on with it."""
    NOT_METERED = "nothing metered"

    @property
    def good(self) -> bool:
        return self not in (Outcome.DRIFTED, Outcome.UNPROVEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Requests, by the endpoints whose limits they meet."""

    lists: int = 0
    reads: int = 0
    updates: int = 0
    finalizations: int = 0
    downloads: int = 0
    """Of PDFs: no reads of the API, but requests all the same."""
    ledger: int = 0
    """Of PacSpace, in all."""

    def __add__(self, other: Self) -> Self:
        names = ("lists", "reads", "updates", "finalizations", "downloads", "ledger")
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def stripe_reads(self) -> int:
        """What counts against Stripe's monthly read allowance."""
        return self.lists + self.reads

    @property
    def stripe_writes(self) -> int:
        return self.updates + self.finalizations

    def at_least(self, rate: Rate) -> timedelta:
        """How long Stripe's limits make it, with nothing else going on."""
        busiest = max(self.lists, self.reads, self.updates, self.finalizations, self.downloads) / rate.endpoint
        everything = self.stripe_reads + self.stripe_writes + self.downloads
        return timedelta(seconds=max(busiest, everything / rate.total))


CALLS_OF_A_PDF = Calls(reads=2, downloads=1)
"""The invoice, the address of its PDF, and the PDF."""


def calls_for(outcome: Outcome, status: InvoiceStatus, *, windows: int, stamps: bool, policy: Policy) -> Calls:
    """About what one invoice takes with ``--apply``; prices and meters, read once each, come on top."""
    if outcome is Outcome.NOT_METERED:
        return Calls()
    ledger = _LEDGER_CALLS.get(outcome, 4) * windows
    if status is not InvoiceStatus.DRAFT:
        # Without a match it is also asked whether the subscription names another ledger account.
        asked = 1 if outcome in (Outcome.DRIFTED, Outcome.UNPROVEN) else 0
        return Calls(reads=1 + asked, updates=int(stamps), ledger=ledger)
    if policy.fail is FailPolicy.CLOSED and policy.finalize is FinalizePolicy.STRICT:
        return Calls(reads=3, updates=3, finalizations=1, ledger=ledger)
    return Calls(reads=3, updates=2, ledger=ledger)


_LEDGER_CALLS = {Outcome.MATCHED: 5, Outcome.WAIVED: 5, Outcome.NOT_YET: 5}
"""derive, compare, checkpoint, verify, proof; a difference takes derive, compare and two looks at what is unsettled."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was found so far, in numbers: all that a backfill remembers of the invoices behind it."""

    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    reasons: dict[str, int] = field(default_factory=dict)
    stamped: int = 0
    """Stamps written, or that would be."""
    unchanged: int = 0
    """Finalized ones that said so already."""
    drafts: int = 0
    """Metered drafts, which the gate goes on with."""
    calls: Calls = field(default_factory=Calls)
    bad: list[str] = field(default_factory=list)
    """The first drifted and unproven ones in words; all of them are in the CSV file."""
    pdfs: dict[str, int] = field(default_factory=dict)
    """Stamped PDFs by what became of them."""
    without_pdf: list[str] = field(default_factory=list)
    """The first ones whose PDF could not be made, and why."""

    @property
    def invoices(self) -> int:
        return sum(self.outcomes.values())

    @property
    def good(self) -> bool:
        return not any(self.outcomes[outcome] for outcome in Outcome if not outcome.good)

    def count(self, outcome: Outcome, reason: str | None, status: InvoiceStatus, *, stamped: bool) -> None:
        """One more invoice."""
        self.outcomes[outcome] += 1
        if not outcome.good:
            name = f"{outcome.value} {reason or '-'}"
            self.reasons[name] = self.reasons.get(name, 0) + 1
        if outcome is Outcome.NOT_METERED:
            return
        if status is InvoiceStatus.DRAFT:
            self.drafts += 1
        elif stamped:
            self.stamped += 1
        else:
            self.unchanged += 1


def shown(selection: Selection) -> Mapping[str, str | list[str]]:
    """The selection in words, for machines; also what tells one backfill from another."""
    return {
        "since": iso(selection.since),
        "until": iso(selection.until),
        "customers": sorted(selection.customers),
        "statuses": [status.value for status in STATUSES if status in selection.statuses],
    }
