"""What to look at before the gate enforces, or while it does: each point with the figures behind it. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.report.rules.lines import Holding, InvoiceLine
from pacspace_stripe.settings import Settings
from pacspace_stripe.vocabulary.money import join_amounts, totals
from pacspace_stripe.vocabulary.policy import FailPolicy, Mode
from pacspace_stripe.vocabulary.text import plural
from pacspace_stripe.vocabulary.webhooks import (
    FOUND_BY_SWEEP,
    REFUSALS_IN_A_ROW,
    STRIPE_SENDER,
    EventType,
    Ignored,
    RefusedWebhooks,
)

_NAMED = 10
"""How many customers or invoices a point names; the others are counted."""
_NEEDED = (EventType.INVOICE_CREATED, EventType.INVOICE_UPDATED, EventType.INVOICE_FINALIZED)


class Standing(StrEnum):
    """What a point asks of the reader."""

    FINE = "fine"
    LOOK = "look"
    """Somebody should look at it; enforcing is possible, and this is what it would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPoint:
    """One point: a name for machines, a sentence for people, and what it is about."""

    name: str
    standing: Standing
    says: str
    about: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that the points are judged by. ``events``: how many came, by type and what became of them."""

    settings: Settings
    lines: tuple[InvoiceLine, ...]
    blocks: tuple[InvoiceState, ...]
    events: Mapping[tuple[str, str], int]
    refused: tuple[RefusedWebhooks, ...] = ()
    """Requests refused since the last accepted one, per sender."""
    ignored: tuple[str, ...] = ()
    """Accounts whose events are answered and ignored, as far as they are named."""
    unreadable: int = 0
    """Signed bodies that could not be read."""
    rejections_refused: str | None = None
    """Why it could not be read which meter events Stripe rejected."""

    @property
    def came(self) -> frozenset[str]:
        """The types of events that webhooks brought, of this account and mode."""
        others = (FOUND_BY_SWEEP, Ignored.OTHER_ACCOUNT, Ignored.OTHER_MODE)
        return frozenset(name for (name, outcome), count in self.events.items() if count and outcome not in others)

    @property
    def observing(self) -> bool:
        return self.settings.mode is Mode.OBSERVE


def checklist(known: Known) -> Iterator[CheckPoint]:
    """Every point, the most urgent first."""
    yield _held_today(known)
    yield _unmapped(known)
    yield _nothing_recorded(known)
    yield _coming(known)
    yield _settling(known)
    if known.settings.fail is FailPolicy.OPEN:
        yield _backstop(known)
    yield _history(known)
    yield _events(known)
    yield from _refused(known)
    yield from _ignored(known)
    yield from _unreadable(known)
    yield from _rejections(known)
    yield _failed_webhooks(known)
    yield _ledger_webhook(known)
    yield _database(known)
    if known.observing:
        yield _inherited(known)


def _point(name: str, says: str, *, fine: bool, about: Iterable[str] = ()) -> CheckPoint:
    return CheckPoint(name=name, standing=Standing.FINE if fine else Standing.LOOK, says=says, about=_some(about))


def _some(names: Iterable[str]) -> tuple[str, ...]:
    every = list(dict.fromkeys(names))
    return (*every[:_NAMED], f"and {len(every) - _NAMED} more") if len(every) > _NAMED else tuple(every)


def _held_today(known: Known) -> CheckPoint:
    stopped = [line for line in known.lines if line.stops_today]
    would = "would be held" if known.observing else f"{'is' if len(stopped) == 1 else 'are'} held"
    if not stopped:
        return _point("held_today", f"No open invoice {'would be' if known.observing else 'is'} held today.", fine=True)
    says = (
        f"{_invoices(len(stopped))} {would} today, asking for {join_amounts(totals(line.money for line in stopped))}."
    )
    about = (f"{line.invoice_id} of {line.customer_id}: {line.memory.detail or line.memory.reason}" for line in stopped)
    return _point("held_today", says, fine=False, about=about)


def _unmapped(known: Known) -> CheckPoint:
    found = [
        f"{line.customer_id}, {row.meter}" for line in known.lines for row in line.rows if row.reason is Reason.UNMAPPED
    ]
    if not found:
        return _point("unmapped", "Every customer's usage has a ledger account of its own.", fine=True)
    says = (
        "The usage of these customers has no ledger account of its own, so nothing can be proven about it. "
        "Set pacspace_customer_id in the subscription's metadata, or PACSPACE_STRIPE_LEDGER_ACCOUNT."
    )
    return _point("unmapped", says, fine=False, about=found)


def _nothing_recorded(known: Known) -> CheckPoint:
    found = [
        f"{line.customer_id}, {row.meter}: looked for as {row.account}"
        for line in known.lines
        for row in line.rows
        if row.reason is Reason.LEDGER_MISSING
    ]
    if not found:
        return _point("nothing_recorded", "Whatever was billed, the ledger has records of.", fine=True)
    says = "Billed usage of which the ledger has nothing at all: is it recorded under another name, or not at all?"
    return _point("nothing_recorded", says, fine=False, about=found)


def _coming(known: Known) -> CheckPoint:
    blocks = known.blocks
    if not blocks:
        return _point("coming", "No coming invoice is known to be wrong.", fine=True)
    would = "would be" if known.observing else "will be"
    says = f"{_invoices(len(blocks))} that Stripe will make soon {would} held from the start: usage so far differs."
    about = (f"{block.subscription_id} of {block.customer_id}: {block.detail}" for block in blocks)
    return _point("coming", says, fine=False, about=about)


def _settling(known: Known) -> CheckPoint:
    """How long it took until both sides agreed, and who was still waiting when Stripe would have sent it."""
    waits = _waits(known)
    if not waits:
        return _point("settling", "No invoice agreed yet: how long usage takes to arrive cannot be said.", fine=False)
    late = [line for line in known.lines if line.memory.verdict is Verdict.MATCHED and line.holding is Holding.A_WHILE]
    took = f"the slowest took {_lasting(max(waits))} from its draft on"
    settle = f"PACSPACE_STRIPE_SETTLE is {_lasting(known.settings.settle)}"
    if not late:
        says = f"{_invoices(len(waits))} agreed, each before Stripe sends it; {took}. {settle}."
        return _point("settling", says, fine=True)
    says = (
        f"{len(late)} of {_invoices(len(waits))} agreed only after the time when Stripe sends them, and "
        f"{'would wait' if known.observing else 'waited'} for that; {took}. Record usage sooner, or give Stripe's "
        f"drafts a longer grace period. {settle}."
    )
    about = (f"{line.invoice_id} waits {_lasting(line.waited)}" for line in late)
    return _point("settling", says, fine=False, about=about)


def _waits(known: Known) -> list[timedelta]:
    """From the first sight of an invoice to the agreement that lasted."""
    agreed = [line.agreed for line in known.lines if line.memory.verdict is Verdict.MATCHED]
    return [until - since for since, until in filter(None, agreed)]


def _backstop(known: Known) -> CheckPoint:
    backstop, slowest = known.settings.backstop, max(_waits(known), default=timedelta(0))
    fits = slowest <= backstop
    says = (
        f"With PACSPACE_STRIPE_FAIL=open, what is unproven goes out {_lasting(backstop)} after it was made; the "
        f"slowest proof so far took {_lasting(slowest)}{'' if fits else ': raise PACSPACE_STRIPE_BACKSTOP'}."
    )
    return _point("backstop", says, fine=fits)


def _history(known: Known) -> CheckPoint:
    judged = [line for line in known.lines if line.memory.verdict is not None]
    months = len({line.period for line in judged})
    held = [line for line in judged if line.holding is not Holding.NO]
    cleared = sum(line.holding is Holding.A_WHILE for line in held)
    says = (
        f"{_invoices(len(judged))} of {plural(months, 'month')} compared so far: {len(held):,} "
        f"{'would have been' if known.observing else 'was' if len(held) == 1 else 'were'} held, {cleared:,} of them "
        "only for a while."
    )
    if not judged:
        return _point("history", "No invoice was compared yet: observe one billing period at least.", fine=False)
    return _point("history", says, fine=True)


def _events(known: Known) -> CheckPoint:
    missing = [kind.value for kind in _NEEDED if kind.value not in known.came]
    if not missing:
        return _point("events", "Stripe's events arrive.", fine=True)
    if not known.came and any(refused.sender == STRIPE_SENDER for refused in known.refused):
        return _point("events", "No event of Stripe was accepted: requests came and were refused.", fine=False)
    says = (
        "No webhook brought these events. Select them for the webhook endpoint in Stripe's dashboard, and see there "
        "whether their deliveries fail."
    )
    return _point("events", says, fine=False, about=missing)


def _refused(known: Known) -> Iterator[CheckPoint]:
    """A few refused requests may be anybody's; many without an accepted one, or the only ones, are a wrong setting."""
    for refused in known.refused:
        if refused.count >= REFUSALS_IN_A_ROW or not known.came:
            many = "1 webhook was" if refused.count == 1 else f"{refused.count:,} webhooks in a row were"
            says = f"{many} refused and none was accepted since, the last one at {refused.last_at:%Y-%m-%d %H:%M} UTC: "
            yield _point(f"refused_{refused.sender}", says + refused.advice, fine=False)


