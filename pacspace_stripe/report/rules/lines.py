"""Lines of the report: each invoice with the figures of its windows, and the months of the trend."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.explain.rules.explanation import Explanation, explanation_of
from pacspace_stripe.gate.rules.decide import fails_closed
from pacspace_stripe.gate.rules.state import InvoiceState, KeptBack
from pacspace_stripe.vocabulary.invoices import InvoiceStatus
from pacspace_stripe.vocabulary.money import Money, totals
from pacspace_stripe.vocabulary.policy import Policy
from pacspace_stripe.vocabulary.quantities import subtract


class Holding(StrEnum):
    """Effect of the gate on an invoice; in observe mode, the effect that it would have had."""

    NO = "no"
    """The invoice leaves, or left, when Stripe sends it."""
    NOW = "now"
    """The invoice waits and is not cleared yet."""
    A_WHILE = "for a while"
    """The invoice waited until both sides agreed or a person released it."""
    TO_THE_END = "to the end"
    """The invoice was never cleared: it left as it was in observe mode, or a person voided it or marked it as paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """One window of an invoice. Quantities are in the meter's unit, None for a side that could not be read."""

    account: str | None
    meter: str
    start: datetime | None
    end: datetime | None
    billed: Decimal | None
    recorded: Decimal | None
    reason: Reason
    explanation: Explanation | None = None
    """Explanation of the difference between these very figures, if there is one."""

    @property
    def drift(self) -> Decimal | None:
        """Return billed minus recorded usage, exactly."""
        if self.billed is None or self.recorded is None:
            return None
        return subtract(self.billed, self.recorded)

    @property
    def verdict(self) -> Verdict:
        """Return the verdict of this window alone: a waiver belongs to the whole invoice."""
        return self.reason.verdict

    @classmethod
    def from_state(cls, window: Mapping[str, str | int | None], explanations: Iterable[Explanation]) -> "ReportRow":
        """Return the row of a window as the invoice state keeps it."""
        return cls(
            account=_text(window["account"]),
            meter=str(window["meter"]),
            start=_moment(window["start"]),
            end=_moment(window["end"]),
            billed=_quantity(window["billed"]),
            recorded=_quantity(window["recorded"]),
            reason=Reason(str(window["reason"])),
            explanation=explanation_of(window, explanations),
        )


@dataclass(frozen=True, kw_only=True)
class InvoiceLine:
    """One invoice with metered usage."""

    state: InvoiceState
    policy: Policy
    explanations: tuple[Explanation, ...] = ()

    @cached_property
    def rows(self) -> tuple[ReportRow, ...]:
        return tuple(ReportRow.from_state(window, self.explanations) for window in self.state.windows)

    @property
    def invoice_id(self) -> str:
        return self.state.invoice_id

    @property
    def customer_id(self) -> str:
        return self.state.customer_id or "-"

    @property
    def money(self) -> Money | None:
        """Return the amount due at the last check, or None if an early version made that check and stored none."""
        return self.state.amount

    @property
    def kept(self) -> KeptBack | None:
        return self.state.kept_back

    @property
    def holding(self) -> Holding:
        if self.kept is None:
            return Holding.NO
        if self.kept.until is not None:
            return Holding.A_WHILE
        return Holding.TO_THE_END if self.state.ended or self._is_out else Holding.NOW

    @property
    def _is_out(self) -> bool:
        """Return whether Stripe has sent or collects the invoice: it is not held, and no draft any more."""
        return not self.state.held and self.state.status not in (None, InvoiceStatus.DRAFT)

    @property
    def waited(self) -> timedelta:
        """Return the time for which the invoice was, or would have been, held before it was cleared."""
        return self.kept.until - self.kept.since if self.kept and self.kept.until else timedelta(0)

    @property
    def stops_today(self) -> bool:
        """Return whether the gate holds the invoice now, or would if it enforced: a draft that is not cleared."""
        if self.state.ended or self._is_out or self.state.verdict not in (Verdict.DRIFTED, Verdict.UNPROVEN):
            return False
        ours = self.state.held or self.state.first is None or self.state.first.auto_advance
        return ours and (self.state.verdict is Verdict.DRIFTED or fails_closed(self.state, self.policy))

    @property
    def period(self) -> str:
        """Return the month in which its usage began, such as ``2026-10``; without windows, that of its first check."""
        starts = [row.start for row in self.rows if row.start]
        at = min(starts) if starts else self.seen_at
        return f"{at:%Y-%m}" if at else "-"

    @property
    def seen_at(self) -> datetime | None:
        return self.state.first.at if self.state.first else None

    @property
    def agreed(self) -> tuple[datetime, datetime] | None:
        """Return the times of the first check and of the agreement that lasted, if there was one."""
        return (self.seen_at, self.state.agreed_at) if self.seen_at and self.state.agreed_at else None

    def belongs(self, since: datetime | None) -> bool:
        """Return whether any of its usage is of that time or later; without windows, whether its first check is.

        An ended invoice without windows had nothing metered on it, and an invoice that was never read is left out.
        """
        if not self.rows and (self.state.ended or self.state.first is None):
            return False
        if since is None:
            return True
        ends = [row.end for row in self.rows if row.end]
        latest = max(ends) if ends else self.seen_at
        return latest is not None and latest > since


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendMonth:
    """The invoices whose usage began in one month (UTC), counted by their last verdict."""

    month: str
    invoices: int
    verdicts: dict[Verdict, int]
    waiting: int
    """Invoices that were not compared yet."""
    held: int
    at_stake: tuple[Money, ...]

    @property
    def matched_share(self) -> str:
        """Return the share of those compared that agreed, in percent: 0 only when none did, 100 only when all did."""
        judged, agreed = self.invoices - self.waiting, self.verdicts[Verdict.MATCHED]
        if not judged:
            return "-"
        tenths = (agreed * 2000 + judged) // (2 * judged)
        tenths = max(tenths, 1) if agreed else 0
        tenths = min(tenths, 999) if agreed < judged else 1000
        return f"{tenths // 10}.{tenths % 10} %"


def verdict_counts(lines: Iterable[InvoiceLine]) -> dict[Verdict, int]:
    """Return the number of invoices with each verdict, zeros included."""
    counts = dict.fromkeys(Verdict, 0)
    for line in lines:
        if line.state.verdict is not None:
            counts[line.state.verdict] += 1
    return counts


def held_lines(lines: Iterable[InvoiceLine]) -> list[InvoiceLine]:
    """Return the invoices that were, or would have been, held."""
    return [line for line in lines if line.holding is not Holding.NO]


def trend(lines: Iterable[InvoiceLine]) -> tuple[TrendMonth, ...]:
    """Return every month that has invoices, the oldest first."""
    months: dict[str, list[InvoiceLine]] = {}
    for line in lines:
        months.setdefault(line.period, []).append(line)
    return tuple(
        TrendMonth(
            month=name,
            invoices=len(theirs),
            verdicts=verdict_counts(theirs),
            waiting=sum(line.state.verdict is None for line in theirs),
            held=len(held_lines(theirs)),
            at_stake=totals(line.money for line in held_lines(theirs)),
        )
        for name, theirs in sorted(months.items())
    )


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)


def _quantity(value: str | int | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _moment(value: str | int | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(str(value))
