"""The composition root: settings become the parts, wired once. Features take their parts as arguments."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from random import random as any_fraction

import httpx

from pacspace_stripe.alerts.delivery import AlertReceiver, AlertSender, alert_timeouts
from pacspace_stripe.alerts.rules.alert import Alert, Channel
from pacspace_stripe.alerts.rules.messages import AlertLinks, DriftCause, cause_of
from pacspace_stripe.comparison.comparer import Comparer
from pacspace_stripe.comparison.finding import Findings
from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.stamped_pdf import InvoiceStamper
from pacspace_stripe.documents.statement import Statements
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.errors import LeaseBusy, LeaseLost
from pacspace_stripe.evidence.dispute_bundle import DisputeBundles
from pacspace_stripe.explain.explainer import Explainer, ExplanationKeeper
from pacspace_stripe.gate.case import Services
from pacspace_stripe.gate.checker import Checker
from pacspace_stripe.gate.early_warning import EarlyWarning
from pacspace_stripe.gate.gate_alerts import Alerts
from pacspace_stripe.gate.rules.result import CheckResult, result_of
from pacspace_stripe.gate.stripe_writes import Rendering
from pacspace_stripe.http.client import Transport
from pacspace_stripe.http.retries import Timeouts
from pacspace_stripe.ledger.ledgers import BalanceLedger, Ledger, SettlementLedger
from pacspace_stripe.pacspace_api import PacSpace, ReconciliationApi
from pacspace_stripe.settings import Settings
from pacspace_stripe.store import Enqueue, Job, JobKind, Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.stripe_api.calls import STRIPE
from pacspace_stripe.sweep import Sweep
from pacspace_stripe.vocabulary.ledger import LedgerProtocol
from pacspace_stripe.wakeups import Wakeups

_CHECKS_IN_A_ROW = 5
"""Checks that follow one another at once, when each was requested while the one before it ran."""


def wall_clock() -> datetime:
    """Return the current time, aware UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Every part of the product, wired once. The engine is not among them: only ``serve`` starts one."""

    settings: Settings
    store: Store
    transport: Transport
    stripe: StripeApi
    ledger: ReconciliationApi
    documents: Documents
    checker: Checker
    early_warning: EarlyWarning
    explainer: Explainer
    sweep: Sweep
    now: Callable[[], datetime]

    def check(self, kind: JobKind, job_id: str, requested: int) -> None:
        """Check a job until every request, this one included, is answered by a check that began after it."""
        for _ in range(_CHECKS_IN_A_ROW):
            job = self.store.jobs.find(job_id)
            if job is not None and job.answered >= max(requested, job.requested):
                return
            self._check_once(kind, job_id)

    def _check_once(self, kind: JobKind, job_id: str) -> None:
        match kind:
            case JobKind.INVOICE:
                self.checker.check(job_id)
            case JobKind.UPCOMING:
                self.early_warning.check(job_id)
            case JobKind.SWEEP:
                self.sweep.run()

    @staticmethod
    def last_result(job: Job) -> CheckResult:
        """Return the stored state of a job in the shape of a check's result; ``status`` is its stage."""
        memory = job.state
        return result_of(memory, status=memory.stage.value, next_check_at=job.next_check_at)

    @property
    def statements(self) -> Statements:
        """The maker of usage statements."""
        return Statements(
            store=self.store,
            stripe=self.stripe,
            ledger=self.ledger,
            documents=self.documents,
            letterhead=self.settings.letterhead,
        )

    @property
    def dispute_bundles(self) -> DisputeBundles:
        """The maker of dispute bundles."""
        key, address = self.settings.pacspace_api_key.get_secret_value(), self.settings.pacspace_api_base_url
        return DisputeBundles(
            store=self.store,
            stripe=self.stripe,
            pacspace=PacSpace(key, base_url=address, transport=self.transport),
            documents=self.documents,
            statements=self.statements,
            letterhead=self.settings.letterhead,
        )

    @property
    def invoice_stamper(self) -> InvoiceStamper:
        """The stamper of invoices' PDFs."""
        return InvoiceStamper(
            store=self.store,
            stripe=self.stripe,
            transport=self.transport,
            documents=self.documents,
            settings=self.settings,
        )

    def wakeups_through(self, enqueue: Enqueue) -> Wakeups:
        """Return what takes events, with a queue for immediate checks."""
        return replace(self.sweep.wakeups, enqueue=enqueue)

    def alert_senders(self) -> tuple[AlertSender, ...]:
        """Return one sender per alert channel that is set. Each has connections of its own, which the caller closes."""
        settings = self.settings
        links = AlertLinks(livemode=settings.livemode, console_url=settings.console_url)
        return tuple(
            AlertSender(
                store=self.store,
                transport=Transport(timeouts=alert_timeouts()),
                receiver=receiver,
                links=links,
                now=self.now,
                chance=any_fraction,
                cause=partial(_drift_cause, self.store),
            )
            for receiver in _receivers(settings)
        )

    def drain(self) -> int:
        """Check every due job without a queue, as the command ``sweep`` and tests do; return how many were checked."""
        checks = 0
        for job_id, kind in self.store.triggers.due_ids():
            with contextlib.suppress(LeaseBusy, LeaseLost):
                if kind is not JobKind.SWEEP:
                    self._check_once(kind, job_id)
                    checks += 1
        return checks

    def adopt_policy(self) -> bool:
        """Check every open invoice again if the policy differs from the last one; return whether it does."""
        policy = self.settings.policy.described
        before = self.store.journal.remember_fact("policy", policy)
        if before is None or before == policy:
            return False
        self.store.jobs.wake_all()
        return True

    def close(self) -> None:
        """Close the connections to both vendors and the database."""
        self.transport.close()
        self.store.close()


