"""The invoice state: what the gate keeps about one invoice between two checks. Everything else is read again each time.

``position`` says what the gate has done to the invoice. It is one of six classes, so that combinations that cannot
occur cannot be written down either; all other fields are facts that are true whatever the position is.

    Free ── hold ──▶ Held ── finalize, release ──▶ Released ── collected or mailed ──▶ Cleared
     │ ▲               │
     │ └── give back ──┤  nothing metered
     │                 │
     │                 └── stamp that also lets it advance (finalize=fast) ──┐
     └── stamp without a hold (fail=open) ───────────────────────────────────┴─▶ Stamped ── confirmed ──▶ Cleared

    Held goes through the steps REQUESTED, HELD, STAMPED, FINALIZED, RELEASING.
    Any of them ──▶ Ended: nothing metered, voided, deleted, or left with a drift.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from pacspace_stripe.comparison.rules.verdicts import MeterRead, Reason, Verdict
from pacspace_stripe.vocabulary.invoices import InvoiceStatus
from pacspace_stripe.vocabulary.money import Money


class Stage(StrEnum):
    """Name of a position, as commands print it and queries select by it. No decision is made from it."""

    SEEN = "seen"
    HELD = "held"
    BACKSTOPPED = "backstopped"
    STAMPED = "stamped"
    FINALIZED = "finalized"
    RELEASED = "released"
    ENDED = "ended"


class HoldCause(StrEnum):
    """Cause of a hold or a backstop."""

    METERED = "metered"
    """The invoice bills usage, which is compared before it leaves."""
    PRECAUTION = "precaution"
    """The gate could not read whether anything is metered: the hold is undone when nothing is."""


class HoldStep(StrEnum):
    """Last step that the gate took on an invoice under its hold."""

    REQUESTED = "requested"
    """The gate asked Stripe for the hold, and does not know yet whether Stripe took it."""
    HELD = "held"
    STAMPED = "stamped"
    FINALIZED = "finalized"
    """The gate finalized it: open, numbered, and not advancing."""
    RELEASING = "releasing"
    """The gate asked Stripe for the release, and does not know yet whether Stripe took it."""


@dataclass(frozen=True, slots=True)
class Free:
    """Position of an invoice that carries no hold of ours; a backstop may be set on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Position under our hold: ``auto_advance`` is false because of us. Only such invoices are ever released."""

    step: HoldStep = HoldStep.HELD
    cause: HoldCause = HoldCause.METERED


@dataclass(frozen=True, slots=True)
class Stamped:
    """Position of an invoice that carries our stamp and no hold of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """Position after our release: the invoice is watched until Stripe collects or mails it."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Cleared:
    """Position at the end, after the final lines were matched or waived: nothing is left to check."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Position at the end for any other cause: nothing metered, voided, deleted, or left with a drift."""


Position = Free | Held | Stamped | Released | Cleared | Ended


class Finalizer(StrEnum):
    """Origin of the finalization of an invoice under our hold, by Stripe's events."""

    US = "us"
    STRIPE = "stripe"
    """Stripe's own clock finalized it, before the hold reached it."""
    SENDER = "sender"
    """A person let it advance before the hold reached it, and so is not ending it."""
    SOMEBODY = "somebody"
    """A person finalized it without letting it advance, as before a void."""
    UNKNOWN = "unknown"


