"""The report: all metered invoices with their figures, what follows from them, and the checklist before enforcing."""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.explain.rules.explanation import has_drifted
from pacspace_stripe.explain.rules.rejections import Rejection
from pacspace_stripe.report.rules.checklist import ChecklistInput, CheckPoint, checklist
from pacspace_stripe.report.rules.lines import InvoiceLine, TrendMonth, held_lines, trend, verdict_counts
from pacspace_stripe.settings import Settings
from pacspace_stripe.store import Store
from pacspace_stripe.sweep import REJECTIONS_REFUSED
from pacspace_stripe.vocabulary.money import Money, totals
from pacspace_stripe.vocabulary.policy import Mode, Policy
from pacspace_stripe.vocabulary.webhooks import (
    PACSPACE_SENDER,
    STRIPE_SENDER,
    RefusedWebhooks,
    ignored_fact,
    refused_fact,
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Invoices by customer, and what follows from them. Times are aware UTC."""

    made_at: datetime
    since: datetime | None
    policy: Policy
    lines: tuple[InvoiceLine, ...]
    checklist: tuple[CheckPoint, ...]
    rejections: tuple[Rejection, ...] = ()
    """Meter events that Stripe accepted and rejected later."""

    @property
    def observing(self) -> bool:
        return self.policy.mode is Mode.OBSERVE

    @cached_property
    def held(self) -> tuple[InvoiceLine, ...]:
        """Return the invoices that were, or would have been, held, the longest wait first."""
        held = held_lines(self.lines)
        return tuple(sorted(held, key=lambda line: (line.kept.since if line.kept else self.made_at, line.invoice_id)))

    @property
    def at_stake(self) -> tuple[Money, ...]:
        """Return the amounts due of the held invoices, per currency."""
        return totals(line.money for line in self.held)

    @property
    def asked_for(self) -> tuple[Money, ...]:
        """Return the amounts due of all invoices, per currency."""
        return totals(line.money for line in self.lines)

    @cached_property
    def verdicts(self) -> dict[Verdict, int]:
        return verdict_counts(self.lines)

    @property
    def waiting(self) -> int:
        """Return the number of invoices that were not compared yet."""
        return sum(line.state.verdict is None for line in self.lines)

    @cached_property
    def trend(self) -> tuple[TrendMonth, ...]:
        return trend(self.lines)


def make_report(store: Store, settings: Settings, *, now: datetime, since: datetime | None = None) -> Report:
    """Return the report, made from the database alone: neither vendor is asked. Raises StoreUnavailable."""
    policy = settings.policy
    every = (InvoiceLine(state=state, policy=policy) for state in store.jobs.metered(since=since))
    lines = _explained(store, tuple(line for line in every if line.belongs(since)))
    given = ChecklistInput(
        policy=policy,
        lines=lines,
        blocks=tuple(store.jobs.blocks()),
        events=store.journal.events_received(),
        ledger_webhook=bool(settings.pacspace_webhook_secrets),
        database_is_a_file=settings.database_url.get_secret_value().startswith("sqlite"),
        refused=_refused(store),
        ignored=tuple(json.loads(store.journal.fact(ignored_fact(STRIPE_SENDER)) or "[]")),
        unreadable=store.journal.count("unreadable_event", "-"),
        rejections_refused=store.journal.fact(REJECTIONS_REFUSED),
    )
    rejections = store.rejections.since(since)
    return Report(
        made_at=now, since=since, policy=policy, lines=lines, checklist=tuple(checklist(given)), rejections=rejections
    )


def _refused(store: Store) -> tuple[RefusedWebhooks, ...]:
    senders = (STRIPE_SENDER, PACSPACE_SENDER)
    found = (RefusedWebhooks.parse(sender, store.journal.fact(refused_fact(sender))) for sender in senders)
    return tuple(refused for refused in found if refused is not None)


def _explained(store: Store, lines: tuple[InvoiceLine, ...]) -> tuple[InvoiceLine, ...]:
    """Return the lines with the explanations of their drifts."""
    known = store.explanations.of(line.invoice_id for line in lines if any(map(has_drifted, line.state.windows)))
    return tuple(
        replace(line, explanations=known[line.invoice_id].explanations) if line.invoice_id in known else line
        for line in lines
    )
