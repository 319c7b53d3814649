"""What the gate asks of PacSpace, in the domain's values."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from uuid import uuid4

from pacspace_stripe.errors import NotFound, RemoteRefused, ScopeRefused
from pacspace_stripe.http.answers import Fields
from pacspace_stripe.http.client import Transport
from pacspace_stripe.pacspace_api import parsing as reading
from pacspace_stripe.pacspace_api import records
from pacspace_stripe.pacspace_api.balance import LARGEST_PAGE, BalanceApi
from pacspace_stripe.pacspace_api.calls import VERIFY, Calls
from pacspace_stripe.pacspace_api.envelope import ROOTS, total_of
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.pacspace_api.http import Wire
from pacspace_stripe.pacspace_api.results import Source
from pacspace_stripe.pacspace_api.scopes import scope_fields
from pacspace_stripe.vocabulary import quantities
from pacspace_stripe.vocabulary.ledger import (
    Balance,
    Checkpoint,
    Comparison,
    InvoiceProof,
    LedgerDelta,
    ProofSummary,
    Record,
    Unsettled,
)
from pacspace_stripe.vocabulary.windows import Window

_PAGE = 100
_MOST_NAMED = 5
"""Of records and gaps that are named to a person: the rest is counted."""
_TOO_WIDE = "SCOPE_TOO_WIDE"
_NOTHING = Decimal(0)


class PacSpaceApi:
    """PacSpace at ``base_url``. Thread-safe.

    Every method raises RemoteError's children, with PacSpace's own code in ``code``: RemoteUnavailable and
    RateLimited for another time, UnexpectedAnswer for what no document shows, RemoteRefused (NotFound) for a clear no;
    and, from ``compare`` and ``checkpoint``, what the transport's guard raises. Balances are raw and signed, windows
    ``[start, end)`` in UTC.
    """

    def __init__(self, transport: Transport, api_key: str, base_url: str) -> None:
        self._calls = Calls(Wire(transport, api_key, base_url))
        self._balance = BalanceApi(self._calls, lambda: uuid4().hex)

    def derive(self, account: str, window: Window) -> Balance:
        """The balance over all verified deltas of the window (CONTRACT 3.4); zero of nothing for an unknown account.

        Windows are half-open, so what is too wide for one request is the sum of its parts, each delta in one of them.
        """
        try:
            return self._derived(account, window)
        except ScopeRefused as error:
            if error.code != _TOO_WIDE or window.halves is None:
                raise
        return _together([self.derive(account, half) for half in window.halves], window)

    def _derived(self, account: str, window: Window) -> Balance:
        # The limit cuts only the list of deltas; the balance is always over all of them.
        query = {**scope_fields(window), "limit": "1"}
        try:
            data = self._calls.derive(account, query)
        except NotFound:
            return Balance(account=account, window=window, net=_NOTHING, count=0, known=False)
        return reading.balance_from_pacspace(data, account, window)

    def listed(self, account: str, window: Window) -> tuple[Balance, tuple[LedgerDelta, ...]]:
        """The balance of the window and every verified delta that it is made of; of an unknown account, nothing.

        Raises UnexpectedAnswer when a delta lacks its amount, its id or its time; RemoteUnavailable when records came
        in between the pages. What is too wide for one request is asked for in parts.
        """
        try:
            return self._listed(account, window)
        except ScopeRefused as error:
            if error.code != _TOO_WIDE or window.halves is None:
                raise
        parts = [self.listed(account, half) for half in window.halves]
        balance = _together([balance for balance, _ in parts], window)
        return balance, tuple(delta for _, deltas in parts for delta in deltas)

    def _listed(self, account: str, window: Window) -> tuple[Balance, tuple[LedgerDelta, ...]]:
        try:
            derived = self._balance.derive_all(account, window)
        except NotFound:
            return Balance(account=account, window=window, net=_NOTHING, count=0, known=False), ()
        balance = Balance(account=account, window=window, net=derived.balance, count=derived.count)
        return balance, tuple(map(records.ledger_delta, derived.deltas))

    def page_of_deltas(self, account: str, window: Window, *, offset: int = 0) -> tuple[int, tuple[LedgerDelta, ...]]:
        """How many verified deltas the window has, and up to 1,000 of them (CONTRACT 3.4), in one call.

        Raises UnexpectedAnswer when one lacks its amount, its id or when it was accepted.
        """
        try:
            derived = self._balance.derive(account, window, limit=LARGEST_PAGE, offset=offset)
        except NotFound:
            return 0, ()
        return derived.count, tuple(map(records.ledger_delta, derived.deltas))

    def near(self, account: str, window: Window) -> tuple[LedgerDelta, ...] | None:
        """Every verified delta of a short window, asked for once; None when one page does not hold them.

        Raises UnexpectedAnswer when one lacks its amount, its id or when it was accepted.
        """
        try:
            derived = self._balance.derive(account, window, limit=LARGEST_PAGE)
        except NotFound:
            return ()
        whole = len(derived.deltas) == derived.count
        return tuple(map(records.ledger_delta, derived.deltas)) if whole else None

    def record(self, key: str) -> Record | None:
        """All writes to a key of the older settlement API (7), added up; None when nothing was written to it."""
        try:
            return reading.record_from_pacspace(self._calls.bucket(key), key)
        except NotFound:
            return None

    def compare(self, account: str, window: Window, *, yours: Decimal, theirs: Decimal) -> Comparison:
        """What PacSpace says of two balances of the window (CONTRACT 3.5). Changes nothing there; NotFound: unknown account."""
        sent = Comparison(
            your_balance=yours, their_balance=theirs, neutral_balance=None, matches_yours=None, matches_theirs=None
        )
        data = self._calls.compare(account, sent, _NOTHING, scope_fields(window))
        return reading.comparison_from_pacspace(data, sent)

    def checkpoint(self, account: str, window: Window, *, idempotency_key: str) -> Checkpoint:
        """Freeze the window's verified deltas under one root (CONTRACT 3.6); the root may come later.

        The same key and window give the same checkpoint. Raises StillInFlight while PacSpace is still at it, and
        RemoteRefused when PacSpace gave it up.
        """
        body = {"customerId": account, **scope_fields(window)}
        return _made(self._calls.checkpoint(body, key=idempotency_key), account)

    def find_checkpoint(self, account: str, window: Window, named: str) -> Checkpoint | None:
        """Find a checkpoint made before by its id or its root; with its root once it is committed (CONTRACT 3.7).

        None when it is not listed.
        """

        def asked(_: int, seen: int) -> Fields:
            query = {"customerId": account, **scope_fields(window), "limit": str(_PAGE), "offset": str(seen)}
            return self._calls.checkpoints(query)

        names = ("checkpointId", *ROOTS)
        rows = (row for page in _pages(asked, "checkpoints") for row in page)
        found = next((row for row in rows if named in map(row.optional_text, names)), None)
        return _made(found, account) if found else None

    def invoice_proof(self, account: str, window: Window) -> InvoiceProof:
        """Where the window's proof is shown (CONTRACT 3.9); all None when there is no such account or checkpoint."""
        try:
            data = self._calls.invoice_proof(account, scope_fields(window))
        except NotFound:
            return InvoiceProof(proof_root=None, verify_url=None, verification_api_url=None)
        return reading.invoice_proof_from_pacspace(data, account)

    def verify(self, proof_root: str, source: Source = Source.DB) -> ProofSummary:
        """Return what anyone may ask about a root (CONTRACT 3.13), so without our key.

        It is not verified when PacSpace does not know it.
        """
        try:
            data = self._calls.verify(proof_root, {} if source is Source.DB else {"source": source.value})
        except NotFound:
            return ProofSummary(proof_root=proof_root, verified=False, record_count=None, net_change=None, unknown=True)
        return reading.proof_summary_from_pacspace(data, proof_root)

    def verify_address(self, proof_root: str) -> str:
        """Where anyone may ask about a root, without a key (CONTRACT 3.13)."""
        return self._calls.wire.address(VERIFY, proof_root)

    def unsettled(
        self, account: str, window: Window, *, may_count: Callable[[LedgerDelta], bool] = lambda _: True
    ) -> Unsettled:
        """Deltas of the window that are neither verified nor failed, and sequence gaps (3.11, 3.12).

        Which clock places a delta is not documented (4), so those of the day before count too. Of all of them only
        such as ``may_count``. Raises UnexpectedAnswer when PacSpace's list of them does not come to an end.
        """
        since = window.start - timedelta(days=1)
        try:
            waiting = [row for row in self._recent(account, since) if reading.is_unsettled(row, since, window.end)]
            unverified = [row for row in waiting if may_count(records.waiting_delta(row, window.start))]
            gaps = self._calls.gaps(account, {"limit": str(_PAGE)})
        except NotFound:
            return Unsettled(unverified=0, gaps=0)
        return Unsettled(
            unverified=len(unverified),
            gaps=reading.gaps_of(gaps),
            records=reading.named(unverified, most=_MOST_NAMED),
            sequences=reading.gaps_named(gaps, most=_MOST_NAMED),
        )

    def _recent(self, account: str, since: datetime) -> list[Fields]:
        """Every row of an account's recent activity (CONTRACT 3.11), in any status; rows before ``since`` may be missing.

        No document says in which order rows come. Where they prove to come newest first, those before ``since`` are
        left unread.
        """

        def asked(page: int, _: int) -> Fields:
            query = {"deltaPage": str(page), "deltaLimit": str(_PAGE)}
            return self._calls.customer(account, query).fields("recentActivity")

        rows: list[Fields] = []
        for page in _pages(asked, "items"):
            rows += page
            if _is_before(rows, page, since):
                break
        return rows


