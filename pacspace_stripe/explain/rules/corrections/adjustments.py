"""Moving one side: what Stripe, or the ledger, still lets a person do about a difference.

Limits: FACTS 2 and 4.2. PacSpace has no date of its own in a delta and places it when it accepts it
(CONTRACT 3.1), so a delta of today counts in a window of the past only where usage time decides.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from pacspace_stripe.explain.rules.corrections import commands
from pacspace_stripe.explain.rules.corrections.values import Correction, CorrectionKind, Drift, Piece, nothing, span
from pacspace_stripe.explain.rules.explanation import Cause
from pacspace_stripe.ledger.rules.attribution import LATEST_ACCEPTANCE
from pacspace_stripe.vocabulary.invoices import Formula, InvoiceStatus
from pacspace_stripe.vocabulary.ledger import LedgerProtocol
from pacspace_stripe.vocabulary.policy import Attribution
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.windows import Window, iso

OLDEST_METER_EVENT = timedelta(days=35)
CANCELLED_WITHIN = timedelta(hours=24)
"""Of its receipt, which we do not know: an event sent as the usage happened came within its own hour or day."""
_TAKEN_OFF = "Where cancelling is refused, a negative event takes it off."
_TOO_LATE_TO_CANCEL = (
    "It is too late to cancel, unless it was sent less than 24 hours ago: a negative event takes it off."
)
_METADATA = "metadata."


def move_stripe(drift: Drift, why: str) -> Iterator[Correction]:
    """Bring Stripe's figure to the ledger's; what is billed in another way leaves the quantities apart."""
    if drift.invoice.status is InvoiceStatus.DRAFT:
        for piece in drift.pieces():
            yield from _on_a_draft(drift, piece, why)
    elif drift.invoice.status in (InvoiceStatus.OPEN, InvoiceStatus.PAID):
        yield _after_finalization(drift, why)
    else:
        yield nothing(f"{why} The invoice is {drift.invoice.status}: nothing is collected for it, so nothing is moved.")


def settles_stripe(drift: Drift) -> bool:
    """Whether the two sides agree once that was done."""
    return drift.is_draft and all(_event_at(drift, piece) for piece in drift.pieces()) and _can_count(drift)


def _can_count(drift: Drift) -> bool:
    """Whether events can make up the difference at all: a count takes no part of one, and none back."""
    if drift.formula is Formula.SUM:
        return True
    whole = drift.missing > 0 and drift.missing == drift.missing.to_integral_value()
    return drift.formula is Formula.COUNT and whole


def _on_a_draft(drift: Drift, piece: Piece, why: str) -> Iterator[Correction]:
    if piece.missing < 0:
        yield from _cancelled(drift, piece, why)
    at = _event_at(drift, piece)
    if at is None:
        reason = (
            f"{why} No meter event for {span(piece.within)} is taken any more: Stripe takes none older than 35 days."
        )
        yield _line_item(drift, piece.missing, reason)
    elif not _can_count(drift):
        reason = f"{why} No meter event can say it: the meter's formula is {drift.formula}."
        yield _line_item(drift, piece.missing, reason)
    else:
        yield _meter_event(drift, piece, at, why)


def _cancelled(drift: Drift, piece: Piece, why: str) -> Iterator[Correction]:
    until = piece.within.end + CANCELLED_WITHIN
    if drift.now < until:
        yield Correction(
            kind=CorrectionKind.CANCEL_METER_EVENT,
            command=commands.cancel_meter_event(drift.explanation.meter),
            until=_while_a_draft(drift, until),
            why=f"{why} $IDENTIFIER is the event's own: Stripe lists none, so look where the event was sent from. It "
            "takes one back within 24 hours of its receipt.",
        )


def _event_at(drift: Drift, piece: Piece) -> datetime | None:
    """When an event may say it happened: at its own time, else as late as its window lasts; None when too old."""
    window, oldest = drift.explanation.window, drift.now - OLDEST_METER_EVENT
    own = min(max(piece.at, window.start), drift.now)
    if own > oldest:
        return own
    latest = (window.inner_minutes or window).end - timedelta(minutes=1)
    return latest if oldest < latest <= drift.now and latest >= window.start else None


def _meter_event(drift: Drift, piece: Piece, at: datetime, why: str) -> Correction:
    own = min(max(piece.at, drift.explanation.window.start), drift.now)
    said = [why]
    if piece.missing < 0:
        said.append(_TAKEN_OFF if drift.now < piece.within.end + CANCELLED_WITHIN else _TOO_LATE_TO_CANCEL)
    if at != own:
        said.append("Its own time is more than 35 days ago: at the end of the period it counts on the same invoice.")
    said.append("It counts on this invoice while it is a draft.")
    counted = drift.formula is Formula.COUNT
    return Correction(
        kind=CorrectionKind.METER_EVENT,
        command=commands.meter_event(
            event_name=drift.explanation.meter,
            customer_id=drift.invoice.customer_id,
            quantity=Decimal(1) if counted else piece.missing,
            at=at,
            identifier=f"correction-{piece.record_id}" if piece.record_id else f"{drift.name}-{int(at.timestamp())}",
            times=int(piece.missing) if counted else 1,
        ),
        until=_while_a_draft(drift, at + OLDEST_METER_EVENT),
        why=" ".join(said),
    )


def _while_a_draft(drift: Drift, until: datetime) -> datetime:
    """No later than Stripe itself finalizes: an invoice that is held waits."""
    planned = drift.invoice.automatically_finalizes_at
    return min(until, planned) if drift.invoice.auto_advance and planned else until


def _line_item(drift: Drift, missing: Decimal, why: str) -> Correction:
    planned = drift.invoice.automatically_finalizes_at if drift.invoice.auto_advance else None
    return Correction(
        kind=CorrectionKind.DRAFT_LINE_ITEM,
        command=commands.invoice_item(
            customer_id=drift.invoice.customer_id,
            currency=drift.invoice.currency,
            description=_described(drift, missing),
            less=missing < 0,
            name=f"{drift.name}-{text(missing)}",
            invoice_id=drift.invoice.invoice_id,
        ),
        until=planned,
        why=f"{why} A line of its own corrects the money, while it is a draft; {_amount(drift, missing)}",
    )


def _after_finalization(drift: Drift, why: str) -> Correction:
    missing, paid = drift.missing, drift.invoice.status is InvoiceStatus.PAID
    said = f"{why} Meter events no longer change it: it is finalized. {_amount(drift, missing)}"
    if missing < 0:
        memo = _described(drift, missing)
        return Correction(
            kind=CorrectionKind.CREDIT_NOTE,
            command=commands.credit_note(
                invoice_id=drift.invoice.invoice_id, memo=memo, paid=paid, name=f"{drift.name}-credit"
            ),
            until=None,
            why=said + (" It is paid: the amount goes to the customer's balance." if paid else ""),
        )
    return Correction(
        kind=CorrectionKind.NEXT_INVOICE_ITEM,
        command=commands.invoice_item(
            customer_id=drift.invoice.customer_id,
            currency=drift.invoice.currency,
            description=_described(drift, missing),
            less=False,
            name=f"{drift.name}-next",
            invoice_id=None,
        ),
        until=None,
        why=f"{said} A finalized invoice cannot grow: the customer's next one takes it.",
    )


def _described(drift: Drift, missing: Decimal) -> str:
    found = drift.explanation
    return f"Correction of {text(abs(missing))} {found.meter} in {span(found.window)} ({drift.invoice.invoice_id})"


def _amount(drift: Drift, missing: Decimal) -> str:
    return (
        f"$AMOUNT is what {text(abs(missing))} {drift.explanation.meter} cost, "
        f"in the smallest unit of {drift.invoice.currency}."
    )


def move_ledger(drift: Drift, why: str) -> Iterator[Correction]:
    """Bring the ledger's figure to Stripe's."""
    for piece in drift.pieces():
        yield _to_ledger(drift, piece, why)


def settles_ledger(drift: Drift) -> bool:
    """Whether the two sides agree once that was done."""
    if drift.policy.ledger is LedgerProtocol.SETTLEMENT:
        return all(_bits(drift, piece) is not None for piece in drift.pieces())
    return drift.now < _counts_until(drift)


def _counts_until(drift: Drift) -> datetime:
    """Return until when a record of this window's usage may be accepted and still counts in it."""
    by_acceptance = drift.policy.attribution is Attribution.ACCEPTED
    return drift.explanation.window.end + (timedelta(0) if by_acceptance else LATEST_ACCEPTANCE)


