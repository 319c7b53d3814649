"""The Balance API's ledger: deltas, balances, comparisons and checkpoints (CONTRACT 3.1 to CONTRACT 3.7)."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal

from pacspace_stripe.errors import DeltaFailed, InvalidInput, RemoteUnavailable, StillInFlight
from pacspace_stripe.http.answers import Fields
from pacspace_stripe.http.calls import shortened
from pacspace_stripe.pacspace_api import inputs
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.pacspace_api.http import BALANCE, Body, Data, PacSpaceHttp
from pacspace_stripe.pacspace_api.inputs import Granularity, NewDelta, Scope, Span, scope_fields, span_fields
from pacspace_stripe.pacspace_api.models import (
    Batch,
    BatchAnswer,
    CheckpointPage,
    CheckpointRecord,
    CompareAnswer,
    Delta,
    DeltaState,
    ScopeBalance,
)
from pacspace_stripe.pacspace_api.parsing import about, read, rows, total_of
from pacspace_stripe.vocabulary.ledger import Comparison
from pacspace_stripe.vocabulary.quantities import equal, text

LARGEST_PAGE, _MOST_PAGES = 1000, 1000
"""Deltas in one answer, and answers for one list."""
_MOST_IN_A_BATCH = 100
_MOST_OFFSET = 10**9


class BalanceApi:
    """``PacSpace.balance``. Thread-safe.

    Every method raises InvalidInput before anything is sent, and RemoteError's children after. A write carries an
    idempotency key, yours or a new one, the same for all its tries: it happens once.
    """

    def __init__(self, http: PacSpaceHttp, new_key: Callable[[], str]) -> None:
        self._http = http
        self._new_key = new_key

    def emit(self, delta: NewDelta, *, idempotency_key: str | None = None) -> Delta:
        """Record a delta (CONTRACT 3.1): it is QUEUED, and verified a little later.

        Raises CadenceLimited, PlanLimitReached, NotProvisioned, Conflict; StillInFlight when the same key is in flight.
        """
        data = self._http.post("emit", f"{BALANCE}/delta", delta.body(), key=self._key(idempotency_key))
        return emitted_of(data, delta)

    def emit_and_wait(
        self,
        delta: NewDelta,
        *,
        idempotency_key: str | None = None,
        timeout: timedelta = timedelta(seconds=60),
        poll: timedelta = timedelta(seconds=2),
    ) -> Delta:
        """Record a delta and return it once it is VERIFIED. Raises what ``emit`` and ``wait_for_verified`` raise."""
        emitted = self.emit(delta, idempotency_key=idempotency_key)
        verified = self.wait_for_verified(emitted.record_id or "", timeout=timeout, poll=poll)
        # A status may be no more than an id and a word (CONTRACT 3.3); the answer to the emit fills the rest in.
        known = ("receipt_id", "customer_id", "amount", "reason")
        missing = {name: getattr(emitted, name) for name in known if getattr(verified, name) is None}
        return verified.model_copy(update=missing)

    def emit_batch(self, deltas: Sequence[NewDelta], *, idempotency_key: str | None = None) -> Batch:
        """Record 1 to 100 deltas at once (CONTRACT 3.2). Each succeeds or fails alone: see ``Batch.items``."""
        if not 1 <= len(deltas) <= _MOST_IN_A_BATCH:
            message = f"a batch has 1 to {_MOST_IN_A_BATCH} deltas"
            raise InvalidInput(message)
        body = {"deltas": [each.body() for each in deltas]}
        data = self._http.post("batch", f"{BALANCE}/delta/batch", body, key=self._key(idempotency_key))
        return batch_of(data, len(deltas))

    def delta(self, record_id: str) -> Delta:
        """Return the current state of a delta (CONTRACT 3.3). Raises NotFound for an unknown id."""
        data = self._http.get("delta", f"{BALANCE}/delta/{{id}}", inputs.text("record_id", record_id))
        delta = read(Delta, "delta", data)
        if delta.record_id not in {None, record_id}:
            Fields(PACSPACE, "delta", data).reject("recordId", "is not the one asked for")
        return delta.model_copy(update={"record_id": record_id})

    def wait_for_verified(
        self,
        record_id: str,
        *,
        timeout: timedelta = timedelta(seconds=60),
        poll: timedelta = timedelta(seconds=2),
    ) -> Delta:
        """Return the delta once it is VERIFIED, asking about it every ``poll``.

        Raises DeltaFailed when PacSpace could not verify it, StillInFlight when it is not verified within ``timeout``.
        """
        transport = self._http.transport
        until = transport.deadline(timeout.total_seconds())
        while True:
            delta = self.delta(record_id)
            if delta.status is DeltaState.VERIFIED:
                return delta
            if delta.status is DeltaState.FAILED:
                why = shortened(self._http.hide(delta.error)) if delta.error else ""
                message = f"delta {record_id} failed{why and f': {why}'}"
                raise DeltaFailed(PACSPACE, message, code="DELTA_FAILED")
            if not transport.rest(max(poll.total_seconds(), 0.001), until=until):
                message = f"delta {record_id} is {delta.status} still"
                raise StillInFlight(PACSPACE, message, code="NOT_VERIFIED_YET")

    def derive(
        self,
        customer_id: str,
        scope: Scope | None = None,
        *,
        starting_balance: Decimal | int = 0,
        granularity: Granularity | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> ScopeBalance:
        """Return the balance over all verified deltas of a scope (CONTRACT 3.4), and one page of them, up to 1,000.

        Without a scope it is the current month in UTC. Raises NotFound for a customer that PacSpace does not know, and
        ScopeRefused.
        """
        query = {
            **scope_fields(scope),
            "startingBalance": text(inputs.number("starting_balance", starting_balance)),
            "limit": inputs.whole("limit", limit, least=1, most=LARGEST_PAGE),
            "offset": inputs.whole("offset", offset, least=0, most=_MOST_OFFSET),
        }
        if granularity is not None:
            query["granularity"] = inputs.choice(Granularity, "granularity", granularity).value
        data = self._http.get("derive", f"{BALANCE}/derive/{{id}}", inputs.customer_id(customer_id), query)
        return read(ScopeBalance, "derive", data, customerId=customer_id)

    def derive_all(
        self, customer_id: str, scope: Scope | None = None, *, starting_balance: Decimal | int = 0
    ) -> ScopeBalance:
        """Return the balance with every delta of the scope, however many pages that takes.

        Raises RemoteUnavailable when deltas came in between the pages: what they show would not add up.
        """
        found: list[Delta] = []
        for _ in range(_MOST_PAGES):
            page = self.derive(
                customer_id, scope, starting_balance=starting_balance, limit=LARGEST_PAGE, offset=len(found)
            )
            found += page.deltas
            if len(found) >= page.count or not page.deltas:
                break
        else:
            message = f"more than {LARGEST_PAGE * _MOST_PAGES} deltas in one scope"
            raise RemoteUnavailable(PACSPACE, message, hint="Ask for a shorter span of time.")
        ids = {delta.record_id for delta in found if delta.record_id is not None}
        if len(found) != page.count or len(ids) not in {0, len(found)}:
            message = f"{len(found)} deltas were listed of {page.count}: records came in meanwhile"
            raise RemoteUnavailable(PACSPACE, message, hint="Ask again.")
        return page.model_copy(update={"deltas": tuple(found)})

    def compare(
        self,
        customer_id: str | None,
        *,
        yours: Decimal | int,
        theirs: Decimal | int,
        starting_balance: Decimal | int = 0,
        scope: Scope | None = None,
    ) -> Comparison:
        """Have PacSpace compare two balances of a scope with its own (CONTRACT 3.5). Changes nothing there.

        Without a customer it is about all of them.
        """
        return compared(
            self._http,
            {} if customer_id is None else {"customerId": inputs.customer_id(customer_id)},
            yours=inputs.number("yours", yours),
            theirs=inputs.number("theirs", theirs),
            starting=inputs.number("starting_balance", starting_balance),
            scope=scope_fields(scope),
        )

    def checkpoint(
        self,
        customer_id: str | None = None,
        scope: Span | None = None,
        *,
        mode: str | None = None,
        fingerprints: Sequence[str] = (),
        idempotency_key: str | None = None,
    ) -> CheckpointRecord:
        """Freeze the verified deltas of a span under one root (CONTRACT 3.6), which may come later.

        Without a customer it covers every active one. ``mode`` and ``fingerprints`` select deltas, as PacSpace defines
        them.
        """
        named = {} if customer_id is None else {"customerId": inputs.customer_id(customer_id)}
        chosen = {} if mode is None else {"mode": inputs.text("mode", mode)}
        listed = {"fingerprints": [inputs.text("fingerprint", each) for each in fingerprints]} if fingerprints else {}
        body = {**named, **span_fields(scope), **chosen, **listed}
        data = self._http.post("checkpoint", f"{BALANCE}/checkpoint", body, key=self._key(idempotency_key))
        return read(CheckpointRecord, "checkpoint", about("checkpoint", data, **named))

    def checkpoints(
        self, customer_id: str | None = None, scope: Span | None = None, *, limit: int = 25, offset: int = 0
    ) -> CheckpointPage:
        """List earlier checkpoints (CONTRACT 3.7), of one customer or of all."""
        named = {} if customer_id is None else {"customerId": inputs.customer_id(customer_id)}
        paging = {
            "limit": inputs.whole("limit", limit, least=1, most=100),
            "offset": inputs.whole("offset", offset, least=0, most=_MOST_OFFSET),
        }
        query = {**named, **span_fields(scope), **paging}
        data = self._http.get_rows("checkpoints", f"{BALANCE}/checkpoints", None, query, "checkpoints", "items")
        found = rows(CheckpointRecord, "checkpoints.checkpoints", data["checkpoints"])
        for row in found:
            about("checkpoints", {"customerId": row.customer_id}, **named)
        return CheckpointPage(checkpoints=found, total=total_of(data, unnamed=len(found)))

    def _key(self, given: str | None) -> str:
        return self._new_key() if given is None else inputs.idempotency_key(given)


# -- answers -----------------------------------------------------------------------------------------------------------


def emitted_of(data: Data, sent: NewDelta) -> Delta:
    """Return the delta of an answer to an emit. It must be about what was sent, and have an id to ask by."""
    emitted, fields = read(Delta, "emit", data), Fields(PACSPACE, "emit", data)
    if emitted.record_id is None:
        fields.reject("recordId", "is missing")
    if emitted.customer_id not in {None, sent.customer_id}:
        fields.reject("customerId", "is not the one that was sent")
    if emitted.amount is not None and not equal(emitted.amount, Decimal(sent.delta)):
        fields.reject("delta", "is not the one that was sent")
    return emitted


def batch_of(data: Data, sent: int) -> Batch:
    """Return the outcome of a batch of ``sent`` deltas. Each may be answered once, and no other."""
    found, fields = read(BatchAnswer, "batch", data), Fields(PACSPACE, "batch", data)
    answered = {item.index for item in found.results}
    if not answered <= set(range(sent)):
        fields.reject("index", "is not that of a delta that was sent")
    if len(answered) != len(found.results):
        fields.reject("results", "answer one delta twice")
    failed = sum(item.status is DeltaState.FAILED for item in found.results)
    return Batch(
        queued=len(found.results) - failed if found.total_queued is None else found.total_queued,
        failed=failed if found.total_failed is None else found.total_failed,
        items=found.results,
        unanswered=tuple(index for index in range(sent) if index not in answered),
    )


def compared(
    http: PacSpaceHttp, customer: Body, *, yours: Decimal, theirs: Decimal, starting: Decimal, scope: Body
) -> Comparison:
    """Send a comparison and return PacSpace's answer beside the figures that were sent (CONTRACT 3.5)."""
    figures = {"yourBalance": yours, "theirBalance": theirs, "startingBalance": starting}
    data = http.post("compare", f"{BALANCE}/compare", {**customer, **figures, **scope})
    return comparison_of(data, yours=yours, theirs=theirs)


def comparison_of(data: Data, *, yours: Decimal, theirs: Decimal) -> Comparison:
    """Return PacSpace's answer to a comparison. An answer that names no figure and no match is refused."""
    found = read(CompareAnswer, "compare", data)
    if found == CompareAnswer():
        Fields(PACSPACE, "compare", data).reject("neutralBalance", "is missing")
    return Comparison(
        your_balance=yours,
        their_balance=theirs,
        neutral_balance=found.neutral_balance,
        matches_yours=found.matches_yours,
        matches_theirs=found.matches_theirs,
    )
