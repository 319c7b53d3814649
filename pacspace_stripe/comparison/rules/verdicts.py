"""Verdicts and reason codes: what a check found, in words that never change their meaning."""

from collections import Counter
from collections.abc import Mapping, Sequence
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
    """Agree, differ, cannot say yet, released by a person."""

    MATCHED = "matched"
    DRIFTED = "drifted"
    UNPROVEN = "unproven"
    WAIVED = "waived"

    @property
    def may_leave(self) -> bool:
        """Return whether an invoice with this verdict may go to the customer."""
        return self in (Verdict.MATCHED, Verdict.WAIVED)


class Reason(StrEnum):
    """Why a verdict is what it is."""

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
        """The verdict this reason stands for."""
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
"""A vendor did not answer: nothing was found out about the invoice itself."""
TRANSIENT = UNANSWERED | {Reason.NOT_SETTLED}
"""Reasons that usually go away without anybody doing anything."""


class LineKind(StrEnum):
    """What a line of a metered price bills."""

    USAGE = "usage"
    FLAT_FEE = "flat_fee"
    """The fixed part of a tier: no usage."""
    PRORATION = "proration"
    """A correction of money: no usage (FACTS 4.4)."""
    UNKNOWN = "unknown"
    """Line of an unknown kind: its quantity may be usage."""


class BilledAs(StrEnum):
    """How the lines of a window say what they bill."""

    SUM = "sum"
    """Their quantities add up to it."""
    EACH = "each"
    """Several prices bill one meter: those of each price add up to all of it."""
    METER = "meter"
    """Their quantities are not raw usage: it is what the meter's summaries say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledLine:
    """One metered line of an invoice, and the usage it bills in the meter's unit; None when it names none."""

    line_id: str
    quantity: Decimal | None
    kind: LineKind = LineKind.USAGE
    price: str | None = None
    """Whose line it is, and which subscription item's, where several bill one meter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterTotals:
    """What a meter's summaries say of a window: over its inner and its outer whole minutes (FACTS 4.3)."""

    inner: Decimal
    outer: Decimal

    @property
    def exact(self) -> Decimal | None:
        """The window's own figure, when nothing happened in the minutes at its edges."""
        return self.inner if self.inner == self.outer else None

    def allows(self, quantity: Decimal) -> bool:
        """Whether the window's own figure may be this one."""
        least, most = sorted((self.inner, self.outer))
        return least <= quantity <= most or equal(quantity, least) or equal(quantity, most)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierBilling:
    """What an earlier invoice of the same period has billed already, in the meter's unit."""

    invoice_id: str
    quantity: Decimal


