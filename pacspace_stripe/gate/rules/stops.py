"""Stops: acts of another party that keep an invoice from being released, and acts that cannot be ruled out.

Our hold looks like the one that Stripe sets when a subscription is canceled (``auto_advance=false``, FACTS 12.5), so a
release would undo it. ``stops`` is the only place that decides whether an invoice may be released, finalized or given
its finalization time back; ``withheld`` takes those actions out of whatever was planned.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from pacspace_stripe.gate.rules.actions import Action, Finalize, RaiseAlert, Release, Wait, WriteStamp
from pacspace_stripe.gate.rules.stamp import footer_is_lost
from pacspace_stripe.gate.rules.state import Finalizer, InvoiceState
from pacspace_stripe.gate.rules.timing import FOREIGN_HOLD_INTERVAL, ladder
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus, SubscriptionState, SubscriptionStatus
from pacspace_stripe.vocabulary.policy import Policy
from pacspace_stripe.vocabulary.windows import iso

SAME_ACT = timedelta(minutes=1)
"""Largest distance between Stripe's times of a subscription's end and of the final invoice that the end makes."""


class StopKind(StrEnum):
    """Act that stopped an invoice; ``UNKNOWN`` is one that cannot be ruled out."""

    CANCELED = "canceled"
    NOT_COLLECTED = "not_collected"
    PAUSED = "paused"
    CUSTOMER_DELETED = "customer_deleted"
    STOPPED_BY_SOMEBODY = "stopped_by_somebody"
    FINALIZED_BY_SOMEBODY = "finalized_by_somebody"
    FOOTER_CHANGED = "footer_changed"
    UNKNOWN = "unknown"


_LASTING = frozenset(
    {
        StopKind.CANCELED,
        StopKind.CUSTOMER_DELETED,
        StopKind.STOPPED_BY_SOMEBODY,
        StopKind.FINALIZED_BY_SOMEBODY,
        StopKind.FOOTER_CHANGED,
    }
)
_COLLECTED = frozenset(
    {
        SubscriptionStatus.ACTIVE,
        SubscriptionStatus.TRIALING,
        SubscriptionStatus.PAST_DUE,
        SubscriptionStatus.INCOMPLETE,
    }
)
_OR_RELEASE = "or release it with a reason: pacspace-stripe release INVOICE --reason …"
_BY_HAND = f"To collect it anyway, set auto_advance=true on it in Stripe, {_OR_RELEASE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One act that keeps an invoice from being set free."""

    kind: StopKind
    detail: str
    """Text for people: what happened, and what they can do."""
    at: datetime | None = None
    about: str = ""
    """The subscription that is stopped, or what could not be read."""

    @property
    def key(self) -> str:
        """Return this stop's name in a person's decision to release the invoice anyway; it covers no later stop."""
        return ":".join(filter(None, (self.kind, self.about, iso(self.at) if self.at else "")))

    @property
    def alert(self) -> RaiseAlert:
        return RaiseAlert(kind=f"not_released:{self.kind}", detail=self.detail)


def stops(invoice: Invoice, state: InvoiceState) -> tuple[Stop, ...]:
    """Return what keeps the invoice from being set free now; empty when it may be released.

    ``invoice`` must have been read with its subscription, or with its customer when it has none. A person's release
    with a reason covers the stops that were known when it was given.
    """
    despite = state.waiver.despite if state.waiver else ()
    return tuple(stop for stop in _found(invoice, state) if stop.key not in despite)


def _found(invoice: Invoice, state: InvoiceState) -> Iterator[Stop]:
    yield from _by_hand(invoice, state)
    finalized_at = invoice.finalized_at or invoice.created_at
    if state.stamp and footer_is_lost(invoice, state) and not _resumed(state, finalized_at):
        yield Stop(
            kind=StopKind.FOOTER_CHANGED,
            about=state.stamp.evidence_sha256,
            detail="another party changed our block in its footer before it was finalized, and Stripe has frozen it: "
            f"the PDF would not name the proof. Void it and bill it again, {_OR_RELEASE}",
        )
    if invoice.customer_deleted:
        yield Stop(
            kind=StopKind.CUSTOMER_DELETED,
            detail=f"its customer was deleted in Stripe. Void it, {_OR_RELEASE}",
        )
    if invoice.subscriptions is None or (not invoice.subscriptions and invoice.customer_deleted is None):
        what = "its customer" if invoice.subscriptions == () else "its subscription"
        permission = "rak_customer_read" if invoice.subscriptions == () else "rak_subscription_read"
        yield Stop(
            kind=StopKind.UNKNOWN,
            about=permission,
            detail=f"{what} could not be read, so it is not known whether it was stopped. Give the key in "
            f"STRIPE_API_KEY {permission}, {_OR_RELEASE}",
        )
    states = invoice.subscriptions or ()
    for subscription in states:
        yield from _of_subscription(subscription, invoice, state)
    ended = any(subscription.status is SubscriptionStatus.CANCELED for subscription in states)
    if not ended and state.stopped_at is None and not state.held and state.backstop_at and not invoice.auto_advance:
        yield _stopped(None)


def _stopped(at: datetime | None) -> Stop:
    detail = f"another party set auto_advance=false on it. {_BY_HAND}"
    return Stop(kind=StopKind.STOPPED_BY_SOMEBODY, at=at, detail=detail)


