"""One invoice and what was found: what a backfill reports, and counts."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from pacspace_stripe.backfill.rules.tally import CALLS_OF_A_PDF, MOST_NAMED, Outcome, Place, Tally, calls_for
from pacspace_stripe.comparison.rules.verdicts import NOTHING_METERED, Reason, Verdict
from pacspace_stripe.gate.rules.result import CheckResult
from pacspace_stripe.vocabulary.invoices import InvoiceStatus, ListedInvoice
from pacspace_stripe.vocabulary.policy import Policy

DELETED = "deleted"


class PaperState(StrEnum):
    """What became of an invoice's stamped PDF."""

    WRITTEN = "written"
    THERE = "there"
    """With this very evidence, from an earlier run."""
    MISSING = "missing"
    """A dry run makes none."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """An invoice's stamped PDF: the name of its file, and why there is none."""

    state: PaperState
    name: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Writes of one run for one invoice: its stamp at Stripe, its PDF in the folder."""

    stamped: bool
    paper: bool

    def __bool__(self) -> bool:
        return self.stamped or self.paper


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One invoice."""

    invoice_id: str
    status: InvoiceStatus
    created_at: datetime | None
    """None, as the customer, of one that could not be read."""
    customer_id: str | None
    subscription_id: str | None
    result: CheckResult
    paper: Paper | None = None
    """None where none is wanted."""
    finished: bool = True
    """False when a stop came between its stamp and its PDF."""
    stamped_before: bool = False
    """An earlier run of this backfill stamped it and was stopped before it could count it."""

    @classmethod
    def of(cls, listed: ListedInvoice, result: CheckResult) -> "Row":
        """``result.status`` is newer than the list, unless the invoice could not be read since."""
        invoice, newest = listed.invoice, InvoiceStatus(result.status)
        status = invoice.status if invoice and newest is InvoiceStatus.UNKNOWN else newest
        return cls(
            invoice_id=listed.invoice_id,
            status=status,
            created_at=invoice.created_at if invoice else None,
            customer_id=invoice.customer_id if invoice else None,
            subscription_id=invoice.subscription_id if invoice else None,
            result=result,
        )

    @property
    def outcome(self) -> Outcome:
        if self.result.verdict is not None:
            return Outcome(self.result.verdict.value)
        judged_later = self.result.detail != NOTHING_METERED and self.result.status != DELETED
        return Outcome.NOT_YET if judged_later else Outcome.NOT_METERED

    @property
    def stamped(self) -> bool:
        """Whether it was stamped, or would be."""
        return self.stamped_before or any(step.startswith("stamp") for step in self.result.steps)

    @property
    def written(self) -> Written:
        """Return what this run wrote for it."""
        return Written(stamped=self.stamped, paper=self.paper is not None and self.paper.state is PaperState.WRITTEN)

    def credited(self, before: Written | None) -> "Row":
        """Return the row with what an earlier run of this backfill wrote and could not count any more."""
        if before is None:
            return self
        there = self.paper if self.paper and self.paper.state is PaperState.THERE and before.paper else None
        paper = replace(there, state=PaperState.WRITTEN) if there else self.paper
        return replace(self, stamped_before=self.stamped_before or before.stamped, paper=paper)

    def add_to(self, tally: Tally, policy: Policy) -> None:
        """Count it: what it was, and what it takes."""
        reason = self.result.reason.value if self.result.reason else None
        tally.count(self.outcome, reason, self.status, stamped=self.stamped)
        if self.paper:
            tally.pdfs[self.paper.state] = tally.pdfs.get(self.paper.state, 0) + 1
        if self.paper and self.paper.problem and len(tally.without_pdf) < MOST_NAMED:
            tally.without_pdf.append(f"{self.invoice_id}  {self.paper.problem}")
        if not self.outcome.good and len(tally.bad) < MOST_NAMED:
            tally.bad.append(self._in_words())
        windows = sum(window["account"] is not None for window in self.result.windows)
        if self.paper and self.paper.state is PaperState.MISSING:
            tally.calls += CALLS_OF_A_PDF
        tally.calls += calls_for(self.outcome, self.status, windows=windows, stamps=self.stamped, policy=policy)

    def _in_words(self) -> str:
        reason = self.result.reason.value if self.result.reason else "-"
        said = self.result.detail or "-"
        return f"{self.invoice_id}  {self.customer_id or '-'}  {self.status.value}  {reason}  {said}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DonePortion:
    """A finished part of a page: its rows in Stripe's order, and the place behind it; None behind the last one."""

    rows: tuple[Row, ...]
    next: Place | None
    lists: int
    """Lists that Stripe was asked for: one for the first portion of each page."""
    beyond: tuple[Row, ...] = ()
    """Rows done behind ``next`` in a portion that a stop cut short; a resumed run checks them again."""


Look = Callable[[bool], CheckResult]
"""How an invoice is looked at; told whether it may be patient."""


def not_metered(listed: ListedInvoice, status: InvoiceStatus) -> CheckResult:
    """It was not even looked at."""
    return _unjudged(listed.invoice_id, status.value, NOTHING_METERED)


def deleted(listed: ListedInvoice) -> CheckResult:
    """Listed, and gone when it was read."""
    return _unjudged(listed.invoice_id, DELETED, "deleted in Stripe, or of another account")


def unread(listed: ListedInvoice, reason: Reason, detail: str) -> CheckResult:
    """Nothing could be found out about it."""
    return CheckResult(
        invoice_id=listed.invoice_id,
        status="unread",
        verdict=Verdict.UNPROVEN,
        reason=reason,
        detail=detail,
        windows=(),
        steps=(),
        next_check_at=None,
    )


def _unjudged(invoice_id: str, status: str, detail: str) -> CheckResult:
    return CheckResult(
        invoice_id=invoice_id,
        status=status,
        verdict=None,
        reason=None,
        detail=detail,
        windows=(),
        steps=(),
        next_check_at=None,
    )
