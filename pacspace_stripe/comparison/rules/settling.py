"""Settled or not: what still has to happen before a difference between the two sides means anything. Pure.

Stripe's summaries of a meter are eventually consistent (FACTS 4.3), and nothing says by when. So a difference
counts once Stripe has said the same figure twice, some time apart. Nobody sleeps for that, and a match asks nothing:
each look at a difference reads the meter anyway and remembers what it said. The draft's line is such a figure too,
summed by Stripe from the same meter when it made the draft, and what it said at first sight costs nothing. So the
ordinary drift, whose meter still says what the line said before settling, is judged at the first look.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from pacspace_stripe.vocabulary.ledger import Unsettled
from pacspace_stripe.vocabulary.quantities import equal, text
from pacspace_stripe.vocabulary.text import counted
from pacspace_stripe.vocabulary.windows import by_second, since_second

MOST_APART = timedelta(minutes=1)
"""Two reads this far apart show an aggregation that lags: about 60 s were measured (FACTS 4.3). What is *sent*
late has had its own time to settle, before the first comparison; as long once more would tell of what is wrong late."""
_AGAIN = "; looked at again by "


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterRead:
    """What Stripe said of one meter and window, and since when it has been saying so."""

    at: datetime
    inner: Decimal
    """Over the whole minutes inside the window."""
    outer: Decimal
    """Over the whole minutes around it; the same where the window's bounds are whole minutes."""

    def says(self, inner: Decimal, outer: Decimal) -> bool:
        """Whether these figures are the same ones."""
        return equal(self.inner, inner) and equal(self.outer, outer)

    def __str__(self) -> str:
        return text(self.inner) if self.inner == self.outer else f"{text(self.inner)} to {text(self.outer)}"


def apart(settle: timedelta) -> timedelta:
    """How far apart two equal reads have to be; no wait for usage to settle, none here either."""
    return min(settle, MOST_APART)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """What a look at a draft knows of earlier ones. Final lines have none: nothing about them settles any more."""

    now: datetime
    apart: timedelta
    earlier: MeterRead | None = None

    def read(self, inner: Decimal, outer: Decimal) -> MeterRead:
        """What Stripe says now, since when."""
        if self.earlier is not None and self.earlier.says(inner, outer):
            return self.earlier
        return MeterRead(at=self.now, inner=inner, outer=outer)

    def again_at(self, read: MeterRead) -> datetime | None:
        """When a second read counts; None: it has been saying so for long enough."""
        due = read.at + self.apart
        return due if self.now < due else None

    def awaited(self, read: MeterRead) -> str:
        """The second read that is missing, for a person."""
        before = self.earlier
        moved = f", {before} at {since_second(before.at)}" if before is not None and before is not read else ""
        return f"a second meter read that says the same ({read} since {since_second(read.at)}{moved})"


def unsettled_parts(unsettled: Unsettled) -> Iterator[str]:
    """What the ledger still has to settle, for a person; names as far as PacSpace gave some."""
    if unsettled.unverified:
        yield f"{counted(unsettled.unverified, 'ledger record')} not verified yet{_named(unsettled.records)}"
    if unsettled.gaps:
        yield f"{counted(unsettled.gaps, 'gap')} in the ledger's sequence{_named(unsettled.sequences)}"


def _named(names: tuple[str, ...]) -> str:
    return f" ({', '.join(names)})" if names else ""


def lacking(difference: str, missing: Iterable[str]) -> str:
    """Both: how it differs, and all that is missing before that counts."""
    return f"{difference}; missing: {', '.join(missing)}"


def without_time(detail: str) -> str:
    """Return what is missing without when it is tried again: for a place that shows the time by itself."""
    return detail.partition(_AGAIN)[0]


def tried_again(detail: str, until: datetime) -> str:
    """What is missing, and when it is tried again at the latest: a word of either vendor brings it forward."""
    return f"{detail.partition(_AGAIN)[0]}{_AGAIN}{by_second(until)}"
