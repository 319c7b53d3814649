"""From a cause to a plan: which side is likely wrong, and so which one is moved.

Pure. Only that side is moved. Where the figures cannot tell which (usage under two customers), each way is there with
its "if". The last word is a waiver, where nothing before it makes the two sides agree in this window.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from pacspace_stripe.explain.rules.corrections import commands
from pacspace_stripe.explain.rules.corrections.adjustments import (
    move_ledger,
    move_stripe,
    settles_ledger,
    settles_stripe,
)
from pacspace_stripe.explain.rules.corrections.values import Correction, CorrectionKind, Drift, nothing, span
from pacspace_stripe.explain.rules.explanation import Cause, Explanation
from pacspace_stripe.vocabulary.invoices import Formula, Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import Attribution, Policy
from pacspace_stripe.vocabulary.quantities import equal, round_to_source, text, total

_STRIPE_IS_WRONG = {
    Cause.NOT_IN_STRIPE: "Stripe is likely wrong: the ledger has usage that its meter never counted.",
    Cause.REJECTED_BY_STRIPE: "Stripe lacks usage: it rejected meter events after it had accepted them. Correct first "
    "what its errors name, or it rejects them again.",
    Cause.TWICE_IN_STRIPE: "Stripe is likely wrong: its meter counted the same usage twice.",
}
_LEDGER_IS_WRONG = {
    Cause.NOT_IN_LEDGER: "The ledger is likely wrong: Stripe counted usage that was never recorded.",
    Cause.TWICE_IN_LEDGER: "The ledger is likely wrong: it has the same usage twice.",
}
_BOTH_HAVE_IT = {
    Cause.RECORDED_LATE: "Both sides have it: the ledger accepted it after the period's end, so it counts in its next "
    "one. Nothing is to be moved, or it would be billed or recorded twice.",
    Cause.PERIOD_EDGE: "Both sides have it, on different sides of the period's edge: the invoice beside this one takes "
    "the rest. Nothing is to be moved, or it would be billed or recorded twice.",
}
_NEWEST_ONLY = (
    "Stripe's meter counts only the newest event of each hour or day: another event would be dropped or would replace "
    "one that counts. Nothing can be moved in this period; bill the next one by a meter without an event time window."
)
_NOT_KNOWN = "Nothing shows which side is wrong: nothing is moved on a guess. Look at what is located first."


def plan(
    explanation: Explanation, *, invoice: Invoice, now: datetime, policy: Policy, formula: Formula = Formula.SUM
) -> tuple[Correction, ...]:
    """What is still possible, best first. ``formula`` is the meter's: a count cannot go down."""
    drift = Drift(explanation=explanation, invoice=invoice, now=now, policy=policy, formula=formula)
    if invoice.status is InvoiceStatus.UNKNOWN:
        return (nothing("Stripe's status of this invoice is not known here: nothing is moved on a guess."),)
    parts = _by_cause(drift)
    if len(parts) == 1:
        return tuple(_planned(drift))
    found = [one for part in parts for one in _planned(part)]
    moved = tuple(one for one in found if one.kind is not CorrectionKind.WAIVE)
    return (*moved, *(_waived(drift) if len(moved) < len(found) else ()))


def _by_cause(drift: Drift) -> list[Drift]:
    """The places of each cause by themselves: one side may be wrong in one, the other in another."""
    found = drift.explanation
    causes = dict.fromkeys([found.cause, *(part.cause or found.cause for part in found.located)])
    return [replace(drift, explanation=_only(found, cause)) for cause in causes] if len(causes) > 1 else [drift]


def _only(found: Explanation, cause: Cause) -> Explanation:
    """Where this one is the cause; what is known beyond its figures is known of the main one."""
    parts = tuple(part for part in found.located if (part.cause or found.cause) is cause)
    main = cause is found.cause
    return replace(
        found,
        cause=cause,
        located=parts,
        billed=total(part.billed for part in parts),
        recorded=total(part.recorded for part in parts),
        counterpart=found.counterpart if main else None,
        factor=found.factor if main else None,
    )


def _planned(drift: Drift) -> Iterator[Correction]:
    cause = drift.explanation.cause
    match cause:
        case Cause.NOT_IN_STRIPE | Cause.TWICE_IN_STRIPE | Cause.REJECTED_BY_STRIPE:
            yield from _stripe(drift, _STRIPE_IS_WRONG[cause])
        case Cause.NOT_IN_LEDGER | Cause.TWICE_IN_LEDGER:
            yield from _ledger(drift, _LEDGER_IS_WRONG[cause])
        case Cause.WRONG_CUSTOMER | Cause.WRONG_METER:
            yield from _elsewhere(drift)
        case Cause.WRONG_SIGN:
            yield from _turned(drift)
        case Cause.UNIT_FACTOR:
            yield from _scaled(drift)
        case Cause.TRUNCATED_DECIMALS:
            yield from _truncated(drift)
        case Cause.RECORDED_LATE | Cause.PERIOD_EDGE:
            yield from _at_the_edge(drift, _BOTH_HAVE_IT[cause])
        case Cause.EVENT_TIME_WINDOW:
            yield nothing(_NEWEST_ONLY)
            yield from _waived(drift)
        case Cause.UNEXPLAINED:
            yield nothing(_NOT_KNOWN)
            yield from _waived(drift)


