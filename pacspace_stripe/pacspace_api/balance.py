"""The Balance API's ledger: deltas, balances, comparisons, checkpoints (3.1 to 3.7, 3.12)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

from pacspace_stripe.errors import DeltaFailed, InvalidInput, RemoteUnavailable, StillInFlight
from pacspace_stripe.http.calls import shortened
from pacspace_stripe.pacspace_api import inputs, records
from pacspace_stripe.pacspace_api import parsing as reading
from pacspace_stripe.pacspace_api.calls import Calls
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.pacspace_api.results import (
    Batch,
    CheckpointPage,
    CheckpointRecord,
    Delta,
    Derived,
    Status,
)
from pacspace_stripe.pacspace_api.scopes import Granularity, Scope, Span, scope_fields, span_fields
from pacspace_stripe.vocabulary.ledger import Comparison
from pacspace_stripe.vocabulary.quantities import text

_MOST_IN_A_BATCH = 100
LARGEST_PAGE, _MOST_PAGES = 1000, 1000
"""Deltas in one answer, and answers for one list."""
_MOST_OFFSET = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelta:
    """A delta to be recorded. Making one checks it; raises InvalidInput."""

    customer_id: str
    """Letters, digits and ``_ - . :``, at most 128; its first delta creates the customer."""
    delta: Decimal | int
    """Signed, not zero, within ±1,000,000,000, in the unit you record in. Usage and charges are negative."""
    reason: str
    """1 to 500 characters."""
    reference_id: str | None = None
    """Your own name for it; in a batch PacSpace knows a repeated one again."""
    metadata: Mapping[str, object] = field(default_factory=dict)
    adjusts_record: str | None = None
    """The record id of the committed delta that this one adjusts."""
    adjusts_reference: str | None = None
    """The same by its reference."""

    def __post_init__(self) -> None:
        inputs.customer_id(self.customer_id)
        inputs.delta(self.delta)
        inputs.reason(self.reason)
        inputs.mapping("metadata", self.metadata)
        for name in ("reference_id", "adjusts_record", "adjusts_reference"):
            if getattr(self, name) is not None:
                inputs.text(name, getattr(self, name))
        if self.adjusts_record is not None and self.adjusts_reference is not None:
            message = "a delta adjusts one record: name it by its id or by its reference"
            raise InvalidInput(message)

    def body(self) -> dict[str, object]:
        """As PacSpace takes it (CONTRACT 3.1)."""
        adjusts = {"recordId": self.adjusts_record, "referenceId": self.adjusts_reference}
        adjusts = {name: value for name, value in adjusts.items() if value is not None}
        optional = {"referenceId": self.reference_id, "metadata": self.metadata, "adjusts": adjusts}
        given = {name: value for name, value in optional.items() if value}
        return {
            "customerId": self.customer_id,
            "delta": Decimal(self.delta),
            "reason": self.reason,
            **given,
        }


class BalanceApi:
    """``PacSpace.balance``. Thread-safe.

    Every method raises InvalidInput before anything is sent, and RemoteError's children after. A write carries an
    idempotency key, yours or a new one, the same for all its tries: it happens once.
    """

    def __init__(self, calls: Calls, new_key: Callable[[], str]) -> None:
        self._calls = calls
        self._new_key = new_key

    def emit(self, delta: NewDelta, *, idempotency_key: str | None = None) -> Delta:
        """Record a delta (CONTRACT 3.1): QUEUED, and verified a little later.

        Raises CadenceLimited, PlanLimitReached, NotProvisioned, Conflict; StillInFlight when the same key is in flight.
        """
        data = self._calls.emit(delta.body(), key=self._key(idempotency_key))
        return records.emitted_from_pacspace(data, delta.customer_id, Decimal(delta.delta))

    def emit_and_wait(
        self,
        delta: NewDelta,
        *,
        idempotency_key: str | None = None,
        timeout: timedelta = timedelta(seconds=60),
        poll: timedelta = timedelta(seconds=2),
    ) -> Delta:
        """Record a delta and return it once it is VERIFIED. Raises what ``emit`` and ``wait_for_verified`` do."""
        emitted = self.emit(delta, idempotency_key=idempotency_key)
        verified = self.wait_for_verified(emitted.record_id or "", timeout=timeout, poll=poll)
        known = {name: getattr(verified, name) for name in ("receipt_id", "customer_id", "amount", "reason")}
        # A status may be no more than an id and a word (CONTRACT 3.3); what the emit said stays true.
        return replace(verified, **{name: getattr(emitted, name) for name, value in known.items() if value is None})

    def emit_batch(self, deltas: Sequence[NewDelta], *, idempotency_key: str | None = None) -> Batch:
        """Record 1 to 100 deltas at once (CONTRACT 3.2); each succeeds or fails alone: look at ``Batch.items``."""
        if not 1 <= len(deltas) <= _MOST_IN_A_BATCH:
            message = f"a batch has 1 to {_MOST_IN_A_BATCH} deltas"
            raise InvalidInput(message)
        data = self._calls.emit_batch([each.body() for each in deltas], key=self._key(idempotency_key))
        return records.batch_from_pacspace(data, len(deltas))

    def delta(self, record_id: str) -> Delta:
        """Where a delta stands (CONTRACT 3.3). NotFound for an unknown id."""
        found = self._calls.delta(inputs.text("record_id", record_id))
        delta = records.delta_from_pacspace(found)
        if delta.record_id not in {None, record_id}:
            found.reject("recordId", "is not the one asked for")
        return replace(delta, record_id=record_id)

    def wait_for_verified(
        self,
        record_id: str,
        *,
        timeout: timedelta = timedelta(seconds=60),
        poll: timedelta = timedelta(seconds=2),
    ) -> Delta:
        """The delta once it is VERIFIED, asked about every ``poll``.

        Raises DeltaFailed when PacSpace gave it up, StillInFlight when it is not verified within ``timeout``.
        """
        transport = self._calls.wire.transport
        until = transport.deadline(timeout.total_seconds())
        while True:
            delta = self.delta(record_id)
            if delta.status is Status.VERIFIED:
                return delta
            if delta.status is Status.FAILED:
                why = shortened(self._calls.wire.hide(delta.error)) if delta.error else ""
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
    ) -> Derived:
        """The balance over all verified deltas of a scope (CONTRACT 3.4), and one page of them, up to 1,000.

        Without a scope it is the current month in UTC. NotFound for a customer PacSpace does not know; ScopeRefused.
        """
        query = {
            **scope_fields(scope),
            "startingBalance": text(inputs.number("starting_balance", starting_balance)),
            "limit": inputs.whole("limit", limit, least=1, most=LARGEST_PAGE),
            "offset": inputs.whole("offset", offset, least=0, most=_MOST_OFFSET),
        }
        if granularity is not None:
            query["granularity"] = inputs.choice(Granularity, "granularity", granularity).value
        return records.derived_from_pacspace(self._calls.derive(inputs.customer_id(customer_id), query), customer_id)

    def derive_all(
        self, customer_id: str, scope: Scope | None = None, *, starting_balance: Decimal | int = 0
    ) -> Derived:
        """The same with every delta of the scope, however many pages that takes.

        Raises RemoteUnavailable when records came in between the pages: what they show would not add up.
        """
        found: list[Delta] = []
        for _ in range(_MOST_PAGES):
            page = self.derive(
                customer_id, scope, starting_balance=starting_balance, limit=LARGEST_PAGE, offset=len(found)
            )
            found += page.deltas
            if len(found) >= page.count or not page.deltas:
                return _whole(page, found)
        message = f"more than {LARGEST_PAGE * _MOST_PAGES} deltas in one scope"
        raise RemoteUnavailable(PACSPACE, message, hint="Ask for a shorter span of time.")

    def compare(
        self,
        customer_id: str | None,
        *,
        yours: Decimal | int,
        theirs: Decimal | int,
        starting_balance: Decimal | int = 0,
        scope: Scope | None = None,
    ) -> Comparison:
        """What PacSpace says of two balances of a scope (CONTRACT 3.5); changes nothing. Without a customer: of all of them."""
        sent = Comparison(
            your_balance=inputs.number("yours", yours),
            their_balance=inputs.number("theirs", theirs),
            neutral_balance=None,
            matches_yours=None,
            matches_theirs=None,
        )
        named = None if customer_id is None else inputs.customer_id(customer_id)
        starting = inputs.number("starting_balance", starting_balance)
        return reading.comparison_from_pacspace(self._calls.compare(named, sent, starting, scope_fields(scope)), sent)

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

        Without a customer: of every active one. ``mode`` and ``fingerprints`` select deltas, as PacSpace defines them.
        """
        named = {} if customer_id is None else {"customerId": inputs.customer_id(customer_id)}
        chosen = {} if mode is None else {"mode": inputs.text("mode", mode)}
        listed = {"fingerprints": [inputs.text("fingerprint", each) for each in fingerprints]} if fingerprints else {}
        body = {**named, **span_fields(scope), **chosen, **listed}
        data = self._calls.checkpoint(body, key=self._key(idempotency_key))
        return records.checkpoint_record_from_pacspace(data, customer_id)

    def checkpoints(
        self, customer_id: str | None = None, scope: Span | None = None, *, limit: int = 25, offset: int = 0
    ) -> CheckpointPage:
        """Checkpoints made before (CONTRACT 3.7), those of one customer or all."""
        named = {} if customer_id is None else {"customerId": inputs.customer_id(customer_id)}
        paging = {
            "limit": inputs.whole("limit", limit, least=1, most=100),
            "offset": inputs.whole("offset", offset, least=0, most=_MOST_OFFSET),
        }
        data = self._calls.checkpoints({**named, **span_fields(scope), **paging})
        return records.checkpoints_from_pacspace(data, customer_id)

    def _key(self, given: str | None) -> str:
        return self._new_key() if given is None else inputs.idempotency_key(given)


def _whole(page: Derived, found: list[Delta]) -> Derived:
    ids = {delta.record_id for delta in found if delta.record_id is not None}
    if len(found) != page.count or len(ids) not in {0, len(found)}:
        message = f"{len(found)} deltas were listed of {page.count}: records came in meanwhile"
        raise RemoteUnavailable(PACSPACE, message, hint="Ask again.")
    return replace(page, deltas=tuple(found))
