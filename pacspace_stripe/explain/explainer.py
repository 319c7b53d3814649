"""Finds out where and why the two sides of a drifted invoice differ: reads only, within a budget of requests."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pacspace_stripe.comparison.rules.verdicts import Finding, Verdict, WindowResult
from pacspace_stripe.errors import RemoteError
from pacspace_stripe.explain.budget import Budget, BudgetSpent
from pacspace_stripe.explain.meter_account import Place, Unlisted
from pacspace_stripe.explain.neighbours import candidates, meters_on
from pacspace_stripe.explain.rules.drift_location import Diagnosis, diagnose
from pacspace_stripe.explain.rules.explanation import Cause, Explanation
from pacspace_stripe.explain.rules.rejections import checked_while
from pacspace_stripe.explain.window_search import Look
from pacspace_stripe.http.client import Transport
from pacspace_stripe.ledger.rules.selection import Selection
from pacspace_stripe.pacspace_api import PacSpaceApi
from pacspace_stripe.store import Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.vocabulary.invoices import EventTimeWindow, Formula, Invoice, MeterStatus
from pacspace_stripe.vocabulary.ledger import LedgerProtocol
from pacspace_stripe.vocabulary.policy import Attribution, Policy
from pacspace_stripe.vocabulary.quantities import subtract

_log = logging.getLogger(__name__)
_NEWEST_OF = {EventTimeWindow.HOUR: timedelta(hours=1), EventTimeWindow.DAY: timedelta(days=1)}
_RUNNING_TOTAL = (
    "Stripe bills the last running total that it was sent, and the ledger adds up its records: send the total again "
    "after the last record, or look for records that are missing"
)
_MOST_PIECES = 3
"""Services that neighbours are asked about: the largest ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explainer:
    """Asks nothing when nothing drifted, writes nowhere, and never raises for a vendor that does not answer."""

    stripe: StripeApi
    ledger: PacSpaceApi
    store: Store
    transport: Transport
    policy: Policy
    now: Callable[[], datetime]

    def explain_all(self, invoice: Invoice, finding: Finding, *, budget: int = 60) -> tuple[Explanation, ...]:
        """Every drifted window of a finding; the budget is for all of them, in equal shares of what is left."""
        drifted = [result for result in finding.windows if _has_drifted(result)]
        left = budget
        found: list[Explanation] = []
        for place, result in enumerate(drifted):
            explanation = self.explain(invoice, result, budget=left // (len(drifted) - place))
            left -= explanation.calls
            rejected = self.store.rejections.while_checked(checked_while(explanation.window))
            found.append(explanation.with_rejections(rejected))
        return tuple(found)

    def explain(self, invoice: Invoice, result: WindowResult, *, budget: int = 60) -> Explanation:
        """Why this window drifted, where exactly, as far as ``budget`` requests tell."""
        window = result.window
        if window is None or result.account is None or result.billed is None or result.recorded is None:
            message = "a window without both figures has not drifted"
            raise ValueError(message)
        told = Explanation(
            account=result.account,
            meter=result.meter,
            window=window,
            billed=result.billed,
            recorded=result.recorded,
            cause=Cause.UNEXPLAINED,
        )
        if self.policy.ledger is LedgerProtocol.SETTLEMENT:
            return replace(told, notes=("the settlement ledger keeps no times: nothing can be located in it",))
        spending = Budget(most=budget)
        with self.transport.counted(spending.count):
            told = self._explained(invoice, told, _selection(self.policy, result), spending)
        return replace(told, calls=spending.spent)

    def _explained(self, invoice: Invoice, told: Explanation, selection: Selection, budget: Budget) -> Explanation:
        place = None
        why = "no line of the invoice has a price of its meter, so Stripe's figure cannot be split by time"
        try:
            place = self._place(invoice, told, selection)
        except RemoteError as error:
            why = str(error)
        except BudgetSpent:
            why = _stopped(budget)
        if place is None:
            return replace(told, notes=(why,))
        if told.meter in self.policy.totals:
            return replace(told, notes=(_RUNNING_TOTAL,))
        if self.stripe.meter(place.meter_id).formula not in (Formula.SUM, Formula.COUNT):
            return replace(told, notes=("the meter's hours do not add up to its figure",))
        return self._looked(invoice, told, place, budget)

    def _place(self, invoice: Invoice, told: Explanation, selection: Selection) -> Place | None:
        meter_id = meters_on(invoice, self.stripe).get(told.meter)
        if meter_id is None:
            return None
        self.stripe.meter(meter_id)
        return Place(
            stripe=self.stripe,
            ledger=self.ledger,
            meter=told.meter,
            meter_id=meter_id,
            customer_id=invoice.customer_id,
            account=told.account,
            selection=selection,
        )

    def _looked(self, invoice: Invoice, told: Explanation, place: Place, budget: Budget) -> Explanation:
        meter = self.stripe.meter(place.meter_id)
        look = Look(
            place=place,
            newest_of=_NEWEST_OF.get(meter.event_time_window),
            window=told.window,
            billed=told.billed,
            slack=self.policy.edge_slack,
            now=self.now(),
            budget=budget,
        )
        if meter.status is MeterStatus.INACTIVE:
            look.notes.append("its meter is inactive: Stripe rejects every event for it")
        try:
            self._read(invoice, told, look)
        except BudgetSpent:
            look.notes.append(_stopped(budget))
        return _concluded(told, look, diagnose(look.situation))

    def _read(self, invoice: Invoice, told: Explanation, look: Look) -> None:
        """As much as it takes."""
        look.read_days()
        look.read_hours()
        found = diagnose(look.situation)
        if found.unsure:
            look.read_edges()
            found = diagnose(look.situation)
        if found.unsure:
            self._read_neighbours(invoice, told, look, found)

    def _read_neighbours(self, invoice: Invoice, told: Explanation, look: Look, found: Diagnosis) -> None:
        drift = subtract(told.billed, told.recorded)
        largest = sorted(found.unsure, key=lambda piece: -piece.bucket.excess.copy_abs())[:_MOST_PIECES]
        with look.noting("other accounts and meters could not be read"):
            for candidate in candidates(
                look.place,
                invoice,
                told.window,
                drift=drift,
                store=self.store,
                policy=self.policy,
                note=look.notes.append,
            ):
                with suppress(Unlisted):
                    look.neighbours.append(candidate.beside(tuple(largest), self.policy.edge_slack))
                if not diagnose(look.situation).unsure:
                    return


def _selection(policy: Policy, result: WindowResult) -> Selection:
    """Return how the window's records were told apart: with auto and nothing selected, acceptance placed them all."""
    selection = Selection.of(policy, result.meter)
    auto = selection.attribution is Attribution.AUTO and selection.takes_all_of_a_time
    return replace(selection, attribution=Attribution.ACCEPTED) if auto and result.selected is None else selection


def _stopped(budget: Budget) -> str:
    return f"stopped after {budget.most} requests"


def _has_drifted(result: WindowResult) -> bool:
    """Whether two figures differ there, of an account and a time."""
    known = None not in (result.window, result.account, result.billed, result.recorded)
    return known and result.reason.verdict is Verdict.DRIFTED


def _concluded(told: Explanation, look: Look, found: Diagnosis) -> Explanation:
    main = found.main
    notes = (*look.notes, *found.notes)
    days = look.figures()
    if main is None:
        silent = () if look.notes else ("both sides have the same figures in every part of the window now",)
        return replace(told, days=days, notes=(*notes, *silent))
    return replace(
        told,
        cause=main.cause,
        located=found.located(told.meter),
        counterpart=main.counterpart,
        factor=main.factor,
        days=days,
        notes=notes,
    )
