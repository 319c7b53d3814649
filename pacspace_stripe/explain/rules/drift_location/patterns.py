"""Rules for a fault that runs through a whole window, or from some moment on: one of them explains all that differs.

In this order, the first that holds: the sign, everything twice, a unit's factor, dropped decimals.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal

from pacspace_stripe.explain.rules.drift_location.figures import Bucket, Entry, Piece, joined
from pacspace_stripe.explain.rules.drift_location.matches import telling, well_known
from pacspace_stripe.explain.rules.explanation import Cause
from pacspace_stripe.vocabulary.quantities import total

_ENOUGH = 3
"""Services that agree on a ratio before it is one that nobody knows."""
_KNOWN, _MEASURED = Decimal("0.000001"), Decimal("0.000002")
"""How exactly a part must have a ratio."""
_FEW = 50
"""Records that are named one by one."""
_TWICE, _HALF = Decimal(2), Decimal("0.5")

Pattern = Callable[[Sequence[Bucket]], Piece | None]


def pattern(inside: Sequence[Bucket]) -> Piece | None:
    """What explains all parts that differ at once; None when nothing does."""
    found = (rule(inside) for rule in PATTERNS)
    return next((piece for piece in found if piece is not None), None)


def sign_of_all(inside: Sequence[Bucket]) -> Piece | None:
    """Every part has the same figure on both sides, with the other sign."""
    run = _run(inside)
    mirrored = all(each.billed and each.close(each.recorded, -each.billed) for each in run)
    return _through(run, Cause.WRONG_SIGN) if run and mirrored else None


def all_twice(inside: Sequence[Bucket]) -> Piece | None:
    """One side has every figure twice, in several parts."""
    run = _run(inside)
    if len(_of_ratio(run, _TWICE)) >= _ENOUGH:
        return _through(run, Cause.TWICE_IN_STRIPE)
    return _through(run, Cause.TWICE_IN_LEDGER) if len(_of_ratio(run, _HALF)) >= _ENOUGH else None


def unit_of_all(inside: Sequence[Bucket]) -> Piece | None:
    """One ratio in all parts; in the first and the last one, where it may begin or end, one on the way to it."""
    run = _run(inside)
    ratios = [each.billed / each.recorded for each in run if each.billed and each.recorded]
    if not ratios:
        return None
    likely, _ = Counter(ratio.quantize(Decimal(1).scaleb(ratio.adjusted() - 6)) for ratio in ratios).most_common(1)[0]
    factor = well_known(likely)
    agreeing = _of_ratio(run, factor or likely)
    if likely <= 0 or not agreeing:
        return None
    enough = len(agreeing) >= _ENOUGH or (factor is not None and _evident(agreeing))
    return _through(run, Cause.UNIT_FACTOR, factor=factor or likely.normalize()) if enough else None


def _evident(agreeing: Sequence[Bucket]) -> bool:
    """Two parts that agree are no accident; one alone must have digits that tell."""
    return len(agreeing) > 1 or telling(agreeing[0].billed) or telling(agreeing[0].recorded)


def _run(inside: Sequence[Bucket]) -> list[Bucket]:
    """The parts that differ, if nothing that agrees lies between them."""
    used = [each for each in inside if each.billed or each.recorded]
    places = [place for place, each in enumerate(used) if each.differs]
    if not places or len(places) != places[-1] - places[0] + 1:
        return []
    return used[places[0] : places[-1] + 1]


def _of_ratio(run: Sequence[Bucket], ratio: Decimal) -> list[Bucket]:
    """The parts of this ratio, if all are but for the first and the last, and these have some of it."""
    if ratio <= 0:
        return []
    near = _KNOWN if well_known(ratio) is not None else _MEASURED
    agreeing = [each for each in run if each.recorded and (each.billed / each.recorded / ratio - 1).copy_abs() <= near]
    others = [(place, each) for place, each in enumerate(run) if each not in agreeing]
    partial = all(place in (0, len(run) - 1) and _on_the_way(each, ratio) for place, each in others)
    return agreeing if partial and len(agreeing) > len(others) else []


def _on_the_way(part: Bucket, ratio: Decimal) -> bool:
    low, high = min(ratio, Decimal(1)), max(ratio, Decimal(1))
    return bool(part.recorded) and low < part.billed / part.recorded < high


def truncated_all(inside: Sequence[Bucket]) -> Piece | None:
    """One side has whole numbers only, and is behind by less than one for each record; others may be whole anyway."""
    differing = [each for each in inside if each.differs]
    if not any(each.billed for each in differing):  # nothing at all is no whole number, but something lost
        return None
    if all(map(whole_in_ledger, differing)):
        return _through(differing, Cause.TRUNCATED_DECIMALS)
    if not all(map(whole_in_stripe, differing)):
        return None
    cut = [entry for part in differing for entry in part.entries if not is_whole(entry.quantity)]
    return _through(differing, Cause.TRUNCATED_DECIMALS, named=cut)


def whole_in_ledger(part: Bucket) -> bool:
    """The ledger's records are whole numbers, Stripe's figure is not, and is larger by less than one a record."""
    whole = bool(part.entries) and all(is_whole(entry.quantity) for entry in part.entries)
    return whole and not is_whole(part.billed) and 0 < part.excess < len(part.entries)


def whole_in_stripe(part: Bucket) -> bool:
    """Stripe's figure is what the ledger's records, or their sum, are without decimals."""
    if not part.entries or not is_whole(part.billed) or part.excess >= 0:
        return False
    cut = total(Decimal(int(entry.quantity)) for entry in part.entries)
    return part.billed in (cut, Decimal(int(part.recorded)))


def is_whole(quantity: Decimal) -> bool:
    """Whether nothing comes after the point."""
    return quantity == quantity.to_integral_value()


def _through(
    run: Sequence[Bucket], cause: Cause, factor: Decimal | None = None, named: Sequence[Entry] | None = None
) -> Piece:
    """``named``: the records that have it; unless given, all that there are."""
    whole = joined(run)
    concerned = whole.entries if named is None else named
    records = tuple(entry.located() for entry in concerned) if len(concerned) <= _FEW else ()
    return Piece(bucket=whole, cause=cause, records=records, factor=factor, sure=True)


PATTERNS: tuple[Pattern, ...] = (sign_of_all, all_twice, unit_of_all, truncated_all)
