"""The consistency of evidence: its sums and counts add up, its verdict follows from them, and its chain is whole.

Pure, and by the very rules that the gate decides by. A rule is here only if no genuine document breaks it.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import TypeAlias

from pacspace_stripe.comparison.rules.verdicts import BilledAs, LineKind, Reason, Verdict, summarize
from pacspace_stripe.evidence.models import EvidenceDocument, LineModel, PolicyModel, WindowModel
from pacspace_stripe.evidence.reader import OlderDocument, OlderEvidence, ReadEvidence
from pacspace_stripe.verify import selections
from pacspace_stripe.verify.report import Result, unless
from pacspace_stripe.vocabulary.ledger import LedgerProtocol
from pacspace_stripe.vocabulary.policy import Mode
from pacspace_stripe.vocabulary.quantities import equal, subtract, text, total
from pacspace_stripe.vocabulary.text import plural

_LIVING = ("draft", "open", "paid")
_FIGURES_DIFFER = frozenset(
    {
        *(Reason.STRIPE_MISSING, Reason.LEDGER_MISSING, Reason.OVERBILLED, Reason.UNDERBILLED),
        *(Reason.PERIOD_EDGE, Reason.DUPLICATE),
    }
)

Link: TypeAlias = ReadEvidence | OlderEvidence
"""A document in a chain. One that an earlier version wrote has its place, too."""
_LEFT_OUT = {"chain", "decided_at", "invoice_status", "confirms", "windows"}
_LEFT_OUT_OF_WINDOWS = {"lines", "from_meter"}
"""Keys that a confirmation writes again; everything else repeats the decision word for word."""


def adds_up(document: EvidenceDocument) -> Result:
    """Check the sums, the counts, and the verdict that follows from them."""
    lines = sum(len(window.lines) for window in document.windows)
    verdict = f"{document.decision.verdict} ({document.decision.reason})"
    windows = plural(len(document.windows), "window")
    consistent = f"{windows}, {plural(lines, 'invoice line')}, and the verdict that follows from them: {verdict}"
    return unless(problems(document), consistent)


def problems(document: EvidenceDocument) -> Iterator[str]:
    """Yield everything in which the document contradicts itself."""
    for window in document.windows:
        for problem in _in_window(window, document.policy):
            yield f"{name_of(window)}: {problem}"
        if window.from_meter and document.invoice_status != "draft":
            yield f"{name_of(window)}: only a draft's lines lag behind their meter"
    yield from selections.across(document)
    yield from _lines_once(document)
    yield from _decision(document)
    yield from _waiver(document)
    yield from _unproven_match(document)


def unbacked(document: EvidenceDocument) -> tuple[WindowModel, ...]:
    """Return the windows whose matched usage no proof root covers, so that only the vendor vouches for it."""
    return tuple(
        window
        for window in document.windows
        if window.proof is None and window.reason.verdict is Verdict.MATCHED
        if window.billed or window.recorded or window.count
    )


def name_of(window: WindowModel) -> str:
    """Return a window's name for people."""
    return f"{window.meter} {window.window or 'without a period'}"


def _in_window(window: WindowModel, policy: PolicyModel) -> Iterator[str]:
    yield from _billed_lines(window)
    yield from _recorded(window, policy)
    yield from _compared(window, policy)
    yield from _reason(window, policy.tolerance)


def _billed_lines(window: WindowModel) -> Iterator[str]:
    """Check that billed is the sum of the lines and of earlier invoices of the period, or the meter's figure.

    Billed was read from the meter where a draft's lines lag behind it, and where lines are not raw usage.
    """
    lines = [line for line in window.lines if line.kind in (LineKind.USAGE, LineKind.UNKNOWN)]
    known = [line.quantity for line in lines if line.quantity is not None]
    if window.billed_as is BilledAs.METER:
        yield from _as_metered(window)
    elif len(known) != len(lines):
        if window.billed is not None and not window.from_meter:
            yield f"{text(window.billed)} is billed, but a line has no quantity"
    elif window.billed is None:
        if known and window.billed_as is not BilledAs.EACH:
            yield f"its lines bill {text(total(known))}, but no billed usage is named"
    elif not window.from_meter:
        yield from _added_up(window, lines, window.billed)


def _added_up(window: WindowModel, lines: list[LineModel], billed: Decimal) -> Iterator[str]:
    """Check that the lines of each price add up: where several prices bill one meter, each bills all of it."""
    of_price: dict[str | None, list[Decimal]] = {}
    for line in lines:
        name = line.price if window.billed_as is BilledAs.EACH else None
        of_price.setdefault(name, [each.quantity for each in window.already]).append(line.quantity or Decimal(0))
    for quantities in of_price.values() or [[each.quantity for each in window.already]]:
        if not equal(total(quantities), billed):
            yield f"its lines bill {text(total(quantities))}, not {text(billed)}"