class Origin(StrEnum):
    """Age of an invoice when the gate saw it first."""

    PRESENT = "present"
    PAST = "past"
    """Left days before a backfill was the first to see it: the invoice is reported and stamped, never held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstSight:
    """The invoice as Stripe had planned it, before the gate touched it."""

    at: datetime
    auto_advance: bool
    finalizes_at: datetime | None
    status: InvoiceStatus | None = None
    """None in rows of versions that did not keep it."""
    canceled: bool | None = None
    """True when its subscription had been canceled already; None when that is not known."""
    origin: Origin = Origin.PRESENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Backstop:
    """Stripe's own finalization time as the gate set it once: the customer is billed even if the gate dies."""

    at: datetime
    cause: HoldCause = HoldCause.METERED


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenStamp:
    """The last stamp of the gate: what it named is compared with the lines after finalization."""

    verdict: Verdict
    evidence_sha256: str
    figures: Mapping[str, str]
    at: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Our keys as they were written; empty in rows of versions that did not keep them."""
    footer: str | None = None
    """Text of our block in the footer; None when none was written."""
    written: bool = False
    """Stripe took it: whatever is missing of it since then was changed by another party."""
    without_footer: str = ""
    """Cause for a draft to be stamped without a footer."""


ANY_STOP = "any"
"""In a waiver that is being given: release the invoice although another party stopped it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A person's decision to let exactly these billed quantities go."""

    reason: str
    by: str
    at: datetime
    figures: Mapping[str, str]
    of_finding: bool = True
    """False when both sides agreed: the waiver overrules stops, and no difference that is found later."""
    despite: tuple[str, ...] = ()
    """Keys of the stops (``Stop.key``) that it overrules: those known when it was given, if ``ANY_STOP`` asked."""

    def __str__(self) -> str:
        figures = "; ".join(f"{key}: {quantity}" for key, quantity in self.figures.items())
        overruled = f" although {', '.join(self.despite)}" if self.despite else ""
        return f"{self.by}: {self.reason} ({figures}){overruled}"

    def covers(self, other: "Waiver") -> bool:
        """Return whether this waiver already covers another decision about the same figures."""
        return self.of_finding >= other.of_finding and set(other.despite) <= set(self.despite)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptBack:
    """An invoice that did not leave when Stripe would have sent it; in observe mode: that would not have left."""

    since: datetime
    verdict: Verdict
    reason: Reason
    """Reason of the last finding that kept it back."""
    detail: str
    until: datetime | None = None
    """Time of the check that found it right, or after which a person released it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceState:
    """Everything that the gate keeps about one invoice; also about an early warning, which has an id of its own."""

    invoice_id: str
    customer_id: str | None = None
    subscription_id: str | None = None
    position: Position = field(default_factory=Free)
    first: FirstSight | None = None
    held_at: datetime | None = None
    """Time of the first hold, from which usage settles. It stays when the invoice is let go."""
    backstop: Backstop | None = None
    early_warning_id: str | None = None
    """Id of the early warning that found drift and blocks the invoice: it fails closed, whatever the policy."""
    mapping: str | None = None
    """Ledger account that the subscription names since its copy on the draft led to no match; "" names none."""
    finalizer: Finalizer | None = None
    """Origin of its finalization under our hold; None while the gate has neither finalized it nor asked Stripe."""
    undone_at: datetime | None = None
    """Time when another party last set ``auto_advance=true`` under our hold."""
    stopped_at: datetime | None = None
    """Time when another party last set ``auto_advance=false`` on it, by Stripe's events."""
    unread_updates: tuple[datetime, ...] = ()
    """Times of updates that another party sent under our hold and whose events could not be read."""
    verdict: Verdict | None = None
    reason: Reason | None = None
    detail: str = ""
    windows: tuple[Mapping[str, str | int | None], ...] = field(default_factory=tuple)
    """Windows of the last finding, in the shape that commands print."""
    reads: Mapping[str, MeterRead] = field(default_factory=dict)
    """Readings of Stripe's meters by meter and window (``WindowResult.key``); at first the draft's own lines."""
    stamp: WrittenStamp | None = None
    put_back: int = 0
    """Number of times in a row that the stamp was put back after another party changed it."""
    evidence_sha256: str | None = None
    evidence_core: str | None = None
    """SHA-256 of the last evidence without its time and chain: an equal one has nothing new to say."""
    waiver: Waiver | None = None
    counted_at: datetime | None = None
    """Time of the last check that counted for the retry ladder: a check that an event brings forward does not."""
    attempts: int = 0
    """Number of checks since the verdict last changed: the place on the retry ladder."""
    failures: int = 0
    """Number of checks in a row that a vendor's failure ended: the place on a retry ladder of their own."""
    status: InvoiceStatus | None = None
    """Stripe's status at the last check."""
    amount: Money | None = None
    """Stripe's ``amount_due`` at the last check."""
    kept_back: KeptBack | None = None
    agreed_at: datetime | None = None
    """Time since which every check found both sides to agree."""
    alerted: tuple[str, ...] = ()
    """Alerts already given, so that each goes out once."""
    left_out: tuple[str, ...] = ()
    """Alerts not given because the invoice is flapping; a later check gives them if the problem stays."""

    @property
    def held(self) -> bool:
        return isinstance(self.position, Held)

    @property
    def requested(self) -> bool:
        """Return whether a hold was asked for that Stripe may not have taken."""
        return isinstance(self.position, Held) and self.position.step is HoldStep.REQUESTED

    @property
    def released(self) -> bool:
        """Return whether the gate released it, or asked Stripe to."""
        return self.stage is Stage.RELEASED

    @property
    def cleared(self) -> bool:
        """Return whether its final lines were matched or waived: it moves on by itself."""
        return isinstance(self.position, Cleared | Released)

    @property
    def ended(self) -> bool:
        return isinstance(self.position, Cleared | Ended)

    @property
    def blocked(self) -> bool:
        return self.early_warning_id is not None

    @property
    def past(self) -> bool:
        return self.first is not None and self.first.origin is Origin.PAST

    @property
    def backstop_at(self) -> datetime | None:
        return self.backstop.at if self.backstop else None

    @property
    def stopped_for(self) -> HoldCause | None:
        """Return the cause for which the gate holds or postpones it; None when the gate does neither."""
        if isinstance(self.position, Held):
            return self.position.cause
        return self.backstop.cause if self.backstop else None

    @property
    def stage(self) -> Stage:
        """Return the position's name for people and for queries."""
        match self.position:
            case Free():
                return Stage.BACKSTOPPED if self.backstop else Stage.SEEN
            case Held(step=HoldStep.REQUESTED | HoldStep.HELD):
                return Stage.HELD
            case Held(step=HoldStep.STAMPED) | Stamped():
                return Stage.STAMPED
            case Held(step=HoldStep.FINALIZED):
                return Stage.FINALIZED
            case Held() | Released():
                return Stage.RELEASED
            case Cleared() | Ended():
                return Stage.ENDED
            case _:
                assert_never(self.position)

    def at_step(self, step: HoldStep) -> "InvoiceState":
        """Return the state one step further under its hold; the cause of the hold stays."""
        return replace(self, position=Held(step=step, cause=self.stopped_for or HoldCause.METERED))