def build(
    settings: Settings,
    *,
    now: Callable[[], datetime] = wall_clock,
    httpx_transport: httpx.BaseTransport | None = None,
    sleep: Callable[[float], object] | None = None,
    migrate: bool = True,
) -> App:
    """Wire the parts. Open the database and, unless ``migrate`` is false, migrate it."""
    url = settings.database_url.get_secret_value()
    store = Store(url, now=now, lost_after=settings.lease + timedelta(seconds=5))
    if migrate:
        store.migrate()
    transport = _transport(settings, store, now, httpx_transport, sleep)
    stripe = StripeApi(transport, settings.stripe_api_key.get_secret_value(), settings.stripe_api_base_url)
    key, address = settings.pacspace_api_key.get_secret_value(), settings.pacspace_api_base_url
    ledger = PacSpace(key, base_url=address, transport=transport).reconciliation
    documents = Documents(Templates(settings.templates, fonts=settings.fonts))
    channels = tuple(receiver.channel for receiver in _receivers(settings))
    policy, alerts = settings.policy, Alerts(store=store, channels=channels)
    compared = _ledger(settings, ledger, stripe, now)
    comparer = Comparer(stripe=stripe, ledger=compared, store=store, policy=policy, now=now)
    explainer = Explainer(stripe=stripe, ledger=ledger, store=store, transport=transport, policy=policy, now=now)
    explaining = ExplanationKeeper(explain=explainer.explain_all, store=store)
    services = Services(
        stripe=stripe,
        comparer=comparer,
        findings=Findings(stripe=stripe, comparer=comparer, policy=policy),
        rendering=Rendering(documents=documents),
        store=store,
        alerts=alerts,
        policy=policy,
        explaining=explaining,
    )
    checker = Checker(services=services, transport=transport, lease=settings.lease, now=now)
    early_warning = EarlyWarning(
        stripe=stripe,
        comparer=comparer,
        store=store,
        alerts=alerts,
        transport=transport,
        policy=policy,
        lease=settings.lease,
        now=now,
        explaining=explaining,
    )
    sweep = Sweep(
        stripe=stripe,
        store=store,
        wakeups=Wakeups(store=store, livemode=settings.livemode, ledger=settings.ledger),
        interval=settings.sweep,
        warning=settings.warning if comparer.ledger.has_windows else timedelta(0),
        lease=settings.lease,
        now=now,
    )
    return App(
        settings=settings,
        store=store,
        transport=transport,
        stripe=stripe,
        ledger=ledger,
        documents=documents,
        checker=checker,
        early_warning=early_warning,
        explainer=explainer,
        sweep=sweep,
        now=now,
    )


def _ledger(settings: Settings, api: ReconciliationApi, stripe: StripeApi, now: Callable[[], datetime]) -> Ledger:
    match settings.ledger:
        case LedgerProtocol.BALANCE:
            return BalanceLedger(api=api, policy=settings.policy, meters_among=stripe.meters_among, now=now)
        case LedgerProtocol.SETTLEMENT:
            return SettlementLedger(api=api)


def _drift_cause(store: Store, alert: Alert) -> DriftCause | None:
    stored = store.explanations.find(alert.job_id)
    return cause_of(alert, stored.fingerprint, stored.explanations) if stored else None


def _receivers(settings: Settings) -> Iterator[AlertReceiver]:
    if settings.alert_webhook_url:
        secrets = tuple(secret.get_secret_value() for secret in settings.alert_webhook_secrets or ())
        url = settings.alert_webhook_url.get_secret_value()
        yield AlertReceiver(channel=Channel.WEBHOOK, url=url, secrets=secrets)
    if settings.alert_slack_url:
        yield AlertReceiver(channel=Channel.SLACK, url=settings.alert_slack_url.get_secret_value())


def _transport(
    settings: Settings,
    store: Store,
    now: Callable[[], datetime],
    httpx_transport: httpx.BaseTransport | None,
    sleep: Callable[[float], object] | None,
) -> Transport:
    total = min(20.0, settings.lease.total_seconds() * 2 / 3)
    timeouts = Timeouts(connect=min(3.0, total / 3), read=min(8.0, total / 2), total=total)
    limits = {STRIPE: settings.request_rate}
    # All processes on one database share one account's limits; Stripe limits test and live mode separately.
    fleets = {STRIPE: store.rate_shares(f"{STRIPE} {'live' if settings.livemode else 'test'}")}
    if sleep is None:
        return Transport(httpx_transport=httpx_transport, limits=limits, fleets=fleets, timeouts=timeouts)
    return Transport(
        httpx_transport=httpx_transport, limits=limits, fleets=fleets, timeouts=timeouts, clock=now, sleep=sleep
    )
