"""Alerts of the gate, once per kind and invoice: one WARNING line, one row of the audit log, one message per channel.

The message and the state that remembers it are one transaction: a crash neither loses nor doubles it. The messages are
sent by ``pacspace_stripe.alerts``.
"""

import logging
import uuid
from dataclasses import dataclass, replace

from pacspace_stripe.alerts.rules.alert import (
    Alert,
    Channel,
    Throttle,
    alerted_after_recovery,
    calls_for_recovery,
    fingerprint,
    throttled,
)
from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.store import JobLease, Store

_log = logging.getLogger("pacspace_stripe.alerts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """Alerts about invoices, with ids and figures, never secrets. ``channels`` get them beside log and audit log."""

    store: Store
    channels: tuple[Channel, ...] = ()
    log: logging.Logger = _log

    def give(self, leased: JobLease, state: InvoiceState, kind: str, detail: str) -> InvoiceState:
        """Give an alert once per kind, and return the state that remembers it.

        If the invoice is flapping, the state only remembers that the alert was left out: a later check gives it if the
        problem stays. Raises LeaseLost: the process that has the lease now gives the alert.
        """
        if kind in state.alerted:
            return state
        figures = fingerprint(state.windows)
        decided = throttled(kind, figures, leased.jobs.now(), self.store.alerts.recent(state.invoice_id))
        if isinstance(decided, Throttle):
            return self._leave_out(leased, state, kind, detail)
        alert = self._alert(leased, state, kind, detail, decided.left_out)
        left_out = tuple(one for one in state.left_out if one != kind)
        return self._saved(leased, replace(state, alerted=(*state.alerted, kind), left_out=left_out), alert)

    def recovered(self, leased: JobLease, state: InvoiceState, kind: str | None = None) -> InvoiceState:
        """Report a recovery after an alert, once both sides agree again or a person released the invoice."""
        if state.verdict is None or not state.verdict.may_leave:
            return state
        clear = replace(state, alerted=alerted_after_recovery(state.alerted), left_out=())
        if not calls_for_recovery(state.alerted):
            return clear
        decided = throttled("recovered", "", leased.jobs.now(), self.store.alerts.recent(state.invoice_id))
        left_out = 0 if isinstance(decided, Throttle) else decided.left_out
        alert = self._alert(leased, state, kind or f"recovered:{state.verdict}", _recovery(state), left_out)
        return self._saved(leased, clear, alert)

    def _leave_out(self, leased: JobLease, state: InvoiceState, kind: str, detail: str) -> InvoiceState:
        if kind in state.left_out:
            return state
        known = replace(state, left_out=(*state.left_out, kind))
        alert = self._alert(leased, state, kind, detail, 0)
        self.log.info("alert=%s invoice=%s left out: it is flapping", kind, state.invoice_id)
        also = self.store.alerts.throttling(alert, fingerprint(state.windows))
        leased.save(_with_alerts(leased, known), also=also)
        return known

    def _saved(self, leased: JobLease, state: InvoiceState, alert: Alert) -> InvoiceState:
        # Logged before it is saved: a crash in between may log it twice, and never loses it.
        self.log.warning("alert=%s invoice=%s detail=%r", alert.kind, state.invoice_id, alert.detail)
        # A backfill may find the drifts of years: its report shows them, and no channel gets them.
        channels = () if state.past else self.channels
        also = self.store.alerts.sending(alert, fingerprint(state.windows), channels)
        leased.save(_with_alerts(leased, state), also=also)
        return state

    @staticmethod
    def _alert(leased: JobLease, state: InvoiceState, kind: str, detail: str, left_out: int) -> Alert:
        return Alert(
            alert_id=f"msg_{uuid.uuid4().hex}",
            job_id=state.invoice_id,
            kind=kind,
            at=leased.jobs.now(),
            customer_id=state.customer_id,
            subscription_id=state.subscription_id,
            verdict=state.verdict,
            reason=state.reason,
            detail=detail,
            amount=state.amount,
            windows=state.windows,
            left_out=left_out,
        )


def _recovery(state: InvoiceState) -> str:
    """Return what ended the problem."""
    if state.verdict is Verdict.WAIVED and state.waiver:
        return f"a person released it: {state.waiver.reason}"
    return "both sides agree"


def _with_alerts(leased: JobLease, state: InvoiceState) -> InvoiceState:
    """Return the state that was last saved, with the alerts given since: the rest of the check is not done yet."""
    return replace(leased.saved, alerted=state.alerted, left_out=state.left_out)