def _ignored(known: Known) -> Iterator[CheckPoint]:
    """Events of others are no fault of theirs, and no invoice of theirs is gated."""
    accounts = sum(count for (_, outcome), count in known.events.items() if outcome == Ignored.OTHER_ACCOUNT)
    modes = sum(count for (_, outcome), count in known.events.items() if outcome == Ignored.OTHER_MODE)
    if accounts or modes:
        whose = [f"{accounts} of other accounts"] * bool(accounts) + [f"{modes} of the other mode"] * bool(modes)
        says = (
            f"Events were answered and ignored, {' and '.join(whose)}: their invoices are not gated here. Give this "
            "webhook endpoint events of your own account and of STRIPE_API_KEY's mode only, or gate the others with an "
            "endpoint and a key of their own."
        )
        yield _point("ignored_events", says, fine=False, about=known.ignored)


def _unreadable(known: Known) -> Iterator[CheckPoint]:
    if known.unreadable:
        many = plural(known.unreadable, "event")
        says = (
            f"{many} signed by Stripe could not be read, and the sweep had to find what they were about. The log and "
            "the audit log say what was wrong with them."
        )
        yield _point("unreadable_events", says, fine=False)


def _rejections(known: Known) -> Iterator[CheckPoint]:
    if known.rejections_refused:
        says = (
            "Which meter events Stripe rejected could not be read, so no drift is explained by them. If a permission "
            f"is missing, give STRIPE_API_KEY read permission for events. {known.rejections_refused}"
        )
        yield _point("rejected_events", says, fine=False)


