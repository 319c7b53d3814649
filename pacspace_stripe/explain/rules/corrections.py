"""Corrections: how one side of a difference can still be moved, and until when.

Each correction is a ready command, which only a person runs. Limits: FACTS 2.1 and 4.2. PacSpace places a delta at the
time when it accepts it (CONTRACT 3.1), so a delta of today counts in a window of the past only where usage time
decides.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from pacspace_stripe.explain.rules import correction_commands as commands
from pacspace_stripe.explain.rules.explanation import Cause, Explanation, LocatedPart, Side
from pacspace_stripe.ledger.rules.attribution import LATEST_ACCEPTANCE
from pacspace_stripe.vocabulary.invoices import Formula, Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.ledger import LedgerProtocol
from pacspace_stripe.vocabulary.policy import Attribution, Policy
from pacspace_stripe.vocabulary.quantities import equal, subtract, text, total
from pacspace_stripe.vocabulary.windows import Window, iso

_OLDEST_METER_EVENT = timedelta(days=35)
_CANCELLED_WITHIN = timedelta(hours=24)
"""Time after Stripe's receipt. We do not know it: an event sent as usage happens came within its own hour or day."""
_MOST_COMMANDS = 10
"""Single corrections; more than that are one of their sum, which counts the same on the invoice."""
_METADATA = "metadata."
_WINDOW_KEYS = ("summaryWindowStart", "summaryWindowEnd")
_SAME_RECORD = (Cause.WRONG_SIGN, Cause.UNIT_FACTOR, Cause.TRUNCATED_DECIMALS)
"""Causes whose missing usage is in a record that the ledger has; with any other cause that record is elsewhere."""


class CorrectionKind(StrEnum):
    """The kinds of corrections."""

    METER_EVENT = "meter_event"
    CANCEL_METER_EVENT = "cancel_meter_event"
    DRAFT_LINE_ITEM = "draft_line_item"
    CREDIT_NOTE = "credit_note"
    NEXT_INVOICE_ITEM = "next_invoice_item"
    """A one-off line on the customer's next invoice: a credit note can only take away."""
    LEDGER_RECORD = "ledger_record"
    LEDGER_ADJUSTMENT = "ledger_adjustment"
    """A delta that names the record which it corrects."""
    SETTING = "setting"
    WAIVE = "waive"
    NOTHING = "nothing"
    """Nothing is to be moved; ``why`` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """One thing that a person may do now."""

    kind: CorrectionKind
    why: str
    """Text for people: what is likely wrong, what the command does, and why nothing better is possible any more."""
    command: str = ""
    """For a shell; empty where there is nothing to run."""
    until: datetime | None = None
    """Time (aware UTC) after which it has no effect any more; None without a known limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """A part of the difference that one correction makes good."""

    missing: Decimal
    """Usage that Stripe lacks compared with the ledger, in the meter's unit; negative where it has too much."""
    at: datetime
    within: Window
    """The part of the window that it is in."""
    record_id: str | None
    """The ledger's record that it is about, where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftToCorrect:
    """One explained drift, its invoice and policy, and the time of planning."""

    explanation: Explanation
    invoice: Invoice
    now: datetime
    policy: Policy
    formula: Formula
    """The meter's: a count takes whole events only, and cannot go down."""

    @property
    def missing(self) -> Decimal:
        """Usage that Stripe lacks in the whole window, in the meter's unit."""
        return subtract(self.explanation.recorded, self.explanation.billed)

    @property
    def name(self) -> str:
        """The idempotency name of what a correction sends: the same whenever it is planned for the same figures."""
        found = self.explanation
        return f"correction-{self.invoice.invoice_id}-{found.meter}-{text(found.billed)}-{text(found.recorded)}"

    @property
    def planned_finalization(self) -> datetime | None:
        """Return the time at which Stripe finalizes the draft; None while it is held."""
        return self.invoice.automatically_finalizes_at if self.invoice.auto_advance else None

    def shortfalls(self) -> tuple[Shortfall, ...]:
        """Return the difference by records where they are known, else by parts, else as a whole."""
        found = self.explanation
        parts = tuple(shortfall for part in found.located for shortfall in _shortfalls_of(part))
        if 0 < len(parts) <= _MOST_COMMANDS and equal(total(part.missing for part in parts), self.missing):
            return parts
        within = found.located[0].window if len(found.located) == 1 else found.window
        return (Shortfall(missing=self.missing, at=within.start, within=within, record_id=None),)

    def described(self, missing: Decimal) -> str:
        """Return the description of a line or credit note, for the customer."""
        meter, window = self.explanation.meter, self.explanation.window
        span = f"{iso(window.start)} to {iso(window.end)}"
        return f"Correction of {text(abs(missing))} {meter} in {span} ({self.invoice.invoice_id})"


