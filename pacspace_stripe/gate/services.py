"""What a look at an invoice is made with, and what comes out of it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from pacspace_stripe.comparison.comparer import Comparer
from pacspace_stripe.comparison.finding import Findings
from pacspace_stripe.explain.explainer import ExplanationKeeper
from pacspace_stripe.gate.gate_alerts import Alerts
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.gate.stripe_writes import Rendering
from pacspace_stripe.store import Coverage, Store
from pacspace_stripe.stripe_api import RecordingStripe, StripeApi
from pacspace_stripe.vocabulary.invoices import Invoice
from pacspace_stripe.vocabulary.policy import Policy

_log = logging.getLogger("pacspace_stripe.checks")
_UNHEARD = logging.Logger("preview")  # noqa: LOG001 - no handler is to hear of steps that nobody takes
_UNHEARD.disabled = True


@dataclass(frozen=True, slots=True)
class Looked:
    """Where one pass through the story ended."""

    memory: InvoiceState
    status: str
    next_check_at: datetime | None
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the story is told with."""

    stripe: StripeApi
    comparer: Comparer
    findings: Findings
    rendering: Rendering
    store: Store
    alerts: Alerts
    policy: Policy
    explaining: ExplanationKeeper | None
    """None in a preview: it explains nothing."""
    log: logging.Logger = _log

    def recording(self, now: Callable[[], datetime], *, read: Invoice | None, beside: Coverage | None) -> "Services":
        """Return the parts of one preview, with which the whole story runs and changes nothing.

        Everything that a check changes goes through Stripe, the store and the ledger. Each of them records what it
        would write, and reads it again as if it were written. ``read`` is the invoice as Stripe has it now; ``beside``
        keeps the claims of a dry run over many.
        """
        stripe, store = RecordingStripe(self.stripe, now=now, read=read), self.store.recording(beside=beside)
        comparer = replace(self.comparer, stripe=stripe, store=store, ledger=self.comparer.ledger.read_only())
        return replace(
            self,
            stripe=stripe,
            store=store,
            comparer=comparer,
            findings=replace(self.findings, stripe=stripe, comparer=comparer),
            alerts=replace(self.alerts, store=store, log=_UNHEARD),
            explaining=None,
            log=_UNHEARD,
        )
