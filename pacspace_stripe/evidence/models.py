"""Evidence as strict, frozen models: bytes of unknown origin become one of these, or are refused.

Each value has one spelling only; nothing is guessed, added or changed. The JSON Schema in ``evidence-1.json`` is
made of these models and shows their docstrings.
"""

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from pacspace_stripe.comparison.rules.verdicts import (
    BilledAs,
    BilledLine,
    EarlierBilling,
    Finding,
    LineKind,
    MeterTotals,
    Reason,
    Verdict,
    WindowResult,
)
from pacspace_stripe.vocabulary.ledger import (
    Comparison,
    LedgerProtocol,
    LeftOut,
    LeftOutBy,
    Proof,
    Record,
    SelectedScope,
    UsageSign,
)
from pacspace_stripe.vocabulary.policy import BY_ACCOUNT, Attribution, FailPolicy, FinalizePolicy, Mode, Policy
from pacspace_stripe.vocabulary.windows import Window, iso

_QUANTITY = r"^-?(?:0|[1-9][0-9]{0,39})(?:\.[0-9]{0,119}[1-9])?$"
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{6})?Z$"
_NAME = r"^[A-Za-z0-9_.:-]{1,200}$"
_LONGEST_TEXT = 5000
MOST = 10_000
"""Items of any list, and entries of any mapping."""
LARGEST_INTEGER = 2**53 - 1
"""The largest number that RFC 8785 takes: to other readers, numbers are doubles."""
Value = TypeVar("Value")


def _quantity(written: object) -> Decimal:
    if not isinstance(written, str) or not re.fullmatch(_QUANTITY, written) or written == "-0":
        message = "is not a quantity: plain digits as text"
        raise ValueError(message)
    return Decimal(written)


def _moment(written: object) -> datetime:
    if not isinstance(written, str) or not re.fullmatch(_MOMENT, written):
        message = "is not a time in UTC"
        raise ValueError(message)
    at = datetime.fromisoformat(written)
    if iso(at) != written:
        message = "is not a time in its only spelling"
        raise ValueError(message)
    return at


_QUANTITY_SCHEMA = {"type": "string", "pattern": _QUANTITY, "not": {"const": "-0"}}
Quantity = Annotated[Decimal, BeforeValidator(_quantity), WithJsonSchema(_QUANTITY_SCHEMA)]
"""A quantity as text of plain digits: at most 40 before and 120 after the decimal point."""
Unit = Annotated[Quantity, Field(gt=0)]
Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "pattern": _MOMENT})]
Text = Annotated[str, Field(max_length=_LONGEST_TEXT)]
Name = Annotated[str, Field(pattern=_NAME)]
"""A proof root or checkpoint id of PacSpace."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
Several = Annotated[tuple[Value, ...], Field(strict=False, max_length=MOST)]
"""A JSON list. Strict pydantic would take only tuples."""
Word = Annotated[Value, Field(strict=False)]
"""One of an enumeration's values. Strict pydantic would take only its members."""


class StrictModel(BaseModel):
    """A model that takes exactly its own keys and spellings."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class DecisionModel(StrictModel):
    """The verdict on all windows together, and its reason."""

    verdict: Word[Verdict]
    reason: Word[Reason]


class LineModel(StrictModel):
    """One line of the invoice and the usage it bills, in the meter's unit."""

    id: Text
    quantity: Quantity | None
    kind: Word[LineKind] = LineKind.USAGE
    price: Text | None = None

    def line(self) -> BilledLine:
        """Return the value that the gate uses."""
        return BilledLine(line_id=self.id, quantity=self.quantity, kind=self.kind, price=self.price)


class MeterSaysModel(StrictModel):
    """Stripe's meter summaries over the inner and the outer whole minutes of the window."""

    inner: Quantity
    outer: Quantity


class AlreadyModel(StrictModel):
    """An earlier invoice of the same period, and what it billed."""

    invoice: Text
    quantity: Quantity


