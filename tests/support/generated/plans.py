"""Plans of worlds: values only. ``draw(seed)`` makes one, ``Plan.story()`` tells it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from tests.support.worlds import START

Side = Literal["both", "stripe", "ledger"]
State = Literal["verified", "late", "never", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A customer's subscription, its period and what is on its invoices."""

    customer: str
    meters: tuple[str, ...]
    start: datetime
    end: datetime
    account: str | None = None
    """A ledger account of its own, in the subscription's metadata."""
    mistyped: bool = False
    """The metadata names an account that nobody uses, until a person corrects it."""
    split_at: datetime | None = None
    """Usage before and after it are separate lines."""
    mailed: bool = False
    licensed: bool = False
    footer: str | None = None
    metadata: int = 0
    """How many keys of the merchant's own the draft gets as soon as it is there."""

    @property
    def name(self) -> str:
        return f"sub_{self.customer.removeprefix('cus_')}_{'_'.join(self.meters) or 'seats'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Usage of a meter at a time, told at ``at`` to one side or both."""

    at: datetime
    subscription: int
    meter: str
    used_at: datetime
    quantity: Decimal
    side: Side = "both"
    state: State = "verified"
    """Of the ledger's record: late is verified ``late_by`` after it was told, never waits for the healing."""
    late_by: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody does something to a subscription's newest invoice; ``during``: at the n-th request of ours after it."""

    at: datetime
    subscription: int
    does: str
    during: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A vendor fails in some way until ``until``."""

    at: datetime
    until: datetime
    vendor: Literal["stripe", "ledger"]
    fault: str
    endpoint: str | None = None
    probability: float = 1.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """The process dies at a request, before or after it arrives; a new one starts ``down`` later."""

    at: datetime
    request: str
    """How the request after ``skip`` others begins, such as ``POST /v1/invoices``; ``BEGIN`` is a transaction."""
    skip: int = 0
    arrives: bool = False
    down: timedelta = timedelta(0)
    drifts: bool = False
    """Whether the ledger of every open invoice is another one when the new process starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """The process is paused after a request, longer than its lease; another one looks meanwhile; then it goes on."""

    at: datetime
    skip: int = 0
    lasts: timedelta = timedelta(seconds=40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """A new process, perhaps under another policy."""

    at: datetime
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """What the vendors do: ``upcoming`` is sent, the ``first`` invoice or one for a ``threshold`` is made, a ``gap``
    in the ledger's sequence, a ``deposit`` on its account.
    """

    at: datetime
    subscription: int
    what: Literal["upcoming", "gap", "deposit", "threshold", "first"]


Act = Usage | Person | Outage | Crash | Stall | Restart | Other


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What goes wrong with webhooks."""

    copies: int = 1
    shuffled: bool = False
    delay: timedelta = timedelta(0)
    lost: str | None = None
    """A type of event that never arrives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One world."""

    seed: int
    settings: tuple[tuple[str, str], ...] = ()
    stripe: tuple[tuple[str, object], ...] = ()
    """Switches of the simulated Stripe's behaviour."""
    ledger: tuple[tuple[str, object], ...] = ()
    """Switches of the simulated PacSpace's rules."""
    delivery: Delivery = field(default_factory=Delivery)
    subscriptions: tuple[Subscription, ...] = ()
    acts: tuple[Act, ...] = ()
    heals_at: datetime = START + timedelta(hours=12)
    heals: tuple[bool, ...] = ()
    """Per subscription: whether both sides agree in the end."""
    calm: bool = False
    """Nothing in it depends on when exactly we look: any delivery has to give the same end."""

    def setting(self, name: str, default: str) -> str:
        return dict(self.settings).get(name, default)

    def story(self) -> str:
        """What happens, one line each."""
        lines = [f"seed {self.seed}{', calm' if self.calm else ''}"]
        for title in ("settings", "stripe", "ledger"):
            lines += [f"{title}: {' '.join(f'{name}={value}' for name, value in getattr(self, title))}"]
        lines += [f"delivery: {_said(self.delivery)}"]
        lines += [f"[{place}] {_said(each)}" for place, each in enumerate(self.subscriptions)]
        lines += [f"{_at(act.at)} {_said(act, but='at')}" for act in self.acts]
        return "\n  ".join([*lines, f"{_at(self.heals_at)} heals {self.heals}"])


def _at(at: datetime) -> str:
    return f"{at:%d %H:%M:%S}"


def _said(value: object, but: str = "") -> str:
    """A value without what is as usual."""
    fields = type(value).__dataclass_fields__  # type: ignore[attr-defined]  # every value here is one
    shown = {name: getattr(value, name) for name, one in fields.items() if getattr(value, name) != one.default}
    told = (
        f"{name}={_at(item) if isinstance(item, datetime) else item}" for name, item in shown.items() if name != but
    )
    return f"{type(value).__name__} {' '.join(told)}"
