"""One invoice of the report, and the figures of each of its windows: from what we remember of it. Pure."""

from collections.abc import Iterable
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
from pacspace_stripe.vocabulary.money import Money
from pacspace_stripe.vocabulary.policy import Policy
from pacspace_stripe.vocabulary.quantities import subtract

Shown = dict[str, str | int | None]


class Holding(StrEnum):
    """What happened to an invoice when Stripe would have sent it, or in observe mode would have happened."""

    NO = "no"
    """It goes, or went, when Stripe sends it."""
    NOW = "now"
    """It waits: nobody and nothing has cleared it yet."""
    A_WHILE = "for a while"
    """It waited until both sides agreed, or a person let it go."""
    TO_THE_END = "to the end"
    """Nothing cleared it: in observe mode it left as it was; else a person voided or paid it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One window of an invoice. Quantities in the meter's unit; None where a side could not say."""

    account: str | None
    meter: str
    start: datetime | None
    end: datetime | None
    billed: Decimal | None
    recorded: Decimal | None
    reason: Reason
    explanation: Explanation | None = None
    """What a difference comes from, as far as it was found out about these very figures."""

    @property
    def drift(self) -> Decimal | None:
        """Billed minus recorded, exactly."""
        if self.billed is None or self.recorded is None:
            return None
        return subtract(self.billed, self.recorded)

    @property
    def verdict(self) -> Verdict:
        """Of this window alone: a waiver is the whole invoice's."""
        return self.reason.verdict

    @classmethod
    def remembered(cls, window: Shown, explanations: Iterable[Explanation] = ()) -> "Row":
        """From the shape in which memory keeps it."""
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
    """One invoice that something metered is on."""

    memory: InvoiceState
    policy: Policy
    explanations: tuple[Explanation, ...] = ()

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        return tuple(Row.remembered(dict(window), self.explanations) for window in self.memory.windows)

    @property
    def invoice_id(self) -> str:
        return self.memory.invoice_id

    @property
    def customer_id(self) -> str:
        return self.memory.customer_id or "-"

    @property
    def money(self) -> Money | None:
        """What Stripe asked for when we last looked; None of invoices last looked at before that was kept."""
        return self.memory.amount

    @property
    def kept(self) -> KeptBack | None:
        return self.memory.kept_back

    @property
    def holding(self) -> Holding:
        if self.kept is None:
            return Holding.NO
        if self.kept.until is not None:
            return Holding.A_WHILE
        return Holding.TO_THE_END if self.memory.ended or self._is_out else Holding.NOW

    @property
    def _is_out(self) -> bool:
        """Nobody holds it, and it is no draft any more: Stripe has sent it, or collects it."""
        return not self.memory.held and self.memory.status not in (None, InvoiceStatus.DRAFT)

    @property
    def waited(self) -> timedelta:
        """How long it was, or would have been, held before it was cleared."""
        return self.kept.until - self.kept.since if self.kept and self.kept.until else timedelta(0)

    @property
    def stops_today(self) -> bool:
        """Whether the gate holds it now or, enforced, would: a draft, or one that we hold, that nothing cleared."""
        if self.memory.ended or self._is_out or self.memory.verdict not in (Verdict.DRIFTED, Verdict.UNPROVEN):
            return False
        ours = self.memory.held or self.memory.first is None or self.memory.first.auto_advance
        return ours and (self.memory.verdict is Verdict.DRIFTED or fails_closed(self.memory, self.policy))

    @property
    def period(self) -> str:
        """The month its usage began in, ``2026-10``; of the first sight when no window is known."""
        starts = [row.start for row in self.rows if row.start]
        at = min(starts) if starts else self.seen_at
        return f"{at:%Y-%m}" if at else "-"

    @property
    def seen_at(self) -> datetime | None:
        return self.memory.first.at if self.memory.first else None

    @property
    def agreed(self) -> tuple[datetime, datetime] | None:
        """When we first saw it, and when both sides were first found to agree for good."""
        return (self.seen_at, self.memory.agreed_at) if self.seen_at and self.memory.agreed_at else None

    def belongs(self, since: datetime | None) -> bool:
        """Whether any of its usage is of that time or later; without windows, whether it was seen then.

        What ended without any window had nothing metered on it; of what was never read, nobody knows.
        """
        if not self.rows and (self.memory.ended or self.memory.first is None):
            return False
        if since is None:
            return True
        ends = [row.end for row in self.rows if row.end]
        latest = max(ends) if ends else self.seen_at
        return latest is not None and latest > since


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)


def _quantity(value: str | int | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _moment(value: str | int | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(str(value))
