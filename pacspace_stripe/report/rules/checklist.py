"""The checklist of the report: points to settle before the gate enforces, or while it does, with their figures.

Each point is one function that returns a sentence for people. A point whose standing is ``look`` names what to do.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.report.rules.lines import Holding, InvoiceLine
from pacspace_stripe.vocabulary.money import join_amounts, totals
from pacspace_stripe.vocabulary.policy import FailPolicy, Mode, Policy
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
"""Customers or invoices that a point names; the others are counted."""
_NEEDED = (EventType.INVOICE_CREATED, EventType.INVOICE_UPDATED, EventType.INVOICE_FINALIZED)


class Standing(StrEnum):
    """Demand of a point on its reader."""

    FINE = "fine"
    LOOK = "look"
    """A person should look at this: enforcing is possible, and the point says what it would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPoint:
    """One point: a name for machines, a sentence for people, and the customers or invoices concerned."""

    name: str
    standing: Standing
    sentence: str
    about: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecklistInput:
    """Everything that the points are derived from."""

    policy: Policy
    lines: tuple[InvoiceLine, ...]
    blocks: tuple[InvoiceState, ...]
    """Early warnings that found drift and wait for their draft."""
    events: Mapping[tuple[str, str], int]
    """Numbers of events received, by type and outcome."""
    ledger_webhook: bool
    """True if PacSpace's webhook has a secret."""
    database_is_a_file: bool
    refused: tuple[RefusedWebhooks, ...] = ()
    """Requests refused since the last accepted one, per sender."""
    ignored: tuple[str, ...] = ()
    """Accounts whose events are answered and ignored, as far as they are named."""
    unreadable: int = 0
    """Number of signed bodies that could not be read."""
    rejections_refused: str | None = None
    """Reason why Stripe's reports of rejected meter events could not be read."""

    @property
    def delivered(self) -> frozenset[str]:
        """Return the types of events that webhooks delivered for this account and mode."""
        others = (FOUND_BY_SWEEP, Ignored.OTHER_ACCOUNT, Ignored.OTHER_MODE)
        return frozenset(name for (name, outcome), count in self.events.items() if count and outcome not in others)

    @property
    def observing(self) -> bool:
        return self.policy.mode is Mode.OBSERVE


def checklist(given: ChecklistInput) -> Iterator[CheckPoint]:
    """Yield every point, the most urgent first."""
    yield _held_today(given)
    yield _unmapped(given)
    yield _nothing_recorded(given)
    yield _coming(given)
    yield _settling(given)
    if given.policy.fail is FailPolicy.OPEN:
        yield _backstop(given)
    yield _history(given)
    yield _events(given)
    yield from _refused(given)
    yield from _ignored(given)
    yield from _unreadable(given)
    yield from _rejections(given)
    yield _failed_webhooks(given)
    yield _ledger_webhook(given)
    yield _database(given)
    if given.observing:
        yield _inherited(given)


def _point(name: str, sentence: str, *, fine: bool, about: Iterable[str] = ()) -> CheckPoint:
    every, standing = list(dict.fromkeys(about)), Standing.FINE if fine else Standing.LOOK
    if len(every) > _NAMED:
        every = [*every[:_NAMED], f"and {len(every) - _NAMED} more"]
    return CheckPoint(name=name, standing=standing, sentence=sentence, about=tuple(every))


def _held_today(given: ChecklistInput) -> CheckPoint:
    stopped = [line for line in given.lines if line.stops_today]
    would = "would be held" if given.observing else f"{'is' if len(stopped) == 1 else 'are'} held"
    if not stopped:
        return _point("held_today", f"No open invoice {'would be' if given.observing else 'is'} held today.", fine=True)
    sentence = (
        f"{plural(len(stopped), 'invoice')} {would} today, asking for "
        f"{join_amounts(totals(line.money for line in stopped))}."
    )
    about = (f"{line.invoice_id} of {line.customer_id}: {line.state.detail or line.state.reason}" for line in stopped)
    return _point("held_today", sentence, fine=False, about=about)


def _unmapped(given: ChecklistInput) -> CheckPoint:
    found = [
        f"{line.customer_id}, {row.meter}" for line in given.lines for row in line.rows if row.reason is Reason.UNMAPPED
    ]
    if not found:
        return _point("unmapped", "Every customer's usage has a ledger account of its own.", fine=True)
    sentence = (
        "The usage of these customers has no ledger account of its own, so nothing can be proven about it. "
        "Set pacspace_customer_id in the subscription's metadata, or PACSPACE_STRIPE_LEDGER_ACCOUNT."
    )
    return _point("unmapped", sentence, fine=False, about=found)


