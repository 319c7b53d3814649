"""The ledger's files in a bundle: its rows, the settlement record, and PacSpace's receipt and verify answers. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from pacspace_stripe.evidence.models import EvidenceDocument, PolicyModel, SelectionModel, WindowModel
from pacspace_stripe.http.answers import Fields, exact_json
from pacspace_stripe.ledger.rules.selection import BY_REASON, CountedRecords, Selection, named_meters, select
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.pacspace_api.models import ReceiptFigures
from pacspace_stripe.pacspace_api.parsing import read as read_answer
from pacspace_stripe.pacspace_api.proofs import summary_of
from pacspace_stripe.verify.bundle import ReceivedBundle
from pacspace_stripe.verify.consistency import name_of
from pacspace_stripe.verify.report import Result, StepOutcome, cannot_tell, holds, refuted, together, unless
from pacspace_stripe.verify.stamps import SAME_FIGURES, agrees
from pacspace_stripe.vocabulary.ledger import LedgerDelta, LeftOutBy, Proof, UsageSign
from pacspace_stripe.vocabulary.policy import BY_ACCOUNT, Attribution
from pacspace_stripe.vocabulary.quantities import equal, text, total
from pacspace_stripe.vocabulary.text import plural
from pacspace_stripe.vocabulary.windows import Window, iso

_NOT_COUNTED = {"queued", "processing", "failed"}
"""The states of a row that counts in no balance (CONTRACT 1.10)."""
_REMOVED = "[address removed]"
"""The text that a bundle has in the place of a mail address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFiles:
    """A bundle's ``ledger/`` folder, and the decision that it belongs to."""

    bundle: ReceivedBundle
    document: EvidenceDocument

    def rows(self) -> Result:
        """Check that each window's rows have the recorded number and sum."""
        found = []
        for stem, window in self._windows():
            if window.record is not None:
                found.append(self._check(f"{stem}-record.json", partial(_record, window)))
            elif f"{stem}-record.json" in self.bundle.files:
                found.append(cannot_tell(f"{name_of(window)}: its record had no writes then, and has some now"))
            else:
                found.append(self._check(f"{stem}-records.json", partial(_rows, window, self.document.policy)))
        return together(found, otherwise="no window has a ledger account and a period")

    def answers(self) -> Result:
        """Check that PacSpace's stored answers are about these roots and agree with the evidence."""
        found = []
        for stem, window in self._windows():
            proof = window.result().proof
            if proof is not None:
                found.append(self._check(f"{stem}-receipt.json", partial(_receipt, proof)))
                found.append(self._check(f"{stem}-verify.json", partial(_verify_answer, proof)))
        return together(found, otherwise="the evidence has no proof root")

    def _windows(self) -> Iterator[tuple[str, WindowModel]]:
        """Yield each window with an account and a period, and how the names of its files begin."""
        whole = (window for window in self.document.windows if window.account is not None and window.window)
        for number, window in enumerate(whole, start=1):
            yield f"ledger/{number:04}", window

    def _check(self, name: str, read: Callable[[Fields], Result]) -> Result:
        return self.bundle.check(name, lambda data: read(_opened(name, data)))


def _opened(name: str, data: bytes) -> Fields:
    """Return a file's object, taken out of PacSpace's envelope if it is in one."""
    found = Fields(PACSPACE, name, exact_json(data))
    enveloped = "data" in found and ("success" in found or "statusCode" in found)
    return found.fields("data") if enveloped else found


def _rows(window: WindowModel, policy: PolicyModel, file: Fields) -> Result:
    rows = [row for row in file.items("records") if row.text("status").lower() not in _NOT_COUNTED]
    if any(row.optional_number("delta") is None for row in rows):
        return cannot_tell(f"{file.where}: a row names no amount")
    recorded = _as_recorded(file, window, policy.usage_sign)
    if recorded.outcome is StepOutcome.HOLDS and window.selection is not None:
        recorded = _as_chosen(file, rows, window, policy)
    return together([unless(_own_sums(file, rows, window), ""), recorded], otherwise="")


