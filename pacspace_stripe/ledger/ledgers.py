"""PacSpace's side of the comparison: recorded usage, read from the neutral ledger through one interface.

PacSpace has two protocols. The Balance API keeps deltas in time, compares and makes checkpoints (CONTRACT 3). The older
settlement API adds up the writes to one key (CONTRACT 7): it has no time, no compare and no checkpoint.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from pacspace_stripe.comparison.rules.reconcile import after_compare, after_verify
from pacspace_stripe.comparison.rules.verdicts import Reason, WindowResult
from pacspace_stripe.errors import ScopeRefused
from pacspace_stripe.ledger.rules.attribution import LATEST_ACCEPTANCE
from pacspace_stripe.ledger.rules.selection import (
    Selection,
    UnclearRecords,
    awaited_summary,
    balance_of,
    may_count,
    named_meters,
    proof_scope,
    select,
    unless_trivial,
)
from pacspace_stripe.pacspace_api import CheckpointRoot, ReconciliationApi
from pacspace_stripe.vocabulary.canonical_json import digest
from pacspace_stripe.vocabulary.ledger import Balance, LedgerDelta, Proof, Unsettled
from pacspace_stripe.vocabulary.policy import Attribution, Policy
from pacspace_stripe.vocabulary.quantities import text, total
from pacspace_stripe.vocabulary.windows import Window

LONGEST_LINK = 500
"""Limit of a metadata value: a longer link could not be stamped."""


class Ledger(Protocol):
    """The ledger in which usage is recorded, under the name ``account``. Every method raises RemoteError's children."""

    @property
    def has_windows(self) -> bool:
        """True if the ledger can be asked about any time: without, nothing is known before the invoice exists."""
        ...

    def recorded(self, account: str, window: Window, meter: str) -> Balance | UnclearRecords:
        """Return the recorded usage of a meter: 0 in 0 records for an account that the ledger does not know."""
        ...

    def unsettled(self, account: str, window: Window, meter: str) -> Unsettled:
        """Return what still has to settle before a difference means anything."""
        ...

    def compared(self, result: WindowResult, balance: Balance) -> WindowResult:
        """Return the result with the ledger's own answer to the comparison, if the ledger has one."""
        ...

    def near(self, account: str, window: Window) -> tuple[LedgerDelta, ...] | None:
        """Return the single records of a short window, in one request; None if they are too many, or there are none."""
        ...

    def proven(self, result: WindowResult) -> WindowResult:
        """Return the result with its proof. This may freeze the window: never call it in observe mode."""
        ...

    def read_only(self) -> "Ledger":
        """Return the ledger for a preview: it makes no checkpoint, and finds the proof that exists already."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceLedger:
    """The Balance API: deltas in time, compare, and checkpoints whose root public verify confirms.

    If some of an account's deltas do not count, they are listed and the rest is compared. PacSpace's own compare and
    the proof cover all of them, since PacSpace cannot be asked about a part.
    """

    api: ReconciliationApi
    policy: Policy
    meters_among: Callable[[frozenset[str]], frozenset[str]]
    """Returns which of some names are Stripe's meters; called only if deltas name a meter that the invoice does not."""
    now: Callable[[], datetime]
    preview: bool = False
    """True to make no checkpoint."""

    @property
    def has_windows(self) -> bool:
        return True

    def recorded(self, account: str, window: Window, meter: str) -> Balance | UnclearRecords:
        """Return the balance of a window, and of it what counts for the meter.

        1. If every delta counts, PacSpace's balance is enough.
        2. If acceptance places deltas, list those of the window.
        3. Else list those of the window and those accepted after it, choose, and derive the scope that proves the
           choice. Both lists are read whatever the first one shows: a balance that equals what is billed proves nothing
           while a late summary of the same time may stand beside it. Listing replaces the plain derive, so up to 1,000
           records cost one request more than acceptance alone: the one about the time after the window. No time before
           the window's start is read, since nothing is accepted before it happened. The later time is a request of its
           own, because PacSpace answers about scopes of a limited length (CONTRACT 3.4), and it ends now: a list of
           several pages would not add up while records come in.
        """
        selection = Selection.of(self.policy, meter)
        # 1.
        if selection.takes_all:
            balance = self.api.derive(account, window)
            return balance if selection.plain else replace(balance, left_out=(), unit=selection.unit)
        # 2.
        balance, deltas = self.api.listed(account, window)
        if selection.attribution is Attribution.ACCEPTED:
            found = balance_of(balance, deltas, window, self._with_meters(selection, deltas))
            return replace(found, read=balance) if isinstance(found, UnclearRecords) else found
        # 3.
        until = min(window.end + LATEST_ACCEPTANCE, self.now())
        later = self.api.listed(account, Window(start=window.end, end=until))[1] if window.end < until else ()
        selection = self._with_meters(selection, (*deltas, *later))
        counted = select(deltas, window, selection, later=later)
        if isinstance(counted, UnclearRecords):
            return replace(counted, read=balance)
        late = {delta.record_id for delta in later} & {delta.record_id for delta in counted.deltas}
        scope = proof_scope((delta for delta in later if delta.record_id in late), window)
        proven = balance if scope == window else self.api.derive(account, scope)
        covered = [each for each in later if each.record_id in late or window.end <= each.accepted_at < scope.end]
        found = balance_of(proven, deltas, window, selection, later=covered)
        if isinstance(found, UnclearRecords):
            return replace(found, read=proven)
        missing = awaited_summary((*deltas, *later), window, selection, self.policy.cadence)
        return replace(unless_trivial(found, selection), awaited=missing)

    def _with_meters(self, selection: Selection, deltas: Iterable[LedgerDelta]) -> Selection:
        """Return the selection with those of the meters named by the deltas that exist, in the policy or at Stripe."""
        named = named_meters(deltas, selection)
        external = named & self.policy.usage_items.meters
        asked = self.meters_among(named - external) if named - external else frozenset()
        return replace(selection, others=external | asked) if named else selection

    def unsettled(self, account: str, window: Window, meter: str) -> Unsettled:
        selection = Selection.of(self.policy, meter)
        if selection.takes_all:
            return self.api.unsettled(account, window)
        late = self.policy.cadence if selection.attribution is not Attribution.ACCEPTED else timedelta(0)
        until = Window(start=window.start, end=window.end + late)
        return self.api.unsettled(account, until, may_count=lambda delta: may_count(delta, window, selection))

    def compared(self, result: WindowResult, balance: Balance) -> WindowResult:
        if result.billed is None or not balance.known:
            return result
        yours = self.policy.usage_sign.in_ledger_units(result.billed, balance.unit)
        if balance.selected:
            yours = total((yours, balance.selected.net_left_out))
        try:
            comparison = self.api.compare(balance.account, balance.window, yours=yours, theirs=balance.net)
        except ScopeRefused:
            # Too wide for one request: the balance was read in parts, and Stripe's figure has none.
            return result
        return after_compare(result, balance, comparison)

    def near(self, account: str, window: Window) -> tuple[LedgerDelta, ...] | None:
        count, deltas = self.api.page_of_deltas(account, window)
        return deltas if len(deltas) == count else None

    def proven(self, result: WindowResult) -> WindowResult:
        """Return the result with its checkpoint, cross-checked by public verify, if there are records to prove.

        In a preview a result without a proof stands for one that a check would prove with a new checkpoint. What
        PacSpace will answer to that is unknown.
        """
        if not result.count or result.account is None or result.window is None or result.recorded is None:
            return result
        account, selected = result.account, result.selected
        window = selected.scope if selected else result.window
        count = selected.count if selected else result.count
        net = selected.net if selected else self.policy.usage_sign.raw_balance(result.recorded)
        checkpoint = self._checkpoint(account, window, count, net)
        if checkpoint is None:
            return result
        if checkpoint.proof_root is None:
            detail = f"checkpoint {checkpoint.checkpoint_id} is not committed yet"
            return result if self.preview else replace(result, reason=Reason.NOT_SETTLED, detail=detail)
        proof = Proof(
            account=account,
            window=window,
            checkpoint_id=checkpoint.checkpoint_id,
            proof_root=checkpoint.proof_root,
            count=count,
            net=net,
            verify_url=self._verify_url(account, window, checkpoint.proof_root),
            cross_checked=False,
        )
        proven = after_verify(result, proof, self.api.verify(checkpoint.proof_root))
        # A check makes a new checkpoint where the existing one covers fewer records than there are now.
        return result if self.preview and proven.reason is not result.reason else proven

    def _checkpoint(self, account: str, window: Window, count: int, net: Decimal) -> CheckpointRoot | None:
        if self.preview:
            root = self.api.invoice_proof(account, window).proof_root
            return self.api.find_checkpoint(account, window, root) if root else None
        # The same request again gets the same checkpoint; a ledger that grew since asks for a new one.
        key = "pacspace-stripe-" + digest(f"{account}|{window}|{count}|{text(net)}".encode())[:40]
        made = self.api.checkpoint(account, window, idempotency_key=key)
        if made.proof_root is None:
            return self.api.find_checkpoint(account, window, made.checkpoint_id) or made
        return made

    def _verify_url(self, account: str, window: Window, proof_root: str) -> str:
        """Return PacSpace's link for people if it is about this root; else the public address of the root itself."""
        links = self.api.invoice_proof(account, window)
        fallback = self.api.verify_address(proof_root)
        if links.proof_root != proof_root or not links.verify_url:
            return fallback
        usable = links.verify_url.startswith(("https://", "http://")) and len(links.verify_url) <= LONGEST_LINK
        return links.verify_url if usable else fallback

    def read_only(self) -> "BalanceLedger":
        return replace(self, preview=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementLedger:
    """The older settlement API: ``account`` is a record's key. It compares nothing and makes no checkpoint."""

    api: ReconciliationApi

    @property
    def has_windows(self) -> bool:
        return False

    def recorded(self, account: str, window: Window, meter: str) -> Balance | UnclearRecords:  # noqa: ARG002 - a record is of one meter
        record = self.api.record(account)
        if record is None:
            return Balance(account=account, window=window, net=Decimal(0), count=0, known=False)
        return Balance(account=account, window=window, net=record.bits, count=record.writes, record=record)

    def unsettled(self, account: str, window: Window, meter: str) -> Unsettled:  # noqa: ARG002 - the record itself shows it
        return Unsettled(unverified=0, gaps=0)

    def compared(self, result: WindowResult, balance: Balance) -> WindowResult:  # noqa: ARG002 - it has no compare
        return result

    def near(self, account: str, window: Window) -> tuple[LedgerDelta, ...] | None:  # noqa: ARG002 - a record is one sum
        return None

    def proven(self, result: WindowResult) -> WindowResult:
        """Return the result as it is: the record that was read is its proof."""
        return result

    def read_only(self) -> "SettlementLedger":
        return self
