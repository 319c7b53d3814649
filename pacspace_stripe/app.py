"""The composition root: settings → the parts."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from random import random as any_fraction

import httpx

from pacspace_stripe.alerts.rules.messages import Place, Why, why_of
from pacspace_stripe.alerts.rules.throttle import Alert, Channel
from pacspace_stripe.alerts.sender import Receiver, Sender, patience
from pacspace_stripe.alerts.worker import AlertWorker
from pacspace_stripe.comparison.comparer import Comparer
from pacspace_stripe.comparison.finding import Findings
from pacspace_stripe.documents.rendering import Documents
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.errors import LeaseBusy, LeaseLost
from pacspace_stripe.events.pacspace_inbox import LedgerInbox
from pacspace_stripe.events.reception import PACSPACE, Reception
from pacspace_stripe.events.reception import STRIPE as STRIPE_WEBHOOKS
from pacspace_stripe.events.stripe_inbox import Inbox
from pacspace_stripe.explain.after_check import Explaining
from pacspace_stripe.explain.explainer import Explainer
from pacspace_stripe.gate.checker import Checker
from pacspace_stripe.gate.early_warning import EarlyWarning
from pacspace_stripe.gate.gate_alerts import Alerts
from pacspace_stripe.gate.rules.result import CheckResult, result_of
from pacspace_stripe.gate.services import Services
from pacspace_stripe.gate.stripe_writes import Rendering
from pacspace_stripe.http.client import Transport
from pacspace_stripe.http.retries import Timeouts
from pacspace_stripe.http.stripe_sdk import STRIPE
from pacspace_stripe.ledger.ledgers import BalanceLedger, Ledger, SettlementLedger
from pacspace_stripe.pacspace_api import PacSpaceApi
from pacspace_stripe.settings import Settings
from pacspace_stripe.store import Enqueue, Job, Kind, Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.sweep import Sweep
from pacspace_stripe.vocabulary.ledger import LedgerProtocol

_AGAIN_AT_ONCE = 5
"""How often one look follows another at once because somebody asked meanwhile."""


def wall_clock() -> datetime:
    """Now, aware UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Every part, wired once. The engine is not among them: only ``serve`` starts one."""

    settings: Settings
    store: Store
    transport: Transport
    stripe: StripeApi
    ledger: PacSpaceApi
    documents: Documents
    checker: Checker
    early_warning: EarlyWarning
    explainer: Explainer
    sweep: Sweep
    now: Callable[[], datetime]

    def look(self, kind: Kind, job_id: str, requested: int) -> None:
        """Look at a job until every wish for a look, this one included, was answered by a later look."""
        for _ in range(_AGAIN_AT_ONCE):
            job = self.store.jobs.find(job_id)
            if job is not None and job.answered >= max(requested, job.requested):
                return
            self._look(kind, job_id)

    def _look(self, kind: Kind, job_id: str) -> None:
        match kind:
            case Kind.INVOICE:
                self.checker.check(job_id)
            case Kind.UPCOMING:
                self.early_warning.check(job_id)
            case Kind.SWEEP:
                self.sweep.run()

    @staticmethod
    def remembered(job: Job) -> CheckResult:
        """What we know of a job, in the shape of a check; ``status`` is its stage with us."""
        memory = job.memory
        return result_of(memory, status=memory.stage.value, next_check_at=job.next_check_at)

    def inbox(self, enqueue: Enqueue) -> Inbox:
        """The receiver behind Stripe's address."""
        return _inbox(self.settings, self.store, enqueue, self.now)

    def ledger_inbox(self) -> LedgerInbox | None:
        """The receiver behind PacSpace's address; None without a secret."""
        secrets = self.settings.pacspace_webhook_secrets
        if secrets is None:
            return None
        return LedgerInbox(
            store=self.store,
            secrets=secrets,
            tolerance=self.settings.event_tolerance,
            ledger=self.settings.ledger,
            now=self.now,
            reception=Reception(store=self.store, sender=PACSPACE, now=self.now),
        )

    def couriers(self) -> tuple[AlertWorker, ...]:
        """Who delivers alerts, one per channel that is set, with connections of their own that the caller closes."""
        settings = self.settings
        place = Place(livemode=settings.livemode, console_url=settings.console_url)
        return tuple(
            AlertWorker(
                store=self.store,
                sender=Sender(
                    transport=Transport(timeouts=patience()), place=place, now=self.now, why=partial(_why, self.store)
                ),
                receiver=receiver,
                now=self.now,
                chance=any_fraction,
            )
            for receiver in _receivers(settings)
        )

    def drain(self) -> int:
        """Look at everything due, without a queue: what ``sweep`` on the command line and tests do."""
        looks = 0
        for job_id, kind in self.store.triggers.due_ids():
            with contextlib.suppress(LeaseBusy, LeaseLost):
                if kind is not Kind.SWEEP:
                    self._look(kind, job_id)
                    looks += 1
        return looks

    def adopt_policy(self) -> bool:
        """Look at every open invoice again when the policy is another one than last time."""
        policy = self.settings.policy.described
        before = self.store.journal.remember_fact("policy", policy)
        if before is None or before == policy:
            return False
        self.store.jobs.wake_all()
        return True

    def close(self) -> None:
        """Close connections."""
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
    """Wire the parts. Opens the database and, unless told otherwise, migrates it."""
    url = settings.database_url.get_secret_value()
    store = Store(url, now=now, lost_after=settings.lease + timedelta(seconds=5))
    if migrate:
        store.migrate()
    transport = _transport(settings, store, now, httpx_transport, sleep)
    stripe = StripeApi(transport, settings.stripe_api_key.get_secret_value(), settings.stripe_api_base_url)
    ledger = PacSpaceApi(transport, settings.pacspace_api_key.get_secret_value(), settings.pacspace_api_base_url)
    documents = Documents(Templates(settings.templates, fonts=settings.fonts))
    channels = tuple(receiver.channel for receiver in _receivers(settings))
    policy, alerts = settings.policy, Alerts(store=store, channels=channels)
    compared = _ledger(settings, ledger, stripe, now)
    comparer = Comparer(stripe=stripe, ledger=compared, store=store, policy=policy, now=now)
    explainer = Explainer(stripe=stripe, ledger=ledger, store=store, transport=transport, policy=policy, now=now)
    explaining = Explaining(explainer=explainer, store=store)
    parts = Services(
        stripe=stripe,
        comparer=comparer,
        findings=Findings(stripe=stripe, comparer=comparer, policy=policy),
        rendering=Rendering(documents=documents),
        store=store,
        alerts=alerts,
        policy=policy,
        explaining=explaining,
    )
    checker = Checker(parts=parts, transport=transport, lease=settings.lease, now=now)
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
        replay=_inbox(settings, store, None, now).replay,
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