def _nothing_recorded(given: ChecklistInput) -> CheckPoint:
    found = [
        f"{line.customer_id}, {row.meter}: looked for as {row.account}"
        for line in given.lines
        for row in line.rows
        if row.reason is Reason.LEDGER_MISSING
    ]
    if not found:
        return _point("nothing_recorded", "The ledger has records of everything that was billed.", fine=True)
    sentence = "The ledger has no records at all of this billed usage: check whether it is recorded under another name."
    return _point("nothing_recorded", sentence, fine=False, about=found)


def _coming(given: ChecklistInput) -> CheckPoint:
    blocks = given.blocks
    if not blocks:
        return _point("coming", "No coming invoice is known to be wrong.", fine=True)
    would = "would be" if given.observing else "will be"
    sentence = (
        f"{plural(len(blocks), 'invoice')} that Stripe will make soon {would} held from the start: "
        "usage so far differs."
    )
    about = (f"{block.subscription_id} of {block.customer_id}: {block.detail}" for block in blocks)
    return _point("coming", sentence, fine=False, about=about)


def _settling(given: ChecklistInput) -> CheckPoint:
    """Return how long it took until both sides agreed, and which invoices were late for Stripe's finalization."""
    waits = _waits(given)
    if not waits:
        return _point("settling", "No invoice agreed yet: it is unknown how long usage takes to arrive.", fine=False)
    late = [line for line in given.lines if line.state.verdict is Verdict.MATCHED and line.holding is Holding.A_WHILE]
    took = f"the slowest took {_lasting(max(waits))} from its draft on"
    settle = f"PACSPACE_STRIPE_SETTLE is {_lasting(given.policy.settle)}"
    if not late:
        sentence = f"{plural(len(waits), 'invoice')} agreed, each before Stripe sends it; {took}. {settle}."
        return _point("settling", sentence, fine=True)
    sentence = (
        f"{len(late)} of {plural(len(waits), 'invoice')} agreed only after the time when Stripe sends them, and "
        f"{'would wait' if given.observing else 'waited'} for that; {took}. Record usage sooner, or give Stripe's "
        f"drafts a longer grace period. {settle}."
    )
    about = (f"{line.invoice_id} waits {_lasting(line.waited)}" for line in late)
    return _point("settling", sentence, fine=False, about=about)


def _waits(given: ChecklistInput) -> list[timedelta]:
    """Return the times from the first check of an invoice to the agreement that lasted."""
    agreed = [line.agreed for line in given.lines if line.state.verdict is Verdict.MATCHED]
    return [until - since for since, until in filter(None, agreed)]


def _backstop(given: ChecklistInput) -> CheckPoint:
    backstop, slowest = given.policy.backstop, max(_waits(given), default=timedelta(0))
    fits = slowest <= backstop
    sentence = (
        f"With PACSPACE_STRIPE_FAIL=open, what is unproven goes out {_lasting(backstop)} after it was made; the "
        f"slowest proof so far took {_lasting(slowest)}{'' if fits else ': raise PACSPACE_STRIPE_BACKSTOP'}."
    )
    return _point("backstop", sentence, fine=fits)


def _history(given: ChecklistInput) -> CheckPoint:
    judged = [line for line in given.lines if line.state.verdict is not None]
    months = len({line.period for line in judged})
    held = [line for line in judged if line.holding is not Holding.NO]
    cleared = sum(line.holding is Holding.A_WHILE for line in held)
    sentence = (
        f"{plural(len(judged), 'invoice')} of {plural(months, 'month')} compared so far: {len(held):,} "
        f"{'would have been' if given.observing else 'was' if len(held) == 1 else 'were'} held, {cleared:,} of them "
        "only for a while."
    )
    if not judged:
        return _point("history", "No invoice was compared yet: observe one billing period at least.", fine=False)
    return _point("history", sentence, fine=True)


def _events(given: ChecklistInput) -> CheckPoint:
    missing = [kind.value for kind in _NEEDED if kind.value not in given.delivered]
    if not missing:
        return _point("events", "Stripe's events arrive.", fine=True)
    if not given.delivered and any(refused.sender == STRIPE_SENDER for refused in given.refused):
        return _point("events", "No event of Stripe was accepted: requests came and were refused.", fine=False)
    sentence = (
        "No webhook delivered these events. Select them for the webhook endpoint in Stripe's dashboard, and check "
        "there whether their deliveries fail."
    )
    return _point("events", sentence, fine=False, about=missing)


