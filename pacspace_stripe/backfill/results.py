"""Results of a backfill: the row of each invoice, finished portions, and the bookmark between two runs."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from pacspace_stripe.backfill.rules.tally import (
    CALLS_OF_A_PDF,
    MOST_NAMED,
    BackfillOutcome,
    BackfillSelection,
    ListPosition,
    Tally,
    calls_for,
    selection_json,
)
from pacspace_stripe.comparison.rules.verdicts import NOTHING_METERED, Reason, Verdict
from pacspace_stripe.gate.rules.result import CheckResult
from pacspace_stripe.store import Store
from pacspace_stripe.vocabulary.canonical_json import digest
from pacspace_stripe.vocabulary.invoices import InvoiceStatus, ListedInvoice
from pacspace_stripe.vocabulary.policy import Policy

DELETED = "deleted"

CheckAttempt = Callable[[bool], CheckResult]
"""Check an invoice. True: return ``UNSETTLED`` or raise where a later attempt may find more, and write nothing then."""


class PdfState(StrEnum):
    """State of an invoice's stamped PDF."""

    WRITTEN = "written"
    THERE = "there"
    """The folder has a file with the same evidence from an earlier run."""
    MISSING = "missing"
    """The folder has none, and a dry run makes none."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PdfFile:
    """The stamped PDF of an invoice: the name of its file, or the problem why there is none."""

    state: PdfState
    name: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWrites:
    """The writes of one run for one invoice: a stamp in Stripe, a PDF in the folder."""

    stamped: bool
    # Bookmarks of earlier versions call it `paper`.
    pdf: Annotated[bool, Field(validation_alias="paper", serialization_alias="paper")]

    def __bool__(self) -> bool:
        return self.stamped or self.pdf


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRow:
    """The result for one invoice."""

    invoice_id: str
    status: InvoiceStatus
    created_at: datetime | None
    """None, like the customer, for an invoice that could not be read."""
    customer_id: str | None
    subscription_id: str | None
    result: CheckResult
    pdf: PdfFile | None = None
    """None where no PDF is asked for."""
    finished: bool = True
    """False when a stop came between its stamp and its PDF."""
    stamped_before: bool = False
    """True if an earlier run of this backfill stamped it, and was stopped before it could count it."""

    @classmethod
    def of(cls, listed: ListedInvoice, result: CheckResult) -> "BackfillRow":
        """Return the row of a check. Its status is newer than the list's, unless the invoice could not be read."""
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
    def outcome(self) -> BackfillOutcome:
        if self.result.verdict is not None:
            return BackfillOutcome(self.result.verdict.value)
        judged_later = self.result.detail != NOTHING_METERED and self.result.status != DELETED
        return BackfillOutcome.NOT_YET if judged_later else BackfillOutcome.NOT_METERED

    @property
    def stamped(self) -> bool:
        """Return whether the invoice was stamped, or would be with ``--apply``."""
        return self.stamped_before or any(step.startswith("stamp") for step in self.result.steps)

    @property
    def written(self) -> RunWrites:
        """Return the writes of this run for it."""
        return RunWrites(stamped=self.stamped, pdf=self.pdf is not None and self.pdf.state is PdfState.WRITTEN)

    def credited(self, before: RunWrites | None) -> "BackfillRow":
        """Return the row with the writes of an earlier run of this backfill that the earlier run could not count."""
        if before is None:
            return self
        counted = self.pdf is not None and self.pdf.state is PdfState.THERE and before.pdf
        pdf = replace(self.pdf, state=PdfState.WRITTEN) if self.pdf and counted else self.pdf
        return replace(self, stamped_before=self.stamped_before or before.stamped, pdf=pdf)

    def add_to(self, tally: Tally, policy: Policy) -> None:
        """Count the invoice, and the calls that it takes with ``--apply``."""
        reason = self.result.reason.value if self.result.reason else None
        tally.count(self.outcome, reason, self.status, stamped=self.stamped)
        if self.pdf:
            tally.pdfs[self.pdf.state] = tally.pdfs.get(self.pdf.state, 0) + 1
        if self.pdf and self.pdf.problem and len(tally.without_pdf) < MOST_NAMED:
            tally.without_pdf.append(f"{self.invoice_id}  {self.pdf.problem}")
        if not self.outcome.good and len(tally.bad) < MOST_NAMED:
            detail = self.result.detail or "-"
            about = (self.invoice_id, self.customer_id or "-", self.status.value, reason or "-", detail)
            tally.bad.append("  ".join(about))
        if self.pdf and self.pdf.state is PdfState.MISSING:
            tally.calls += CALLS_OF_A_PDF
        windows = sum(window["account"] is not None for window in self.result.windows)
        tally.calls += calls_for(self.outcome, self.status, windows=windows, stamps=self.stamped, policy=policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class DonePortion:
    """A finished part of a page: its rows in Stripe's order, and the position behind it; None behind the last one."""

    rows: tuple[BackfillRow, ...]
    next: ListPosition | None
    lists: int
    """Lists that Stripe was asked for: one for the first portion of each page."""
    beyond: tuple[BackfillRow, ...] = ()
    """Rows done behind ``next`` in a portion that a stop cut short. A resumed run checks them again."""


# -- results without a check ------------------------------------------------------------------------------------------


def not_metered(listed: ListedInvoice, status: InvoiceStatus) -> CheckResult:
    """Return the result of an invoice with nothing metered, which is not even checked."""
    return _result(listed, status.value, NOTHING_METERED)


def deleted(listed: ListedInvoice) -> CheckResult:
    """Return the result of an invoice that was listed, and gone when it was read."""
    return _result(listed, DELETED, "deleted in Stripe, or of another account")


def unread(listed: ListedInvoice, reason: Reason, detail: str) -> CheckResult:
    """Return the result of an invoice that could not be read: unproven, never "nothing metered"."""
    return replace(_result(listed, "unread", detail), verdict=Verdict.UNPROVEN, reason=reason)


def _result(listed: ListedInvoice, status: str, detail: str) -> CheckResult:
    return CheckResult(
        invoice_id=listed.invoice_id,
        status=status,
        verdict=None,
        reason=None,
        detail=detail,
        windows=(),
        steps=(),
        next_check_at=None,
    )


# -- between two runs -------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Bookmark:
    """The state that is kept between two runs of one backfill."""

    until: datetime
    """End of the selection, which is the start of the first run if no end was named."""
    place: ListPosition = field(default_factory=ListPosition)
    tally: Tally = field(default_factory=Tally)
    report_bytes: int = 0
    """Length of the CSV file up to the position."""
    beyond: dict[str, RunWrites] = field(default_factory=dict)
    """Writes for invoices behind the position, by id: a stop came before they could be counted."""


_BOOKMARK: TypeAdapter[Bookmark] = TypeAdapter(Bookmark)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmarks:
    """The bookmark of every selection. With ``open_end``, no end was named, so that tomorrow's run continues it."""

    store: Store

    def find(self, selection: BackfillSelection, *, open_end: bool) -> Bookmark | None:
        """Return the bookmark of an earlier run, or None, also for one that another version wrote differently."""
        kept = self.store.journal.fact(_name(selection, open_end=open_end))
        try:
            return None if kept is None else _BOOKMARK.validate_json(kept)
        except ValidationError:
            return None

    def keep(self, selection: BackfillSelection, bookmark: Bookmark, *, open_end: bool) -> None:
        """Store a bookmark once a portion and every one before it is done."""
        written = _BOOKMARK.dump_json(bookmark, by_alias=True).decode()
        self.store.journal.remember_fact(_name(selection, open_end=open_end), written)

    def forget(self, selection: BackfillSelection, *, open_end: bool) -> None:
        """Delete the bookmark of a backfill that is finished or starts from the beginning."""
        self.store.journal.forget_fact(_name(selection, open_end=open_end))


def _name(selection: BackfillSelection, *, open_end: bool) -> str:
    about = {**selection_json(selection), **({"until": "now"} if open_end else {})}
    return f"backfill:{digest(json.dumps(about, sort_keys=True).encode())[:40]}"
