"""Player of a plan: the world, the acts of people and vendors in it, and the diary that is kept."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import assert_never

import httpx
import sqlalchemy as sa

from pacspace_stripe.app import App
from pacspace_stripe.errors import LeaseBusy, PacspaceStripeError
from pacspace_stripe.gate.rules.result import CheckResult
from pacspace_stripe.gate.rules.state import Waiver
from pacspace_stripe.simulator.pacspace.ledger import Draft
from pacspace_stripe.simulator.pacspace.scopes import ScopeWindow
from pacspace_stripe.simulator.stripe import lifecycle
from pacspace_stripe.simulator.stripe.invoice_endpoints import show
from pacspace_stripe.simulator.stripe.world import StoredInvoice
from pacspace_stripe.store import JobKind
from tests.support.generated.plans import Act, Crash, Other, Outage, Person, Plan, Restart, Stall, Subscription, Usage
from tests.support.generated.worlds import COUNTED, LEVEL, TIERED
from tests.support.worlds import START, STRIPE_PORT, World
from webhooks.inboxes import open_inboxes

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LADDER_END = timedelta(hours=4)
"""Last step of every plan's retry ladder."""
ANY = "any meter"
"""Attribution where each ledger account has one meter, so that its records need not name it."""
Key = tuple[str, datetime, datetime]
"""Meter and window."""
Figures = dict[Key, Decimal]


