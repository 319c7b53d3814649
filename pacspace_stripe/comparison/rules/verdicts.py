"""Verdicts, reason codes and results: the outcome of a comparison, in words that never change their meaning.

A ``WindowResult`` is about one ledger account, meter and window; a ``Finding`` about one invoice, all windows together.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from pacspace_stripe.vocabulary.ledger import Comparison, Proof, Record, SelectedScope
from pacspace_stripe.vocabulary.quantities import equal, subtract, text
from pacspace_stripe.vocabulary.windows import Window, iso

NOTHING_METERED = "nothing metered"
"""Detail of an invoice on which nothing bills usage: the gate leaves it alone."""


class Verdict(StrEnum):
    """The two sides agree, they differ, it is not known yet, or a person released the invoice."""

    MATCHED = "matched"
    DRIFTED = "drifted"
    UNPROVEN = "unproven"
    WAIVED = "waived"

    @property
    def may_leave(self) -> bool:
        """True if an invoice with this verdict may go to the customer."""
        return self in (Verdict.MATCHED, Verdict.WAIVED)


class Reason(StrEnum):
    """The cause of a verdict; each reason stands for one verdict."""

    EXACT = "EXACT"
    WITHIN_TOLERANCE = "WITHIN_TOLERANCE"
    ZERO = "ZERO"

    STRIPE_MISSING = "STRIPE_MISSING"
    LEDGER_MISSING = "LEDGER_MISSING"
    OVERBILLED = "OVERBILLED"
    UNDERBILLED = "UNDERBILLED"
    PERIOD_EDGE = "PERIOD_EDGE"
    DUPLICATE = "DUPLICATE"
    CHANGED_AT_FINALIZATION = "CHANGED_AT_FINALIZATION"

    NOT_SETTLED = "NOT_SETTLED"
    UNMAPPED = "UNMAPPED"
    ROOT_STALE = "ROOT_STALE"
    LEDGER_UNAVAILABLE = "LEDGER_UNAVAILABLE"
    STRIPE_UNAVAILABLE = "STRIPE_UNAVAILABLE"
    LEDGER_INCONSISTENT = "LEDGER_INCONSISTENT"
    UNKNOWN_SHAPE = "UNKNOWN_SHAPE"
    UNSUPPORTED_API_VERSION = "UNSUPPORTED_API_VERSION"

    @property
    def verdict(self) -> Verdict:
        """Verdict that this reason stands for."""
        if self in _MATCHED:
            return Verdict.MATCHED
        return Verdict.DRIFTED if self in _DRIFTED else Verdict.UNPROVEN


_MATCHED = frozenset({Reason.EXACT, Reason.WITHIN_TOLERANCE, Reason.ZERO})
_DRIFTED = frozenset(
    {
        Reason.STRIPE_MISSING,
        Reason.LEDGER_MISSING,
        Reason.OVERBILLED,
        Reason.UNDERBILLED,
        Reason.PERIOD_EDGE,
        Reason.DUPLICATE,
        Reason.CHANGED_AT_FINALIZATION,
    }
)

UNANSWERED = frozenset({Reason.LEDGER_UNAVAILABLE, Reason.STRIPE_UNAVAILABLE})
"""Reasons that a vendor did not answer: they are no finding about the invoice itself."""
TRANSIENT = UNANSWERED | {Reason.NOT_SETTLED}
"""Reasons that usually go away by themselves."""


class LineKind(StrEnum):
    """The kind of amount that a line of a metered price bills."""

    USAGE = "usage"
    FLAT_FEE = "flat_fee"
    """The fixed part of a tier: no usage."""
    PRORATION = "proration"
    """A correction of money: no usage (FACTS 4.4.3)."""
    UNKNOWN = "unknown"
    """Line of an unknown kind: its quantity may be usage."""


class BilledAs(StrEnum):
    """The way in which the lines of a window show what they bill."""

    SUM = "sum"
    """Their quantities add up to it."""
    EACH = "each"
    """Several prices bill one meter: the lines of each price add up to all of it."""
    METER = "meter"
    """Their quantities are not raw usage: the meter's summaries have the figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledLine:
    """One metered line of an invoice, and the usage that it bills in the meter's unit; None if it has no quantity."""

    line_id: str
    quantity: Decimal | None
    kind: LineKind = LineKind.USAGE
    price: str | None = None
    """Price and subscription item of the line, if several bill one meter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterTotals:
    """A meter's summaries of a window, over its inner and its outer whole minutes (FACTS 4.3).

    Summaries take whole minutes only. So the figure of a window with seconds in its bounds lies between the two.
    """

    inner: Decimal
    outer: Decimal

    @property
    def exact(self) -> Decimal | None:
        """Figure of the window itself, if nothing happened in the minutes at its edges."""
        return self.inner if self.inner == self.outer else None

    def allows(self, quantity: Decimal) -> bool:
        """Return whether the window's own figure may be this one."""
        return equal(self.nearest(quantity), quantity)

    def nearest(self, quantity: Decimal) -> Decimal:
        """Clamp a quantity to the range between both totals, in whichever order they are."""
        least, most = sorted((self.inner, self.outer))
        return min(max(quantity, least), most)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterRead:
    """A read of one meter and window: the totals that Stripe returned, and since when it has been returning them."""

    at: datetime
    inner: Decimal
    """Over the whole minutes inside the window."""
    outer: Decimal
    """Over the whole minutes around it; equal to ``inner`` if the window's bounds are whole minutes."""

    def shows(self, totals: MeterTotals) -> bool:
        """Return whether the meter showed these totals."""
        return equal(self.inner, totals.inner) and equal(self.outer, totals.outer)

    def __str__(self) -> str:
        return text(self.inner) if self.inner == self.outer else f"{text(self.inner)} to {text(self.outer)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierBilling:
    """Usage that an earlier invoice of the same period billed already, in the meter's unit."""

    invoice_id: str
    quantity: Decimal