def _as_metered(window: WindowModel) -> Iterator[str]:
    says = window.result().meter_totals
    if says is None:
        yield "billed as its meter says, but nothing of the meter is named"
    elif window.billed is not None and not says.allows(window.billed):
        yield f"billed as its meter says, which is {text(says.inner)} to {text(says.outer)}, not {text(window.billed)}"


def _recorded(window: WindowModel, policy: PolicyModel) -> Iterator[str]:
    """Check recorded usage and its number of records against what the proof, or the settlement record, covers."""
    if (window.recorded is None) != (window.count is None):
        yield "recorded usage and the number of its records are known together or not at all"
    yield from selections.problems(window, policy)
    if window.proof is not None and not window.proof.stale:
        proof = window.proof
        if window.selection is None:
            yield from _covers(window, policy, proof.net_change, proof.record_count, "the proof root")
        else:
            yield from selections.not_proven(window.selection, proof)
    if window.record is not None:
        yield from _covers(window, policy, window.record.bits, window.record.writes, "the record")
    if (policy.ledger is LedgerProtocol.SETTLEMENT) and (window.proof or window.compare):
        yield "the settlement ledger has no proof roots and compares nothing"
    if policy.ledger is LedgerProtocol.BALANCE and window.record is not None:
        yield "only the settlement ledger has records"


def _covers(window: WindowModel, policy: PolicyModel, net: Decimal, count: int, what: str) -> Iterator[str]:
    usage = policy.usage_sign.recorded_usage(net)
    if window.recorded is None or usage != window.recorded:
        yield f"{what} covers {text(usage)}, recorded is {_shown(window.recorded)}"
    if window.count != count:
        yield f"{what} covers {plural(count, 'record')}, counted are {window.count}"


def _compared(window: WindowModel, policy: PolicyModel) -> Iterator[str]:
    """Check that PacSpace compared these very figures, and contradicted them only where that is the reason."""
    compare = window.compare
    if compare is None:
        return
    if window.billed is None or window.recorded is None:
        yield "figures were compared that are not known"
        return
    if window.selection is not None:
        yield from selections.not_asked(window, window.selection, compare, policy)
    else:
        # Only the difference is checked: both balances may include records that are no usage.
        asked = subtract(compare.their_balance, compare.your_balance)
        sign = policy.usage_sign
        if asked != subtract(sign.raw_balance(window.recorded), sign.raw_balance(window.billed)):
            yield selections.OTHER_FIGURES
    proof = window.proof
    if proof is not None and not proof.stale and compare.their_balance != proof.net_change:
        yield f"PacSpace compared {text(compare.their_balance)}, the proof root covers {text(proof.net_change)}"
    contradicted = compare.neutral_balance is not None and not equal(compare.neutral_balance, compare.their_balance)
    if contradicted != (window.reason is Reason.LEDGER_INCONSISTENT):
        yield f"PacSpace's neutral balance and the reason {window.reason} do not go together"


def _reason(window: WindowModel, tolerance: Decimal) -> Iterator[str]:
    """Check that the reason follows from the figures."""
    reason, billed, recorded = window.reason, window.billed, window.recorded
    if reason.verdict is Verdict.UNPROVEN:
        return
    if billed is None or recorded is None:
        yield f"{reason} of figures that are not known"
        return
    if not _fits(reason, billed, recorded, tolerance) or (reason is Reason.ZERO and window.count != 0):
        yield f"{text(billed)} billed and {text(recorded)} recorded are not {reason}"
    if window.record is not None and not window.record.verified:
        yield f"{reason} by a record that is not verified"
    if window.proof is not None and window.proof.stale and reason.verdict is Verdict.MATCHED:
        yield f"{reason} by a proof root of other records"


def _fits(reason: Reason, billed: Decimal, recorded: Decimal, tolerance: Decimal) -> bool:
    agree = equal(billed, recorded, tolerance=tolerance)
    follows = {
        Reason.EXACT: equal(billed, recorded),
        Reason.WITHIN_TOLERANCE: agree,
        Reason.ZERO: billed == recorded == 0,
        Reason.STRIPE_MISSING: billed == 0 and recorded > 0,
        Reason.LEDGER_MISSING: recorded == 0,
        Reason.OVERBILLED: billed > recorded,
        Reason.UNDERBILLED: billed < recorded,
        Reason.CHANGED_AT_FINALIZATION: False,  # the reason of a whole invoice, never of a window
    }
    return follows.get(reason, True) and not (agree and reason in _FIGURES_DIFFER)


def _lines_once(document: EvidenceDocument) -> Iterator[str]:
    ids = [line.id for window in document.windows for line in window.lines]
    if len(set(ids)) != len(ids):
        yield "one invoice line is billed twice"
    windows = [window.result().key for window in document.windows]
    if len(set(windows)) != len(windows):
        yield "one meter and period is named twice"