def _raw(drift: Drift, piece: Piece) -> Decimal:
    """What the ledger has to record for it: in its own unit, with its own sign."""
    factor = drift.policy.units.get(drift.explanation.meter, Decimal(1))
    return drift.policy.usage_sign.raw_balance(-piece.missing * factor)


def _bits(drift: Drift, piece: Piece) -> Decimal | None:
    raw = _raw(drift, piece)
    return raw if raw == raw.to_integral_value() else None


def _to_ledger(drift: Drift, piece: Piece, why: str) -> Correction:
    if drift.policy.ledger is LedgerProtocol.SETTLEMENT:
        return _written(drift, piece, why)
    window = drift.explanation.window
    adjusts = piece.record_id if piece.missing > 0 or drift.explanation.cause in _SAME_RECORD else None
    if drift.policy.attribution is not Attribution.ACCEPTED:
        said, until = f"{why} {_DATED if drift.now < _counts_until(drift) else _DATED_TOO_LATE}", None
    elif drift.now < window.end:
        said, until = f"{why} The window is still open, so it counts in it.", window.end
    else:
        said, until = f"{why} {_TOO_LATE}", None
    return Correction(
        kind=CorrectionKind.LEDGER_ADJUSTMENT if adjusts else CorrectionKind.LEDGER_RECORD,
        command=commands.ledger_record(
            account=drift.explanation.account,
            delta=_raw(drift, piece),
            reason=_reason(drift),
            reference=f"{drift.name}-{adjusts or iso(piece.within.start)}",
            metadata=_metadata(drift, piece.within),
            adjusts=adjusts,
        ),
        until=until,
        why=said,
    )


