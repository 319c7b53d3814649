"""What PacSpace says now of each window that the decision is about."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pacspace_stripe.errors import NotFound
from pacspace_stripe.evidence.bundle.archive import Folder
from pacspace_stripe.evidence.bundle.redaction import shareable, shareable_text
from pacspace_stripe.pacspace_api import Delta, DerivedBalance, PacSpace
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.ledger import LedgerProtocol, UsageSign
from pacspace_stripe.vocabulary.quantities import equal, text
from pacspace_stripe.vocabulary.windows import Window, iso

_NO_RECORD = (Decimal(0), 0, False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFiles:
    """Writes ``ledger/…`` of a decision into a folder."""

    pacspace: PacSpace
    folder: Folder

    def collect(self, decision: dict[str, Any]) -> None:
        """The files of every window with an account and a period, numbered from 1 in the decision's order."""
        policy = decision["policy"]
        sign = UsageSign(policy["usage_sign"])
        by_record = policy.get("ledger") == LedgerProtocol.SETTLEMENT.value
        windows = [window for window in decision["windows"] if window["account"] and window["start"]]
        for number, window in enumerate(windows, start=1):
            if by_record:
                self._record(f"ledger/{number:04d}", window)
            else:
                self._records(f"ledger/{number:04d}-records.json", window, sign)
                self._proof(f"ledger/{number:04d}", window)

    def _records(self, name: str, window: dict[str, Any], sign: UsageSign) -> None:
        account, span = window["account"], _span(window)
        derived = self.folder.asked(PACSPACE, (name,), lambda: self._derived(account, span))
        if derived is None:
            return
        self.folder.put_json(name, _rows(account, span, derived))
        chosen_from = window.get("selection")
        if chosen_from is None:
            known = (window["recorded"], window["count"])
            self._compared(name, known, sign.recorded_usage(derived.balance), derived.count)
        else:
            # Not all of it is usage of this meter: then its net is compared, raw and signed.
            known = (chosen_from["net_change"], chosen_from["record_count"])
            self._compared(name, known, derived.balance, derived.count)

    def _derived(self, account: str, span: Window) -> DerivedBalance:
        """Every record of a window; none of an account that PacSpace does not know."""
        try:
            return self.pacspace.balance.derive_all(account, span)
        except NotFound:
            return _nothing(account)

    def _proof(self, stem: str, window: dict[str, Any]) -> None:
        if window["proof"] is None:
            return
        proofs, root = self.pacspace.proofs, window["proof"]["proof_root"]
        receipt, verify = f"{stem}-receipt.json", f"{stem}-verify.json"
        self._answer(receipt, lambda: shareable(proofs.receipt_answer(window["account"], _span(window))))
        self._answer(verify, lambda: shareable(proofs.verify_answer(root)))

    def _answer(self, name: str, ask: Callable[[], Json]) -> None:
        answer = self.folder.asked(PACSPACE, (name,), ask)
        if answer is not None:
            self.folder.put_json(name, answer)

    def _record(self, stem: str, window: dict[str, Any]) -> None:
        """The settlement ledger's record; of a key that nothing was written to, that there are no records."""
        key, name = window["account"], f"{stem}-record.json"
        found = self.folder.asked(PACSPACE, (name,), lambda: self._bucket(key))
        if found is None:
            return
        if found == _NO_RECORD:
            self.folder.put_json(f"{stem}-records.json", _rows(key, _span(window), _nothing(key)))
        else:
            bits, writes, verified = found
            self.folder.put_json(name, {"key": key, "bits": text(bits), "writes": writes, "verified": verified})
        known = window.get("record") or {"bits": "0", "writes": 0}
        if not equal(found[0], Decimal(known["bits"])) or found[1] != known["writes"]:
            then = f"{known['bits']} in {_counted(known['writes'], 'write')}"
            self._note(name, then, f"{text(found[0])} in {found[1]}")

    def _bucket(self, key: str) -> tuple[Decimal, int, bool]:
        try:
            bucket = self.pacspace.settlement.bucket(key)
        except NotFound:
            return _NO_RECORD
        return bucket.current_bits, bucket.total_writes, bucket.verified

    def _compared(self, name: str, known: tuple[str | None, int], recorded: Decimal, count: int) -> None:
        figure, number = known
        if figure is None:
            return
        if not equal(recorded, Decimal(figure)) or count != number:
            self._note(name, f"{figure} in {_counted(number, 'record')}", f"{text(recorded)} in {count}")

    def _note(self, name: str, then: str, now: str) -> None:
        self.folder.notes.append(f"{name}: the decision is about {then}, PacSpace now has {now}")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _span(window: dict[str, Any]) -> Window:
    """The time whose records PacSpace was asked about: the window's own, or what its usage was chosen from."""
    scope = window.get("selection") or window
    return Window(start=datetime.fromisoformat(scope["start"]), end=datetime.fromisoformat(scope["end"]))


def _nothing(account: str) -> DerivedBalance:
    """The balance of an account that PacSpace does not know."""
    return DerivedBalance(
        customer_id=account,
        balance=Decimal(0),
        count=0,
    )


def _rows(account: str, span: Window, derived: DerivedBalance) -> dict[str, Json]:
    return {
        "account": account,
        "start": iso(span.start),
        "end": iso(span.end),
        "net": text(derived.balance),
        "count": derived.count,
        "records": [_row(delta) for delta in derived.deltas],
    }


def _row(delta: Delta) -> dict[str, Json]:
    return {
        "record_id": delta.record_id,
        "at": iso(delta.recorded_at) if delta.recorded_at else None,
        "delta": None if delta.amount is None else text(delta.amount),
        "reason": shareable_text(delta.reason) if delta.reason else delta.reason,
        "reference_id": shareable_text(delta.reference_id) if delta.reference_id else delta.reference_id,
        "status": delta.status.value,
    }