def _inbox(settings: Settings, store: Store, enqueue: Enqueue | None, now: Callable[[], datetime]) -> Inbox:
    return Inbox(
        store=store,
        enqueue=enqueue,
        secrets=settings.stripe_webhook_secrets,
        tolerance=settings.event_tolerance,
        livemode=settings.livemode,
        now=now,
        reception=Reception(store=store, sender=STRIPE_WEBHOOKS, now=now),
    )


def _ledger(settings: Settings, api: PacSpaceApi, stripe: StripeApi, now: Callable[[], datetime]) -> Ledger:
    match settings.ledger:
        case LedgerProtocol.BALANCE:
            return BalanceLedger(api=api, policy=settings.policy, meters_among=stripe.meters_among, now=now)
        case LedgerProtocol.SETTLEMENT:
            return SettlementLedger(api=api)


def _why(store: Store, alert: Alert) -> Why | None:
    stored = store.explanations.find(alert.job_id)
    return why_of(alert, stored.fingerprint, stored.explanations) if stored else None


def _receivers(settings: Settings) -> Iterator[Receiver]:
    if settings.alert_webhook_url:
        secrets = tuple(secret.get_secret_value() for secret in settings.alert_webhook_secrets or ())
        url = settings.alert_webhook_url.get_secret_value()
        yield Receiver(channel=Channel.WEBHOOK, url=url, secrets=secrets)
    if settings.alert_slack_url:
        yield Receiver(channel=Channel.SLACK, url=settings.alert_slack_url.get_secret_value())


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
    # One account's limits are shared by all processes on one database; test and live mode have limits of their own.
    fleets = {STRIPE: store.shares(f"{STRIPE} {'live' if settings.livemode else 'test'}")}
    if sleep is None:
        return Transport(httpx_transport=httpx_transport, limits=limits, fleets=fleets, timeouts=timeouts)
    return Transport(
        httpx_transport=httpx_transport, limits=limits, fleets=fleets, timeouts=timeouts, clock=now, sleep=sleep
    )