_SAME_RECORD = (Cause.WRONG_SIGN, Cause.UNIT_FACTOR, Cause.TRUNCATED_DECIMALS)
"""Usage that the ledger lacks is in a record that it has; otherwise that record is somewhere else."""
_DATED = "It says when the usage was, so it counts in this window."
_DATED_TOO_LATE = (
    f"It says when the usage was, but a record that PacSpace accepts more than {LATEST_ACCEPTANCE.days} days after this window is "
    "not looked for: the two sides still differ in it."
)
_TOO_LATE = (
    "PacSpace places a delta when it accepts it, and this window is over: the ledger's total is right again, but the "
    "next invoice then differs the other way; release that one with the same reason."
)


def _reason(drift: Drift) -> str:
    """One that the comparison counts: the meter's name where it is split by reason."""
    return drift.explanation.meter if drift.policy.meter_from == "reason" else "usage_correction"


def _metadata(drift: Drift, within: Window) -> dict[str, str]:
    whole = drift.explanation.window
    start, end = max(within.start, whole.start), min(within.end, whole.end)
    found = {"summaryWindowStart": iso(start), "summaryWindowEnd": iso(end)}
    if drift.policy.meter_from.startswith(_METADATA):
        found[drift.policy.meter_from.removeprefix(_METADATA)] = drift.explanation.meter
    return found if drift.policy.attribution is not Attribution.ACCEPTED or len(found) > len(_WINDOW_KEYS) else {}


_WINDOW_KEYS = ("summaryWindowStart", "summaryWindowEnd")


def _written(drift: Drift, piece: Piece, why: str) -> Correction:
    bits = _bits(drift, piece)
    if bits is None:
        return nothing(
            f"{why} The settlement API takes whole amounts only, and this one is {text(_raw(drift, piece))}."
        )
    return Correction(
        kind=CorrectionKind.LEDGER_ADJUSTMENT,
        command=commands.ledger_write(
            key=drift.explanation.account, bits=bits, account=drift.invoice.customer_id, description=_reason(drift)
        ),
        until=None,
        why=f"{why} Send it once: this API keeps no names, so a second one counts again.",
    )
