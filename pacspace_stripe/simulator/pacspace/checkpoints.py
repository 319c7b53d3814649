"""Checkpoints: one proof root over the verified deltas of one resolved scope."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from pacspace_stripe.simulator.pacspace.scopes import ScopeWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Identity of a checkpoint request: the customer (None is all of them), the window, the selection."""

    account: str | None
    window: ScopeWindow
    fingerprints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCheckpoint:
    """The records that one root covers, as they were when the root was made."""

    checkpoint_id: str
    scope: Scope
    record_ids: tuple[str, ...]
    proof_root: str
    starting_balance: Decimal
    net: Decimal
    first_at: datetime
    last_at: datetime
    created_at: datetime
    commits_at: datetime
    reference: str

    @property
    def count(self) -> int:
        return len(self.record_ids)

    def committed(self, now: datetime) -> bool:
        return now >= self.commits_at


class Checkpoints:
    """All checkpoints, in the order in which they were made."""

    def __init__(self) -> None:
        self.all: list[StoredCheckpoint] = []
        self._by_account: dict[str | None, list[StoredCheckpoint]] = {}
        self._by_scope: dict[Scope, StoredCheckpoint] = {}
        self._by_root: dict[str, StoredCheckpoint] = {}

    def add(self, checkpoint: StoredCheckpoint) -> StoredCheckpoint:
        self.all.append(checkpoint)
        self._by_account.setdefault(checkpoint.scope.account, []).append(checkpoint)
        self._by_scope[checkpoint.scope] = checkpoint
        self._by_root[checkpoint.proof_root] = checkpoint
        return checkpoint

    def of(self, account: str | None) -> list[StoredCheckpoint]:
        """Return a customer's own checkpoints, without those of all customers."""
        return self._by_account.get(account, [])

    def latest(self, scope: Scope) -> StoredCheckpoint | None:
        return self._by_scope.get(scope)

    def by_root(self, proof_root: str) -> StoredCheckpoint | None:
        """Return the latest checkpoint with this root: equal payloads in two months have equal roots, as published."""
        return self._by_root.get(proof_root.lower())

    def named(self, name: str) -> StoredCheckpoint | None:
        """Return a checkpoint by its root or its id."""
        return self.by_root(name) or next((each for each in self.all if each.checkpoint_id == name), None)
