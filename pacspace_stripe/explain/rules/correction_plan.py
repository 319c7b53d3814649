"""The correction plan: from the cause of a drift to what a person can still do about it, best first.

Only the side that is likely wrong is moved. Where the figures cannot show which one that is (usage under two
customers), each way is there with its "if". A waiver is the last resort, where nothing before it makes the two sides
agree in this window.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import assert_never

from pacspace_stripe.explain.rules import correction_commands as commands
from pacspace_stripe.explain.rules.corrections import (
    Correction,
    CorrectionKind,
    DriftToCorrect,
    move_ledger,
    move_stripe,
    nothing_to_move,
    settles_ledger,
    settles_stripe,
)
from pacspace_stripe.explain.rules.explanation import Cause, Explanation
from pacspace_stripe.vocabulary.invoices import Formula, Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.ledger import UsageSign
from pacspace_stripe.vocabulary.policy import Attribution, Policy
from pacspace_stripe.vocabulary.quantities import equal, round_to_source, text, total
from pacspace_stripe.vocabulary.windows import iso

_NEWEST_ONLY = (
    "Stripe's meter counts only the newest event of each hour or day: another event would be dropped or would replace "
    "one that counts. Nothing can be moved in this period; bill the next one by a meter without an event time window."
)
_RECORDED_LATE = (
    "Both sides have it: the ledger accepted it after the period's end, so it counts in its next one. Nothing is to be "
    "moved, or it would be billed or recorded twice."
)
_PERIOD_EDGE = (
    "Both sides have it, on different sides of the period's edge: the invoice beside this one takes the rest. Nothing "
    "is to be moved, or it would be billed or recorded twice."
)
_NAME_THE_DAY = (
    "To avoid this in later periods, name the usage day in each record's reference, such as usage:ID:2026-10-31. "
    "If the dates in your references are no usage days, or Stripe is sent the usage when PacSpace is, set "
    "PACSPACE_STRIPE_ATTRIBUTION=accepted."
)


def plan(
    explanation: Explanation, *, invoice: Invoice, now: datetime, policy: Policy, formula: Formula = Formula.SUM
) -> tuple[Correction, ...]:
    """Return what is still possible, best first. ``formula`` is the meter's."""
    drift = DriftToCorrect(explanation=explanation, invoice=invoice, now=now, policy=policy, formula=formula)
    if invoice.status is InvoiceStatus.UNKNOWN:
        return (nothing_to_move("Stripe's status of this invoice is not known here: nothing is moved on a guess."),)
    causes = dict.fromkeys([explanation.cause, *(part.cause or explanation.cause for part in explanation.located)])
    if len(causes) == 1:
        return tuple(_for_one_cause(drift))
    # One side may be wrong in one place and the other side in another: each cause by itself, then one waiver for all.
    found = [one for cause in causes for one in _for_one_cause(_of_cause(drift, cause))]
    moved = tuple(one for one in found if one.kind is not CorrectionKind.WAIVE)
    return (*moved, *(_waiver(drift) if len(moved) < len(found) else ()))


def _of_cause(drift: DriftToCorrect, cause: Cause) -> DriftToCorrect:
    """Reduce a drift to the parts with one cause; only the main cause has a known counterpart or factor."""
    found = drift.explanation
    parts = tuple(part for part in found.located if (part.cause or found.cause) is cause)
    is_main = cause is found.cause
    reduced = replace(
        found,
        cause=cause,
        located=parts,
        billed=total(part.billed for part in parts),
        recorded=total(part.recorded for part in parts),
        counterpart=found.counterpart if is_main else None,
        factor=found.factor if is_main else None,
    )
    return replace(drift, explanation=reduced)


def _for_one_cause(drift: DriftToCorrect) -> Iterator[Correction]:  # noqa: C901, PLR0912 - one case for each cause
    cause = drift.explanation.cause
    match cause:
        case Cause.NOT_IN_STRIPE:
            yield from _stripe_is_wrong(drift, "the ledger has usage that its meter never counted.")
        case Cause.TWICE_IN_STRIPE:
            yield from _stripe_is_wrong(drift, "its meter counted the same usage twice.")
        case Cause.REJECTED_BY_STRIPE:
            why = (
                "Stripe lacks usage: it rejected meter events after it had accepted them. Correct first what its "
                "errors name, or it rejects them again."
            )
            yield from _moving_stripe(drift, why)
        case Cause.NOT_IN_LEDGER:
            yield from _ledger_is_wrong(drift, "Stripe counted usage that was never recorded.")
        case Cause.TWICE_IN_LEDGER:
            yield from _ledger_is_wrong(drift, "it has the same usage twice.")
        case Cause.WRONG_CUSTOMER | Cause.WRONG_METER:
            yield from _under_another_name(drift)
        case Cause.WRONG_SIGN:
            yield from _with_the_opposite_sign(drift)
        case Cause.UNIT_FACTOR:
            yield from _in_another_unit(drift)
        case Cause.TRUNCATED_DECIMALS if drift.missing > 0:
            yield from _stripe_is_wrong(drift, "the digits after the decimal point did not reach its meter.")
        case Cause.TRUNCATED_DECIMALS:
            yield from _ledger_is_wrong(drift, "the digits after the decimal point were not recorded.")
        case Cause.RECORDED_LATE:
            yield from _at_the_edge(drift, _RECORDED_LATE)
        case Cause.PERIOD_EDGE:
            yield from _at_the_edge(drift, _PERIOD_EDGE)
        case Cause.EVENT_TIME_WINDOW:
            yield nothing_to_move(_NEWEST_ONLY)
            yield from _waiver(drift)
        case Cause.UNEXPLAINED:
            yield nothing_to_move(
                "Nothing shows which side is wrong: nothing is moved on a guess. Check what is located first."
            )
            yield from _waiver(drift)
        case _:
            assert_never(cause)


