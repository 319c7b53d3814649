"""Rules for one fault that runs through a whole window, or a part of it, and explains every difference.

The first rule that holds, in this order, gives the cause: the sign, everything twice, a factor between units, dropped
decimals.
"""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from pacspace_stripe.explain.rules.drift_location.window_parts import LocatedFault, UsageEntry, WindowPart
from pacspace_stripe.explain.rules.explanation import Cause
from pacspace_stripe.vocabulary.quantities import total

_ENOUGH = 3
"""Parts that must agree on a ratio that is no known factor between units."""
_KNOWN_FACTOR, _OTHER_FACTOR = Decimal("0.000001"), Decimal("0.000002")
"""The largest distance of a part's ratio from a known factor, and from any other one."""
_DISTINCTIVE_DIGITS = 3
_MOST_NAMED = 50
"""Records that are named one by one."""
_TWICE, _HALF = Decimal(2), Decimal("0.5")
_FACTORS = tuple(
    sorted(
        {Decimal(10) ** power for power in range(1, 13)}
        | {Decimal(1024) ** power for power in range(1, 5)}
        | {Decimal(number) for number in (7, 8, 12, 24, 30, 60, 365, 1440, 3600, 86400)}
        | {Decimal(60000), Decimal(3_600_000), Decimal(86_400_000)}
    )
)
"""Factors between units that are mistaken for each other: decimal prefixes, bytes, bits, parts of time."""


def pattern(inside: Sequence[WindowPart]) -> LocatedFault | None:
    """Return the fault that explains all parts that differ at once; None if none does."""
    for rule in (sign_of_all, all_twice, unit_of_all, truncated_all):
        found = rule(inside)
        if found is not None:
            return found
    return None


def sign_of_all(inside: Sequence[WindowPart]) -> LocatedFault | None:
    """Find the same figure with opposite signs on both sides in every part."""
    run = _run(inside)
    opposite = all(part.billed and part.equal(part.recorded, -part.billed) for part in run)
    return _through(run, Cause.WRONG_SIGN) if run and opposite else None


def all_twice(inside: Sequence[WindowPart]) -> LocatedFault | None:
    """Find every figure twice on one side, in several parts."""
    run = _run(inside)
    if len(_with_ratio(run, _TWICE)) >= _ENOUGH:
        return _through(run, Cause.TWICE_IN_STRIPE)
    return _through(run, Cause.TWICE_IN_LEDGER) if len(_with_ratio(run, _HALF)) >= _ENOUGH else None


def unit_of_all(inside: Sequence[WindowPart]) -> LocatedFault | None:
    """Find one ratio in all parts.

    The first and the last part may have a ratio between that and 1: the fault may begin or end within them.
    """
    run = _run(inside)
    ratios = [part.billed / part.recorded for part in run if part.billed and part.recorded]
    if not ratios:
        return None
    likely, _ = Counter(ratio.quantize(Decimal(1).scaleb(ratio.adjusted() - 6)) for ratio in ratios).most_common(1)[0]
    factor = known_factor(likely)
    agreeing = _with_ratio(run, factor or likely)
    if likely <= 0 or not agreeing:
        return None
    # Two parts with a known factor are no accident; one alone must have figures with digits enough.
    evident = len(agreeing) > 1 or is_distinctive(agreeing[0].billed) or is_distinctive(agreeing[0].recorded)
    enough = len(agreeing) >= _ENOUGH or (factor is not None and evident)
    return _through(run, Cause.UNIT_FACTOR, factor=factor or likely.normalize()) if enough else None


def truncated_all(inside: Sequence[WindowPart]) -> LocatedFault | None:
    """Find that one side has whole numbers only, and lacks less than one unit for each record."""
    differing = [part for part in inside if part.differs]
    if not any(part.billed for part in differing):  # billed 0 is missing usage, not a truncated number
        return None
    if all(map(_is_truncated_in_ledger, differing)):
        return _through(differing, Cause.TRUNCATED_DECIMALS)
    if not all(map(_is_truncated_in_stripe, differing)):
        return None
    cut = [entry for part in differing for entry in part.entries if not is_whole(entry.quantity)]
    return _through(differing, Cause.TRUNCATED_DECIMALS, named=cut)


def _is_truncated_in_ledger(part: WindowPart) -> bool:
    """Return whether the ledger has whole numbers only, and Stripe less than one unit more for each record."""
    whole = bool(part.entries) and all(is_whole(entry.quantity) for entry in part.entries)
    return whole and not is_whole(part.billed) and 0 < part.excess < len(part.entries)


def _is_truncated_in_stripe(part: WindowPart) -> bool:
    """Return whether Stripe has the ledger's records, or their sum, without decimals."""
    if not part.entries or not is_whole(part.billed) or part.excess >= 0:
        return False
    cut = total(Decimal(int(entry.quantity)) for entry in part.entries)
    return part.billed in (cut, Decimal(int(part.recorded)))


def _run(inside: Sequence[WindowPart]) -> list[WindowPart]:
    """Return the parts that differ, if nothing that agrees lies between them."""
    used = [part for part in inside if part.billed or part.recorded]
    places = [place for place, part in enumerate(used) if part.differs]
    if not places or len(places) != places[-1] - places[0] + 1:
        return []
    return used[places[0] : places[-1] + 1]


def _with_ratio(run: Sequence[WindowPart], ratio: Decimal) -> list[WindowPart]:
    """Return the parts of this ratio; none unless all but the first and the last have it, and these a part of it."""
    if ratio <= 0:
        return []
    near = _KNOWN_FACTOR if known_factor(ratio) is not None else _OTHER_FACTOR
    agreeing = [part for part in run if part.recorded and (part.billed / part.recorded / ratio - 1).copy_abs() <= near]
    low, high = min(ratio, Decimal(1)), max(ratio, Decimal(1))
    others = [(place, part) for place, part in enumerate(run) if part not in agreeing]
    partial = all(
        place in (0, len(run) - 1) and part.recorded and low < part.billed / part.recorded < high
        for place, part in others
    )
    return agreeing if partial and len(agreeing) > len(others) else []


def _through(
    run: Sequence[WindowPart], cause: Cause, factor: Decimal | None = None, named: Sequence[UsageEntry] | None = None
) -> LocatedFault:
    """Return the fault of a whole run. ``named``: the records that have the fault; None stands for all of them."""
    whole = WindowPart.joined(run)
    concerned = whole.entries if named is None else named
    records = tuple(entry.located() for entry in concerned) if len(concerned) <= _MOST_NAMED else ()
    return LocatedFault(part=whole, cause=cause, records=records, factor=factor, sure=True)


def known_factor(ratio: Decimal) -> Decimal | None:
    """Return the exact known factor, or the inverse of one, that a ratio stands for; None if it stands for none."""
    if ratio <= 0:
        return None
    both_ways = (factor for known in _FACTORS for factor in (known, 1 / known))
    return next((factor for factor in both_ways if (ratio / factor - 1).copy_abs() <= _KNOWN_FACTOR), None)


def is_distinctive(quantity: Decimal) -> bool:
    """Return whether a figure has so many digits that two equal ones are hardly an accident."""
    return len(quantity.normalize().as_tuple().digits) >= _DISTINCTIVE_DIGITS


def is_whole(quantity: Decimal) -> bool:
    """Return whether a figure has no decimals."""
    return quantity == quantity.to_integral_value()
