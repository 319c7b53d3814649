"""Adapters and policy that a check works with."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from pacspace_stripe.comparison.comparer import Comparer
from pacspace_stripe.comparison.finding import Findings
from pacspace_stripe.explain.explainer import ExplanationKeeper
from pacspace_stripe.gate.gate_alerts import Alerts
from pacspace_stripe.gate.stripe_writes import Rendering
from pacspace_stripe.store import Coverage, Store
from pacspace_stripe.stripe_api import PreviewStripe, StripeApi
from pacspace_stripe.vocabulary.invoices import Invoice
from pacspace_stripe.vocabulary.policy import Policy

_log = logging.getLogger("pacspace_stripe.checks")
_SILENT = logging.Logger("preview")  # noqa: LOG001 - a preview takes no step, so no handler may log one
_SILENT.disabled = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Stripe, the ledger, the store, the alerts and the policy, as one check or one preview uses them."""

    stripe: StripeApi
    comparer: Comparer
    findings: Findings
    rendering: Rendering
    store: Store
    alerts: Alerts
    policy: Policy
    explaining: ExplanationKeeper | None
    """None in a preview, which explains nothing."""
    log: logging.Logger = _log

    def recording(self, now: Callable[[], datetime], *, read: Invoice | None, beside: Coverage | None) -> "Services":
        """Return the services of one preview, with which a whole check runs and changes nothing.

        A check changes things through Stripe, the store and the ledger only. Each of them records here what it would
        write, and reads it back as if it were written. ``read`` is the invoice as Stripe has it now; ``beside`` keeps
        the coverage of a dry run over many invoices.
        """
        stripe, store = PreviewStripe(self.stripe, now=now, read=read), self.store.preview(beside=beside)
        comparer = replace(self.comparer, stripe=stripe, store=store, ledger=self.comparer.ledger.read_only())
        return replace(
            self,
            stripe=stripe,
            store=store,
            comparer=comparer,
            findings=replace(self.findings, stripe=stripe, comparer=comparer),
            alerts=replace(self.alerts, store=store, log=_SILENT),
            explaining=None,
            log=_SILENT,
        )