def _decision(document: EvidenceDocument) -> Iterator[str]:
    """Check that the worst window decides for all, and that a match is never waived."""
    decided, follows = document.decision, summarize(document.finding().windows)
    if decided.reason is Reason.CHANGED_AT_FINALIZATION:
        if decided.verdict is not Verdict.DRIFTED or document.invoice_status == "draft":
            yield "only a finalized invoice that drifted can have changed at finalization"
        return
    gone = not document.windows and decided.reason is Reason.UNKNOWN_SHAPE
    verdict, reason = (Verdict.UNPROVEN, decided.reason) if gone else (follows.verdict, follows.reason)
    expected = Verdict.WAIVED if document.waiver is not None and verdict is not Verdict.MATCHED else verdict
    if (decided.verdict, decided.reason) != (expected, reason):
        yield f"the verdict is {decided.verdict} ({decided.reason}), the windows make it {expected} ({reason})"


def _waiver(document: EvidenceDocument) -> Iterator[str]:
    """Check that a waiver stands beside a waived verdict only, and names exactly what is billed."""
    waiver = document.waiver
    if (waiver is not None) != (document.decision.verdict is Verdict.WAIVED):
        yield "a waiver and a waived verdict come together"
    if waiver is None:
        return
    windows = {window.result().key: window for window in document.windows}
    if waiver.figures.keys() != windows.keys():
        yield "the waiver names other meters and periods than the invoice bills"
        return
    for key, figure in waiver.figures.items():
        if not _waives(figure, windows[key], document):
            yield f"{name_of(windows[key])}: the waiver names {_shown(figure)}, billed is {_shown(windows[key].billed)}"


def _waives(figure: Decimal | str, window: WindowModel, document: EvidenceDocument) -> bool:
    """Return whether a waiver's figure fits a window.

    A waiver names what the lines said; a window that needs none may by now be billed as its meter says.
    """
    if window.from_meter or (document.confirms and window.reason.verdict is Verdict.MATCHED):
        return True
    if isinstance(figure, str) or window.billed is None:
        return isinstance(figure, str) and window.billed is None
    # Nothing is billed for a meter below zero, and that is what a waiver names.
    return equal(figure, max(window.billed, Decimal(0)))


def _unproven_match(document: EvidenceDocument) -> Iterator[str]:
    """Check that an enforcing gate matched no records without a proof."""
    acts = document.policy.mode is Mode.ENFORCE and document.invoice_status in _LIVING
    if not acts or document.decision.verdict is not Verdict.MATCHED:
        return
    for window in document.windows:
        if window.count and window.proof is None and window.record is None:
            yield f"{name_of(window)}: {window.count} records are matched without a proof root"


def _shown(figure: Decimal | str | None) -> str:
    match figure:
        case None:
            return "unknown"
        case Decimal():
            return text(figure)
        case _:
            return figure


def place(document: EvidenceDocument) -> Result:
    """Check the place that a document says it has in its chain, without the other links."""
    chain = document.chain
    before = f"after {chain.previous_sha256}" if chain.previous_sha256 else "the first"
    return unless(_misplaced(document), f"link {chain.sequence} of {chain.id}, {before}; the other links are not here")


def intact(links: Sequence[Link]) -> Result:
    """Check that links, in the order they are given, are a whole chain from its first."""
    return unless(_broken(links), f"{plural(len(links), 'link')}, each naming the one before, from the first on")


def _misplaced(document: EvidenceDocument | OlderDocument) -> Iterator[str]:
    chain = document.chain
    if (chain.sequence == 1) != (chain.previous_sha256 is None):
        yield f"link {chain.sequence} {'names' if chain.previous_sha256 else 'names no'} link before it"
    if chain.id != (document.subscription or document.invoice):
        yield f"link {chain.sequence} is of another chain than its subscription's"


def _broken(links: Sequence[Link]) -> Iterator[str]:
    if not links:
        yield "the chain is empty"
        return
    for number, link in enumerate(links, start=1):
        yield from _misplaced(link.document)
        if link.document.chain.sequence != number:
            yield f"link {link.document.chain.sequence} stands in the place of link {number}"
        if link.document.chain.id != links[0].document.chain.id:
            yield f"link {number} is of another chain"
    for one, next_one in pairwise(links):
        if next_one.document.chain.previous_sha256 != one.sha256:
            yield f"link {next_one.document.chain.sequence} does not name the one before it"
    yield from _unconfirmed(links)


def _unconfirmed(links: Sequence[Link]) -> Iterator[str]:
    """Check that each confirmation repeats about a finalized invoice what an earlier decision said of its draft."""
    earlier: dict[str, EvidenceDocument] = {}
    for link in links:
        if isinstance(link, OlderEvidence):
            continue
        document = link.document
        if document.confirms is not None:
            decision = earlier.get(document.confirms)
            if decision is None or decision.confirms is not None or _repeated(decision) != _repeated(document):
                yield f"link {document.chain.sequence} does not confirm an earlier decision of this chain"
        earlier[link.sha256] = document


def _repeated(document: EvidenceDocument) -> tuple[object, ...]:
    windows = [window.model_dump(exclude=_LEFT_OUT_OF_WINDOWS) for window in document.windows]
    return document.model_dump(exclude=_LEFT_OUT), windows