def _shortfalls_of(part: LocatedPart) -> tuple[Shortfall, ...]:
    missing = subtract(part.recorded, part.billed)
    if missing == 0:
        return ()
    listed = [record for record in part.records if record.side is Side.LEDGER and record.record_id is not None]
    counted = [record for record in listed if record.quantity != 0]
    if counted and equal(total(record.quantity for record in listed), missing):
        return tuple(
            Shortfall(
                missing=record.quantity,
                at=record.at or part.window.start,
                within=part.window,
                record_id=record.record_id,
            )
            for record in counted
        )
    alone = [record for record in listed if len(listed) == 1 or equal(record.quantity, missing)]
    record = alone[-1] if alone else None
    at = (record.at if record else None) or part.window.start
    return (Shortfall(missing=missing, at=at, within=part.window, record_id=record.record_id if record else None),)


def nothing_to_move(why: str) -> Correction:
    """Return the correction for a drift in which nothing is to be moved, with the reason."""
    return Correction(kind=CorrectionKind.NOTHING, why=why)


# -- Stripe -----------------------------------------------------------------------------------------------------------


def move_stripe(drift: DriftToCorrect, why: str) -> Iterator[Correction]:
    """Bring Stripe's figure to the ledger's; after finalization only the money, which leaves the quantities apart."""
    match drift.invoice.status:
        case InvoiceStatus.DRAFT:
            for shortfall in drift.shortfalls():
                yield from _on_a_draft(drift, shortfall, why)
        case InvoiceStatus.OPEN | InvoiceStatus.PAID:
            yield _after_finalization(drift, why)
        case status:
            yield nothing_to_move(f"{why} The invoice is {status}: nothing is collected for it, so nothing is moved.")


def settles_stripe(drift: DriftToCorrect) -> bool:
    """Return whether ``move_stripe`` makes the two sides agree."""
    on_draft = drift.invoice.status is InvoiceStatus.DRAFT
    return on_draft and all(_event_at(drift, each) for each in drift.shortfalls()) and _can_be_counted(drift)


def _can_be_counted(drift: DriftToCorrect) -> bool:
    """Return whether meter events can make up the difference: a count takes whole events only, and never goes down."""
    if drift.formula is Formula.SUM:
        return True
    whole = drift.missing > 0 and drift.missing == drift.missing.to_integral_value()
    return drift.formula is Formula.COUNT and whole


def _event_at(drift: DriftToCorrect, shortfall: Shortfall) -> datetime | None:
    """Return the time that an event may carry: its own, else the latest in the window; None when both are too old."""
    window, oldest = drift.explanation.window, drift.now - _OLDEST_METER_EVENT
    own = min(max(shortfall.at, window.start), drift.now)
    if own > oldest:
        return own
    latest = (window.inner_minutes or window).end - timedelta(minutes=1)
    return latest if oldest < latest <= drift.now and latest >= window.start else None