def _refused(given: ChecklistInput) -> Iterator[CheckPoint]:
    """Yield a point per sender whose requests are refused.

    Anybody can send a few bad requests. Many in a row, or no accepted ones at all, mean a wrong setting.
    """
    for refused in given.refused:
        if refused.count >= REFUSALS_IN_A_ROW or not given.delivered:
            many = "1 webhook was" if refused.count == 1 else f"{refused.count:,} webhooks in a row were"
            at = f"{refused.last_at:%Y-%m-%d %H:%M} UTC"
            sentence = f"{many} refused and none was accepted since, the last one at {at}: {refused.advice}"
            yield _point(f"refused_{refused.sender}", sentence, fine=False)


def _ignored(given: ChecklistInput) -> Iterator[CheckPoint]:
    """Yield a point about events of other accounts or of the other mode, whose invoices are not gated."""
    accounts = sum(count for (_, outcome), count in given.events.items() if outcome == Ignored.OTHER_ACCOUNT)
    modes = sum(count for (_, outcome), count in given.events.items() if outcome == Ignored.OTHER_MODE)
    if accounts or modes:
        whose = [f"{accounts} of other accounts"] * bool(accounts) + [f"{modes} of the other mode"] * bool(modes)
        sentence = (
            f"Events were answered and ignored, {' and '.join(whose)}: their invoices are not gated here. Give this "
            "webhook endpoint events of your own account and of STRIPE_API_KEY's mode only, or gate the others with an "
            "endpoint and a key of their own."
        )
        yield _point("ignored_events", sentence, fine=False, about=given.ignored)


def _unreadable(given: ChecklistInput) -> Iterator[CheckPoint]:
    if given.unreadable:
        many = plural(given.unreadable, "event")
        sentence = (
            f"{many} signed by Stripe could not be read, and the sweep had to find what they were about. The log and "
            "the audit log say what was wrong with them."
        )
        yield _point("unreadable_events", sentence, fine=False)


def _rejections(given: ChecklistInput) -> Iterator[CheckPoint]:
    if given.rejections_refused:
        sentence = (
            "Which meter events Stripe rejected could not be read, so no drift is explained by them. If a permission "
            f"is missing, give STRIPE_API_KEY read permission for events. {given.rejections_refused}"
        )
        yield _point("rejected_events", sentence, fine=False)


def _failed_webhooks(given: ChecklistInput) -> CheckPoint:
    lost = sum(count for (_, outcome), count in given.events.items() if outcome == FOUND_BY_SWEEP)
    every = sum(given.events.values())
    if not lost:
        return _point("failed_webhooks", "No webhook failed.", fine=True)
    failed = f"{lost:,} of {plural(every, 'event')}"
    sentence = f"The webhooks of {failed} failed, and the sweep found them: see the endpoint in Stripe."
    return _point("failed_webhooks", sentence, fine=False)


def _ledger_webhook(given: ChecklistInput) -> CheckPoint:
    if given.ledger_webhook:
        return _point("ledger_webhook", "PacSpace's webhook wakes a held invoice within seconds.", fine=True)
    rest = given.policy.retry[-1]
    sentence = (
        f"PACSPACE_WEBHOOK_SECRET is not set: a held invoice is rechecked on a schedule, at last every "
        f"{_lasting(rest)}. With it, the invoice is rechecked within seconds of the ledger change."
    )
    return _point("ledger_webhook", sentence, fine=False)


def _database(given: ChecklistInput) -> CheckPoint:
    if given.database_is_a_file:
        return _point("database", "The database is a file: one machine serves, and its backup is yours.", fine=True)
    return _point("database", "The database is PostgreSQL: several machines may serve.", fine=True)


def _inherited(given: ChecklistInput) -> CheckPoint:
    held = [line for line in given.lines if line.state.held and not line.state.ended]
    if not held:
        return _point("inherited", "Nothing is held from an earlier time of enforcing.", fine=True)
    sentence = (
        "Held since an earlier time of enforcing, and in observe mode nothing releases them: enforce again, or let "
        "them advance in Stripe."
    )
    return _point("inherited", sentence, fine=False, about=(line.invoice_id for line in held))


def _lasting(span: timedelta) -> str:
    """Return a duration for people, in its two largest units."""
    seconds = int(span.total_seconds())
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts = []
    for name, size in units:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"
