"""Which invoices the gate keeps back from going out when Stripe would have sent them, and would in observe mode.

The same answer in both modes, from the same finding: it is what the report counts before anybody enforces.
"""

from dataclasses import replace
from datetime import datetime

from pacspace_stripe.comparison.rules.verdicts import Finding, Verdict
from pacspace_stripe.gate.rules.decide import fails_closed, must_stop
from pacspace_stripe.gate.rules.state import InvoiceState, KeptBack
from pacspace_stripe.gate.rules.timing import planned_finalization
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import Mode, Policy


def weighed(invoice: Invoice, state: InvoiceState, policy: Policy, now: datetime, finding: Finding) -> InvoiceState:
    """InvoiceState that knows whether this finding keeps the invoice back, and since when both sides agree."""
    if finding.verdict.may_leave:
        kept = state.kept_back
        ended = replace(kept, until=now) if kept is not None and kept.until is None else kept
        return replace(state, kept_back=ended, agreed_at=state.agreed_at or now)
    state = replace(state, agreed_at=None)
    if not keeps_back(invoice, state, policy, now, finding):
        return state
    since = state.kept_back.since if state.kept_back else _since(invoice, state, now)
    kept = KeptBack(since=since, verdict=finding.verdict, reason=finding.reason, detail=finding.detail)
    return replace(state, kept_back=kept)


def keeps_back(invoice: Invoice, state: InvoiceState, policy: Policy, now: datetime, finding: Finding) -> bool:
    """Whether it stays although its time has come. What we cannot stop any more, or never may, is not kept back."""
    stops = finding.verdict is Verdict.DRIFTED or fails_closed(state, policy)
    if finding.verdict.may_leave or not stops or now < planned_finalization(invoice, state):
        return False
    match invoice.status:
        case InvoiceStatus.DRAFT:
            return state.held or invoice.auto_advance
        case InvoiceStatus.OPEN:
            return state.held or _got_away(state, policy) or must_stop(invoice, state, policy, finding)
        case InvoiceStatus.PAID:
            return _got_away(state, policy)
        case _:
            return False


def _got_away(state: InvoiceState, policy: Policy) -> bool:
    """It went out because nobody enforced: the gate would have held it as a draft."""
    first = state.first
    return policy.mode is Mode.OBSERVE and first is not None and first.auto_advance and _was_draft(state)


def _was_draft(state: InvoiceState) -> bool:
    return state.first is not None and state.first.status is InvoiceStatus.DRAFT


def _since(invoice: Invoice, state: InvoiceState, now: datetime) -> datetime:
    return planned_finalization(invoice, state) if _was_draft(state) else now
