"""Which records make a difference: the ones that add up to it, unless that may well be an accident."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import combinations
from math import comb

from pacspace_stripe.explain.rules.drift_location.figures import Bucket, Entry
from pacspace_stripe.vocabulary.quantities import total

_MOST_TOGETHER, _MOST_TRIED = 3, 5000
_TELLING_DIGITS = 3
_UNLIKELY = 0.02
WELL_KNOWN = tuple(
    sorted(
        {Decimal(10) ** power for power in range(1, 13)}
        | {Decimal(1024) ** power for power in range(1, 5)}
        | {Decimal(number) for number in (7, 8, 12, 24, 30, 60, 365, 1440, 3600, 86400)}
        | {Decimal(60000), Decimal(3_600_000), Decimal(86_400_000)}
    )
)
"""Factors between units that are mistaken for each other: decimal prefixes, bytes, bits, parts of time."""
_SAME_FACTOR = Decimal("0.000001")


def telling(quantity: Decimal) -> bool:
    """Whether a figure has digits enough to be known again."""
    return len(quantity.normalize().as_tuple().digits) >= _TELLING_DIGITS


def single(bucket: Bucket, quantity: Decimal) -> Entry | None:
    """The one record of this quantity; the last one of several."""
    return next((entry for entry in reversed(bucket.entries) if bucket.close(entry.quantity, quantity)), None)


def several(bucket: Bucket, quantity: Decimal) -> tuple[Entry, ...]:
    """Two or three records that add up to a quantity; none when that many do so by accident."""
    entries = bucket.entries
    for size in range(2, _MOST_TOGETHER + 1):
        if comb(len(entries), size) > _MOST_TRIED:
            return ()
        for chosen in combinations(entries, size):
            if bucket.close(total(entry.quantity for entry in chosen), quantity):
                return chosen if _accident(entries, size) < _UNLIKELY else ()
    return ()


def _accident(entries: Sequence[Entry], size: int) -> float:
    """How likely any such sum would have been met by chance, roughly: sums tried over figures there may be."""
    exponents = [int(entry.quantity.normalize().as_tuple().exponent) for entry in entries]
    largest = max(entry.quantity.copy_abs() for entry in entries) * size
    figures = largest.scaleb(-min(exponents)) if largest else Decimal(1)
    return float(comb(len(entries), size) / figures) if figures else 1.0


def well_known(ratio: Decimal) -> Decimal | None:
    """The well-known factor that a ratio is, or its inverse; exact, so that it can be named."""
    if ratio <= 0:
        return None
    for factor in _both_ways():
        if (ratio / factor - 1).copy_abs() <= _SAME_FACTOR:
            return factor
    return None


def _both_ways() -> Iterator[Decimal]:
    for factor in WELL_KNOWN:
        yield factor
        yield 1 / factor
