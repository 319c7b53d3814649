"""The explainer: finds where and why both sides of a drifted window differ, within a budget of requests."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pacspace_stripe.comparison.rules.verdicts import Finding, Verdict, WindowResult
from pacspace_stripe.errors import LeaseLost, RemoteError
from pacspace_stripe.explain.meter_account import BillingScope, MeterAccount, RecordsNotListed
from pacspace_stripe.explain.neighbours import NeighbourSearch
from pacspace_stripe.explain.rules.drift_location.diagnosis import Diagnosis, diagnose
from pacspace_stripe.explain.rules.explanation import Cause, Explanation, fingerprint
from pacspace_stripe.explain.rules.rejections import checked_while
from pacspace_stripe.explain.window_search import BudgetSpent, RequestBudget, WindowSearch
from pacspace_stripe.gate.rules.result import shown_windows
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.http.client import Transport
from pacspace_stripe.http.ratelimit.priority import background
from pacspace_stripe.ledger.rules.selection import Selection
from pacspace_stripe.pacspace_api import ReconciliationApi
from pacspace_stripe.store import JobLease, Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.vocabulary.invoices import EventTimeWindow, Formula, MeterStatus
from pacspace_stripe.vocabulary.ledger import LedgerProtocol
from pacspace_stripe.vocabulary.policy import Attribution, Policy
from pacspace_stripe.vocabulary.quantities import subtract

_log = logging.getLogger(__name__)
_NEWEST_OF = {EventTimeWindow.HOUR: timedelta(hours=1), EventTimeWindow.DAY: timedelta(days=1)}
_RUNNING_TOTAL = (
    "Stripe bills the last running total that it was sent, and the ledger adds up its records: send the total again "
    "after the last record, or look for records that are missing"
)
_MOST_FAULTS_BESIDE = 3
"""Faults that neighbours are asked about: the largest ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explainer:
    """Explainer of drifts. It only reads; a vendor that does not answer leads to a note, never to an error."""

    stripe: StripeApi
    ledger: ReconciliationApi
    store: Store
    transport: Transport
    policy: Policy
    now: Callable[[], datetime]

    def explain_all(self, scope: BillingScope, finding: Finding, *, budget: int = 60) -> tuple[Explanation, ...]:
        """Explain every drifted window of a finding; they share the budget of requests equally."""
        drifted = [result for result in finding.windows if _has_drifted(result)]
        left = budget
        explanations: list[Explanation] = []
        for place, result in enumerate(drifted):
            explanation = self.explain(scope, result, budget=left // (len(drifted) - place))
            left -= explanation.calls
            rejected = self.store.rejections.while_checked(checked_while(explanation.window))
            explanations.append(explanation.with_rejections(rejected))
        return tuple(explanations)

    def explain(self, scope: BillingScope, result: WindowResult, *, budget: int = 60) -> Explanation:
        """Explain one drifted window with at most ``budget`` requests.

        1. Find the meter behind the drift. A settlement ledger keeps no times, and a running total or another formula
           than a sum does not add up: nothing can be located there.
        2. Read both sides by day, then by hour where days differ.
        3. If a cause is not sure yet, read what lies beyond the window's edges, then other accounts and meters.
        4. Name the main cause, with the places and records that make the difference.
        """
        window = result.window
        if window is None or result.account is None or result.billed is None or result.recorded is None:
            message = "a window without both figures has not drifted"
            raise ValueError(message)
        unexplained = Explanation(
            account=result.account,
            meter=result.meter,
            window=window,
            billed=result.billed,
            recorded=result.recorded,
            cause=Cause.UNEXPLAINED,
        )
        if self.policy.ledger is LedgerProtocol.SETTLEMENT:
            return replace(unexplained, notes=("the settlement ledger keeps no times: nothing can be located in it",))
        requests = RequestBudget(most=budget)
        with self.transport.counted(requests.count):
            explanation = self._explained(scope, unexplained, self._selection_of(result), requests)
        return replace(explanation, calls=requests.spent)

    def _selection_of(self, result: WindowResult) -> Selection:
        """Return how the comparison chose the window's records."""
        selection = Selection.of(self.policy, result.meter)
        if selection.attribution is Attribution.AUTO and selection.takes_all_of_a_time and result.selected is None:
            # Automatic attribution that left nothing out was attribution by acceptance.
            return replace(selection, attribution=Attribution.ACCEPTED)
        return selection

    def _explained(
        self, scope: BillingScope, unexplained: Explanation, selection: Selection, requests: RequestBudget
    ) -> Explanation:
        # 1. The meter.
        spent = f"stopped after {requests.most} requests"
        try:
            meter_id = scope.meter_ids(self.stripe).get(unexplained.meter)
            meter = self.stripe.meter(meter_id) if meter_id is not None else None
        except RemoteError as error:
            return replace(unexplained, notes=(str(error),))
        except BudgetSpent:
            return replace(unexplained, notes=(spent,))
        if meter_id is None or meter is None:
            why = "no line of the invoice has a price of its meter, so Stripe's figure cannot be split by time"
            return replace(unexplained, notes=(why,))
        if unexplained.meter in self.policy.totals:
            return replace(unexplained, notes=(_RUNNING_TOTAL,))
        if meter.formula not in (Formula.SUM, Formula.COUNT):
            return replace(unexplained, notes=("the meter's hours do not add up to its figure",))
        search = WindowSearch(
            meter_account=MeterAccount(
                stripe=self.stripe,
                ledger=self.ledger,
                meter=unexplained.meter,
                meter_id=meter_id,
                customer_id=scope.customer_id,
                account=unexplained.account,
                selection=selection,
            ),
            window=unexplained.window,
            billed=unexplained.billed,
            slack=self.policy.edge_slack,
            now=self.now(),
            budget=requests,
            newest_of=_NEWEST_OF.get(meter.event_time_window),
        )
        if meter.status is MeterStatus.INACTIVE:
            search.notes.append("its meter is inactive: Stripe rejects every event for it")
        try:
            # 2. Days and hours.
            search.read_days()
            search.read_hours()
            # 3. Beyond the window, as long as that may still correct a cause.
            if diagnose(search.figures).unsure:
                search.read_edges()
            if diagnose(search.figures).unsure:
                self._read_neighbours(scope, unexplained, search)
        except BudgetSpent:
            search.notes.append(spent)
        # 4. The main cause.
        return _concluded(unexplained, search, diagnose(search.figures))

    def _read_neighbours(self, scope: BillingScope, unexplained: Explanation, search: WindowSearch) -> None:
        unsure = diagnose(search.figures).unsure
        largest = sorted(unsure, key=lambda fault: -fault.part.excess.copy_abs())[:_MOST_FAULTS_BESIDE]
        neighbours = NeighbourSearch(
            ours=search.meter_account,
            scope=scope,
            window=unexplained.window,
            drift=subtract(unexplained.billed, unexplained.recorded),
            store=self.store,
            policy=self.policy,
            note=search.notes.append,
        )
        with search.noting("other accounts and meters could not be read"):
            for candidate in neighbours.candidates():
                with suppress(RecordsNotListed):
                    search.neighbours.append(candidate.read(tuple(largest), self.policy.edge_slack))
                if not diagnose(search.figures).unsure:
                    return


def _concluded(unexplained: Explanation, search: WindowSearch, found: Diagnosis) -> Explanation:
    main, notes = found.main, (*search.notes, *found.notes)
    if main is None:
        if not search.notes:
            notes = (*notes, "both sides have the same figures in every part of the window now")
        return replace(unexplained, days=search.day_figures, notes=notes)
    return replace(
        unexplained,
        cause=main.cause,
        located=found.located(unexplained.meter),
        counterpart=main.counterpart,
        factor=main.factor,
        days=search.day_figures,
        notes=notes,
    )


def _has_drifted(result: WindowResult) -> bool:
    known = None not in (result.window, result.account, result.billed, result.recorded)
    return known and result.reason.verdict is Verdict.DRIFTED


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplanationKeeper:
    """Keeper of explanations: each drift is explained once, under the lease of the check that found it, and stored."""

    explain: Callable[[BillingScope, Finding], tuple[Explanation, ...]]
    store: Store

    def explain_once(self, leased: JobLease, state: InvoiceState, scope: BillingScope, finding: Finding) -> None:
        """Explain a drift unless these very figures were explained before. Raises LeaseLost, nothing else."""
        drifted = any(result.reason.verdict is Verdict.DRIFTED for result in finding.windows)
        if finding.verdict is not Verdict.DRIFTED or not drifted:
            return
        try:
            explained = fingerprint(shown_windows(finding))
            if self.store.explanations.fingerprint_of(scope.job_id) == explained:
                return
            # The state first: explaining takes time, and a crash must not repeat the alert that it notes as sent.
            leased.save(state)
            with background():
                explanations = self.explain(scope, finding)
            leased.guard()
            self.store.explanations.put(scope.job_id, explained, explanations)
        except LeaseLost:
            raise
        except Exception:  # noqa: BLE001 - what only explains must not change what was decided
            _log.exception("invoice=%s its drift was not explained", scope.job_id)
