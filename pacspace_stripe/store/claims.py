"""Claims: which invoice bills which ledger account for which time.

The ledger's records of one account and time vouch for one invoice. Two that bill the same, of one customer or of two,
prove nothing about either. They also say whom an event about an account is for; so early warnings have some too.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import sqlalchemy as sa

from pacspace_stripe.domain.windows import Window
from pacspace_stripe.store.database import Database
from pacspace_stripe.store.records import Kind
from pacspace_stripe.store.tables import claims

if TYPE_CHECKING:
    from datetime import datetime

Claim = tuple[str, Window]
"""A ledger account and the window that is billed."""


class Claims:
    """One invoice's claims are replaced as a whole, so that a corrected mapping frees what it claimed before."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, invoice_id: str, wanted: Iterable[Claim]) -> None:
        """Make these the invoice's claims; none frees what it claimed. Writes only what changed."""
        mine = sa.select(claims).where(claims.c.invoice_id == invoice_id)
        # Of windows that start together the longest is claimed: it holds the others.
        longest = {(account, window.start): window.end for account, window in sorted(wanted, key=_ends_at)}
        rows = {(account, start, end) for (account, start), end in longest.items()}
        with self._database.reading() as connection:
            kept = {(row.account, row.starts_at, row.ends_at) for row in connection.execute(mine)}
        if kept == rows:
            return
        with self._database.writing() as connection:
            connection.execute(sa.delete(claims).where(claims.c.invoice_id == invoice_id))
            for account, start, end in sorted(rows):
                row = {"account": account, "starts_at": start, "ends_at": end, "invoice_id": invoice_id}
                connection.execute(sa.insert(claims).values(**row))

    def rival_of(self, invoice_id: str, account: str, window: Window, *, but: Collection[str] = ()) -> str | None:
        """Another invoice that bills this account for a time that overlaps, and is none of ``but``.

        An early warning bills nothing.
        """
        query = sa.select(claims.c.invoice_id).where(
            claims.c.account == account,
            claims.c.invoice_id.not_in([invoice_id, *but]),
            sa.not_(claims.c.invoice_id.startswith(f"{Kind.UPCOMING.value}:")),
            claims.c.starts_at < window.end,
            claims.c.ends_at > window.start,
        )
        with self._database.reading() as connection:
            return connection.execute(query.order_by(claims.c.invoice_id).limit(1)).scalar()


def _ends_at(claim: Claim) -> "datetime":
    return claim[1].end