class Died(BaseException):
    """Death of the process: nothing catches it, and nothing is cleaned up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Both sides of one invoice at a moment, from the simulators' own state."""

    at: datetime
    status: str
    auto_advance: bool
    finalizes_at: datetime | None
    metadata: dict[str, str]
    billed: Figures
    metered: Figures
    """Totals of its meters."""
    recorded: Figures
    answered: Figures
    """Balance that the ledger gives: the recorded usage, unless it counts in doubles."""
    counts: dict[Key, int]
    unsettled: bool
    """True when its ledger accounts have unverified records or gaps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request of ours, and the invoice as it was before and after."""

    at: datetime
    method: str
    path: str
    body: str
    mode: str
    invoice: str | None
    before: Truth | None
    """None also for reads, which change nothing."""
    after: Truth | None

    @property
    def writes(self) -> bool:
        return self.method != "GET" and not self.path.endswith("/compare")

    @property
    def finalizes(self) -> bool:
        return self.path.endswith("/finalize")

    @property
    def holds(self) -> bool:
        return self.writes and not self.finalizes and "auto_advance=false" in self.body

    @property
    def releases(self) -> bool:
        """Return whether the act let a stopped invoice go."""
        return bool(self.before and self.after and not self.before.auto_advance and self.after.auto_advance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """Act of a person, and the change of ``auto_advance`` by it."""

    at: datetime
    does: str
    status: str
    before: bool
    after: bool


@dataclass
class Player(World):
    """A world that follows a plan and keeps a diary."""

    plan: Plan = field(default_factory=lambda: Plan(seed=0))

    def __post_init__(self) -> None:
        self.seed, self.validated = self.plan.seed, False
        self.settings = {f"PACSPACE_STRIPE_{name.upper()}": value for name, value in self.plan.settings}
        self.diary: list[Request] = []
        self.waived: dict[str, list[dict[Key, tuple[Decimal, Decimal]]]] = {}
        """By invoice and waiver: figures of the lines then, and totals of their meters."""
        self.own_footer: dict[str, str] = {}
        self.own_metadata: dict[str, dict[str, str]] = {}
        self.touched: dict[str, list[Touch]] = {}
        """Acts of people on each invoice."""
        self.crashes: list[Crash] = []
        self.stalls: list[tuple[int, Stall]] = []
        self.ambushes: list[tuple[int, Person]] = []
        self.outages: list[Outage] = []
        self.down_until: datetime | None = None
        self.at_work = False
        self.deaths = 0
        self.subscription_ids: list[str] = []
        self.corrected: set[int] = set()
        """Subscriptions whose mistyped ledger account was put right."""
        super().__post_init__()
        self.stripe.configure(**dict(self.plan.stripe))
        self.ledger.configure(**dict(self.plan.ledger), fast_roots=True)
        self._meet()
        delivery = self.plan.delivery
        lost = [delivery.lost] if delivery.lost else []
        self.stripe.set_webhook(
            copies=delivery.copies, shuffled=delivery.shuffled, delay=delivery.delay, lost_types=lost
        )
        self.app.sweep.plan()

    @property
    def policy_mode(self) -> str:
        return self.app.settings.mode.value

    # -- building -------------------------------------------------------------------------------------------------

    def _meet(self) -> None:
        self.prices = {"api_calls": self.price}
        for name in ("storage", COUNTED):
            meter = self.stripe.add_meter(name, "count" if name == COUNTED else "sum")
            self.prices[name] = self.stripe.add_price(meter)
        self.prices[LEVEL] = self.stripe.add_price(self.stripe.add_meter(LEVEL, "last"))
        tiers = self.stripe.add_meter(TIERED)
        self.prices[TIERED] = self.stripe.add_price(
            tiers, tiers=[{"up_to": 10, "unit_amount": 5}, {"up_to": None, "unit_amount": 1}]
        )
        self.seats = self.stripe.add_price(None, unit_amount=500)
        for subscription in self.plan.subscriptions:
            self.subscription_ids.append(self._subscribed(subscription))

    def _subscribed(self, one: Subscription) -> str:
        with contextlib.suppress(ValueError):
            self.stripe.add_customer(one.customer, name=one.customer)
        prices = [self.prices[meter] for meter in one.meters] + ([self.seats] if one.licensed else [])
        subscription_id = self.stripe.add_subscription(
            one.customer,
            prices,
            period_start=one.start,
            period_end=one.end,
            collection_method="send_invoice" if one.mailed else "charge_automatically",
            metadata={"pacspace_customer_id": account} if (account := _named_account(one)) else {},
            footer=one.footer,
        )
        if one.split_at:
            self.stripe.split_period(subscription_id, one.split_at)
        return subscription_id

    def correct(self, place: int) -> None:
        """Correct a mistyped ledger account in the metadata of a subscription, as a person does."""
        subscription = self.plan.subscriptions[place]
        if subscription.mistyped:
            metadata = self.stripe.account.subscriptions[self.subscription_ids[place]].metadata
            metadata["pacspace_customer_id"] = self.account(subscription, subscription.meters[0])
            self.corrected.add(place)

    def account(self, subscription: Subscription, meter: str) -> str:
        """Return the ledger account where this usage is recorded."""
        template = self.plan.setting("ledger_account", "{customer}")
        return subscription.account or template.format(customer=subscription.customer, meter=meter)

    def restart(self, **settings: str) -> App:
        """Start a new process as in any world, over a copy of one migrated database."""
        if self.database_url is None:
            shutil.copyfile(_migrated(self.folder.parent), self.folder / "world.db")
            self.database_url = f"sqlite:///{self.folder / 'world.db'}"
        app = super().restart(**settings)
        sa.event.listen(app.store.engine, "begin", self._begins)
        return app

    # -- looking at the truth -------------------------------------------------------------------------------------

    def raw(self, invoice_id: str) -> StoredInvoice | None:
        return self.stripe.account.invoices.get(invoice_id)

    def subscription_of(self, invoice: StoredInvoice) -> Subscription:
        return self.plan.subscriptions[self.subscription_ids.index(str(invoice.subscription))]

    def truth(self, invoice_id: str) -> Truth | None:
        """Return both sides as they are now."""
        invoice = self.raw(invoice_id)
        if invoice is None or invoice.subscription not in self.subscription_ids:
            return None
        subscription = self.subscription_of(invoice)
        billed = self.billed(invoice)
        balances = {key: self.counted(self.account(subscription, key[0]), key) for key in billed}
        sign = 1 if self.plan.setting("usage_sign", "negative") == "positive" else -1
        return Truth(
            at=self.clock.now(),
            status=invoice.status.value,
            auto_advance=invoice.auto_advance,
            finalizes_at=invoice.automatically_finalizes_at,
            metadata=dict(invoice.metadata),
            billed=billed,
            metered={key: self.metered(subscription.customer, *key) for key in billed},
            recorded={key: sign * net for key, (net, _) in balances.items()},
            answered={key: sign * self._answered(subscription, key, net) for key, (net, _) in balances.items()},
            counts={key: count for key, (_, count) in balances.items()},
            unsettled=any(self.unsettled(self.account(subscription, key[0])) for key in billed),
        )

    def counted(self, account: str, key: Key) -> tuple[Decimal, int]:
        """Return net and number of the verified records that count for a meter and window under the settings."""
        world = self.ledger._world  # noqa: SLF001  # the truth, not an answer about it
        found = world.verified(account, ScopeWindow(start=key[1], end=key[2]))
        excluded = self.plan.setting("exclude_reasons", "").split(",")
        mine = [one for one in found if one.draft.reason not in excluded and self._meter_in(one.draft) in (key[0], ANY)]
        if key[0] == LEVEL and self.plan.setting("readings", "") == LEVEL:
            mine = sorted(mine, key=lambda one: one.order)[-1:]
        return sum((one.delta for one in mine), Decimal(0)), len(mine)

    def _meter_in(self, draft: Draft) -> object:
        match self.plan.setting("meter_from", "account"):
            case "account":
                return ANY
            case "reason":
                return draft.reason
            case _:
                return (draft.metadata or {}).get("meter")

    def _answered(self, subscription: Subscription, key: Key, net: Decimal) -> Decimal:
        if not self.ledger.rules.doubles:
            return net
        world = self.ledger._world  # noqa: SLF001  # as it answers, without a request
        window = ScopeWindow(start=key[1], end=key[2])
        return Decimal(repr(world.balance(world.verified(self.account(subscription, key[0]), window))))

    def billed(self, invoice: StoredInvoice) -> Figures:
        """Return the metered lines by meter and window; after a threshold, with what the period billed before."""
        found: Figures = {}
        for line in invoice.lines:
            if line.metered and line.price and line.quantity is not None:
                name = next(name for name, price in self.prices.items() if price == line.price)
                key = (name, line.counts_from or line.period_start, line.period_end)
                found[key] = found.get(key, line.already) + line.quantity
        return found

    def metered(self, customer: str, name: str, start: datetime, end: datetime) -> Decimal:
        meter = self.stripe.account.meter_named(name)
        assert meter is not None
        return self.stripe.account.usage.total(meter, customer, start, end, seen_at=self.clock.now())

    def unsettled(self, account: str) -> bool:
        records = self.ledger._world.ledger  # noqa: SLF001  # the truth, not an answer about it
        now = self.ledger._world.now()  # noqa: SLF001
        waiting = any(record.status(now).value in {"QUEUED", "PROCESSING"} for record in records.records(account))
        return waiting or bool(records.gaps(account, 1, records.last_sequence(account)))

    # -- requests -------------------------------------------------------------------------------------------------

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self._ambush()
        if self.down_until is not None:
            raise Died
        line = f"{request.method} {request.url.path}"
        crash = self._due_crash(line)
        if crash and not crash.arrives:
            self._die(crash)
        response = self._written_down(request)
        if crash:
            self._die(crash)
        self._stall()
        return response

    def _begins(self, _: sa.Connection) -> None:
        """Begin a transaction while the product is at work: the process can die there, too."""
        if not self.at_work:
            return
        if self.down_until is not None:
            raise Died
        if crash := self._due_crash("BEGIN"):
            self._die(crash)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        before, self.at_work = self.at_work, True
        try:
            yield
        finally:
            self.at_work = before

    def _stall(self) -> None:
        """Pause for longer than a lease, while another process checks everything that is open."""
        due = [stall for left, stall in self.stalls if left == 0]
        self.stalls = [(left - 1, stall) for left, stall in self.stalls if left > 0]
        for stall in due:
            self.clock.advance(stall.lasts)
            with self._another_process():
                for invoice in list(self.stripe.account.invoices):
                    self._checked(invoice.id)

    @contextlib.contextmanager
    def _another_process(self) -> Iterator[None]:
        """Check in another process while ours is in the middle of a request and keeps its own state."""
        paused = self.app
        self.restart()
        try:
            yield
        finally:
            self.app.close()
            self.app = paused
            self.inbox, _ = open_inboxes(paused, self._enqueue)

    def _written_down(self, request: httpx.Request) -> httpx.Response:
        path, invoice = request.url.path, None
        if request.url.port == STRIPE_PORT and path.startswith("/v1/invoices/in_"):
            invoice = path.split("/")[3]
        before = self.truth(invoice) if invoice and request.method != "GET" else None
        at = self.clock.now()
        try:
            return super()._answer(request)
        finally:
            after = self.truth(invoice) if invoice else None
            self.diary.append(
                Request(
                    at=at,
                    method=request.method,
                    path=path,
                    body=request.content.decode(),
                    mode=self.policy_mode,
                    invoice=invoice,
                    before=before,
                    after=after,
                )
            )

    def _due_crash(self, line: str) -> Crash | None:
        for place, crash in enumerate(self.crashes):
            if line.startswith(crash.request) and (crash.request or line != "BEGIN"):
                if crash.skip == 0:
                    del self.crashes[place]
                    return crash
                self.crashes[place] = Crash(
                    at=crash.at,
                    request=crash.request,
                    skip=crash.skip - 1,
                    arrives=crash.arrives,
                    down=crash.down,
                    drifts=crash.drifts,
                )
        return None

    def _die(self, crash: Crash) -> None:
        self.down_until = self.clock.now() + crash.down
        self.deaths += 1
        if crash.drifts:
            self._drift()
        raise Died

    def _drift(self) -> None:
        """Replace the ledger of everything that has not left."""
        for invoice in self.stripe.account.invoices:
            truth = self.truth(invoice.id)
            if truth and truth.status in {"draft", "open"}:
                for meter, start, _ in truth.billed:
                    self._record(self.account(self.subscription_of(invoice), meter), meter, Decimal(1), start)

    def _ambush(self) -> None:
        due = [person for left, person in self.ambushes if left <= 1]
        self.ambushes = [(left - 1, person) for left, person in self.ambushes if left > 1]
        for person in due:
            self._person(person)

    def _deliver(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            message = "nobody there"
            raise httpx.ConnectError(message)
        with self.working():
            return super()._deliver(request)

    @property
    def down(self) -> bool:
        return self.down_until is not None and self.clock.now() < self.down_until

    # -- time -----------------------------------------------------------------------------------------------------

    def run_until(self, end: datetime) -> None:
        """Let time pass, and do everything that falls due in order."""
        while True:
            self.settle()
            upcoming = [
                self.stripe.next_due_at(),
                self.down_until if self.down else self.app.store.triggers.next_due_at(),
            ]
            later = [at for at in upcoming if at and at <= end]
            if not later or self.clock.now() >= end:
                break
            self.clock.advance_to(max(min(later), self.clock.now() + timedelta(milliseconds=1)))
        self.clock.advance_to(end)

    def settle(self) -> None:
        """Do everything that is due now; a check that fails is over, as in the engine."""
        for _ in range(300):
            with contextlib.suppress(Died):
                if not self._settled_once():
                    return
        message = "it never settles"
        raise AssertionError(message)

    def _settled_once(self) -> bool:
        """Return whether there may be more to do now."""
        self.stripe.run_due()
        self._adorn()
        if self.down:
            return False
        if self.down_until is not None:
            self._reborn()
        self.app.store.triggers.take_due(self._enqueue)
        todo, self.queue = self.queue, []
        self._look_at(todo)
        return bool(todo)

    def _look_at(self, todo: list[tuple[JobKind, str, int]]) -> None:
        for kind, job, requested in todo:
            try:
                with self.working():
                    self.app.check(kind, job, requested)
            except Died:
                return
            except PacspaceStripeError:
                continue

    def _reborn(self) -> None:
        self.down_until = None
        self.app.close()
        self.restart()
        self.app.sweep.plan()

    def _adorn(self) -> None:
        """Write the merchant's own metadata on every new draft."""
        for invoice in self.stripe.account.invoices:
            if invoice.id not in self.own_footer and invoice.subscription in self.subscription_ids:
                invoice.metadata |= {f"own_{n}": f"value {n}" for n in range(self.subscription_of(invoice).metadata)}
                self.own_footer[invoice.id] = invoice.footer or ""
                self.own_metadata[invoice.id] = dict(invoice.metadata)

    # -- acts -----------------------------------------------------------------------------------------------------

    def play(self) -> "Player":
        """Play the plan up to its healing."""
        ends = [(act.until, self._fail) for act in self.plan.acts if isinstance(act, Outage)]
        acts: list[tuple[datetime, Callable[[], object]]] = [
            (act.at, partial(self._act, act)) for act in self.plan.acts
        ]
        for at, happens in sorted([*acts, *ends], key=lambda each: each[0]):
            if at < self.plan.heals_at:
                self.run_until(at)
                happens()
        self.run_until(self.plan.heals_at)
        return self

    def _act(self, act: Act) -> None:
        match act:
            case Usage():
                self._use(act)
            case Person(during=None):
                self._person(act)
            case Person(during=during):
                self.ambushes.append((during or 1, act))
            case Outage():
                self.outages.append(act)
                self._fail()
            case Crash():
                self.crashes.append(act)
            case Stall():
                self.stalls.append((act.skip, act))
            case Restart():
                self._restarted(act)
            case Other():
                self._other(act)
            case _:
                assert_never(act)

    def _use(self, use: Usage) -> None:
        subscription = self.plan.subscriptions[use.subscription]
        if use.side != "ledger":
            self.stripe.record_usage(subscription.customer, use.meter, self._value(use), use.used_at)
        if use.side == "stripe":
            return
        account = self.account(subscription, use.meter)
        record = self._record(account, use.meter, use.quantity, use.used_at, state=use.state, late_by=use.late_by)
        if use.state == "failed":
            self.ledger.fail(record)

    def _value(self, use: Usage) -> Decimal:
        """Return the value that Stripe's meter is sent: for a running total, all usage up to then."""
        if use.meter != LEVEL or self.plan.setting("readings", "") != f"{LEVEL}:total":
            return use.quantity
        others = (act for act in self.plan.acts if isinstance(act, Usage) and act.side != "ledger")
        mine = (act for act in others if (act.subscription, act.meter) == (use.subscription, use.meter))
        return sum((act.quantity for act in mine if act.used_at <= use.used_at), Decimal(0))

    def _record(
        self,
        account: str,
        meter: str,
        usage: Decimal,
        at: datetime,
        *,
        state: str = "verified",
        late_by: timedelta = timedelta(0),
    ) -> str:
        delta = usage if self.plan.setting("usage_sign", "negative") == "positive" else -usage
        accepted_at = min(at, self.clock.now())
        late = late_by if state == "late" else None
        return self.ledger.record(
            account,
            delta,
            accepted_at,
            reason=meter,
            metadata={"meter": meter},
            verified=state == "verified",
            verify_delay=late,
        )

    def _other(self, act: Other) -> None:
        subscription = self.plan.subscriptions[act.subscription]
        meter = (*subscription.meters, "none")[0]
        account = self.account(subscription, meter)
        match act.what:
            case "upcoming":
                self.stripe.send_upcoming(self.subscription_ids[act.subscription])
            case "threshold":
                self.stripe.bill_threshold(self.subscription_ids[act.subscription])
            case "first":
                self.stripe.create_first_invoice(self.subscription_ids[act.subscription], with_usage=True)
            case "gap":
                self.ledger.inject_gap(account)
                self._record(account, meter, Decimal(1), subscription.start - HOUR)
            case "deposit":
                sign = 1 if self.plan.setting("usage_sign", "negative") == "positive" else -1
                self.ledger.record(account, sign * Decimal(-1000), subscription.start + HOUR, reason="deposit")
            case _:
                assert_never(act.what)

    def _restarted(self, act: Restart) -> None:
        self.queue.clear()
        if self.down_until is not None:
            self.settings |= _variables(act.settings)
            return
        self.app.close()
        self.restart(**_variables(act.settings))
        self.app.sweep.plan()

    def _fail(self) -> None:
        """Put the outages of now into force."""
        self.stripe.faults.clear()
        self.ledger.clear_faults()
        for outage in self.outages:
            if outage.at <= self.clock.now() < outage.until:
                vendor = self.stripe if outage.vendor == "stripe" else self.ledger
                vendor.add_fault(
                    outage.fault, endpoint=outage.endpoint, probability=outage.probability, seconds=outage.seconds
                )

    # -- people ---------------------------------------------------------------------------------------------------

    def _person(self, person: Person) -> None:
        mine = [
            invoice
            for invoice in self.stripe.account.invoices
            if invoice.subscription == self.subscription_ids[person.subscription]
        ]
        if not mine or mine[-1].id not in self.own_footer:
            return
        if self.plan.calm and mine[-1].status.value == "open":  # it would be charged a second later: a race
            return
        invoice, status, advances = mine[-1], mine[-1].status.value, mine[-1].auto_advance
        at = self.clock.now()
        with contextlib.suppress(Exception):
            self._touch(invoice, person.does)
        touch = Touch(at=at, does=person.does, status=status, before=advances, after=invoice.auto_advance)
        self.touched.setdefault(invoice.id, []).append(touch)

    def _touch(self, invoice: StoredInvoice, does: str) -> None:
        account = self.stripe.account
        before = account.show_invoice(invoice)
        match does:
            case "on" | "off":
                self.stripe.set_auto_advance_by_person(invoice.id, auto_advance=does == "on")
            case "finalize" | "cancel":
                finalize = ("POST", f"/v1/invoices/{invoice.id}/finalize")
                self._ask_stripe(
                    *(finalize if does == "finalize" else ("DELETE", f"/v1/subscriptions/{invoice.subscription}"))
                )
            case "pay":
                lifecycle.pay_by_person(account, invoice)
            case "void":
                lifecycle.void(account, invoice)
            case "uncollectible":
                lifecycle.mark_uncollectible(account, invoice)
            case "waive":
                self._waive(invoice)
            case "footer":
                self._edit_footer(invoice)
                lifecycle.tell_update(account, invoice, before)
            case "metadata":
                invoice.metadata["own_late"] = self.own_metadata[invoice.id]["own_late"] = "yes"
                lifecycle.tell_update(account, invoice, before)
            case "mapping":
                self.correct(self.subscription_ids.index(str(invoice.subscription)))
            case "unstamp" | "unstamp unheard" | "edit stamp" | "edit stamp unheard" | "unfooter" | "unfooter unheard":
                self._spoil(invoice, does.removesuffix(" unheard"))
                if not does.endswith("unheard"):
                    lifecycle.tell_update(account, invoice, before)
            case _:
                raise ValueError(does)

    def _ask_stripe(self, method: str, path: str) -> None:
        """Send a person's own request, which Stripe's events name."""
        headers = {"Authorization": "Bearer sk_test_simulator"}
        self.stripe(httpx.Request(method, f"http://127.0.0.1:{STRIPE_PORT}{path}", headers=headers))

    def _spoil(self, invoice: StoredInvoice, does: str) -> None:
        """Remove our stamp or write over it, as a person does; an invoice that is over for good has no event."""
        if invoice.status.value in {"void", "uncollectible"}:
            return
        stamp = [key for key in invoice.metadata if key.startswith("pacspace_") and key != "pacspace_hold"]
        match does:
            case "unstamp":
                for key in stamp:
                    del invoice.metadata[key]
            case "edit stamp" if stamp:
                key = sorted(stamp)[self.plan.seed % len(stamp)]
                invoice.metadata[key] = "drifted" if key == "pacspace_verdict" else "edited"
            case "unfooter" if invoice.status.value == "draft":
                invoice.footer = self.own_footer[invoice.id]

    def _edit_footer(self, invoice: StoredInvoice) -> None:
        if invoice.status.value == "draft" and len(self.own_footer[invoice.id]) < 4000:
            self.own_footer[invoice.id] = "New first line.\n" + self.own_footer[invoice.id]
            invoice.footer = "New first line.\n" + (invoice.footer or "")

    def _waive(self, invoice: StoredInvoice) -> None:
        if self.down_until is not None or self.policy_mode == "observe":
            return
        reason = f"agreed {len(self.waived.get(invoice.id, ())) + 1}"
        waiver = Waiver(reason=reason, by="finance", at=self.clock.now(), figures={})
        show(self.stripe.account, invoice)  # as the check reads it
        billed, customer = self.billed(invoice), self.subscription_of(invoice).customer
        named = {key: (quantity, self.metered(customer, *key)) for key, quantity in billed.items()}
        self.waived.setdefault(invoice.id, []).append(named)
        with self._another_process() if self.at_work else contextlib.nullcontext():
            self._checked(invoice.id, waiver)

    def _checked(self, invoice_id: str, waiver: Waiver | None = None) -> CheckResult | None:
        try:
            with self.working():
                return self.app.checker.check(invoice_id, waiver=waiver)
        except (LeaseBusy, PacspaceStripeError, Died):
            return None

    # -- healing --------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """End every outage, and make both sides agree wherever the plan asks for it; no person interferes any more."""
        self.crashes, self.ambushes, self.outages, self.stalls = [], [], [], []
        self._fail()
        if self.down_until is not None:
            self.clock.advance_to(self.down_until)
            self._reborn()
        for place, heals in enumerate(self.plan.heals):
            if heals:
                self.correct(place)
                self._agree(self.plan.subscriptions[place], self.subscription_ids[place])
        self.app.close()
        calm = {"PACSPACE_STRIPE_SWEEP": "6h"}
        self.restart(**calm | ({} if self.observes else {"PACSPACE_STRIPE_MODE": "enforce"}))
        self.app.sweep.plan()
        with contextlib.suppress(PacspaceStripeError):
            self.app.sweep.run()

    @property
    def observes(self) -> bool:
        """Return whether it observes from the beginning, and so to the end."""
        return self.plan.setting("mode", "enforce") == "observe"

    def _agree(self, subscription: Subscription, subscription_id: str) -> None:
        for invoice in [one for one in self.stripe.account.invoices if one.subscription == subscription_id]:
            for meter in subscription.meters:
                account = self.account(subscription, meter)
                self.ledger.verify_all(account)
                self.ledger.close_gaps(account)
            truth = self.truth(invoice.id)
            for key in truth.billed if truth else ():
                self._settle_up(invoice, subscription, key, truth)

    def _settle_up(self, invoice: StoredInvoice, subscription: Subscription, key: Key, truth: Truth | None) -> None:
        assert truth is not None
        side = truth.metered if truth.status == "draft" else truth.billed
        if key[0] == LEVEL and self.plan.setting("readings", "") == LEVEL:
            if side[key] != truth.recorded[key] and side[key]:  # PacSpace takes no delta of zero
                account = self.account(subscription, LEVEL)
                self._record(account, LEVEL, side[key], key[2] - timedelta(milliseconds=1))
            return
        missing, most = side[key] - truth.recorded[key], Decimal(10**9)
        while missing:
            part = max(-most, min(most, missing))
            self._record(self.account(subscription, key[0]), key[0], part, key[1] + timedelta(minutes=1))
            missing -= part

    def finish(self) -> None:
        """Return a time that is enough for every ladder, backstop and watch to end."""
        self.run_until(self.leaves_by())

    def leaves_by(self) -> datetime:
        """Return when every right invoice has left."""
        created = max((invoice.created for invoice in self.stripe.account.invoices), default=START)
        behaviour = self.stripe.behaviour
        starts = max(self.plan.heals_at, created + behaviour.finalization_delay)
        by_itself = [one.automatically_finalizes_at for one in self.stripe.account.invoices if one.auto_advance]
        starts = max([starts, *(at for at in by_itself if at)])
        return starts + LADDER_END + behaviour.finalization_delay + HOUR


def _named_account(one: Subscription) -> str | None:
    return f"typo.{one.customer}" if one.mistyped else one.account


def _variables(settings: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return {f"PACSPACE_STRIPE_{name.upper()}": value for name, value in settings}


def _migrated(folder: Path) -> Path:
    """Return a database with our tables and nothing in them, made once per folder."""
    template = folder / "template.db"
    if not template.exists():
        from pacspace_stripe.store import Store  # noqa: PLC0415  # only once

        store = Store(f"sqlite:///{template}", now=lambda: START, lost_after=timedelta(seconds=1))
        store.migrate()
        store.close()
    return template


@contextlib.contextmanager
def played(plan: Plan, folder: Path) -> Iterator[Player]:
    """Play the world of a plan, up to its healing."""
    folder.mkdir(parents=True, exist_ok=True)
    player = Player(folder, plan=plan)
    try:
        yield player.play()
    finally:
        player.app.close()
        shutil.rmtree(folder, ignore_errors=True)