def _on_a_draft(drift: DriftToCorrect, shortfall: Shortfall, why: str) -> Iterator[Correction]:
    planned = drift.planned_finalization
    cancelled_until = shortfall.within.end + _CANCELLED_WITHIN
    if shortfall.missing < 0 and drift.now < cancelled_until:
        yield Correction(
            kind=CorrectionKind.CANCEL_METER_EVENT,
            command=commands.cancel_meter_event(drift.explanation.meter),
            until=min(cancelled_until, planned) if planned else cancelled_until,
            why=f"{why} $IDENTIFIER is the event's own: Stripe lists none, so find it where the event was sent from. "
            "Stripe takes one back within 24 hours of its receipt.",
        )
    at = _event_at(drift, shortfall)
    if at is not None and _can_be_counted(drift):
        yield _meter_event(drift, shortfall, at, why)
        return
    within = f"{iso(shortfall.within.start)} to {iso(shortfall.within.end)}"
    if at is None:
        why = f"{why} No meter event for {within} is taken any more: Stripe takes none older than 35 days."
    else:
        why = f"{why} No meter event can express it: the meter's formula is {drift.formula}."
    missing = shortfall.missing
    yield Correction(
        kind=CorrectionKind.DRAFT_LINE_ITEM,
        command=commands.invoice_item(
            customer_id=drift.invoice.customer_id,
            currency=drift.invoice.currency,
            description=drift.described(missing),
            less=missing < 0,
            name=f"{drift.name}-{text(missing)}",
            invoice_id=drift.invoice.invoice_id,
        ),
        until=planned,
        why=f"{why} A line of its own corrects the money, while it is a draft; {_amount(drift, missing)}",
    )


def _meter_event(drift: DriftToCorrect, shortfall: Shortfall, at: datetime, why: str) -> Correction:
    reasons = [why]
    if shortfall.missing < 0 and drift.now < shortfall.within.end + _CANCELLED_WITHIN:
        reasons.append("Where cancelling is refused, a negative event takes it off.")
    elif shortfall.missing < 0:
        reasons.append(
            "It is too late to cancel, unless it was sent less than 24 hours ago: a negative event takes it off."
        )
    if at != min(max(shortfall.at, drift.explanation.window.start), drift.now):
        reasons.append("Its own time is more than 35 days ago: at the end of the period it counts on the same invoice.")
    reasons.append("It counts on this invoice while it is a draft.")
    named = f"correction-{shortfall.record_id}" if shortfall.record_id else f"{drift.name}-{int(at.timestamp())}"
    counted = drift.formula is Formula.COUNT
    taken_until, planned = at + _OLDEST_METER_EVENT, drift.planned_finalization
    return Correction(
        kind=CorrectionKind.METER_EVENT,
        command=commands.meter_event(
            event_name=drift.explanation.meter,
            customer_id=drift.invoice.customer_id,
            quantity=Decimal(1) if counted else shortfall.missing,
            at=at,
            identifier=named,
            times=int(shortfall.missing) if counted else 1,
        ),
        until=min(taken_until, planned) if planned else taken_until,
        why=" ".join(reasons),
    )


def _after_finalization(drift: DriftToCorrect, why: str) -> Correction:
    missing, paid = drift.missing, drift.invoice.status is InvoiceStatus.PAID
    why = f"{why} Meter events no longer change it: it is finalized. {_amount(drift, missing)}"
    if missing < 0:
        return Correction(
            kind=CorrectionKind.CREDIT_NOTE,
            command=commands.credit_note(
                invoice_id=drift.invoice.invoice_id,
                memo=drift.described(missing),
                paid=paid,
                name=f"{drift.name}-credit",
            ),
            why=why + (" It is paid: the amount goes to the customer's balance." if paid else ""),
        )
    return Correction(
        kind=CorrectionKind.NEXT_INVOICE_ITEM,
        command=commands.invoice_item(
            customer_id=drift.invoice.customer_id,
            currency=drift.invoice.currency,
            description=drift.described(missing),
            less=False,
            name=f"{drift.name}-next",
            invoice_id=None,
        ),
        why=f"{why} A finalized invoice cannot grow: the customer's next one takes it.",
    )


def _amount(drift: DriftToCorrect, missing: Decimal) -> str:
    return (
        f"$AMOUNT is what {text(abs(missing))} {drift.explanation.meter} cost, "
        f"in the smallest unit of {drift.invoice.currency}."
    )


# -- the ledger -------------------------------------------------------------------------------------------------------