class CompareModel(StrictModel):
    """PacSpace's compare, raw and signed."""

    your_balance: Quantity
    their_balance: Quantity
    neutral_balance: Quantity | None
    matches_yours: bool | None
    matches_theirs: bool | None


class ProofModel(StrictModel):
    """The proof root, and what PacSpace said it covers when the decision was made."""

    checkpoint_id: Name
    proof_root: Name
    record_count: Count
    net_change: Quantity
    verify_url: Text
    cross_checked: bool
    stale: bool


class RecordModel(StrictModel):
    """A record of the settlement ledger."""

    key: Text
    bits: Quantity
    writes: Count
    verified: bool


class LeftOutModel(StrictModel):
    """Records of the scope that are no usage of this meter and period, added up by why."""

    by: Word[LeftOutBy]
    name: Text
    """The other meter's name, or the records' reason; empty for another time or reading."""
    record_count: Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]
    net_change: Quantity


class PlacedByModel(StrictModel):
    """Number of counted records by the clock that placed them in the period."""

    accepted: Count
    """Placed by the time of acceptance."""
    usage_time: Count
    """Placed by the usage time that the record itself names."""


class SelectionModel(StrictModel):
    """The scope that the counted records were chosen from: all that PacSpace derives from it, raw and signed.

    PacSpace's compare and the proof root are about all of the scope; recorded usage is what is not left out.
    """

    start: Moment
    end: Moment
    record_count: Count
    net_change: Quantity
    left_out: Several[LeftOutModel]
    placed_by: PlacedByModel | None = None
    """Absent when the time of acceptance placed every counted record."""

    def selected(self) -> SelectedScope:
        """Return the value that the gate uses. Raises ValueError for a scope that ends before it starts."""
        return SelectedScope(
            scope=Window(start=self.start, end=self.end),
            count=self.record_count,
            net=self.net_change,
            left_out=tuple(
                LeftOut(by=each.by, name=each.name, count=each.record_count, net=each.net_change)
                for each in self.left_out
            ),
            by_usage_time=self.placed_by.usage_time if self.placed_by else 0,
        )


