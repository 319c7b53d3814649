"""The composition root: settings → the parts."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from pacspace_stripe.checks import (
    Alerts,
    BalanceLedger,
    Checker,
    CheckResult,
    Comparer,
    EarlyWarning,
    Judge,
    Ledger,
    Parts,
    Rendering,
    SettlementLedger,
    result_of,
)
from pacspace_stripe.documents import Documents, Templates
from pacspace_stripe.domain.ledger import LedgerProtocol
from pacspace_stripe.errors import LeaseBusy, LeaseLost
from pacspace_stripe.inbox import Inbox
from pacspace_stripe.ledger_inbox import LedgerInbox
from pacspace_stripe.pacspace_api import PacSpaceApi
from pacspace_stripe.settings import Settings
from pacspace_stripe.store import Enqueue, Kind, Store, Subject
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.sweeps import Sweep
from pacspace_stripe.transport import Timeouts, Transport
from pacspace_stripe.transport.stripe_sdk import STRIPE

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
    sweep: Sweep
    now: Callable[[], datetime]

    def look(self, kind: Kind, subject_id: str, wanted: int) -> None:
        """Look at a subject until every wish for a look, this one included, was answered by a later look."""
        for _ in range(_AGAIN_AT_ONCE):
            subject = self.store.subjects.find(subject_id)
            if subject is not None and subject.checked >= max(wanted, subject.wanted):
                return
            self._look(kind, subject_id)

    def _look(self, kind: Kind, subject_id: str) -> None:
        match kind:
            case Kind.INVOICE:
                self.checker.check(subject_id)
            case Kind.UPCOMING:
                self.early_warning.check(subject_id)
            case Kind.SWEEP:
                self.sweep.run()

    @staticmethod
    def remembered(subject: Subject) -> CheckResult:
        """What we know of a subject, in the shape of a check; ``status`` is its stage with us."""
        memory = subject.memory
        return result_of(memory, status=memory.stage.value, next_check_at=subject.next_check_at)

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
        )

    def drain(self) -> int:
        """Look at everything due, without a queue: what ``sweep`` on the command line and tests do."""
        looks = 0
        for subject_id, kind in self.store.triggers.due_ids():
            with contextlib.suppress(LeaseBusy, LeaseLost):
                if kind is not Kind.SWEEP:
                    self._look(kind, subject_id)
                    looks += 1
        return looks

    def adopt_policy(self) -> bool:
        """Look at every open invoice again when the policy is another one than last time."""
        policy = self.settings.policy.described
        before = self.store.journal.remember_fact("policy", policy)
        if before is None or before == policy:
            return False
        self.store.subjects.wake_all()
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
    sleep: Callable[[float], None] | None = None,
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
    policy, alerts = settings.policy, Alerts(store=store)
    comparer = Comparer(stripe=stripe, ledger=_ledger(settings, ledger), store=store, policy=policy)
    parts = Parts(
        stripe=stripe,
        comparer=comparer,
        judge=Judge(stripe=stripe, comparer=comparer, policy=policy),
        rendering=Rendering(documents=documents),
        store=store,
        alerts=alerts,
        policy=policy,
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
    )


def _ledger(settings: Settings, api: PacSpaceApi) -> Ledger:
    match settings.ledger:
        case LedgerProtocol.BALANCE:
            return BalanceLedger(api=api, usage_sign=settings.policy.usage_sign)
        case LedgerProtocol.SETTLEMENT:
            return SettlementLedger(api=api)


def _transport(
    settings: Settings,
    store: Store,
    now: Callable[[], datetime],
    httpx_transport: httpx.BaseTransport | None,
    sleep: Callable[[float], None] | None,
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
