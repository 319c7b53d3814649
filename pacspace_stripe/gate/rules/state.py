"""What we remember of one invoice between two checks. Everything else is read again each time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pacspace_stripe.comparison.rules.verdicts import MeterRead, Reason, Verdict
from pacspace_stripe.vocabulary.invoices import InvoiceStatus
from pacspace_stripe.vocabulary.money import Money


class Stage(StrEnum):
    """Where an invoice stands with us, for people and for queries; decisions re-read the invoice itself."""

    SEEN = "seen"
    HELD = "held"
    BACKSTOPPED = "backstopped"
    STAMPED = "stamped"
    FINALIZED = "finalized"
    RELEASED = "released"
    ENDED = "ended"


class Finalizer(StrEnum):
    """Origin of the finalization of an invoice under our hold, as Stripe's events say."""

    US = "us"
    STRIPE = "stripe"
    """By its own clock, before the hold reached it."""
    SENDER = "sender"
    """Somebody who let it advance, before the hold reached it: nobody is ending it."""
    SOMEBODY = "somebody"
    """Somebody who did not let it advance, as before a void."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstSight:
    """The invoice as Stripe had planned it, before we touched it."""

    at: datetime
    auto_advance: bool
    finalizes_at: datetime | None
    status: InvoiceStatus | None = None
    """None in what was remembered before this was kept."""
    canceled: bool | None = None
    """True when its subscription had been canceled already; None when that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamped:
    """What the last stamp named: the basis of the comparison after finalization."""

    verdict: Verdict
    evidence_sha256: str
    figures: Mapping[str, str]
    at: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Our keys as they were written; empty in what was remembered before this was kept."""
    footer: str | None = None
    """The text of our block in the footer; None when none was written."""
    written: bool = False
    """Stripe took it: what is missing of it since then was changed by somebody else."""
    without_footer: str = ""
    """Why a draft was stamped without a footer."""


ANY_STOP = "any"
"""In a waiver that is being given: release it although somebody else stopped it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A person's decision to let exactly these billed quantities go."""

    reason: str
    by: str
    at: datetime
    figures: Mapping[str, str]
    of_finding: bool = True
    """False when both sides agreed: it overrules stops, and no difference that is found later."""
    despite: tuple[str, ...] = ()
    """The stops (``Stop.key``) that it overrules: those known when it was given, if ``ANY_STOP`` asked for that."""

    def __str__(self) -> str:
        figures = "; ".join(f"{key}: {quantity}" for key, quantity in self.figures.items())
        overruled = f" although {', '.join(self.despite)}" if self.despite else ""
        return f"{self.by}: {self.reason} ({figures}){overruled}"

    def covers(self, other: "Waiver") -> bool:
        """Return whether it says already all that another decision about the same figures would."""
        return self.of_finding >= other.of_finding and set(other.despite) <= set(self.despite)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptBack:
    """An invoice that did not go out when Stripe would have sent it; in observe mode: that would not have."""

    since: datetime
    verdict: Verdict
    reason: Reason
    """Why, the last time that a look found it wrong."""
    detail: str
    until: datetime | None = None
    """When a look found it right, or a person let it go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceState:
    """One invoice's row, without the lease and the counters."""

    invoice_id: str
    customer_id: str | None = None
    subscription_id: str | None = None
    first: FirstSight | None = None
    stage: Stage = Stage.SEEN
    held: bool = False
    """``auto_advance`` is false because of us: only such invoices are ever finalized or released."""
    held_at: datetime | None = None
    precaution: bool = False
    """Stopped while nobody could say whether anything on it is metered: given back when nothing is."""
    mapping: str | None = None
    """The ledger account that the subscription names since its copy on the draft led to no match; "" names none."""
    backstop_at: datetime | None = None
    blocked: bool = False
    """The early warning found drift: fail closed, whatever the policy."""
    past: bool = False
    """It had left days before a backfill was the first to see it: reported and stamped, never held."""
    finalized_by_us: bool = False
    finalizer: Finalizer | None = None
    """Origin of its finalization under our hold; None when it was not asked."""
    undone_at: datetime | None = None
    """When somebody last set ``auto_advance=true`` under our hold."""
    stopped_at: datetime | None = None
    """When somebody else last set ``auto_advance=false`` on it, as Stripe's events say."""
    updates_unread: bool = False
    """Somebody else changed it under our hold, and the event that says what could not be read."""
    verdict: Verdict | None = None
    reason: Reason | None = None
    detail: str = ""
    windows: tuple[Mapping[str, str | int | None], ...] = field(default_factory=tuple)
    """The last finding in the shape that commands print."""
    reads: Mapping[str, MeterRead] = field(default_factory=dict)
    """By meter and window (``WindowResult.key``): what Stripe said of it, since when; at first the draft's lines."""
    stamped: Stamped | None = None
    put_back: int = 0
    """Number of times in a row that the stamp was put back after somebody else changed it."""
    evidence_sha256: str | None = None
    evidence_core: str | None = None
    """SHA-256 of the last evidence without its time and chain: equal means nothing new to say."""
    waiver: Waiver | None = None
    released_at: datetime | None = None
    cleared: bool = False
    """Its final lines were matched or waived: it may move on by itself, and nothing is left to check."""
    counted_at: datetime | None = None
    """When a look last counted for the retry ladder: those that events bring forward do not."""
    attempts: int = 0
    """Looks since the verdict last changed: where on the retry ladder it stands."""
    failures: int = 0
    """Looks in a row that Stripe did not let us finish: a retry ladder of their own."""
    status: InvoiceStatus | None = None
    """Stripe's, at the last look."""
    amount: Money | None = None
    """What Stripe asked for at the last look (``amount_due``)."""
    kept_back: KeptBack | None = None
    agreed_at: datetime | None = None
    """Since when every look found both sides to agree."""
    alerted: tuple[str, ...] = ()
    """Alerts already given, so that each goes out once."""
    left_out: tuple[str, ...] = ()
    """Alerts not given because the invoice goes back and forth; a later look gives them if it stays so."""

    @property
    def ended(self) -> bool:
        return self.stage is Stage.ENDED