def _stripe_is_wrong(drift: DriftToCorrect, why: str) -> Iterator[Correction]:
    yield from _moving_stripe(drift, f"Stripe is likely wrong: {why}")


def _moving_stripe(drift: DriftToCorrect, why: str) -> Iterator[Correction]:
    yield from move_stripe(drift, why)
    if not settles_stripe(drift):
        yield from _waiver(drift, "once the money is corrected")


def _ledger_is_wrong(drift: DriftToCorrect, why: str) -> Iterator[Correction]:
    yield from move_ledger(drift, f"The ledger is likely wrong: {why}")
    if not settles_ledger(drift):
        yield from _waiver(drift, "as billed")


def _either_is_wrong(
    drift: DriftToCorrect, why_stripe: str, why_ledger: str, *, waived_when: str
) -> Iterator[Correction]:
    """Offer to move either side, each under the condition that this side is wrong."""
    yield from move_stripe(drift, why_stripe)
    yield from move_ledger(drift, why_ledger)
    if not (settles_stripe(drift) and settles_ledger(drift)):
        yield from _waiver(drift, waived_when)


def _under_another_name(drift: DriftToCorrect) -> Iterator[Correction]:
    """Correct usage under two customers or two meters: only a person knows whose usage it was."""
    found = drift.explanation
    other = found.counterpart or "the other one"
    here = found.meter if found.cause is Cause.WRONG_METER else found.account
    in_stripe, in_ledger = (here, other) if drift.missing < 0 else (other, here)
    both = f"Stripe has it under {in_stripe}, the ledger under {in_ledger}."
    half = f"this plan corrects one half, that of {other} the other."
    yield from _either_is_wrong(
        drift,
        f"{both} If it is usage of {in_ledger}, Stripe is wrong: {half}",
        f"{both} If it is usage of {in_stripe}, the ledger is wrong: {half}",
        waived_when="once it is settled whose usage it is",
    )


def _with_the_opposite_sign(drift: DriftToCorrect) -> Iterator[Correction]:
    found = drift.explanation
    if found.recorded != 0 and equal(found.billed, -found.recorded):
        sign = UsageSign.POSITIVE if drift.policy.usage_sign is UsageSign.NEGATIVE else UsageSign.NEGATIVE
        yield Correction(
            kind=CorrectionKind.SETTING,
            command=commands.setting("PACSPACE_STRIPE_USAGE_SIGN", sign.value),
            why=f"All of the ledger's usage has the opposite sign: it is recorded {sign.value}, and read as the "
            "opposite.",
        )
    elif drift.missing > 0:
        yield from _stripe_is_wrong(drift, "its meter got usage with the opposite sign.")
    else:
        yield from _ledger_is_wrong(drift, "usage is recorded with the opposite sign.")


def _in_another_unit(drift: DriftToCorrect) -> Iterator[Correction]:
    found, unit = drift.explanation, drift.policy.units.get(drift.explanation.meter, Decimal(1))
    factor, billed, recorded = found.factor, found.billed, found.recorded
    if factor and billed != 0 and equal(recorded, billed * factor):
        right = round_to_source(unit * factor)
    elif factor and recorded != 0 and equal(billed, recorded * factor):
        right = round_to_source(unit / factor)
    else:
        # Some of it is in another unit than the rest: the factor does not show on which side.
        why = "What is located there is in another unit on one side."
        yield from _either_is_wrong(
            drift,
            f"{why} If Stripe's side is wrong, this corrects it.",
            f"{why} If the ledger's side is wrong, this corrects it.",
            waived_when="once the wrong side is corrected",
        )
        return
    units = {**drift.policy.units, found.meter: right}
    yield Correction(
        kind=CorrectionKind.SETTING,
        command=commands.setting(
            "PACSPACE_STRIPE_UNITS", ",".join(f"{meter}={text(units[meter])}" for meter in sorted(units))
        ),
        why=f"The two sides count in different units: {text(right)} of the ledger's are one of Stripe's. Nothing is to "
        "be moved.",
    )


def _at_the_edge(drift: DriftToCorrect, why: str) -> Iterator[Correction]:
    if drift.policy.attribution is Attribution.ACCEPTED:
        yield nothing_to_move(why)
        yield Correction(
            kind=CorrectionKind.SETTING,
            command=commands.setting("PACSPACE_STRIPE_ATTRIBUTION", Attribution.AUTO.value),
            why="To avoid this in later periods, if your records name the time of their usage; it is for all invoices.",
        )
    else:
        yield nothing_to_move(f"{why} {_NAME_THE_DAY}")
    yield from _waiver(drift, "as billed")


def _waiver(drift: DriftToCorrect, when: str = "once you know that it is right") -> Iterator[Correction]:
    if drift.invoice.status not in (InvoiceStatus.DRAFT, InvoiceStatus.OPEN):
        return  # nothing is to be released once the invoice is paid, or is not collected any more
    found = drift.explanation
    reason = (
        f"{found.cause.value}: {found.meter} {iso(found.window.start)} to {iso(found.window.end)}, "
        f"billed {text(found.billed)}, recorded {text(found.recorded)}"
    )
    yield Correction(
        kind=CorrectionKind.WAIVE,
        command=commands.release(drift.invoice.invoice_id, reason),
        why=f"The two quantities still differ in this window: a person releases it, {when}.",
    )
