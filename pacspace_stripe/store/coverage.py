"""Coverage: which invoice bills which ledger account for which window.

The ledger's records of one account and window prove the usage of one invoice. If two invoices bill the same records, of
one customer or of two, they prove nothing about either. Coverage also says which invoices an event about an account
concerns, so early warnings have some too.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.store import states
from pacspace_stripe.store.database import Database
from pacspace_stripe.store.jobs import JobKind
from pacspace_stripe.store.tables import coverage, jobs
from pacspace_stripe.usage.rules import CoveredPart
from pacspace_stripe.vocabulary.windows import Window

if TYPE_CHECKING:
    from datetime import datetime


class Coverage:
    """Rows of ``pacspace_claims``, replaced per invoice as a whole so that a corrected mapping frees all of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, invoice_id: str, parts: Iterable[CoveredPart | tuple[str, Window]]) -> None:
        """Replace the coverage of an invoice; no parts free what it covered. Write nothing if nothing changed."""
        # Of windows that start together, the longest one is kept: it contains the others.
        by_end = sorted((CoveredPart(*each) for each in parts), key=lambda part: part.window.end)
        longest = {(each.account, each.window.start, each.meter): each for each in by_end}
        rows = {(*key, each.window.end, each.customer_id) for key, each in longest.items()}
        columns = (
            coverage.c.account,
            coverage.c.starts_at,
            coverage.c.meter,
            coverage.c.ends_at,
            coverage.c.customer_id,
        )
        with self._database.reading() as connection:
            found = connection.execute(sa.select(*columns).where(coverage.c.invoice_id == invoice_id))
            kept = {tuple(row) for row in found}
        if kept == rows:
            return
        with self._database.writing() as connection:
            connection.execute(sa.delete(coverage).where(coverage.c.invoice_id == invoice_id))
            for row in sorted(rows):
                named: dict[str, str | datetime] = dict(zip((one.key for one in columns), row, strict=True))
                connection.execute(sa.insert(coverage).values(invoice_id=invoice_id, **named))

    def overlapping_invoice(
        self,
        invoice_id: str,
        account: str,
        window: Window,
        meter: str = "",
        customer_id: str = "",
        *,
        ignoring: Collection[str] = (),
    ) -> str | None:
        """Return another invoice, none of ``ignoring``, that bills this account for an overlapping window.

        An early warning bills nothing. Two invoices of one customer that bill different meters do not bill the same.
        """
        query = sa.select(coverage.c.invoice_id).where(
            *_same_usage(account, window, meter, customer_id),
            coverage.c.invoice_id.not_in([invoice_id, *ignoring]),
            sa.not_(coverage.c.invoice_id.startswith(f"{JobKind.UPCOMING.value}:")),
        )
        with self._database.reading() as connection:
            return connection.execute(query.order_by(coverage.c.invoice_id).limit(1)).scalar()

    def overlaps(
        self, other_id: str, account: str, window: Window, meter: str = "", customer_id: str = ""
    ) -> list[Window]:
        """Return the parts of a window for which the invoice found by ``overlapping_invoice`` bills this account."""
        query = sa.select(coverage.c.starts_at, coverage.c.ends_at).where(
            *_same_usage(account, window, meter, customer_id), coverage.c.invoice_id == other_id
        )
        with self._database.reading() as connection:
            return [
                Window(start=max(row.starts_at, window.start), end=min(row.ends_at, window.end))
                for row in connection.execute(query)
            ]

    def drifting(self, invoice_id: str, window: Window, *, most: int) -> list[InvoiceState]:
        """Return the states of other invoices that bill any of this window and drifted, the last checked first.

        Early warnings are among them where there is no invoice yet.
        """
        billing = sa.select(coverage.c.invoice_id).where(*_overlapping(window))
        query = sa.select(jobs.c.state).where(
            jobs.c.verdict == Verdict.DRIFTED.value, jobs.c.job_id != invoice_id, jobs.c.job_id.in_(billing)
        )
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(jobs.c.updated_at.desc()).limit(most)).scalars()
            return [states.from_json(state) for state in found]

    def unjudged(self, invoice_id: str, window: Window, *, most: int) -> list[tuple[str, str]]:
        """Return other invoices, with their accounts, that bill any of this window and were not judged yet."""
        judged = (Verdict.DRIFTED.value, Verdict.MATCHED.value, Verdict.WAIVED.value)
        query = (
            sa.select(coverage.c.invoice_id, coverage.c.account)
            .select_from(sa.outerjoin(coverage, jobs, coverage.c.invoice_id == jobs.c.job_id))
            .where(
                coverage.c.invoice_id != invoice_id,
                *_overlapping(window),
                sa.or_(jobs.c.verdict.is_(None), jobs.c.verdict.not_in(judged)),
            )
            .order_by(coverage.c.starts_at.desc(), coverage.c.invoice_id)
            .limit(most)
        )
        with self._database.reading() as connection:
            return [*dict.fromkeys((row.invoice_id, row.account) for row in connection.execute(query))]


def _overlapping(window: Window) -> tuple[sa.ColumnElement[bool], ...]:
    return coverage.c.starts_at < window.end, coverage.c.ends_at > window.start


def _same_usage(account: str, window: Window, meter: str, customer_id: str) -> tuple[Any, ...]:
    same = (coverage.c.account == account, *_overlapping(window))
    if not meter:
        return same
    # A part without a meter covers the whole account; and one account of two customers is never split by meter.
    return (*same, coverage.c.meter.in_(["", meter]) | (coverage.c.customer_id != customer_id))
