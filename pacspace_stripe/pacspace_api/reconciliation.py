"""The reads and the checkpoint that the gate compares by: one ledger account, one window, one call each.

The other parts of the client read a whole answer. These read no more than a comparison judges by, because a surprise in
anything else must not hold an invoice. Accounts are checked where they are mapped, windows are half-open UTC spans.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count, islice

from pacspace_stripe.errors import NotFound, ScopeRefused, UnexpectedAnswer
from pacspace_stripe.http.answers import Fields
from pacspace_stripe.pacspace_api.balance import LARGEST_PAGE, BalanceApi, compared
from pacspace_stripe.pacspace_api.failures import PACSPACE, checkpoint_failed
from pacspace_stripe.pacspace_api.http import BALANCE, Data, PacSpaceHttp
from pacspace_stripe.pacspace_api.inputs import Source, scope_fields
from pacspace_stripe.pacspace_api.models import (
    RECORD_IDS,
    ROOTS,
    BalanceFigures,
    BucketFigures,
    CheckpointRoot,
    Delta,
    DeltaFigures,
    DeltaState,
    GapFigures,
    ProofLinks,
    read_links,
)
from pacspace_stripe.pacspace_api.parsing import about, read, total_of
from pacspace_stripe.pacspace_api.proofs import VERIFY, proof_summary
from pacspace_stripe.pacspace_api.settlement import BUCKET
from pacspace_stripe.vocabulary import quantities
from pacspace_stripe.vocabulary.ledger import (
    Balance,
    Comparison,
    LedgerDelta,
    ProofSummary,
    Record,
    Unsettled,
)
from pacspace_stripe.vocabulary.windows import Window

_PAGE = 100
_MOST_NAMED = 5
"""Deltas and gaps that are named to a person; the rest is counted."""
_SHOWN = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
_TOO_WIDE = "SCOPE_TOO_WIDE"
_NOTHING = Decimal(0)


class ReconciliationApi:
    """``PacSpace.reconciliation``. Thread-safe.

    Every method raises RemoteError's children, with PacSpace's own code in ``code``: RemoteUnavailable and RateLimited
    when the same request may succeed later, UnexpectedAnswer for an answer outside the contract, RemoteRefused
    (NotFound) for a clear no; ``compare`` and ``checkpoint`` also whatever the transport's guard raises. Balances are
    raw and signed.
    """

    def __init__(self, http: PacSpaceHttp, balance: BalanceApi) -> None:
        self._http = http
        self._balance = balance

    def derive(self, account: str, window: Window) -> Balance:
        """Return the balance over all verified deltas of a window (CONTRACT 3.4); zero for an unknown account.

        A window that is too wide for one request is the sum of its halves: windows are half-open, so each delta is in
        one of them.
        """
        # The limit cuts only the list of deltas; the balance is always over all of them.
        query = {**scope_fields(window), "limit": "1"}
        try:
            data = self._http.get("derive", f"{BALANCE}/derive/{{id}}", account, query)
        except NotFound:
            return Balance(account=account, window=window, net=_NOTHING, count=0, known=False)
        except ScopeRefused as error:
            if error.code != _TOO_WIDE or window.halves is None:
                raise
            return _together([self.derive(account, half) for half in window.halves], window)
        return balance_of(data, account, window)

    def listed(self, account: str, window: Window) -> tuple[Balance, tuple[LedgerDelta, ...]]:
        """Return the balance of a window and every verified delta behind it; nothing for an unknown account.

        Raises UnexpectedAnswer when a delta lacks its amount, its id or its time; RemoteUnavailable when deltas came in
        between the pages. A window that is too wide for one request is read in parts.
        """
        try:
            derived = self._balance.derive_all(account, window)
        except NotFound:
            return Balance(account=account, window=window, net=_NOTHING, count=0, known=False), ()
        except ScopeRefused as error:
            if error.code != _TOO_WIDE or window.halves is None:
                raise
            parts = [self.listed(account, half) for half in window.halves]
            balance = _together([balance for balance, _ in parts], window)
            return balance, tuple(delta for _, deltas in parts for delta in deltas)
        balance = Balance(account=account, window=window, net=derived.balance, count=derived.count)
        return balance, tuple(map(ledger_delta, derived.deltas))

    def page_of_deltas(self, account: str, window: Window, *, offset: int = 0) -> tuple[int, tuple[LedgerDelta, ...]]:
        """Return the number of verified deltas of a window, and up to 1,000 of them (CONTRACT 3.4), in one call.

        Raises UnexpectedAnswer when a delta lacks its amount, its id or its time.
        """
        try:
            derived = self._balance.derive(account, window, limit=LARGEST_PAGE, offset=offset)
        except NotFound:
            return 0, ()
        return derived.count, tuple(map(ledger_delta, derived.deltas))

    def record(self, key: str) -> Record | None:
        """Return the sum of all writes to a key of the settlement API (CONTRACT 7); None when there was none."""
        try:
            data = self._http.get("bucket", BUCKET, key)
        except NotFound:
            return None
        found = read(BucketFigures, "bucket", data, key=key)
        return Record(key=key, bits=found.current_bits, writes=found.total_writes, verified=found.verified)

    def compare(self, account: str, window: Window, *, yours: Decimal, theirs: Decimal) -> Comparison:
        """Have PacSpace compare two balances of a window (CONTRACT 3.5). Changes nothing; NotFound: unknown account."""
        named, scope = {"customerId": account}, scope_fields(window)
        return compared(self._http, named, yours=yours, theirs=theirs, starting=_NOTHING, scope=scope)

    def checkpoint(self, account: str, window: Window, *, idempotency_key: str) -> CheckpointRoot:
        """Freeze the window's verified deltas under one root (CONTRACT 3.6), which may come later.

        The same key and window give the same checkpoint. Raises StillInFlight while PacSpace still works on it, and
        RemoteRefused when PacSpace could not make it.
        """
        body = {"customerId": account, **scope_fields(window)}
        return checkpoint_of(self._http.post("checkpoint", f"{BALANCE}/checkpoint", body, key=idempotency_key), account)

    def find_checkpoint(self, account: str, window: Window, named: str) -> CheckpointRoot | None:
        """Return an earlier checkpoint by its id or its root (CONTRACT 3.7), or None when it is not listed.

        It has its root once PacSpace has committed it.
        """

        def page(_: int, seen: int) -> Data:
            query = {"customerId": account, **scope_fields(window), "limit": str(_PAGE), "offset": str(seen)}
            return self._http.get_rows("checkpoints", f"{BALANCE}/checkpoints", None, query, "checkpoints", "items")

        names = ("checkpointId", *ROOTS)
        found = (row for rows in _pages(page, "checkpoints") for row in rows)
        there = next((row for row in found if named in map(row.optional_text, names)), None)
        return checkpoint_of(there.data, account) if there else None

    def invoice_proof(self, account: str, window: Window) -> ProofLinks:
        """Return the addresses of a window's proof (CONTRACT 3.9); all None without such an account or checkpoint.

        The answer's access hint is a secret of the payer and is not even read.
        """
        try:
            data = self._http.get("invoice-proof", f"{BALANCE}/invoice-proof/{{id}}", account, scope_fields(window))
        except NotFound:
            return ProofLinks()
        return read_links(ProofLinks, "invoice-proof", data, account)

    def verify(self, proof_root: str, source: Source = Source.DB) -> ProofSummary:
        """Return public verify of a root, asked without our key (CONTRACT 3.13)."""
        return proof_summary(self._http, proof_root, source)

    def verify_address(self, proof_root: str) -> str:
        """Return the address at which anyone may ask about a root, without a key (CONTRACT 3.13)."""
        return self._http.address(VERIFY, proof_root)

    def unsettled(
        self, account: str, window: Window, *, may_count: Callable[[LedgerDelta], bool] = lambda _: True
    ) -> Unsettled:
        """Return deltas of a window that may still change it, and sequence gaps (CONTRACT 3.11, CONTRACT 3.12).

        PacSpace does not document which clock places a delta (CONTRACT 4), so those of the day before the window are
        included; of all of them only such as ``may_count``. Raises UnexpectedAnswer when PacSpace's list does not end.
        """
        since = window.start - timedelta(days=1)
        try:
            waiting = [
                row
                for row in self._recent(account, since)
                if read(DeltaFigures, row.where, row.data).may_still_count(since, window.end)
            ]
            unverified = [row for row in waiting if may_count(_waiting_delta(row, window.start))]
            gaps = self._http.get("gaps", f"{BALANCE}/gaps/{{id}}", account, {"limit": str(_PAGE)})
        except NotFound:
            return Unsettled(unverified=0, gaps=0)
        ids = (next((row.data[name] for name in RECORD_IDS if row.data.get(name)), None) for row in unverified)
        return Unsettled(
            unverified=len(unverified),
            gaps=read(GapFigures, "gaps", gaps).count,
            records=tuple(islice((one for one in ids if isinstance(one, str) and _is_shown(one)), _MOST_NAMED)),
            sequences=gaps_named(gaps, most=_MOST_NAMED),
        )

    def _recent(self, account: str, since: datetime) -> list[Fields]:
        """Return every row of an account's recent activity (CONTRACT 3.11), in any state.

        No document says in which order rows come. Where they prove to come newest first, those before ``since`` are
        left unread.
        """

        def page(number: int, _: int) -> Data:
            query = {"deltaPage": str(number), "deltaLimit": str(_PAGE)}
            customer = self._http.get("customer", f"{BALANCE}/customers/{{id}}", account, query)
            return Fields(PACSPACE, "customer", customer).fields("recentActivity").data

        rows: list[Fields] = []
        for found in _pages(page, "items"):
            rows += found
            times = [row.optional_written_at("time") for row in rows]
            known = [at for at in times if at is not None]
            newest_first = len(known) == len(times) and known == sorted(known, reverse=True) and known[:1] != known[-1:]
            if newest_first and all(at < since for at in known[-len(found) :]):
                break
        return rows


def _pages(ask: Callable[[int, int], Data], name: str) -> Iterator[list[Fields]]:
    """Yield every page of a list, asked for by its number and by the number of rows before it.

    The list ends where it says so, or else with a page that is not full. Raises UnexpectedAnswer for a repeated page.
    """
    seen, before = 0, list[object]()
    for number in count(1):
        listing = Fields(PACSPACE, name, ask(number, seen))
        page = listing.items(name)
        shown: list[object] = [row.data for row in page]
        if page and shown == before:
            listing.reject(name, "are those of the page before, though there are said to be more")
        yield page
        seen, before, total = seen + len(page), shown, total_of(listing.data, unnamed=-1)
        if not page or (seen >= total if total >= 0 else len(page) < _PAGE):
            return


def _together(parts: Sequence[Balance], window: Window) -> Balance:
    """Return the balance of a window whose parts were read one by one."""
    return Balance(
        account=parts[0].account,
        window=window,
        net=quantities.total(part.net for part in parts),
        count=sum(part.count for part in parts),
        known=any(part.known for part in parts),
    )


# -- answers -----------------------------------------------------------------------------------------------------------


def balance_of(data: Data, account: str, window: Window) -> Balance:
    """Return the balance that an answer to derive names (CONTRACT 3.4)."""
    found = read(BalanceFigures, "derive", data, customerId=account)
    if found.balance and not found.count:
        Fields(PACSPACE, "derive", data).reject("computedBalance", "is made of no records")
    return Balance(account=account, window=window, net=found.balance, count=found.count)


def checkpoint_of(data: Data, account: str) -> CheckpointRoot:
    """Return a checkpoint with its root, once it has one. Raises RemoteRefused when PacSpace could not make it."""
    found = read(CheckpointRoot, "checkpoint", about("checkpoint", data, customerId=account))
    if found.status is DeltaState.FAILED:
        raise checkpoint_failed()
    return found


def ledger_delta(delta: Delta) -> LedgerDelta:
    """Return a listed delta for a comparison. Raises UnexpectedAnswer when it cannot be placed in time."""
    if delta.record_id is None or delta.amount is None or delta.recorded_at is None:
        message = f"derive lists a delta ({delta.record_id or 'no id'}) without its id, amount or time"
        hint = "Nothing was concluded from it. Please report it; PACSPACE_STRIPE_ATTRIBUTION=accepted reads no list."
        raise UnexpectedAnswer(PACSPACE, message, hint=hint)
    return LedgerDelta(
        record_id=delta.record_id,
        amount=delta.amount,
        accepted_at=delta.recorded_at,
        reason=delta.reason,
        reference_id=delta.reference_id,
        metadata=delta.metadata,
    )


def _waiting_delta(row: Fields, otherwise: datetime) -> LedgerDelta:
    """Return a delta that is not verified yet (CONTRACT 3.11), as far as the row describes it."""
    delta = read(Delta, row.where, row.data)
    return LedgerDelta(
        record_id=delta.record_id or "",
        amount=delta.amount or _NOTHING,
        accepted_at=delta.recorded_at or otherwise,
        reason=delta.reason,
        reference_id=delta.reference_id,
        metadata=delta.metadata,
    )


def gaps_named(data: Data, *, most: int) -> tuple[str, ...]:
    """Return the first few gaps of an answer, ``4`` or ``4 to 7``, where it has them as the simulator has.

    The shape of the answer is not published (CONTRACT 3.12) and nothing is judged by these names, so any other row is
    left out.
    """
    found = data.get("gaps")
    rows = [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []
    spans = ((row.get("fromSequence"), row.get("toSequence")) for row in rows)
    shown = (
        str(first) if str(first) == str(last) else f"{first} to {last}"
        for first, last in spans
        if all(isinstance(bound, (int, str)) and _is_shown(str(bound)) for bound in (first, last))
    )
    return tuple(islice(shown, most))


def _is_shown(name: str) -> bool:
    """Return whether an id or a number may be shown to a person: other characters were never seen in one."""
    return _SHOWN.fullmatch(name) is not None
