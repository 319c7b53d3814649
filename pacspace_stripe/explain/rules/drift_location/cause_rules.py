"""Rules for one part that differs: each looks at it alone, or beside what is known of its surroundings.

In this order, the first that holds:

0. Stripe has what the newest record of each hour or day says, of a meter that counts no other (``newest``);
1. one or more records have the wrong sign;
2. the other side has it beyond the window's edge (``edges``);
3. the same reference twice in the ledger;
4. another account or meter has the mirror of it (``mirrors``);
5. a record counted twice, by its quantity;
6. a record that the other side lacks;
7. a record that Stripe has with the other sign;
8. a record in another unit;
9. a record without its decimals;
10. several records that the other side lacks, or has twice;
11. whatever Stripe has more, the ledger lacks; what the ledger has more without being a record, nothing explains.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from decimal import Decimal

from pacspace_stripe.explain.rules.drift_location.beyond_edge import beyond_the_edge
from pacspace_stripe.explain.rules.drift_location.figures import Bucket, Entry, Piece, Situation
from pacspace_stripe.explain.rules.drift_location.matches import several, single, telling, well_known
from pacspace_stripe.explain.rules.drift_location.mirrors import mirrored
from pacspace_stripe.explain.rules.drift_location.newest import newest_only
from pacspace_stripe.explain.rules.drift_location.patterns import is_whole
from pacspace_stripe.explain.rules.explanation import Cause, LocatedRecord, Side
from pacspace_stripe.vocabulary.quantities import total

_RESENT = timedelta(hours=1)
"""How soon something is sent again by itself."""
_ONE = Decimal(1)

Rule = Callable[[Bucket, Situation], Piece | None]


def explained(part: Bucket, situation: Situation) -> Piece:
    """The first rule that holds."""
    for rule in RULES:
        found = rule(part, situation)
        if found is not None:
            return found
    return unexplained(part)


def wrong_sign(part: Bucket, _: Situation) -> Piece | None:
    """Stripe has more by twice what negative records say."""
    negative = tuple(entry for entry in part.entries if entry.quantity < 0)
    for chosen in (*((entry,) for entry in negative), negative):
        if chosen and part.close(part.excess, -2 * total(entry.quantity for entry in chosen)):
            return _of(part, Cause.WRONG_SIGN, chosen, sure=True)
    return None


def same_reference(part: Bucket, situation: Situation) -> Piece | None:
    """The ledger has more by a record whose reference it has twice, or has it again elsewhere in the window."""
    if part.excess >= 0:
        return None
    places: dict[str, int] = {}
    for entry in _all(situation):
        if entry.reference_id is not None:
            places[entry.reference_id] = places.get(entry.reference_id, 0) + 1
    again = [entry for entry in part.entries if entry.reference_id and places.get(entry.reference_id, 0) > 1]
    for entry in reversed(again):
        if part.close(entry.quantity, -part.excess):
            return _of(part, Cause.TWICE_IN_LEDGER, (entry,), sure=True)
    repeated = tuple(_repeats(again))
    if repeated and part.close(total(entry.quantity for entry in repeated), -part.excess):
        return _of(part, Cause.TWICE_IN_LEDGER, repeated, sure=True)
    return None


def _repeats(entries: Iterable[Entry]) -> Iterable[Entry]:
    seen: set[str | None] = set()
    for entry in entries:
        if entry.reference_id in seen:
            yield entry
        seen.add(entry.reference_id)


def twice_in_stripe(part: Bucket, situation: Situation) -> Piece | None:
    """Stripe has more by exactly one of the ledger's records there, or just beside: sent again a little later."""
    if part.excess <= 0:
        return None
    entry = single(part, part.excess) or _just_beside(part, situation)
    return _of(part, Cause.TWICE_IN_STRIPE, (entry,), in_ledger=False) if entry else None


def _just_beside(part: Bucket, situation: Situation) -> Entry | None:
    first, last = part.window.start - situation.slack, part.window.end + situation.slack
    near = (entry for entry in _all(situation) if first <= entry.accepted_at < last)
    return next((entry for entry in near if telling(entry.quantity) and part.close(entry.quantity, part.excess)), None)


def twice_in_ledger(part: Bucket, situation: Situation) -> Piece | None:
    """The ledger has more by a record beside which there is another one like it."""
    entry = single(part, -part.excess) if part.excess < 0 else None
    if entry is None:
        return None
    alike = [each for each in _all(situation) if each is not entry and _alike(each, entry)]
    return _of(part, Cause.TWICE_IN_LEDGER, (entry,)) if alike else None


