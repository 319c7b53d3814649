"""Building a world: records in the past, failures, gaps and late verification, for tests and scenarios.

Every method takes and returns values that JSON can carry as well: times as ISO strings, amounts as decimal strings,
durations in seconds.
"""

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any

from pacspace_stripe.simulator.pacspace import answers
from pacspace_stripe.simulator.pacspace.amounts import negated, refused_delta, total
from pacspace_stripe.simulator.pacspace.behaviour import Rules
from pacspace_stripe.simulator.pacspace.buckets import BucketWrite
from pacspace_stripe.simulator.pacspace.inputs import read_customer_id
from pacspace_stripe.simulator.pacspace.ledger import DeltaRecord, DeltaStatus, Draft
from pacspace_stripe.simulator.pacspace.scopes import ScopeWindow
from pacspace_stripe.simulator.pacspace.world import World, in_milliseconds

_DAY = timedelta(days=1)

BUILDING_METHODS = (
    "configure",
    "record",
    "write",
    "emit_daily_usage",
    "verify_all",
    "fail",
    "inject_gap",
    "close_gaps",
    "balance",
    "status",
    "checkpoints",
    "approve_access",
    "dashboard_token",
)
"""Methods that other processes may call too."""


def _at(value: datetime | str) -> datetime:
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    if at.tzinfo is None:
        message = f"{value} has no time zone"
        raise ValueError(message)
    return at.astimezone(UTC)


