"""The neutral ledger as a comparison needs it: one interface, PacSpace's two protocols behind it."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from pacspace_stripe.domain.deltas import LedgerDelta
from pacspace_stripe.domain.evidence import digest
from pacspace_stripe.domain.ledger import Balance, Proof, Unsettled, UsageSign
from pacspace_stripe.domain.quantities import text
from pacspace_stripe.domain.reconcile import after_compare, after_verify
from pacspace_stripe.domain.verdicts import Reason, WindowResult
from pacspace_stripe.domain.windows import Window
from pacspace_stripe.errors import ScopeRefused
from pacspace_stripe.pacspace_api import PacSpaceApi

LONGEST_LINK = 500
"""A metadata value's limit: a longer link could not be stamped."""


class Ledger(Protocol):
    """Where usage is recorded. ``account`` names it there, and every method raises RemoteError's children."""

    @property
    def has_windows(self) -> bool:
        """Whether it can be asked about any time at all: without, nothing can be said before the invoice is there."""
        ...

    def recorded(self, account: str, window: Window) -> Balance:
        """What is recorded; zero of nothing for an account that it does not know."""
        ...

    def unsettled(self, account: str, window: Window) -> Unsettled:
        """What still has to settle before a difference means anything."""
        ...

    def asked(self, result: WindowResult, balance: Balance) -> WindowResult:
        """The result with the ledger's own answer to the comparison, if it gives one: asked, not assumed."""
        ...

    def near(self, account: str, window: Window) -> tuple[LedgerDelta, ...] | None:
        """Its single records of a short window, asked for once; None when they are too many, or it has none."""
        ...

    def proven(self, result: WindowResult) -> WindowResult:
        """The result with its proof. It may freeze the window: never in observe mode."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceLedger:
    """The Balance API: deltas in time, compare, checkpoints whose root public verify confirms."""

    api: PacSpaceApi
    usage_sign: UsageSign

    @property
    def has_windows(self) -> bool:
        return True

    def recorded(self, account: str, window: Window) -> Balance:
        return self.api.derive(account, window)

    def unsettled(self, account: str, window: Window) -> Unsettled:
        return self.api.unsettled(account, window)

    def asked(self, result: WindowResult, balance: Balance) -> WindowResult:
        if result.billed is None or not balance.known:
            return result
        yours = self.usage_sign.raw_balance(result.billed)
        try:
            comparison = self.api.compare(balance.account, balance.window, yours=yours, theirs=balance.net)
        except ScopeRefused:
            # Too wide for one request: the balance was read in parts, and Stripe's figure has none.
            return result
        return after_compare(result, balance, comparison)

    def near(self, account: str, window: Window) -> tuple[LedgerDelta, ...] | None:
        return self.api.near(account, window)

    def proven(self, result: WindowResult) -> WindowResult:
        """Checkpointed and cross-checked, when there are records."""
        if not result.count or result.account is None or result.window is None or result.recorded is None:
            return result
        account, window = result.account, result.window
        net = self.usage_sign.raw_balance(result.recorded)
        key = _checkpoint_key(account, window, result.count, text(net))
        checkpoint = self.api.checkpoint(account, window, idempotency_key=key)
        if checkpoint.proof_root is None:
            checkpoint = self.api.find_checkpoint(account, window, checkpoint.checkpoint_id) or checkpoint
        if checkpoint.proof_root is None:
            detail = f"checkpoint {checkpoint.checkpoint_id} is not committed yet"
            return replace(result, reason=Reason.NOT_SETTLED, detail=detail)
        proof = Proof(
            account=account,
            window=window,
            checkpoint_id=checkpoint.checkpoint_id,
            proof_root=checkpoint.proof_root,
            count=result.count,
            net=net,
            verify_url=self._verify_url(account, window, checkpoint.proof_root),
            cross_checked=False,
        )
        return after_verify(result, proof, self.api.verify(checkpoint.proof_root))

    def _verify_url(self, account: str, window: Window, proof_root: str) -> str:
        """The link for people, when it is about this root; else the public address of the root itself."""
        links = self.api.invoice_proof(account, window)
        fallback = self.api.verify_address(proof_root)
        if links.proof_root != proof_root or not links.verify_url:
            return fallback
        usable = links.verify_url.startswith(("https://", "http://")) and len(links.verify_url) <= LONGEST_LINK
        return links.verify_url if usable else fallback


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementLedger:
    """The older settlement API: ``account`` is a record's key. It compares nothing and makes no checkpoint."""

    api: PacSpaceApi

    @property
    def has_windows(self) -> bool:
        return False

    def recorded(self, account: str, window: Window) -> Balance:
        record = self.api.record(account)
        if record is None:
            return Balance(account=account, window=window, net=Decimal(0), count=0, known=False)
        return Balance(account=account, window=window, net=record.bits, count=record.writes, record=record)

    def unsettled(self, account: str, window: Window) -> Unsettled:  # noqa: ARG002 - the record itself says it
        return Unsettled(unverified=0, gaps=0)

    def asked(self, result: WindowResult, balance: Balance) -> WindowResult:  # noqa: ARG002 - it has no compare
        return result

    def near(self, account: str, window: Window) -> tuple[LedgerDelta, ...] | None:  # noqa: ARG002 - a record is one sum
        return None

    def proven(self, result: WindowResult) -> WindowResult:
        """As it is: the record that was read is the proof."""
        return result


def _checkpoint_key(account: str, window: Window, count: int, net: str) -> str:
    """The same request again is the same checkpoint; a ledger that grew asks for a new one."""
    return "pacspace-stripe-" + digest(f"{account}|{window}|{count}|{net}".encode())[:40]
