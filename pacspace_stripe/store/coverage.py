"""Coverage: which invoice bills which ledger account for which time.

The ledger's records of one account and time vouch for one invoice. Two that bill the same, of one customer or of two,
prove nothing about either. They also say whom an event about an account is for; so early warnings have some too.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import sqlalchemy as sa

from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.store import states as memories
from pacspace_stripe.store.database import Database
from pacspace_stripe.store.records import Kind
from pacspace_stripe.store.tables import claims, jobs
from pacspace_stripe.usage.rules.accounts import CoveredPart
from pacspace_stripe.vocabulary.windows import Window

if TYPE_CHECKING:
    from datetime import datetime


_WRITTEN = ("account", "starts_at", "meter", "ends_at", "customer_id")


class Coverage:
    """One invoice's claims are replaced as a whole, so that a corrected mapping frees what it claimed before."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, invoice_id: str, wanted: Iterable[CoveredPart | tuple[str, Window]]) -> None:
        """Make these the invoice's claims; none frees what it claimed. Writes only what changed."""
        mine = sa.select(claims).where(claims.c.invoice_id == invoice_id)
        # Of windows that start together the longest is claimed: it holds the others.
        claimed = sorted((CoveredPart(*each) for each in wanted), key=_ends_at)
        longest = {(each.account, each.window.start, each.meter): each for each in claimed}
        rows = {(*key, each.window.end, each.customer_id) for key, each in longest.items()}
        with self._database.reading() as connection:
            found = connection.execute(mine)
            kept = {(row.account, row.starts_at, row.meter, row.ends_at, row.customer_id) for row in found}
        if kept == rows:
            return
        with self._database.writing() as connection:
            connection.execute(sa.delete(claims).where(claims.c.invoice_id == invoice_id))
            for row in sorted(rows):
                named = dict(zip(_WRITTEN, row, strict=True))
                connection.execute(sa.insert(claims).values(invoice_id=invoice_id, **named))

    def overlapping_invoice(
        self,
        invoice_id: str,
        account: str,
        window: Window,
        meter: str = "",
        customer_id: str = "",
        *,
        but: Collection[str] = (),
    ) -> str | None:
        """Another invoice, none of ``but``, that bills this account for a time that overlaps.

        An early warning bills nothing. Two that claim different meters of it, of one customer, do not bill the same.
        """
        query = sa.select(claims.c.invoice_id).where(
            claims.c.account == account,
            claims.c.invoice_id.not_in([invoice_id, *but]),
            sa.not_(claims.c.invoice_id.startswith(f"{Kind.UPCOMING.value}:")),
            claims.c.starts_at < window.end,
            claims.c.ends_at > window.start,
        )
        if meter:
            query = query.where(claims.c.meter.in_(["", meter]) | (claims.c.customer_id != customer_id))
        with self._database.reading() as connection:
            return connection.execute(query.order_by(claims.c.invoice_id).limit(1)).scalar()

    def overlaps(
        self, rival_id: str, account: str, window: Window, meter: str = "", customer_id: str = ""
    ) -> list[Window]:
        """Return the parts of a window for which ``rival_id`` bills this account too, as ``overlapping_invoice`` finds it."""
        query = sa.select(claims.c.starts_at, claims.c.ends_at).where(
            claims.c.account == account,
            claims.c.invoice_id == rival_id,
            claims.c.starts_at < window.end,
            claims.c.ends_at > window.start,
        )
        if meter:
            query = query.where(claims.c.meter.in_(["", meter]) | (claims.c.customer_id != customer_id))
        with self._database.reading() as connection:
            return [
                Window(start=max(row.starts_at, window.start), end=min(row.ends_at, window.end))
                for row in connection.execute(query)
            ]

    def drifting(self, invoice_id: str, window: Window, *, most: int) -> list[InvoiceState]:
        """What we remember of other invoices that bill any of this time and drifted, the last looked at first.

        Early warnings are among them where there is no invoice yet.
        """
        query = (
            sa.select(jobs.c.memory)
            .where(
                jobs.c.verdict == Verdict.DRIFTED.value,
                jobs.c.job_id != invoice_id,
                jobs.c.job_id.in_(
                    sa.select(claims.c.invoice_id).where(
                        claims.c.starts_at < window.end, claims.c.ends_at > window.start
                    )
                ),
            )
            .order_by(jobs.c.updated_at.desc())
            .limit(most)
        )
        with self._database.reading() as connection:
            return [memories.from_json(memory) for memory in connection.execute(query).scalars()]

    def beside(self, invoice_id: str, window: Window, *, most: int) -> list[tuple[str, str]]:
        """Other invoices, with their accounts, that bill any of this time and were not judged yet."""
        judged = (Verdict.DRIFTED.value, Verdict.MATCHED.value, Verdict.WAIVED.value)
        known = sa.outerjoin(claims, jobs, claims.c.invoice_id == jobs.c.job_id)
        query = (
            sa.select(claims.c.invoice_id, claims.c.account)
            .select_from(known)
            .where(
                claims.c.invoice_id != invoice_id,
                claims.c.starts_at < window.end,
                claims.c.ends_at > window.start,
                sa.or_(jobs.c.verdict.is_(None), jobs.c.verdict.not_in(judged)),
            )
            .order_by(claims.c.starts_at.desc(), claims.c.invoice_id)
            .limit(most)
        )
        with self._database.reading() as connection:
            return [*dict.fromkeys((row.invoice_id, row.account) for row in connection.execute(query))]


def _ends_at(claim: CoveredPart) -> "datetime":
    return claim.window.end