class Building:
    """Changes that a test makes to the world beside the API."""

    def __init__(self, world: World, lock: threading.RLock) -> None:
        self._world = world
        self._lock = lock

    @property
    def rules(self) -> Rules:
        """Return the switches in force."""
        return self._world.rules

    def configure(self, **switches: Any) -> None:
        """Set switches of :class:`Rules` by name, from now on; durations may be seconds."""
        with self._lock:
            self._world.rules = self._world.rules.changed(switches)

    @property
    def base_url(self) -> str:
        """Return the start of the links in answers; set it to the address at which the simulator is served."""
        return self._world.base_url

    @base_url.setter
    def base_url(self, base_url: str) -> None:
        self._world.base_url = base_url.rstrip("/")

    def record(
        self,
        account: str,
        delta: Decimal | str | int,
        at: datetime | str | None = None,
        *,
        reason: str = "usage",
        reference_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        adjusts: str | None = None,
        verified: bool = True,
        verify_delay: timedelta | float | None = None,
    ) -> str:
        """Accept a delta at ``at`` (now, or earlier) and return its record id.

        ``adjusts`` names the record that it adjusts, by its id or its reference; it adds up like any other.
        ``verified=False`` leaves it queued until ``verify_all``; ``verify_delay`` (seconds) verifies it that
        long after its acceptance instead.
        """
        draft = Draft(
            account=read_customer_id(account),
            delta=_allowed(Decimal(delta)),
            reason=reason,
            reference_id=reference_id,
            metadata=metadata,
            adjusts=self._adjusted(account, adjusts),
        )
        with self._lock:
            accepted_at = self._past(at)
            verifies_at = self._verifies_at(accepted_at, verify_delay, verified=verified)
            return self._world.take(draft, accepted_at, verifies_at).record_id

    def _adjusted(self, account: str, named: str | None) -> Mapping[str, Any] | None:
        """Return the adjusted record as an emit names it (CONTRACT 3.1). The record must exist."""
        if named is None:
            return None
        with self._lock:
            if self._world.ledger.get(named) is not None:
                return {"recordId": named}
            if self._world.ledger.by_reference(account, named) is not None:
                return {"referenceId": named}
        message = f"nothing to adjust: {account} has no record {named}"
        raise LookupError(message)

    def write(
        self,
        key: str,
        bits: Decimal | str | int,
        *,
        account: str = "account",
        at: datetime | str | None = None,
        verified: bool = True,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Write to a record of the settlement API at ``at`` (now).

        ``verified=False`` leaves it queued until ``verify_all``.
        """
        with self._lock:
            accepted_at = self._past(at)
            written = BucketWrite(
                key=key,
                account=account,
                bits=Decimal(bits),
                metadata=metadata or {},
                accepted_at=accepted_at,
                verifies_at=self._verifies_at(accepted_at, None, verified=verified),
            )
            self._world.settlement.add(written)

    def approve_access(self, email: str) -> str:
        """Approve a request for access to the dashboard, and return the token of PacSpace's mail."""
        with self._lock:
            return self._world.dashboard.approve(email, self._world.seed)

    def dashboard_token(self, email: str = "owner@example.com") -> str:
        """Return the token of a session in the dashboard, as older documents hand out."""
        with self._lock:
            return self._world.dashboard.session(email, self._world.seed)

    def _past(self, at: datetime | str | None) -> datetime:
        now = self._world.now()
        accepted_at = now if at is None else in_milliseconds(_at(at))
        if accepted_at > now:
            message = f"{accepted_at} has not come yet: it is {now}"
            raise ValueError(message)
        return accepted_at

    def _verifies_at(
        self, accepted_at: datetime, delay: timedelta | float | None, *, verified: bool
    ) -> datetime | None:
        if delay is not None:
            return accepted_at + (delay if isinstance(delay, timedelta) else timedelta(seconds=delay))
        if not verified:
            return None
        return min(accepted_at + self._world.rules.verify_delay, self._world.now())

    def emit_daily_usage(
        self,
        account: str,
        start: datetime | str,
        end: datetime | str,
        total: Decimal | str | int,
        *,
        reason: str = "usage",
        positive: bool = False,
    ) -> list[str]:
        """Spread ``total`` usage over the days of a window, and return the record ids.

        Each day's usage is accepted within that day, as negative deltas like PacSpace's documents, unless ``positive``.
        """
        record_ids = []
        for first, last, usage in _daily(_at(start), _at(end), Decimal(total)):
            metadata = {"summaryWindowStart": answers.stamp(first), "summaryWindowEnd": answers.stamp(last)}
            reference_id = f"usage:{account}:{first:%Y-%m-%d}"
            delta = usage if positive else negated(usage)
            middle = first + (last - first) / 2
            record_ids.append(
                self.record(account, delta, middle, reason=reason, reference_id=reference_id, metadata=metadata)
            )
        return record_ids

    def verify_all(self, account: str | None = None) -> int:
        """Verify a customer's waiting deltas (None: all customers', and all writes). Return the number of deltas."""
        with self._lock:
            now = self._world.now()
            waiting = [
                record
                for record in self._world.ledger.records(account)
                if record.status(now) in {DeltaStatus.QUEUED, DeltaStatus.PROCESSING}
            ]
            for record in waiting:
                self._world.ledger.change(record, verifies_at=now)
            if account is None:
                self._world.settlement.verify_all(now)
            return len(waiting)

    def fail(self, record_id: str, error: str = "Verification failed") -> None:
        """Fail a delta that is not verified yet, now."""
        with self._lock:
            record = self._existing(record_id)
            if self._world.status(record) is DeltaStatus.VERIFIED:
                message = f"{record_id} is verified already: that is final"
                raise ValueError(message)
            self._world.ledger.change(record, failed_at=self._world.now(), failure=error)

    def _existing(self, record_id: str) -> DeltaRecord:
        record = self._world.ledger.get(record_id)
        if record is None:
            message = f"no record {record_id}"
            raise LookupError(message)
        return record

    def inject_gap(self, account: str, missing: int = 1) -> list[int]:
        """Skip sequence numbers of a customer, and return the numbers that are missing now."""
        with self._lock:
            return list(self._world.ledger.lose_sequences(account, missing))

    def close_gaps(self, account: str) -> None:
        """Fill all missing sequence numbers of a customer."""
        with self._lock:
            self._world.ledger.find_sequences(account)

    def balance(self, account: str, start: datetime | str, end: datetime | str) -> tuple[Decimal, int]:
        """Return the exact net and the number of verified deltas in ``[start, end)``."""
        with self._lock:
            records = self._world.verified(account, ScopeWindow(start=_at(start), end=_at(end)))
            return total(record.delta for record in records), len(records)

    def status(self, record_id: str) -> str:
        """Return the status of one delta."""
        with self._lock:
            return str(self._world.status(self._existing(record_id)))

    def checkpoints(self) -> list[dict[str, Any]]:
        """Return all checkpoints in the order in which they were made, as the API shows them."""
        with self._lock:
            return [answers.checkpoint(self._world, made) for made in self._world.checkpoints.all]


def _allowed(delta: Decimal) -> Decimal:
    refused = refused_delta(delta)
    if refused:
        raise ValueError(refused)
    return delta


def _daily(start: datetime, end: datetime, usage: Decimal) -> Iterator[tuple[datetime, datetime, Decimal]]:
    """Yield equal parts, cut at the last digit given, with the rest on the last day.

    Days without usage are left out.
    """
    days = max(1, -((start - end) // _DAY))
    part = (usage / days).quantize(Decimal(1).scaleb(min(0, int(usage.as_tuple().exponent))), rounding=ROUND_DOWN)
    for day in range(days):
        first = start + day * _DAY
        today = usage - part * (days - 1) if day == days - 1 else part
        if today:
            yield first, min(first + _DAY, end), today
