"""What evidence is made of: strict, frozen models. The JSON Schema is made of them, and shows their docstrings."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pacspace_stripe.comparison.rules.verdicts import (
    BilledAs,
    EarlierBilling,
    Finding,
    MeterTotals,
    Reason,
    Verdict,
    WindowResult,
)
from pacspace_stripe.evidence.format.lines import AlreadyModel, LineModel, MeterSaysModel
from pacspace_stripe.evidence.format.values import (
    LARGEST_INTEGER,
    MOST,
    Count,
    Moment,
    Name,
    Quantity,
    Several,
    Sha256,
    Strict,
    Text,
    Unit,
    Word,
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
from pacspace_stripe.vocabulary.windows import Window


class DecisionModel(Strict):
    """The verdict on all windows together, and its reason."""

    verdict: Word[Verdict]
    reason: Word[Reason]


class CompareModel(Strict):
    """PacSpace's compare, raw and signed."""

    your_balance: Quantity
    their_balance: Quantity
    neutral_balance: Quantity | None
    matches_yours: bool | None
    matches_theirs: bool | None


class ProofModel(Strict):
    """The root, and what it was said to cover when the decision was made."""

    checkpoint_id: Name
    proof_root: Name
    record_count: Count
    net_change: Quantity
    verify_url: Text
    cross_checked: bool
    stale: bool


class RecordModel(Strict):
    """A record of the settlement ledger."""

    key: Text
    bits: Quantity
    writes: Count
    verified: bool


class LeftOutModel(Strict):
    """Records of the scope that are no usage of this meter and period, added up by why."""

    by: Word[LeftOutBy]
    name: Text
    """The other meter's name, or the records' reason; empty for another time or reading."""
    record_count: Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]
    net_change: Quantity


class PlacedByModel(Strict):
    """Number of counted records by the clock that placed them in the period."""

    accepted: Count
    """PacSpace's acceptance."""
    usage_time: Count
    """The usage time that the record itself names."""


class SelectionModel(Strict):
    """What the counted records were chosen from: everything that PacSpace derives from the scope, raw and signed.

    PacSpace's compare and the proof root are about all of it; recorded usage is about what is not left out.
    """

    start: Moment
    end: Moment
    record_count: Count
    net_change: Quantity
    left_out: Several[LeftOutModel]
    placed_by: PlacedByModel | None = None
    """Absent: acceptance placed every counted record."""

    def selected(self) -> SelectedScope:
        """Return it as the domain's value. Raises ValueError for a scope that ends before it starts."""
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


class WindowModel(Strict):
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
    """Where not all of the ledger's records in the period are usage of the meter as it stands."""
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
        """The period, where there is one."""
        return Window(start=self.start, end=self.end) if self.start and self.end else None

    def result(self) -> WindowResult:
        """Return it as the domain's value."""
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


class PolicyModel(Strict):
    """What was in force when the decision was made."""

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
    """Which invoice items bill usage that another system counted, as the setting says it."""

    @property
    def choices(self) -> Policy:
        """What it says about which records count, in the domain's words."""
        return Policy(
            usage_sign=self.usage_sign,
            meter_from=self.meter_from,
            exclude_reasons=frozenset(self.exclude_reasons),
            attribution=self.attribution,
            units=self.units,
            readings=frozenset(self.readings),
            totals=frozenset(self.totals),
        )


class WaiverModel(Strict):
    """A person's decision to let exactly these billed quantities go; ``unknown`` where none could be read."""

    reason: Text
    by: Text
    at: Moment
    figures: Annotated[dict[Text, Quantity | Literal["unknown"]], Field(max_length=MOST)]


class ChainModel(Strict):
    """The document's place in the chain of its subscription."""

    id: Text
    sequence: Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]
    previous_sha256: Sha256 | None


class EvidenceDocument(Strict):
    """What was compared for one invoice, with what result, under which policy."""

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
    """The decision about the draft that this document only confirms; such a one is never stamped."""
    chain: ChainModel
    decided_at: Moment

    @property
    def roots(self) -> tuple[str, ...]:
        """Every proof root, each once, in order."""
        return tuple(dict.fromkeys(window.proof.proof_root for window in self.windows if window.proof))

    def finding(self) -> Finding:
        """The decision in the domain's words."""
        results = tuple(window.result() for window in self.windows)
        return Finding(verdict=self.decision.verdict, reason=self.decision.reason, detail="", windows=results)