def _alike(one: Entry, other: Entry) -> bool:
    soon = abs(one.accepted_at - other.accepted_at) <= _RESENT
    named_apart = None not in (one.reference_id, other.reference_id) and one.reference_id != other.reference_id
    return soon and one.quantity == other.quantity and (telling(one.quantity) or not named_apart)


def not_in_stripe(part: Bucket, _: Situation) -> Piece | None:
    """The ledger has more by exactly one record, or by all that it has there."""
    if part.excess >= 0:
        return None
    entry = single(part, -part.excess)
    if entry:
        return _of(part, Cause.NOT_IN_STRIPE, (entry,))
    return _of(part, Cause.NOT_IN_STRIPE, part.entries) if not part.billed and part.entries else None


def wrong_sign_in_stripe(part: Bucket, _: Situation) -> Piece | None:
    """Stripe has less by twice a record."""
    entry = single(part, -part.excess / 2) if part.excess < 0 else None
    return _of(part, Cause.WRONG_SIGN, (entry,)) if entry and telling(entry.quantity) else None


def other_unit(part: Bucket, _: Situation) -> Piece | None:
    """Stripe has one of the ledger's records times a well-known factor."""
    for entry in part.entries:
        theirs = part.excess + entry.quantity
        if not entry.quantity or not (telling(entry.quantity) or telling(theirs)):
            continue
        factor = well_known(theirs / entry.quantity)
        if factor is not None and _beyond_doubt(part, entry, theirs):
            return _of(part, Cause.UNIT_FACTOR, (entry,), factor=factor)
    return None


def _beyond_doubt(part: Bucket, entry: Entry, theirs: Decimal) -> bool:
    """The figures leave no room for chance: the factor holds to a part in a million of a figure with digits enough."""
    return theirs.copy_abs() > part.grain * 1000 and entry.quantity.copy_abs() > part.grain


def without_decimals(part: Bucket, _: Situation) -> Piece | None:
    """The difference is what comes after a record's point, or may be what came after a whole one's."""
    if part.excess.copy_abs() >= _ONE:
        return None
    for entry in part.entries:
        fraction = entry.quantity - int(entry.quantity)
        if fraction and part.close(-part.excess, fraction):
            return _of(part, Cause.TRUNCATED_DECIMALS, (entry,))
    whole = tuple(entry for entry in part.entries if is_whole(entry.quantity))
    if whole and part.excess > 0:
        return _of(part, Cause.TRUNCATED_DECIMALS, whole if len(whole) == 1 else ())
    return None


def several_records(part: Bucket, _: Situation) -> Piece | None:
    """Several records of the ledger add up to the difference."""
    chosen = several(part, part.excess.copy_abs())
    if not chosen:
        return None
    if part.excess > 0:
        return _of(part, Cause.TWICE_IN_STRIPE, chosen, in_ledger=False)
    return _of(part, Cause.NOT_IN_STRIPE, chosen)


def not_in_ledger(part: Bucket, _: Situation) -> Piece | None:
    """Whatever Stripe has more."""
    if part.excess <= 0:
        return None
    theirs = LocatedRecord(side=Side.STRIPE, quantity=part.excess, at=None)
    return Piece(bucket=part, cause=Cause.NOT_IN_LEDGER, records=(theirs,))


def unexplained(part: Bucket) -> Piece:
    """Nothing shows why."""
    return Piece(bucket=part, cause=Cause.UNEXPLAINED)


def _all(situation: Situation) -> Sequence[Entry]:
    return [entry for part in situation.inside for entry in part.entries]


def _of(
    part: Bucket,
    cause: Cause,
    entries: Iterable[Entry],
    *,
    factor: Decimal | None = None,
    in_ledger: bool = True,
    sure: bool = False,
) -> Piece:
    records = tuple(entry.located(in_ledger=in_ledger) for entry in entries)
    return Piece(bucket=part, cause=cause, records=records, factor=factor, sure=sure)


RULES: tuple[Rule, ...] = (
    newest_only,
    wrong_sign,
    beyond_the_edge,
    same_reference,
    mirrored,
    twice_in_stripe,
    twice_in_ledger,
    not_in_stripe,
    wrong_sign_in_stripe,
    other_unit,
    without_decimals,
    several_records,
    not_in_ledger,
)