def _pages(asked: Callable[[int, int], Fields], name: str) -> Iterator[list[Fields]]:
    """Every page of a list, asked for by its number and by how many rows came before; however many there are.

    The list ends where it says, or else with a page that is not full. One that does not move on: UnexpectedAnswer.
    """
    seen, before = 0, list[object]()
    for number in count(1):
        listing = asked(number, seen)
        page = listing.items(name)
        shown: list[object] = [row.data for row in page]
        if page and shown == before:
            listing.reject(name, "are those of the page before, though there are said to be more")
        yield page
        seen, before, total = seen + len(page), shown, total_of(listing, unnamed=-1)
        if not page or (seen >= total if total >= 0 else len(page) < _PAGE):
            return


def _is_before(rows: Sequence[Fields], page: Sequence[Fields], since: datetime) -> bool:
    """Return whether a whole page lies before a moment, and all rows so far came newest first."""
    times = [row.optional_written_at("time") for row in rows]
    known = [at for at in times if at is not None]
    if len(known) != len(times) or known != sorted(known, reverse=True) or known[0] == known[-1]:
        return False
    return all(at < since for at in known[-len(page) :])


def _together(parts: Sequence[Balance], window: Window) -> Balance:
    """The balance of a window whose parts were asked for one by one."""
    return Balance(
        account=parts[0].account,
        window=window,
        net=quantities.total(part.net for part in parts),
        count=sum(part.count for part in parts),
        known=any(part.known for part in parts),
    )


def _made(data: Fields, account: str) -> Checkpoint:
    if reading.has_failed(data):
        message = "PacSpace could not make this checkpoint"
        raise RemoteRefused(PACSPACE, message, code="CHECKPOINT_FAILED", hint="Ask PacSpace why; nothing was proven.")
    return reading.checkpoint_from_pacspace(data, account)