def _stripe(drift: Drift, why: str) -> Iterator[Correction]:
    yield from move_stripe(drift, why)
    if not settles_stripe(drift):
        yield from _waived(drift, "once the money is right")


def _ledger(drift: Drift, why: str) -> Iterator[Correction]:
    yield from move_ledger(drift, why)
    if not settles_ledger(drift):
        yield from _waived(drift, "as billed")


def _elsewhere(drift: Drift) -> Iterator[Correction]:
    """Under two customers or two meters: whose usage it was, only a person knows."""
    other, here = drift.explanation.counterpart or "the other one", drift.explanation.account
    if drift.explanation.cause is Cause.WRONG_METER:
        here = drift.explanation.meter
    in_stripe, in_ledger = (here, other) if drift.missing < 0 else (other, here)
    told = f"Stripe has it under {in_stripe}, the ledger under {in_ledger}."
    yield from move_stripe(
        drift, f"{told} If it is usage of {in_ledger}, Stripe is wrong: this is one half, {other}'s plan the other."
    )
    yield from move_ledger(
        drift, f"{told} If it is usage of {in_stripe}, the ledger is wrong: this is one half, {other}'s plan the other."
    )
    if not (settles_stripe(drift) and settles_ledger(drift)):
        yield from _waived(drift, "once whose usage it is was settled")


def _turned(drift: Drift) -> Iterator[Correction]:
    found = drift.explanation
    if found.recorded != 0 and equal(found.billed, -found.recorded):
        sign = "positive" if drift.policy.usage_sign.value == "negative" else "negative"
        yield Correction(
            kind=CorrectionKind.SETTING,
            command=commands.setting("PACSPACE_STRIPE_USAGE_SIGN", sign),
            until=None,
            why=f"All of the ledger's usage has the other sign: it is recorded {sign}, and read as the opposite.",
        )
    elif drift.missing > 0:
        yield from _stripe(drift, "Stripe is likely wrong: its meter got usage with the sign turned.")
    else:
        yield from _ledger(drift, "The ledger is likely wrong: usage is recorded with the sign turned.")


def _scaled(drift: Drift) -> Iterator[Correction]:
    found, units = drift.explanation, drift.policy.units.get(drift.explanation.meter, Decimal(1))
    if found.factor and _is_factor(found.recorded, found.billed, found.factor):
        right = round_to_source(units * found.factor)
    elif found.factor and _is_factor(found.billed, found.recorded, found.factor):
        right = round_to_source(units / found.factor)
    else:
        yield from _scaled_in_part(drift)
        return
    yield Correction(
        kind=CorrectionKind.SETTING,
        command=commands.setting("PACSPACE_STRIPE_UNITS", _units({**drift.policy.units, found.meter: right})),
        until=None,
        why=f"The two sides count in different units: {text(right)} of the ledger's are one of Stripe's. Nothing is to "
        "be moved.",
    )


def _units(units: Mapping[str, Decimal]) -> str:
    return ",".join(f"{meter}={text(units[meter])}" for meter in sorted(units))


def _is_factor(larger: Decimal, smaller: Decimal, factor: Decimal) -> bool:
    return smaller != 0 and equal(larger, smaller * factor)


def _scaled_in_part(drift: Drift) -> Iterator[Correction]:
    """Some of it in another unit than the rest: on which side, the factor does not tell."""
    why = "What is located there is in another unit on one side."
    yield from move_stripe(drift, f"{why} If it is Stripe's that is wrong, this makes it right.")
    yield from move_ledger(drift, f"{why} If it is the ledger's that is wrong, this makes it right.")
    if not (settles_stripe(drift) and settles_ledger(drift)):
        yield from _waived(drift, "once the wrong one is made right")


def _truncated(drift: Drift) -> Iterator[Correction]:
    if drift.missing > 0:
        yield from _stripe(drift, "Stripe is likely wrong: what came after the point did not reach its meter.")
    else:
        yield from _ledger(drift, "The ledger is likely wrong: what came after the point was not recorded.")


def _at_the_edge(drift: Drift, why: str) -> Iterator[Correction]:
    if drift.policy.attribution is Attribution.ACCEPTED:
        yield nothing(why)
        yield Correction(
            kind=CorrectionKind.SETTING,
            command=commands.setting("PACSPACE_STRIPE_ATTRIBUTION", Attribution.AUTO.value),
            until=None,
            why="So that it does not come again, if your records say when the usage was: it is for all invoices.",
        )
    else:
        yield nothing(f"{why} {_NAME_THE_DAY}")
    yield from _waived(drift, "as billed")


_NAME_THE_DAY = (
    "So that it does not come again, name the usage day in each record's reference, such as usage:ID:2026-10-31. "
    "If the dates in your references are no usage days, or Stripe is sent the usage when PacSpace is, set "
    "PACSPACE_STRIPE_ATTRIBUTION=accepted."
)


def _waived(drift: Drift, when: str = "once you know that it is right") -> Iterator[Correction]:
    """Nothing to release any more where money was taken, or is not asked for."""
    if not drift.can_be_released:
        return
    found = drift.explanation
    reason = f"{found.cause.value}: {found.meter} {span(found.window)}, billed {text(found.billed)}, "
    yield Correction(
        kind=CorrectionKind.WAIVE,
        command=commands.release(drift.invoice.invoice_id, f"{reason}recorded {text(found.recorded)}"),
        until=None,
        why=f"The two quantities still differ in this window: a person releases it, {when}.",
    )
