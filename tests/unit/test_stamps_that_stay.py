"""Stamps on an invoice beside a new finding, for every pair of verdicts and every status."""

from dataclasses import replace
from itertools import product

import pytest

from pacspace_stripe.comparison.rules.verdicts import Finding, Reason, Verdict, summarize
from pacspace_stripe.gate.rules.actions import WriteStamp
from pacspace_stripe.gate.rules.decide import after_comparison
from pacspace_stripe.gate.rules.stamp import stamp_stays
from pacspace_stripe.gate.rules.state import InvoiceState, WrittenStamp
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import FailPolicy, FinalizePolicy, Policy
from tests.support.examples import (
    CREATED,
    FIGURES,
    HELD,
    ROOT,
    SEEN,
    SETTLED,
    SHA,
    finding,
    held_draft,
    invoice,
    left,
    result,
)

OTHER = "0ddba11" * 9 + "0"
SILENCES = (Reason.LEDGER_UNAVAILABLE, Reason.STRIPE_UNAVAILABLE, Reason.NOT_SETTLED)
UNPROVEN = tuple(reason for reason in Reason if reason.verdict is Verdict.UNPROVEN)
DRIFTED = tuple(reason for reason in Reason if reason.verdict is Verdict.DRIFTED)
INVOICES = {
    "draft": (invoice(), SEEN),
    "held draft": (held_draft(), HELD),
    "open": (left(), SEEN),
    "open and held": (left(auto_advance=False), HELD),
    "paid": (left(InvoiceStatus.PAID, auto_advance=False), SEEN),
    "void": (left(InvoiceStatus.VOID, auto_advance=False), HELD),
    "uncollectible": (left(InvoiceStatus.UNCOLLECTIBLE, auto_advance=False), HELD),
    "unknown": (left(InvoiceStatus.UNKNOWN), HELD),
}


def carrying(made: Invoice, verdict: Verdict, sha: str = SHA) -> Invoice:
    stamp = {"pacspace_verdict": verdict.value, "pacspace_evidence_sha256": sha, "pacspace_proof_root": ROOT}
    return replace(made, metadata={"order_id": "7", **stamp})


def knowing(state: InvoiceState, verdict: Verdict, **figures: str) -> InvoiceState:
    stamped = WrittenStamp(verdict=verdict, evidence_sha256=SHA, figures=figures or FIGURES, at=SETTLED)
    return replace(state, stamp=stamped, evidence_sha256=SHA)


def replaces(made: Invoice, state: InvoiceState, found: Finding) -> bool:
    """Return whether any policy writes a stamp on it then."""
    policies = [Policy(fail=fail, finalize=finalize) for fail, finalize in product(FailPolicy, FinalizePolicy)]
    asked = {
        any(isinstance(action, WriteStamp) for action in after_comparison(made, state, policy, CREATED, found))
        for policy in policies
    }
    assert stamp_stays(made, state, found) is False or asked == {False}
    return True in asked


@pytest.mark.parametrize("carried", Verdict)
@pytest.mark.parametrize("reason", UNPROVEN)
@pytest.mark.parametrize("where", INVOICES)
def test_unproven_never_replaces_a_stamp_that_is_not_in_our_state(carried: Verdict, reason: Reason, where: str) -> None:
    made, state = INVOICES[where]
    assert not replaces(carrying(made, carried), state, finding(reason))
    assert not replaces(carrying(made, carried, OTHER), knowing(state, Verdict.UNPROVEN), finding(reason))


@pytest.mark.parametrize("carried", [Verdict.MATCHED, Verdict.DRIFTED, Verdict.WAIVED])
@pytest.mark.parametrize("reason", UNPROVEN)
@pytest.mark.parametrize("where", INVOICES)
def test_unproven_never_replaces_our_stamp_of_what_is_billed(carried: Verdict, reason: Reason, where: str) -> None:
    made, state = INVOICES[where]
    assert not replaces(carrying(made, carried), knowing(state, carried), finding(reason))
    unread = summarize((result(reason, billed=None, recorded=None, count=None),))
    assert not replaces(carrying(made, carried), knowing(state, carried), unread)
    nothing = Finding(verdict=Verdict.UNPROVEN, reason=reason, detail="", windows=())
    assert not replaces(carrying(made, carried), knowing(state, carried), nothing)


@pytest.mark.parametrize("carried", Verdict)
@pytest.mark.parametrize("reason", DRIFTED)
@pytest.mark.parametrize("where", [name for name in INVOICES if name != "unknown"])
def test_a_drift_replaces_any_other_stamp(carried: Verdict, reason: Reason, where: str) -> None:
    made, state = INVOICES[where]
    if not (where.endswith("draft") and carried is Verdict.DRIFTED):
        assert replaces(carrying(made, carried), state, finding(reason))
        assert replaces(carrying(made, carried), knowing(state, carried), finding(reason))


@pytest.mark.parametrize("carried", Verdict)
@pytest.mark.parametrize("where", ["draft", "held draft", "open", "open and held", "paid"])
def test_a_match_replaces_any_other_stamp(carried: Verdict, where: str) -> None:
    made, state = INVOICES[where]
    assert replaces(carrying(made, carried), state, finding())


@pytest.mark.parametrize("where", ["open", "paid"])
def test_our_unproven_stamp_is_replaced_by_a_later_finding(where: str) -> None:
    made, state = INVOICES[where]
    known = knowing(state, Verdict.UNPROVEN)
    assert replaces(carrying(made, Verdict.UNPROVEN), known, finding(Reason.UNMAPPED))


@pytest.mark.parametrize("where", ["open", "paid"])
def test_our_stamp_is_replaced_when_the_invoice_bills_other_quantities_than_it_names(where: str) -> None:
    made, state = INVOICES[where]
    known = knowing(state, Verdict.MATCHED, **{next(iter(FIGURES)): "99"})
    assert replaces(carrying(made, Verdict.MATCHED), known, finding(Reason.LEDGER_UNAVAILABLE))


@pytest.mark.parametrize("carried", Verdict)
@pytest.mark.parametrize("where", INVOICES)
def test_a_waiver_of_an_unproven_invoice_replaces_no_proof_in_a_customers_pdf(carried: Verdict, where: str) -> None:
    made, state = INVOICES[where]
    waived = finding(Reason.LEDGER_UNAVAILABLE, verdict=Verdict.WAIVED)
    gone = where in ("open", "paid")
    proof = carried in (Verdict.MATCHED, Verdict.WAIVED)
    assert stamp_stays(carrying(made, carried), state, waived) is (gone and proof)
    assert not stamp_stays(carrying(made, carried), state, finding(Reason.OVERBILLED, verdict=Verdict.WAIVED))


@pytest.mark.parametrize("reason", UNPROVEN)
def test_an_invoice_without_a_stamp_is_stamped_unproven(reason: Reason) -> None:
    made, state = INVOICES["open"]
    assert replaces(made, state, finding(reason))
    theirs = replace(made, metadata={"order_id": "7", "pacspace_customer_id": "acme"})
    assert replaces(theirs, state, finding(reason))