class WindowModel(StrictModel):
    """One ledger account, meter and period of the invoice: both figures and what they mean."""

    account: Text | None
    meter: Text
    start: Moment | None
    end: Moment | None
    billed: Quantity | None
    recorded: Quantity | None
    count: Count | None
    reason: Word[Reason]
    lines: Several[LineModel]
    from_meter: bool
    compare: CompareModel | None
    proof: ProofModel | None
    record: RecordModel | None = None
    billed_as: Word[BilledAs] = BilledAs.SUM
    meter_says: MeterSaysModel | None = None
    already: Several[AlreadyModel] = ()
    selection: SelectionModel | None = None
    """Present where not every record of the ledger in the period is usage of this meter."""
    subscription: Text | None = None
    """The subscription that its lines name, where that is not the invoice's own."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.start is None) != (self.end is None):
            message = "a window has a start and an end, or neither"
            raise ValueError(message)
        if self.start is not None and self.end is not None and self.end <= self.start:
            message = "a window ends after it starts"
            raise ValueError(message)
        if self.proof is not None and (self.account is None or self.start is None):
            message = "a proof is of an account and a period"
            raise ValueError(message)
        if self.selection is not None and self.selection.end <= self.selection.start:
            message = "a scope ends after it starts"
            raise ValueError(message)
        return self

    @property
    def window(self) -> Window | None:
        """The period; None where there is none."""
        return Window(start=self.start, end=self.end) if self.start and self.end else None

    def result(self) -> WindowResult:
        """Return the value that the gate uses."""
        return WindowResult(
            account=self.account,
            meter=self.meter,
            window=self.window,
            billed=self.billed,
            recorded=self.recorded,
            count=self.count,
            reason=self.reason,
            from_meter=self.from_meter,
            lines=tuple(line.line() for line in self.lines),
            billed_as=self.billed_as,
            meter_totals=MeterTotals(**dict(self.meter_says)) if self.meter_says else None,
            billed_earlier=tuple(
                EarlierBilling(invoice_id=each.invoice, quantity=each.quantity) for each in self.already
            ),
            comparison=Comparison(**dict(self.compare)) if self.compare else None,
            proof=self._proof(),
            record=Record(**dict(self.record)) if self.record else None,
            selected=self.selection.selected() if self.selection else None,
            subscription_id=self.subscription,
        )

    def _proof(self) -> Proof | None:
        proof, account, window = self.proof, self.account, self.window
        if proof is None or account is None or window is None:
            return None
        return Proof(
            account=account,
            window=self.selection.selected().scope if self.selection else window,
            checkpoint_id=proof.checkpoint_id,
            proof_root=proof.proof_root,
            count=proof.record_count,
            net=proof.net_change,
            verify_url=proof.verify_url,
            cross_checked=proof.cross_checked,
            stale=proof.stale,
        )


class PolicyModel(StrictModel):
    """The settings in force when the decision was made."""

    ledger: Word[LedgerProtocol] = LedgerProtocol.BALANCE
    mode: Word[Mode]
    fail: Word[FailPolicy]
    finalize: Word[FinalizePolicy]
    tolerance: Quantity
    usage_sign: Word[UsageSign]
    meter_from: Text = BY_ACCOUNT
    exclude_reasons: Several[Text] = ()
    attribution: Word[Attribution] = Attribution.ACCEPTED
    units: Annotated[dict[Text, Unit], Field(max_length=MOST)] = Field(default_factory=dict)
    """By meter: how many of the ledger's units are one of the meter's."""
    readings: Several[Text] = ()
    """Meters whose records each carry a reading; the last one counts."""
    totals: Several[Text] = ()
    """Meters that Stripe is sent a running total of; the records of a window add up to the last one."""
    usage_items: Several[Text] = ()
    """Invoice items that bill usage which another system counted, in the spelling of the setting."""

    @property
    def choices(self) -> Policy:
        """The policy that says which records count, as the gate uses it."""
        return Policy(
            usage_sign=self.usage_sign,
            meter_from=self.meter_from,
            exclude_reasons=frozenset(self.exclude_reasons),
            attribution=self.attribution,
            units=self.units,
            readings=frozenset(self.readings),
            totals=frozenset(self.totals),
        )


class WaiverModel(StrictModel):
    """A person's decision to release exactly these billed quantities; ``unknown`` where none could be read."""

    reason: Text
    by: Text
    at: Moment
    figures: Annotated[dict[Text, Quantity | Literal["unknown"]], Field(max_length=MOST)]


class ChainModel(StrictModel):
    """The document's place in the chain of its subscription."""

    id: Text
    sequence: Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]
    previous_sha256: Sha256 | None


class EvidenceDocument(StrictModel):
    """The comparison of one invoice, its result, and the policy it was made under."""

    format: Literal["pacspace-stripe/evidence/1"]
    invoice: Text
    invoice_status: Literal["draft", "open", "paid", "void", "uncollectible", "unknown"]
    customer: Text
    subscription: Text | None
    livemode: bool
    decision: DecisionModel
    windows: Several[WindowModel]
    policy: PolicyModel
    waiver: WaiverModel | None
    confirms: Sha256 | None
    """SHA-256 of the decision about the draft that this document only confirms; a confirmation is never stamped."""
    chain: ChainModel
    decided_at: Moment

    @property
    def roots(self) -> tuple[str, ...]:
        """Every proof root once, in order."""
        return tuple(dict.fromkeys(window.proof.proof_root for window in self.windows if window.proof))

    def finding(self) -> Finding:
        """Return the decision as the gate uses it."""
        results = tuple(window.result() for window in self.windows)
        return Finding(verdict=self.decision.verdict, reason=self.decision.reason, detail="", windows=results)