def window_key(meter: str, window: Window | None, subscription_id: str | None = None) -> str:
    """Return what names one window of an invoice, in stamps, waivers and evidence."""
    key = f"{meter}|{window or '-'}"
    return f"{key}|{subscription_id}" if subscription_id else key


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowResult:
    """One (ledger account, meter, window) of an invoice: both figures and what they mean."""

    account: str | None
    """The ledger account, or the key of the record in its place; None when it could not be told (UNMAPPED)."""
    meter: str
    """The meter's ``event_name``; the price's id when its meter is not known."""
    window: Window | None
    billed: Decimal | None
    """Usage on Stripe's side, in the meter's unit."""
    recorded: Decimal | None
    """Usage in the ledger, same unit; None when it was not read."""
    count: int | None
    """Number of ledger records behind ``recorded``."""
    reason: Reason
    detail: str = ""
    """For a person: what exactly is wrong or missing."""
    from_meter: bool = False
    """``billed`` was read from the meter because the draft's line lags behind it (strict only)."""
    lines: tuple[BilledLine, ...] = ()
    """Stripe's lines that ``billed`` sums, in a fixed order; none before there is an invoice."""
    billed_as: BilledAs = BilledAs.SUM
    meter_totals: MeterTotals | None = None
    """Where the lines alone do not say what they bill."""
    billed_earlier: tuple[EarlierBilling, ...] = ()
    """``billed`` counts these too: a threshold makes several invoices of one period."""
    comparison: Comparison | None = None
    proof: Proof | None = None
    record: Record | None = None
    """With the settlement ledger, what proves it in the place of a checkpoint."""
    selected: SelectedScope | None = None
    """What the counted records were chosen from, or converted; None: all of the window count as they stand."""
    metered: MeterRead | None = None
    """What Stripe said of the meter when it was asked about a difference, for the next look; never evidence."""
    second_read_at: datetime | None = None
    """When a second meter read is due that a difference awaits."""
    subscription_id: str | None = None
    """The subscription that its lines name, where that is not the invoice's own."""

    @property
    def key(self) -> str:
        """What this result is about, the same at every look."""
        return window_key(self.meter, self.window, self.subscription_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found out about one invoice, all windows together."""

    verdict: Verdict
    reason: Reason
    detail: str
    windows: tuple[WindowResult, ...]

    @property
    def is_transient(self) -> bool:
        """Whether another look may well find something else, without anybody doing anything."""
        return self.verdict is Verdict.UNPROVEN and self.reason in TRANSIENT

    @property
    def second_read_at(self) -> datetime | None:
        """When a second meter read is due, where only a settled difference is missing."""
        return min((result.second_read_at for result in self.windows if result.second_read_at), default=None)

    def shifted(self, by: timedelta) -> "Finding":
        """Return it with its due second reads told by another clock."""
        windows = (
            replace(one, second_read_at=one.second_read_at + by) if one.second_read_at else one for one in self.windows
        )
        return replace(self, windows=tuple(windows))


def summarize(windows: tuple[WindowResult, ...]) -> Finding:
    """One finding of several windows: opposite errors never cancel, the worst window speaks for all.

    Of an invoice on which nothing is metered, nothing can be wrong.
    """
    if not windows:
        return Finding(verdict=Verdict.MATCHED, reason=Reason.ZERO, detail=NOTHING_METERED, windows=())
    # The first of the worst: `verify` derives the reason of every document from its windows in this way.
    worst = min(windows, key=_severity)
    detail = worst.detail if worst.reason.verdict is Verdict.MATCHED else describe(windows)
    return Finding(verdict=worst.reason.verdict, reason=worst.reason, detail=detail, windows=windows)


_MOST_NAMED = 5


def describe(windows: tuple[WindowResult, ...]) -> str:
    """Say what is wrong with an invoice: how many of its windows differ and the largest, or all that are unproven.

    All, since a person who sees to one window should not find the next one then.
    """
    drifted = [result for result in windows if result.reason.verdict is Verdict.DRIFTED]
    unproven = [result for result in windows if result.reason.verdict is Verdict.UNPROVEN]
    if len(windows) == 1:
        return windows[0].detail
    names = _names(windows)
    if not drifted:
        said = _by_detail(unproven[:_MOST_NAMED], names)
        more = [f"{len(unproven) - _MOST_NAMED} more"] if len(unproven) > _MOST_NAMED else []
        return f"{_of(unproven, windows, 'is unproven', 'are unproven')}: {'; '.join([*said, *more])}"
    largest = max(drifted, key=_difference)
    beside = f" and {len(unproven)} {'is' if len(unproven) == 1 else 'are'} unproven" if unproven else ""
    which = ", the largest" if len(drifted) > 1 else ""
    return f"{_of(drifted, windows, 'differs', 'differ')}{beside}{which}: {names[largest.key]}: {largest.detail}"


def _names(windows: Sequence[WindowResult]) -> dict[str, str]:
    """Return each window's name for people, by its key: the meter, and the time where the meter has several windows."""
    often = Counter((one.meter, one.subscription_id) for one in windows)
    names = {}
    for one in windows:
        several = often[one.meter, one.subscription_id] > 1 and one.window is not None
        when = f" from {iso(one.window.start)} to {iso(one.window.end)}" if several and one.window else ""
        whose = f" of {one.subscription_id}" if one.subscription_id else ""
        names[one.key] = f"{one.meter}{whose}{when}"
    return names


def _by_detail(unproven: Sequence[WindowResult], names: Mapping[str, str]) -> list[str]:
    """Return one text per detail, with the names of all windows that it is about."""
    about: dict[str, list[str]] = {}
    for one in unproven:
        about.setdefault(one.detail, []).append(names[one.key])
    return [f"{', '.join(named)}: {detail}" for detail, named in about.items()]


def _of(some: Sequence[WindowResult], windows: Sequence[WindowResult], one: str, many: str) -> str:
    return f"{len(some)} of {len(windows)} windows {one if len(some) == 1 else many}"


def _difference(result: WindowResult) -> Decimal:
    """Return the distance between both figures; zero where one is not known."""
    if result.billed is None or result.recorded is None:
        return Decimal(0)
    return abs(subtract(result.billed, result.recorded))


_ORDER = (Verdict.DRIFTED, Verdict.UNPROVEN, Verdict.MATCHED)
_MATCH_ORDER = (Reason.WITHIN_TOLERANCE, Reason.EXACT, Reason.ZERO)


def _severity(result: WindowResult) -> tuple[int, int]:
    verdict = result.reason.verdict
    among_matches = _MATCH_ORDER.index(result.reason) if verdict is Verdict.MATCHED else 0
    return _ORDER.index(verdict), among_matches
