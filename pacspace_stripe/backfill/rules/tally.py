"""The arithmetic of a backfill: which invoices it selects, counts of what it found, and the calls that it takes."""

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
"""Statuses that a backfill can select, in the order that an invoice takes, so that one that moves on is not missed."""
MOST_NAMED = 10
"""Drifted and unproven invoices that the summary names."""
READS_A_MONTH = 10_000
"""Stripe's read allowance of every account, or 500 reads per transaction over 30 days if that is more (FACTS 6.6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One list of Stripe's, with the filters that Stripe has."""

    customer: str | None
    status: InvoiceStatus | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillSelection:
    """Invoices created in ``[since, until)``, aware UTC, of some customers (none named: all) in some statuses."""

    since: datetime
    until: datetime
    customers: tuple[str, ...] = ()
    statuses: tuple[InvoiceStatus, ...] = STATUSES

    def listings(self) -> tuple[Listing, ...]:
        """Return the lists that cover the selection, since Stripe filters by one status and one customer at a time.

        Most invoices are paid: if these are selected among others, one list of all is cheapest, newest first.
        """
        one_list = len(self.statuses) > 1 and InvoiceStatus.PAID in self.statuses
        statuses = (None,) if one_list else tuple(status for status in STATUSES if status in self.statuses)
        customers = self.customers or (None,)
        return tuple(Listing(customer=customer, status=status) for customer in customers for status in statuses)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPosition:
    """A position in a listing, behind its last finished portion."""

    listing: int = 0
    after: str | None = None
    created_at: datetime | None = None
    """Creation time of the invoice ``after``."""

    def share(self, selection: BackfillSelection) -> float:
        """Return the share of the selected time that is done, 0 to 1: an estimate, since Stripe does not count."""
        span = (selection.until - selection.since).total_seconds()
        done = (selection.until - self.created_at).total_seconds() / span if self.created_at and span > 0 else 0.0
        return (self.listing + min(max(done, 0.0), 1.0)) / len(selection.listings())


class BackfillOutcome(StrEnum):
    """Outcome for one invoice: its verdict, or why it has none."""

    MATCHED = "matched"
    WAIVED = "waived"
    DRIFTED = "drifted"
    UNPROVEN = "unproven"
    NOT_YET = "not yet judged"
    """A draft whose usage may still settle; the gate checks it again."""
    NOT_METERED = "nothing metered"

    @property
    def good(self) -> bool:
        return self not in (BackfillOutcome.DRIFTED, BackfillOutcome.UNPROVEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCounts:
    """Numbers of requests, by the endpoints whose rate limits they count against."""

    lists: int = 0
    reads: int = 0
    updates: int = 0
    finalizations: int = 0
    downloads: int = 0
    """Downloads of PDFs, which are requests but no reads of the API."""
    ledger: int = 0
    """Requests of PacSpace, in all."""

    def __add__(self, other: Self) -> Self:
        names = ("lists", "reads", "updates", "finalizations", "downloads", "ledger")
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def stripe_reads(self) -> int:
        """Return the requests that count against Stripe's monthly read allowance."""
        return self.lists + self.reads

    @property
    def stripe_writes(self) -> int:
        return self.updates + self.finalizations

    def at_least(self, rate: Rate) -> timedelta:
        """Return the time that Stripe's rate limits need for these requests alone."""
        busiest = max(self.lists, self.reads, self.updates, self.finalizations, self.downloads) / rate.endpoint
        everything = self.stripe_reads + self.stripe_writes + self.downloads
        return timedelta(seconds=max(busiest, everything / rate.total))


CALLS_OF_A_PDF = CallCounts(reads=2, downloads=1)
"""Requests for the invoice, the address of its PDF, and the PDF."""


def calls_for(
    outcome: BackfillOutcome, status: InvoiceStatus, *, windows: int, stamps: bool, policy: Policy
) -> CallCounts:
    """Return about how many requests one invoice takes with ``--apply``, without prices and meters, read once each."""
    if outcome is BackfillOutcome.NOT_METERED:
        return CallCounts()
    ledger = _LEDGER_CALLS.get(outcome, 4) * windows
    if status is not InvoiceStatus.DRAFT:
        # Without a match, the subscription is read too: it may name another ledger account.
        asked = 1 if outcome in (BackfillOutcome.DRIFTED, BackfillOutcome.UNPROVEN) else 0
        return CallCounts(reads=1 + asked, updates=int(stamps), ledger=ledger)
    if policy.fail is FailPolicy.CLOSED and policy.finalize is FinalizePolicy.STRICT:
        return CallCounts(reads=3, updates=3, finalizations=1, ledger=ledger)
    return CallCounts(reads=3, updates=2, ledger=ledger)


_LEDGER_CALLS = {BackfillOutcome.MATCHED: 5, BackfillOutcome.WAIVED: 5, BackfillOutcome.NOT_YET: 5}
"""Requests per window: derive, compare, checkpoint, verify, proof. A difference takes derive, compare and two reads of
unsettled records."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts of what was found so far: all that a backfill keeps of the invoices that are done."""

    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BackfillOutcome, 0))
    reasons: dict[str, int] = field(default_factory=dict)
    stamped: int = 0
    """Stamps that were written, or would be."""
    unchanged: int = 0
    """Finalized invoices whose stamp already says the same."""
    drafts: int = 0
    """Metered drafts, which the gate checks again."""
    calls: CallCounts = field(default_factory=CallCounts)
    bad: list[str] = field(default_factory=list)
    """Descriptions of the first drifted and unproven invoices; all of them are in the CSV file."""
    pdfs: dict[str, int] = field(default_factory=dict)
    """Numbers of stamped PDFs by their state."""
    without_pdf: list[str] = field(default_factory=list)
    """The first invoices whose PDF could not be made, with the problem."""

    @property
    def invoices(self) -> int:
        return sum(self.outcomes.values())

    @property
    def good(self) -> bool:
        return not any(self.outcomes[outcome] for outcome in BackfillOutcome if not outcome.good)

    def count(self, outcome: BackfillOutcome, reason: str | None, status: InvoiceStatus, *, stamped: bool) -> None:
        """Count one more invoice."""
        self.outcomes[outcome] += 1
        if not outcome.good:
            name = f"{outcome.value} {reason or '-'}"
            self.reasons[name] = self.reasons.get(name, 0) + 1
        if outcome is BackfillOutcome.NOT_METERED:
            return
        if status is InvoiceStatus.DRAFT:
            self.drafts += 1
        elif stamped:
            self.stamped += 1
        else:
            self.unchanged += 1


def selection_json(selection: BackfillSelection) -> Mapping[str, str | list[str]]:
    """Return a selection as JSON, which also identifies a backfill."""
    return {
        "since": iso(selection.since),
        "until": iso(selection.until),
        "customers": sorted(selection.customers),
        "statuses": [status.value for status in STATUSES if status in selection.statuses],
    }