def window_key(meter: str, window: Window | None, subscription_id: str | None = None) -> str:
    """Return the name of one window of an invoice in stamps, waivers and evidence."""
    key = f"{meter}|{window or '-'}"
    return f"{key}|{subscription_id}" if subscription_id else key


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowResult:
    """One ledger account, meter and window of an invoice: both figures and what they mean."""

    account: str | None
    """The ledger account, or with the settlement ledger the record's key; None if it could not be mapped (UNMAPPED)."""
    meter: str
    """The meter's ``event_name``; the price's id if its meter is not known."""
    window: Window | None
    billed: Decimal | None
    """Usage on Stripe's side, in the meter's unit."""
    recorded: Decimal | None
    """Usage in the ledger, in the same unit; None if it was not read."""
    count: int | None
    """Number of ledger records behind ``recorded``."""
    reason: Reason
    detail: str = ""
    """Text for a person: what exactly is wrong or missing."""
    from_meter: bool = False
    """True if ``billed`` was read from the meter because the draft's line lags behind it (strict only)."""
    lines: tuple[BilledLine, ...] = ()
    """Stripe's lines that ``billed`` sums, in a fixed order; empty before there is an invoice."""
    billed_as: BilledAs = BilledAs.SUM
    meter_totals: MeterTotals | None = None
    """The meter's summaries, if the lines alone do not show what they bill."""
    billed_earlier: tuple[EarlierBilling, ...] = ()
    """Included in ``billed``: a threshold makes several invoices of one period."""
    comparison: Comparison | None = None
    proof: Proof | None = None
    record: Record | None = None
    """The settlement ledger's record, which proves the usage instead of a checkpoint."""
    selected: SelectedScope | None = None
    """The scope that the counted records were chosen from; None if all of the window count as they stand."""
    meter_read: MeterRead | None = None
    """The meter read of a difference, kept for the next check; never evidence."""
    second_read_at: datetime | None = None
    """Time of the second meter read that a difference awaits."""
    subscription_id: str | None = None
    """The subscription that its lines name, if that is not the invoice's own."""

    @property
    def key(self) -> str:
        """Name of the window, the same at every check."""
        return window_key(self.meter, self.window, self.subscription_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one check of one invoice, all windows together."""

    verdict: Verdict
    reason: Reason
    detail: str
    windows: tuple[WindowResult, ...]

    @property
    def is_transient(self) -> bool:
        """True if a later check may well find something else by itself."""
        return self.verdict is Verdict.UNPROVEN and self.reason in TRANSIENT

    @property
    def second_read_at(self) -> datetime | None:
        """Time of the second meter read, if a difference only has to settle."""
        return min((result.second_read_at for result in self.windows if result.second_read_at), default=None)

    def shifted(self, by: timedelta) -> "Finding":
        """Return the finding with the times of its second reads shifted to another clock."""
        windows = (
            replace(one, second_read_at=one.second_read_at + by) if one.second_read_at else one for one in self.windows
        )
        return replace(self, windows=tuple(windows))


def summarize(windows: tuple[WindowResult, ...]) -> Finding:
    """Return one finding of several windows: opposite errors never cancel, and the worst window decides.

    An invoice on which nothing is metered is matched.
    """
    if not windows:
        return Finding(verdict=Verdict.MATCHED, reason=Reason.ZERO, detail=NOTHING_METERED, windows=())
    # The first of the worst: `verify` derives the reason of every document from its windows in this way.
    worst = min(windows, key=_severity)
    detail = worst.detail if worst.reason.verdict is Verdict.MATCHED else describe(windows)
    return Finding(verdict=worst.reason.verdict, reason=worst.reason, detail=detail, windows=windows)


_MOST_NAMED = 5


def describe(windows: tuple[WindowResult, ...]) -> str:
    """Return what is wrong with an invoice: how many of its windows differ and the largest, or all that are unproven.

    All of them, so that an operator who repairs one window does not find the next one only afterwards.
    """
    if len(windows) == 1:
        return windows[0].detail
    names = _names(windows)
    drifted = [result for result in windows if result.reason.verdict is Verdict.DRIFTED]
    unproven = [result for result in windows if result.reason.verdict is Verdict.UNPROVEN]
    if not drifted:
        windows_of: dict[str, list[str]] = {}
        for one in unproven[:_MOST_NAMED]:
            windows_of.setdefault(one.detail, []).append(names[one.key])
        parts = [f"{', '.join(named)}: {detail}" for detail, named in windows_of.items()]
        more = [f"{len(unproven) - _MOST_NAMED} more"] if len(unproven) > _MOST_NAMED else []
        are = "is unproven" if len(unproven) == 1 else "are unproven"
        return f"{len(unproven)} of {len(windows)} windows {are}: {'; '.join([*parts, *more])}"
    largest = max(drifted, key=_difference)
    differ = "differs" if len(drifted) == 1 else "differ"
    beside = f" and {len(unproven)} {'is' if len(unproven) == 1 else 'are'} unproven" if unproven else ""
    which = ", the largest" if len(drifted) > 1 else ""
    named = f"{names[largest.key]}: {largest.detail}"
    return f"{len(drifted)} of {len(windows)} windows {differ}{beside}{which}: {named}"


def _names(windows: Sequence[WindowResult]) -> dict[str, str]:
    """Return each window's name for people, by its key: the meter, and the time if the meter has several windows."""
    often = Counter((one.meter, one.subscription_id) for one in windows)
    names = {}
    for one in windows:
        several = often[one.meter, one.subscription_id] > 1
        when = f" from {iso(one.window.start)} to {iso(one.window.end)}" if several and one.window else ""
        subscription = f" of {one.subscription_id}" if one.subscription_id else ""
        names[one.key] = f"{one.meter}{subscription}{when}"
    return names


def _difference(result: WindowResult) -> Decimal:
    """Return the distance between both figures; zero if one is not known."""
    if result.billed is None or result.recorded is None:
        return Decimal(0)
    return abs(subtract(result.billed, result.recorded))


_ORDER = (Verdict.DRIFTED, Verdict.UNPROVEN, Verdict.MATCHED)
_MATCH_ORDER = (Reason.WITHIN_TOLERANCE, Reason.EXACT, Reason.ZERO)


def _severity(result: WindowResult) -> tuple[int, int]:
    verdict = result.reason.verdict
    among_matches = _MATCH_ORDER.index(result.reason) if verdict is Verdict.MATCHED else 0
    return _ORDER.index(verdict), among_matches