def _by_hand(invoice: Invoice, state: InvoiceState) -> Iterator[Stop]:
    """Yield the stops that people's acts on the invoice itself are."""
    if state.unread_updates:
        yield Stop(
            kind=StopKind.UNKNOWN,
            about="update",
            detail="another party changed it under our hold, and Stripe does not say what. Give the key in "
            f"STRIPE_API_KEY rak_event_read, {_OR_RELEASE}",
        )
    if state.stopped_at is not None and not _resumed(state, state.stopped_at):
        yield _stopped(state.stopped_at)
    if not state.held or state.finalizer is Finalizer.US or invoice.status is InvoiceStatus.DRAFT:
        return
    finalized_at = invoice.finalized_at or invoice.created_at
    if state.finalizer is Finalizer.SOMEBODY and not _resumed(state, finalized_at):
        yield Stop(
            kind=StopKind.FINALIZED_BY_SOMEBODY,
            at=finalized_at,
            detail="another party finalized it under our hold without letting it advance, as before a void. "
            f"{_BY_HAND}; otherwise void it or mark it as paid",
        )
    elif state.finalizer is Finalizer.UNKNOWN and not _resumed(state, finalized_at):
        yield Stop(
            kind=StopKind.UNKNOWN,
            about="finalization",
            detail="it was finalized under our hold, and Stripe's events do not say by whom. Give the key in "
            f"STRIPE_API_KEY rak_event_read, {_OR_RELEASE}",
        )


def _resumed(state: InvoiceState, since: datetime) -> bool:
    """Return whether another party set ``auto_advance=true`` after that: resuming is a person's choice."""
    return state.undone_at is not None and state.undone_at >= since


def _of_subscription(subscription: SubscriptionState, invoice: Invoice, state: InvoiceState) -> Iterator[Stop]:
    name, ended_at = subscription.subscription_id, subscription.ended_at
    if subscription.status is SubscriptionStatus.CANCELED:
        resumed = ended_at is not None and _resumed(state, ended_at)
        if not resumed and not _is_final(subscription, invoice, state):
            yield Stop(
                kind=StopKind.CANCELED,
                about=name,
                at=ended_at,
                detail=f"its subscription {name} was canceled after it was made: Stripe does not collect it by itself. "
                f"{_BY_HAND}; otherwise void it",
            )
    elif subscription.status not in _COLLECTED:
        yield Stop(
            kind=StopKind.NOT_COLLECTED,
            about=f"{name}:{subscription.status_text}",
            detail=f"its subscription {name} is {subscription.status_text}: Stripe does not collect for it. Once it is "
            f"active again, the invoice is released; {_OR_RELEASE}",
        )
    if subscription.paused:
        yield Stop(
            kind=StopKind.PAUSED,
            about=name,
            detail=f"collection is paused for its subscription {name}. Once that ends, the invoice is released; "
            f"{_OR_RELEASE}",
        )


def _is_final(subscription: SubscriptionState, invoice: Invoice, state: InvoiceState) -> bool:
    """Return whether the cancellation itself made the invoice, which Stripe collects as usual.

    Seen with ``auto_advance=true`` and its subscription canceled already, it was not stopped by that. Otherwise the
    times decide: a subscription that ends at its period's end was canceled before (``canceled_at`` is the request).
    Stripe's times are whole seconds: in the very second in which the invoice was made, a subscription that was still
    there at first sight was canceled after that.
    """
    first, canceled_at, ended_at = state.first, subscription.canceled_at, subscription.ended_at
    if first is not None and first.auto_advance and first.canceled:
        return True
    if canceled_at is None or ended_at is None:
        return False
    seen_active = first is not None and first.auto_advance and first.canceled is False
    before = canceled_at < invoice.created_at if seen_active else canceled_at <= invoice.created_at
    return before and ended_at <= invoice.created_at + SAME_ACT


def withheld(
    actions: tuple[Action, ...], invoice: Invoice, state: InvoiceState, policy: Policy, now: datetime
) -> tuple[Action, ...]:
    """Replace the actions that would set free an invoice that another party is stopping by alerts about the stops."""
    stopped = stops(invoice, state) if any(map(_sets_free, actions)) else ()
    if not stopped:
        return actions
    stamps = tuple(replace(one, auto_advance=None, finalizes_at=None) for one in actions if isinstance(one, WriteStamp))
    alerts = tuple(one for one in actions if isinstance(one, RaiseAlert))
    return *stamps, *alerts, *alerts_about(stopped, state, policy, now)


def alerts_about(stopped: tuple[Stop, ...], state: InvoiceState, policy: Policy, now: datetime) -> tuple[Action, ...]:
    """Return the alerts about stops, and the wait for the next check."""
    return *(stop.alert for stop in stopped), Wait(until=check_again_at(stopped, state, policy, now))


def check_again_at(stopped: tuple[Stop, ...], state: InvoiceState, policy: Policy, now: datetime) -> datetime:
    """Return when a stopped invoice is checked again: by the retry ladder when its stop may end without an event."""
    lasting = all(stop.kind in _LASTING for stop in stopped)
    return now + (FOREIGN_HOLD_INTERVAL if lasting else ladder(policy, state.attempts))


def frees_unread(actions: tuple[Action, ...]) -> bool:
    """Return whether something is set free without being finalized, and so read again, by us before that."""
    if any(isinstance(one, Finalize) for one in actions):
        return False
    return any(isinstance(one, Release) or (isinstance(one, WriteStamp) and bool(one.auto_advance)) for one in actions)


def _sets_free(action: Action) -> bool:
    match action:
        case Finalize() | Release():
            return True
        case WriteStamp(auto_advance=advance, finalizes_at=at):
            return bool(advance) or at is not None
        case _:
            return False
