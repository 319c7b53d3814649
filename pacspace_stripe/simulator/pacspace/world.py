"""One PacSpace tenant: its records and checkpoints at this moment, under its rules."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from pacspace_stripe.simulator.clock import Clock
from pacspace_stripe.simulator.outbox import WebhookOutbox
from pacspace_stripe.simulator.pacspace import proof_roots
from pacspace_stripe.simulator.pacspace.accounts import DashboardAccounts
from pacspace_stripe.simulator.pacspace.amounts import Number, double_as_json, total, total_of_doubles
from pacspace_stripe.simulator.pacspace.behaviour import Rules
from pacspace_stripe.simulator.pacspace.buckets import Settlement
from pacspace_stripe.simulator.pacspace.checkpoints import Checkpoints, Scope, StoredCheckpoint
from pacspace_stripe.simulator.pacspace.ledger import DeltaLedger, DeltaRecord, DeltaStatus, Draft, made_id
from pacspace_stripe.simulator.pacspace.refusals import PacSpaceRefusal, customer_not_found
from pacspace_stripe.simulator.pacspace.scopes import ScopeWindow
from pacspace_stripe.simulator.pacspace.webhooks import LedgerWebhook, PacSpaceEvent


def in_milliseconds(at: datetime) -> datetime:
    """Return a time as precisely as it is shown, so that a window's edge means one thing."""
    at = at.astimezone(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


class World:
    """State of a tenant and the questions asked of it.

    Nothing changes by itself: all follows from the clock when asked.
    """

    def __init__(self, clock: Clock, rules: Rules, *, seed: int, base_url: str) -> None:
        self.clock = clock
        self.rules = rules
        self.seed = seed
        self.base_url = base_url
        self.ledger = DeltaLedger(seed)
        self.checkpoints = Checkpoints()
        self.settlement = Settlement()
        self.dashboard = DashboardAccounts()
        self.webhook = LedgerWebhook()
        self.outbox: WebhookOutbox[PacSpaceEvent] = WebhookOutbox(self.webhook, random.Random(seed))
        self.events: list[PacSpaceEvent] = []
        self.announces = False
        """Make events, if a receiver asked for them."""
        self.unannounced: list[str] = []
        self.new_customers: list[str] = []
        self.announced_checkpoints = 0
        self._leaves: dict[str, bytes] = {}

    def now(self) -> datetime:
        return in_milliseconds(self.clock.now())

    def accept(self, draft: Draft) -> DeltaRecord:
        """Accept a delta now."""
        now = self.now()
        return self.take(draft, now, now + self.rules.verify_delay)

    def take(self, draft: Draft, accepted_at: datetime, verifies_at: datetime | None) -> DeltaRecord:
        """Write a delta down with the given times of acceptance and verification."""
        if self.announces and not self.ledger.knows(draft.account):
            self.new_customers.append(draft.account)
        record = self.ledger.accept(draft, accepted_at, verifies_at)
        if self.announces:
            self.unannounced.append(record.record_id)
        return record

    def environment_ready(self) -> bool:
        """Return True if deltas are accepted: from the beginning, or after the dashboard's activation is done."""
        active_at = self.dashboard.active_at.get("sandbox")
        return self.rules.environment_ready or (active_at is not None and active_at <= self.now())

    def status(self, record: DeltaRecord) -> DeltaStatus:
        return record.status(self.now())

    def placed_at(self, record: DeltaRecord) -> datetime:
        """Return the time that decides the window of a verified record."""
        if self.rules.counts_by == "verified" and record.verifies_at is not None:
            return record.verifies_at
        return record.accepted_at

    def verified(self, account: str | None, window: ScopeWindow | None = None) -> list[DeltaRecord]:
        """Return the verified records of a customer (None: of all) in a window (None: of all time)."""
        now = self.now()
        return [
            record
            for record in self.ledger.records(account)
            if record.status(now) is DeltaStatus.VERIFIED and (window is None or window.covers(self.placed_at(record)))
        ]

    def require(self, account: str) -> None:
        """Refuse a customer without any record."""
        if not self.ledger.knows(account):
            raise customer_not_found(account)

    def number(self, amount: Decimal) -> Number:
        """Return one amount in the form in which it is answered."""
        return double_as_json(float(amount)) if self.rules.doubles else amount

    def balance(self, records: Sequence[DeltaRecord], start: Decimal = Decimal(0)) -> Number:
        """Return ``start`` plus the records, in the form in which it is answered."""
        amounts = (record.delta for record in records)
        if self.rules.doubles:
            return double_as_json(total_of_doubles(amounts, start=start))
        return total(amounts, start=start)

    def proof_root(self, records: Sequence[DeltaRecord]) -> str:
        """Return the simulator's own root over these records, in order."""
        hashed = proof_roots.sha3_256 if self.rules.fast_roots else proof_roots.keccak256
        for record in records:
            if record.record_id not in self._leaves:
                self._leaves[record.record_id] = proof_roots.leaf(record.draft.item(), hashed)
        return proof_roots.as_hex(proof_roots.root([self._leaves[record.record_id] for record in records], hashed))

    def checkpoint(self, scope: Scope) -> StoredCheckpoint:
        """Return the checkpoint of this scope: the existing one, or a new one, as the rules on late deltas say."""
        existing = self.checkpoints.latest(scope)
        if existing and self.rules.late_deltas == "frozen":
            return existing
        records = self._selected(scope)
        if existing and existing.record_ids == tuple(record.record_id for record in records):
            return existing
        if not records:
            message = "No verified deltas in this scope: there is nothing to checkpoint."
            raise PacSpaceRefusal(400, message, "NO_VERIFIED_DELTAS")
        return self.checkpoints.add(self._new_checkpoint(scope, records))

    def _selected(self, scope: Scope) -> list[DeltaRecord]:
        records = self.verified(scope.account, scope.window)
        if not scope.fingerprints:
            return records
        wanted = set(scope.fingerprints)
        return [record for record in records if wanted & {record.receipt_id, record.record_id}]

    def _new_checkpoint(self, scope: Scope, records: Sequence[DeltaRecord]) -> StoredCheckpoint:
        now, number = self.now(), len(self.checkpoints.all) + 1
        before = (each for each in self.verified(scope.account) if self.placed_at(each) < scope.window.start)
        times = [record.accepted_at for record in records]
        return StoredCheckpoint(
            checkpoint_id=f"chk_{made_id(self.seed, 'checkpoint', number)[:20]}",
            scope=scope,
            record_ids=tuple(record.record_id for record in records),
            proof_root=self.proof_root(records),
            starting_balance=total(record.delta for record in before),
            net=total(record.delta for record in records),
            first_at=min(times),
            last_at=max(times),
            created_at=now,
            commits_at=now + self.rules.checkpoint_delay,
            reference=f"0x{made_id(self.seed, 'reference', number)}",
        )
