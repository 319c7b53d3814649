"""Telling people, once per kind and invoice: one WARNING line, one row of the audit trail, one message per channel.

The message and the memory that it was told are one transaction: a crash neither loses nor doubles it. Who sends it is
``pacspace_stripe.alerts``.
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
    """Alerts carry ids and figures, never secrets. ``channels``: where they are delivered, beside log and audit."""

    store: Store
    channels: tuple[Channel, ...] = ()
    log: logging.Logger = _log

    def tell(self, leased: JobLease, memory: InvoiceState, kind: str, detail: str) -> InvoiceState:
        """Alert once per kind: the memory that knows it was told. Raises LeaseLost: whoever looks now tells it.

        Of one that goes back and forth, only that it was left out is remembered: if it stays so, a later look tells it.
        """
        if kind in memory.alerted:
            return memory
        figures = fingerprint(memory.windows)
        decided = throttled(kind, figures, leased.jobs.now(), self.store.alerts.recent(memory.invoice_id))
        if isinstance(decided, Throttle):
            return self._leave_out(leased, memory, kind, detail)
        alert = self._alert(leased, memory, kind, detail, decided.left_out)
        left_out = tuple(one for one in memory.left_out if one != kind)
        return self._told(leased, replace(memory, alerted=(*memory.alerted, kind), left_out=left_out), alert)

    def recovered(self, leased: JobLease, memory: InvoiceState, kind: str | None = None) -> InvoiceState:
        """Both sides agree again, or a person let it go: told if what was wrong had been told."""
        if memory.verdict is None or not memory.verdict.may_leave:
            return memory
        over = replace(memory, alerted=alerted_after_recovery(memory.alerted), left_out=())
        if not calls_for_recovery(memory.alerted):
            return over
        decided = throttled("recovered", "", leased.jobs.now(), self.store.alerts.recent(memory.invoice_id))
        left_out = 0 if isinstance(decided, Throttle) else decided.left_out
        alert = self._alert(leased, memory, kind or f"recovered:{memory.verdict}", _how(memory), left_out)
        return self._told(leased, over, alert)

    def _leave_out(self, leased: JobLease, memory: InvoiceState, kind: str, detail: str) -> InvoiceState:
        if kind in memory.left_out:
            return memory
        known = replace(memory, left_out=(*memory.left_out, kind))
        alert = self._alert(leased, memory, kind, detail, 0)
        self.log.info("alert=%s invoice=%s left out: it goes back and forth", kind, memory.invoice_id)
        also = self.store.alerts.throttling(alert, fingerprint(memory.windows))
        leased.save(_beside(leased, known), also=also)
        return known

    def _told(self, leased: JobLease, memory: InvoiceState, alert: Alert) -> InvoiceState:
        # Before it is remembered: a crash in between may say it twice here, and never not at all.
        self.log.warning("alert=%s invoice=%s detail=%r", alert.kind, memory.invoice_id, alert.detail)
        # A backfill finds the drifts of years: its report tells them.
        channels = () if memory.past else self.channels
        also = self.store.alerts.sending(alert, fingerprint(memory.windows), channels)
        leased.save(_beside(leased, memory), also=also)
        return memory

    @staticmethod
    def _alert(leased: JobLease, memory: InvoiceState, kind: str, detail: str, left_out: int) -> Alert:
        return Alert(
            alert_id=f"msg_{uuid.uuid4().hex}",
            job_id=memory.invoice_id,
            kind=kind,
            at=leased.jobs.now(),
            customer_id=memory.customer_id,
            subscription_id=memory.subscription_id,
            verdict=memory.verdict,
            reason=memory.reason,
            detail=detail,
            amount=memory.amount,
            windows=memory.windows,
            left_out=left_out,
        )


def _how(memory: InvoiceState) -> str:
    """What ended it."""
    if memory.verdict is Verdict.WAIVED and memory.waiver:
        return f"a person released it: {memory.waiver.reason}"
    return "both sides agree"


def _beside(leased: JobLease, memory: InvoiceState) -> InvoiceState:
    """What was last written down, and what was told since: the rest of the look is not done yet."""
    return replace(leased.saved, alerted=memory.alerted, left_out=memory.left_out)
