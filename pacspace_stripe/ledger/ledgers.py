"""The neutral ledger as a comparison needs it: one interface, PacSpace's two protocols behind it."""

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
    as_it_stands,
    awaited,
    chosen,
    may_count,
    named_meters,
    proof_scope,
    select,
)
from pacspace_stripe.pacspace_api import PacSpaceApi
from pacspace_stripe.vocabulary.canonical_json import digest
from pacspace_stripe.vocabulary.ledger import Balance, Checkpoint, LedgerDelta, Proof, Unsettled
from pacspace_stripe.vocabulary.policy import Attribution, Policy
from pacspace_stripe.vocabulary.quantities import text, total
from pacspace_stripe.vocabulary.windows import Window

LONGEST_LINK = 500
"""A metadata value's limit: a longer link could not be stamped."""


class Ledger(Protocol):
    """Where usage is recorded. ``account`` names it there, and every method raises RemoteError's children."""

    @property
    def has_windows(self) -> bool:
        """Whether it can be asked about any time at all: without, nothing can be said before the invoice is there."""
        ...

    def recorded(self, account: str, window: Window, meter: str) -> Balance | UnclearRecords:
        """What is recorded of a meter; zero of nothing for an account that it does not know."""
        ...

    def unsettled(self, account: str, window: Window, meter: str) -> Unsettled:
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

    def recording(self) -> "Ledger":
        """Return the ledger for a preview: it makes no checkpoint and shows the proof that is there already."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceLedger:
    """The Balance API: deltas in time, compare, checkpoints whose root public verify confirms.

    Where some of an account's deltas do not count, they are listed and the rest is compared; PacSpace's own compare and
    the proof stay about all of them, which is all that PacSpace can be asked about.
    """

    api: PacSpaceApi
    policy: Policy
    meters_among: Callable[[frozenset[str]], frozenset[str]]
    """Those of some names that are Stripe's meters: asked only where deltas name another than the invoice's."""
    now: Callable[[], datetime]

    @property
    def has_windows(self) -> bool:
        return True

    def recorded(self, account: str, window: Window, meter: str) -> Balance | UnclearRecords:
        selection = Selection.of(self.policy, meter)
        if selection.plain:
            return self.api.derive(account, window)
        if selection.takes_all:
            return replace(self.api.derive(account, window), left_out=(), unit=selection.unit)
        if selection.attribution is not Attribution.ACCEPTED:
            return self._by_usage_time(account, window, selection)
        balance, deltas = self.api.listed(account, window)
        return _with_read(chosen(balance, deltas, window, self._knowing(selection, deltas)), balance)

    def _by_usage_time(self, account: str, window: Window, selection: Selection) -> Balance | UnclearRecords:
        """Read the records of the window and those accepted after it, choose, and derive the scope that proves them.

        Both lists are read whatever the first one shows. A balance that equals what is billed proves nothing while a
        late summary of the same time may stand beside it. Listing takes the place of the plain derive, so up to 1,000
        records cost one request more than acceptance alone: the one about the time after the window.

        None is looked for before the window's start: nothing is accepted before it happened. The later time is asked
        about by itself, since PacSpace answers about scopes of a limited length. It ends now: a list of several pages
        would not add up while records come in.
        """
        balance, deltas = self.api.listed(account, window)
        until = min(window.end + LATEST_ACCEPTANCE, self.now())
        later = self.api.listed(account, Window(start=window.end, end=until))[1] if window.end < until else ()
        selection = self._knowing(selection, (*deltas, *later))
        counted = select(deltas, window, selection, later=later)
        if isinstance(counted, UnclearRecords):
            return _with_read(counted, balance)
        late = {delta.record_id for delta in later} & {delta.record_id for delta in counted.deltas}
        scope = proof_scope((delta for delta in later if delta.record_id in late), window)
        proven = balance if scope == window else self.api.derive(account, scope)
        covered = [each for each in later if each.record_id in late or window.end <= each.accepted_at < scope.end]
        found = chosen(proven, deltas, window, selection, later=covered)
        if isinstance(found, UnclearRecords):
            return _with_read(found, proven)
        missing = awaited((*deltas, *later), window, selection, self.policy.cadence)
        return replace(as_it_stands(found, selection), awaited=missing)

    def _knowing(self, selection: Selection, deltas: Iterable[LedgerDelta]) -> Selection:
        named = named_meters(deltas, selection)
        pushed = named & self.policy.usage_items.meters
        asked = self.meters_among(named - pushed) if named - pushed else frozenset()
        return replace(selection, others=pushed | asked) if named else selection

    def unsettled(self, account: str, window: Window, meter: str) -> Unsettled:
        selection = Selection.of(self.policy, meter)
        if selection.takes_all:
            return self.api.unsettled(account, window)
        late = self.policy.cadence if selection.attribution is not Attribution.ACCEPTED else timedelta(0)
        until = Window(start=window.start, end=window.end + late)
        return self.api.unsettled(account, until, may_count=lambda delta: may_count(delta, window, selection))

    def asked(self, result: WindowResult, balance: Balance) -> WindowResult:
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
        return self.api.near(account, window)

    def proven(self, result: WindowResult) -> WindowResult:
        """Checkpointed and cross-checked, when there are records."""
        if not result.count or result.account is None or result.window is None or result.recorded is None:
            return result
        account, selected = result.account, result.selected
        window = selected.scope if selected else result.window
        count = selected.count if selected else result.count
        net = selected.net if selected else self.policy.usage_sign.raw_balance(result.recorded)
        checkpoint = self._checkpoint(account, window, key=_checkpoint_key(account, window, count, text(net)))
        if checkpoint is None:
            return result
        if checkpoint.proof_root is None:
            detail = f"checkpoint {checkpoint.checkpoint_id} is not committed yet"
            return replace(result, reason=Reason.NOT_SETTLED, detail=detail)
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
        return after_verify(result, proof, self.api.verify(checkpoint.proof_root))

    def _checkpoint(self, account: str, window: Window, *, key: str) -> Checkpoint | None:
        made = self.api.checkpoint(account, window, idempotency_key=key)
        if made.proof_root is None:
            return self.api.find_checkpoint(account, window, made.checkpoint_id) or made
        return made

    def recording(self) -> "BalanceLedger":
        return _RecordingBalanceLedger(api=self.api, policy=self.policy, meters_among=self.meters_among, now=self.now)

    def _verify_url(self, account: str, window: Window, proof_root: str) -> str:
        """The link for people, when it is about this root; else the public address of the root itself."""
        links = self.api.invoice_proof(account, window)
        fallback = self.api.verify_address(proof_root)
        if links.proof_root != proof_root or not links.verify_url:
            return fallback
        usable = links.verify_url.startswith(("https://", "http://")) and len(links.verify_url) <= LONGEST_LINK
        return links.verify_url if usable else fallback


@dataclass(frozen=True, slots=True, kw_only=True)
class _RecordingBalanceLedger(BalanceLedger):
    """A :class:`BalanceLedger` that makes no checkpoint.

    A result without a proof stands for one that a check would prove with a new checkpoint. Nobody can say before what
    PacSpace will answer to that.
    """

    def proven(self, result: WindowResult) -> WindowResult:
        # Not zero-argument super(): a dataclass with slots is another class than the one that its methods close over.
        there = BalanceLedger.proven(self, result)
        # A checkpoint of fewer records than there are now is made again.
        return there if there.proof and there.reason is result.reason else result

    def _checkpoint(self, account: str, window: Window, *, key: str) -> Checkpoint | None:  # noqa: ARG002 - nothing is made
        root = self.api.invoice_proof(account, window).proof_root
        return self.api.find_checkpoint(account, window, root) if root else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementLedger:
    """The older settlement API: ``account`` is a record's key. It compares nothing and makes no checkpoint."""

    api: PacSpaceApi

    @property
    def has_windows(self) -> bool:
        return False

    def recorded(self, account: str, window: Window, meter: str) -> Balance | UnclearRecords:  # noqa: ARG002 - a record is of one meter
        record = self.api.record(account)
        if record is None:
            return Balance(account=account, window=window, net=Decimal(0), count=0, known=False)
        return Balance(account=account, window=window, net=record.bits, count=record.writes, record=record)

    def unsettled(self, account: str, window: Window, meter: str) -> Unsettled:  # noqa: ARG002 - the record itself says it
        return Unsettled(unverified=0, gaps=0)

    def asked(self, result: WindowResult, balance: Balance) -> WindowResult:  # noqa: ARG002 - it has no compare
        return result

    def near(self, account: str, window: Window) -> tuple[LedgerDelta, ...] | None:  # noqa: ARG002 - a record is one sum
        return None

    def proven(self, result: WindowResult) -> WindowResult:
        """As it is: the record that was read is the proof."""
        return result

    def recording(self) -> "SettlementLedger":
        return self


def _with_read(found: Balance | UnclearRecords, balance: Balance) -> Balance | UnclearRecords:
    return replace(found, read=balance) if isinstance(found, UnclearRecords) else found


def _checkpoint_key(account: str, window: Window, count: int, net: str) -> str:
    """The same request again is the same checkpoint; a ledger that grew asks for a new one."""
    return "pacspace-stripe-" + digest(f"{account}|{window}|{count}|{net}".encode())[:40]