def _failed_webhooks(known: Known) -> CheckPoint:
    lost = sum(count for (_, outcome), count in known.events.items() if outcome == FOUND_BY_SWEEP)
    every = sum(known.events.values())
    if not lost:
        return _point("failed_webhooks", "No webhook had to be looked for.", fine=True)
    failed = f"{lost:,} of {plural(every, 'event')}"
    says = f"The webhooks of {failed} failed, and the sweep found them: see the endpoint in Stripe."
    return _point("failed_webhooks", says, fine=False)


def _ledger_webhook(known: Known) -> CheckPoint:
    if known.settings.pacspace_webhook_secrets:
        return _point("ledger_webhook", "PacSpace's webhook wakes a held invoice within seconds.", fine=True)
    rest = known.settings.retry[-1]
    says = (
        f"PACSPACE_WEBHOOK_SECRET is not set: a held invoice is looked at again on a schedule, {_lasting(rest)} "
        "apart in the end. With it, within seconds of what it waits for."
    )
    return _point("ledger_webhook", says, fine=False)


def _database(known: Known) -> CheckPoint:
    if known.settings.database_url.get_secret_value().startswith("sqlite"):
        return _point("database", "The database is a file: one machine serves, and its backup is yours.", fine=True)
    return _point("database", "The database is a PostgreSQL: several machines may serve.", fine=True)


def _inherited(known: Known) -> CheckPoint:
    held = [line for line in known.lines if line.memory.held and not line.memory.ended]
    if not held:
        return _point("inherited", "Nothing is held from an earlier time of enforcing.", fine=True)
    says = "Held since an earlier time of enforcing, and in observe mode nobody releases them."
    return _point("inherited", says, fine=False, about=(line.invoice_id for line in held))


def _invoices(count: int) -> str:
    return plural(count, "invoice")


def _lasting(span: timedelta) -> str:
    """A duration for people: its two largest units."""
    seconds = int(span.total_seconds())
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts = []
    for name, size in units:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"