def _as_chosen(file: Fields, rows: list[Fields], window: WindowModel, policy: PolicyModel) -> Result:
    """Check which rows count, where their reasons alone decide it: they must be those that were counted."""
    chosen, period = Selection.of(policy.choices, window.meter), window.window
    if window.selection is not None and _by_acceptance(window.selection, period):
        chosen = replace(chosen, attribution=Attribution.ACCEPTED)
    shown = chosen.meter_from in (BY_ACCOUNT, BY_REASON) and chosen.attribution is Attribution.ACCEPTED
    reasons = [row.optional_text("reason") for row in rows]
    if not shown or period is None or any(_REMOVED in (reason or "") for reason in reasons):
        return holds("the ledger's rows are those that were chosen from; which of them count, they do not show")
    deltas = [
        LedgerDelta(record_id=str(place), amount=row.number("delta"), accepted_at=period.start, reason=reason)
        for place, (row, reason) in enumerate(zip(rows, reasons, strict=True))
    ]
    found = select(deltas, period, replace(chosen, others=named_meters(deltas, chosen)))
    selected = window.result().selected
    if isinstance(found, CountedRecords) and selected is not None and found.left_out == selected.left_out:
        return holds("the ledger's rows are as many as recorded, and sum to as much")
    return refuted(f"{file.where}: by their reasons other rows count for {name_of(window)} than were counted")


def _by_acceptance(selection: SelectionModel, period: Window | None) -> bool:
    """Return whether auto found no record that its own time places: acceptance then placed all of them."""
    scope = selection.selected().scope
    return (
        selection.placed_by is None
        and scope == period
        and all(each.by is not LeftOutBy.TIME for each in selection.left_out)
    )


def _own_sums(file: Fields, rows: list[Fields], window: WindowModel) -> Iterator[str]:
    period = window.selection.selected().scope if window.selection else window.window
    scope = (file.text("account"), file.text("start"), file.text("end"))
    if period is None or scope != (window.account, iso(period.start), iso(period.end)):
        yield f"{file.where} is about another account or period"
    ids = [found for row in rows if (found := row.optional_text("record_id"))]
    if len(set(ids)) != len(ids):
        yield f"{file.where} names one record twice"
    named = f"{text(file.number('net'))} in {file.integer('count')}"
    summed = total(row.number("delta") for row in rows)
    if not equal(summed, file.number("net")) or len(rows) != file.integer("count"):
        yield f"{file.where}: {len(rows)} rows sum to {text(summed)}, not {named}"


def _as_recorded(file: Fields, window: WindowModel, sign: UsageSign) -> Result:
    """Check the rows against the evidence.

    Rows are read when a bundle is made: where no root froze them, the ledger may have moved on since.
    """
    net, count = file.number("net"), file.integer("count")
    if window.recorded is None or window.count is None:
        return cannot_tell(f"{name_of(window)}: the evidence does not say what was recorded")
    known = (window.recorded, window.count)
    if window.selection is not None:
        # The scope also has records that are no usage of this meter, so the whole scope is compared.
        known = (sign.recorded_usage(window.selection.net_change), window.selection.record_count)
    if equal(sign.recorded_usage(net), known[0]) and count == known[1]:
        return holds("the ledger's rows are as many as recorded, and sum to as much")
    named = f"{text(known[0])} in {known[1]}"
    rows = f"{text(sign.recorded_usage(net))} in {plural(count, 'record')}"
    difference = f"{name_of(window)}: the rows are {rows}, recorded is {named}"
    frozen = window.proof is not None and not window.proof.stale
    if window.proof is not None and count > window.proof.record_count:
        return cannot_tell(f"{difference}: the ledger got records after the proof root was made")
    return refuted(difference) if frozen else cannot_tell(f"{difference}; no proof root froze them")


def _record(window: WindowModel, file: Fields) -> Result:
    record = window.record
    there = (file.text("key"), file.number("bits"), file.integer("writes"), file.optional_flag("verified"))
    if record is not None and there == (record.key, record.bits, record.writes, record.verified):
        return holds("the settlement record is as in the evidence")
    return cannot_tell(f"{name_of(window)}: the record has changed since, which a record may")


def _receipt(proof: Proof, file: Fields) -> Result:
    receipt = read_answer(ReceiptFigures, file.where, file.data)
    root, count = receipt.proof_root, receipt.count
    if root is None or root.lower() != proof.proof_root.lower():
        return cannot_tell(f"{file.where} is about another proof root, {root}: the period was proven again")
    if count is None or count == proof.count or proof.stale:
        return holds(SAME_FIGURES)
    other = f"{file.where} says {plural(count, 'record')}, the evidence {proof.count}"
    if count > proof.count:
        return cannot_tell(f"{other}: the ledger got records after the proof root was made")
    return refuted(other)


def _verify_answer(proof: Proof, file: Fields) -> Result:
    return agrees(summary_of(file.data, proof.proof_root), proof)
