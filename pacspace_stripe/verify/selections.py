"""The consistency of a selection: evidence in which not every record of the ledger's scope is usage as it stands. Pure.

The evidence does not name the records that were left out. It does show whether they and the counted ones add up to
what PacSpace derives and the proof root covers, and whether the policy allows leaving them out.
"""

from collections.abc import Iterator
from decimal import Decimal
from itertools import permutations

from pacspace_stripe.evidence.models import (
    CompareModel,
    EvidenceDocument,
    LeftOutModel,
    PolicyModel,
    ProofModel,
    SelectionModel,
    WindowModel,
)
from pacspace_stripe.ledger.rules.selection import Selection
from pacspace_stripe.vocabulary.ledger import LeftOutBy, SelectedScope
from pacspace_stripe.vocabulary.policy import Attribution
from pacspace_stripe.vocabulary.quantities import text, total
from pacspace_stripe.vocabulary.text import plural

OTHER_FIGURES = "PacSpace was asked to compare other figures than those named"


def problems(window: WindowModel, policy: PolicyModel) -> Iterator[str]:
    """Check that there is a selection exactly where the policy makes one, and that recorded usage is what it leaves."""
    chosen, selection = Selection.of(policy.choices, window.meter), window.selection
    if selection is None:
        if window.count is not None and not _may_be_plain(chosen):
            yield "the policy chooses among the ledger's records, and the evidence does not say what from"
        return
    if chosen.plain:
        yield "records were left out that the policy does not leave out"
        return
    yield from _scope(window, selection, chosen)
    yield from _left_out(selection, chosen)
    yield from _counted(window, selection.selected(), chosen)


def _may_be_plain(chosen: Selection) -> bool:
    """Return whether the policy may find nothing to choose: with auto, where acceptance placed every record."""
    auto = chosen.attribution is Attribution.AUTO and chosen.takes_all_of_a_time and chosen.unit == 1
    return chosen.plain or auto


def _scope(window: WindowModel, selection: SelectionModel, chosen: Selection) -> Iterator[str]:
    within = window.end is not None and selection.start == window.start and selection.end >= window.end
    longer = selection.end != window.end and chosen.attribution is Attribution.ACCEPTED
    if not within or longer:
        yield f"records of {selection.selected().scope} were read for it"
    placed = selection.placed_by
    if chosen.attribution is Attribution.AUTO and selection.end != window.end and not (placed and placed.usage_time):
        yield "records of a later time were read for it, and none of them counts by its usage time"
    if placed is None:
        return
    if chosen.attribution is Attribution.ACCEPTED:
        yield "records are placed by their usage time, which the policy does not say"
    if placed.accepted + placed.usage_time != selection.selected().counted:
        yield f"{placed.accepted + placed.usage_time} records are placed, counted are {selection.selected().counted}"


def _left_out(selection: SelectionModel, chosen: Selection) -> Iterator[str]:
    whys = [(each.by, each.name) for each in selection.left_out]
    if len(set(whys)) != len(whys):
        yield "records are left out twice for one reason"
    for each in selection.left_out:
        if not _may_leave_out(each, chosen):
            yield f"records are left out by {each.by} {each.name}".rstrip() + ", which the policy does not say"


def _may_leave_out(each: LeftOutModel, chosen: Selection) -> bool:
    match each.by:
        case LeftOutBy.METER:
            return chosen.splits and each.name not in ("", chosen.meter)
        case LeftOutBy.REASON:
            return each.name in chosen.exclude_reasons
        case LeftOutBy.READING:
            return chosen.reads and not each.name
        case LeftOutBy.TIME:
            return chosen.attribution is not Attribution.ACCEPTED and not each.name


def _counted(window: WindowModel, selected: SelectedScope, chosen: Selection) -> Iterator[str]:
    usage = chosen.usage(selected.net_counted)
    if window.recorded != usage:
        recorded = "unknown" if window.recorded is None else text(window.recorded)
        yield f"what is not left out is {text(usage)}, recorded is {recorded}"
    if window.count != selected.counted:
        yield f"{selected.counted} records are not left out, counted are {window.count}"


def across(document: EvidenceDocument) -> Iterator[str]:
    """Check that the records left out of one window as another meter's are those that the meter's own window counts.

    Only windows of one proven scope are checked: without a root they may have been read one after the other, from a
    ledger that grew in between.
    """
    for one, other in permutations(document.windows, 2):
        if one.selection is None or other.selection is None or not _proven_together(one, other):
            continue
        if _left_out_of(one.selection, other.meter) != _own(other.selection.selected()):
            yield f"{one.meter} leaves out other records of {other.meter} than {other.meter} counts"


def _proven_together(one: WindowModel, other: WindowModel) -> bool:
    proofs = (one.proof, other.proof)
    if any(proof is None or proof.stale for proof in proofs):
        return False
    return _period(one) == _period(other)


def _period(window: WindowModel) -> tuple[object, ...]:
    root = window.proof and window.proof.proof_root
    return window.account, window.start, window.end, root, window.selection and window.selection.end


def _left_out_of(selection: SelectionModel, meter: str) -> tuple[int, Decimal]:
    parts = (each for each in selection.left_out if (each.by, each.name) == (LeftOutBy.METER, meter))
    return next(((each.record_count, each.net_change) for each in parts), (0, Decimal(0)))


def _own(selected: SelectedScope) -> tuple[int, Decimal]:
    """Return number and net of all records of its meter: those that count, and readings that a later one replaced."""
    earlier = [each for each in selected.left_out if each.by is LeftOutBy.READING]
    count = selected.counted + sum(each.count for each in earlier)
    return count, total([selected.net_counted, *(each.net for each in earlier)])


def not_proven(selection: SelectionModel, proof: ProofModel) -> Iterator[str]:
    """Check that the root covers the whole scope, whichever records of it count."""
    if (proof.record_count, proof.net_change) != (selection.record_count, selection.net_change):
        covered = f"{text(proof.net_change)} in {plural(proof.record_count, 'record')}"
        yield f"the proof root covers {covered}, read were {text(selection.net_change)} in {selection.record_count}"


def not_asked(
    window: WindowModel, selection: SelectionModel, compare: CompareModel, policy: PolicyModel
) -> Iterator[str]:
    """Check the figures that PacSpace compared.

    PacSpace knows the whole balance only, so Stripe's figure was sent with what is left out.
    """
    if window.billed is None:
        return
    chosen, selected = Selection.of(policy.choices, window.meter), selection.selected()
    billed = policy.usage_sign.in_ledger_units(window.billed, chosen.unit)
    if compare.their_balance != selected.net or compare.your_balance != total((billed, selected.net_left_out)):
        yield OTHER_FIGURES