def move_ledger(drift: DriftToCorrect, why: str) -> Iterator[Correction]:
    """Bring the ledger's figure to Stripe's."""
    for shortfall in drift.shortfalls():
        if drift.policy.ledger is LedgerProtocol.SETTLEMENT:
            yield _settlement_write(drift, shortfall, why)
        else:
            yield _delta(drift, shortfall, why)


def settles_ledger(drift: DriftToCorrect) -> bool:
    """Return whether ``move_ledger`` makes the two sides agree."""
    if drift.policy.ledger is LedgerProtocol.SETTLEMENT:
        return all(_is_whole(_raw(drift, each)) for each in drift.shortfalls())
    return drift.now < _counts_until(drift)


def _counts_until(drift: DriftToCorrect) -> datetime:
    """Return until when a record of this window's usage may be accepted and still counts in it."""
    by_acceptance = drift.policy.attribution is Attribution.ACCEPTED
    return drift.explanation.window.end + (timedelta(0) if by_acceptance else LATEST_ACCEPTANCE)


def _raw(drift: DriftToCorrect, shortfall: Shortfall) -> Decimal:
    """Return what the ledger has to record, in its own unit and with its own sign."""
    factor = drift.policy.units.get(drift.explanation.meter, Decimal(1))
    return drift.policy.usage_sign.raw_balance(-shortfall.missing * factor)


def _is_whole(raw: Decimal) -> bool:
    return raw == raw.to_integral_value()


def _delta(drift: DriftToCorrect, shortfall: Shortfall, why: str) -> Correction:
    corrects = shortfall.missing > 0 or drift.explanation.cause in _SAME_RECORD
    adjusts = shortfall.record_id if corrects else None
    in_time, until = drift.now < _counts_until(drift), None
    if drift.policy.attribution is not Attribution.ACCEPTED:
        effect = (
            "It names the usage time, so it counts in this window."
            if in_time
            else "It names the usage time, but a record that PacSpace accepts more than "
            f"{LATEST_ACCEPTANCE.days} days after this window does not count in it: the two sides still differ."
        )
    elif in_time:
        effect, until = "The window is still open, so it counts in it.", drift.explanation.window.end
    else:
        effect = (
            "PacSpace places a delta when it accepts it, and this window is over: the ledger's total is right again, "
            "but the next invoice then differs the other way; release that one with the same reason."
        )
    return Correction(
        kind=CorrectionKind.LEDGER_ADJUSTMENT if adjusts else CorrectionKind.LEDGER_RECORD,
        command=commands.ledger_record(
            account=drift.explanation.account,
            delta=_raw(drift, shortfall),
            reason=_reason(drift),
            reference=f"{drift.name}-{adjusts or iso(shortfall.within.start)}",
            metadata=_metadata(drift, shortfall.within),
            adjusts=adjusts,
        ),
        until=until,
        why=f"{why} {effect}",
    )


def _reason(drift: DriftToCorrect) -> str:
    """Return a reason that the comparison counts: the meter's name where records are split by reason."""
    return drift.explanation.meter if drift.policy.meter_from == "reason" else "usage_correction"


def _metadata(drift: DriftToCorrect, within: Window) -> dict[str, str]:
    whole = drift.explanation.window
    start, end = max(within.start, whole.start), min(within.end, whole.end)
    metadata = dict(zip(_WINDOW_KEYS, (iso(start), iso(end)), strict=True))
    if drift.policy.meter_from.startswith(_METADATA):
        metadata[drift.policy.meter_from.removeprefix(_METADATA)] = drift.explanation.meter
    elif drift.policy.attribution is Attribution.ACCEPTED:
        return {}
    return metadata


def _settlement_write(drift: DriftToCorrect, shortfall: Shortfall, why: str) -> Correction:
    raw = _raw(drift, shortfall)
    if not _is_whole(raw):
        return nothing_to_move(f"{why} The settlement API takes whole amounts only, and this one is {text(raw)}.")
    return Correction(
        kind=CorrectionKind.LEDGER_ADJUSTMENT,
        command=commands.ledger_write(
            key=drift.explanation.account,
            bits=raw,
            account=drift.invoice.customer_id,
            description=_reason(drift),
        ),
        why=f"{why} Send it once: this API keeps no names, so a second one counts again.",
    )
