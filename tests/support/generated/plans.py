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
    """Ledger account of its own, named in the subscription's metadata."""
    mistyped: bool = False
    """The metadata names an account without records, until a person corrects it."""
    split_at: datetime | None = None
    """Usage before and after it are separate lines."""
    mailed: bool = False
    licensed: bool = False
    footer: str | None = None
    metadata: int = 0
    """Number of the merchant's own keys that a new draft gets."""

    @property
    def name(self) -> str:
        return f"sub_{self.customer.removeprefix('cus_')}_{'_'.join(self.meters) or 'seats'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Usage of a meter at a time, reported at ``at`` to one side or both."""

    at: datetime
    subscription: int
    meter: str
    used_at: datetime
    quantity: Decimal
    side: Side = "both"
    state: State = "verified"
    """State of the ledger's record: late is verified ``late_by`` after its report, never waits for the healing."""
    late_by: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Act of a person on a subscription's newest invoice; ``during``: at the n-th request of ours after it."""

    at: datetime
    subscription: int
    does: str
    during: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Outage of a vendor, in some way, until ``until``."""

    at: datetime
    until: datetime
    vendor: Literal["stripe", "ledger"]
    fault: str
    endpoint: str | None = None
    probability: float = 1.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """Death of the process at a request, before or after it arrives; a new one starts ``down`` later."""

    at: datetime
    request: str
    """Beginning of the request after ``skip`` others, such as ``POST /v1/invoices``; ``BEGIN`` is a transaction."""
    skip: int = 0
    arrives: bool = False
    down: timedelta = timedelta(0)
    drifts: bool = False
    """True when the ledger of every open invoice is another one as the new process starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """Pause of the process after a request, longer than its lease; another one checks meanwhile; then it goes on."""

    at: datetime
    skip: int = 0
    lasts: timedelta = timedelta(seconds=40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Start of a new process, perhaps under another policy."""

    at: datetime
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Act of the vendors: ``upcoming`` is sent, the ``first`` invoice or one for a ``threshold`` is made, a ``gap``
    in the ledger's sequence, a ``deposit`` on its account.
    """

    at: datetime
    subscription: int
    what: Literal["upcoming", "gap", "deposit", "threshold", "first"]


Act = Usage | Person | Outage | Crash | Stall | Restart | Other


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Faults of webhooks."""

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
    """Per subscription: True when both sides agree in the end."""
    calm: bool = False
    """True when nothing depends on the time of a check: any delivery must give the same end."""

    def setting(self, name: str, default: str) -> str:
        return dict(self.settings).get(name, default)

    def story(self) -> str:
        """Return what happens, one line each."""
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
    """Return a value without its defaults."""
    fields = type(value).__dataclass_fields__  # type: ignore[attr-defined]  # every value here is one
    shown = {name: getattr(value, name) for name, one in fields.items() if getattr(value, name) != one.default}
    told = (
        f"{name}={_at(item) if isinstance(item, datetime) else item}" for name, item in shown.items() if name != but
    )
    return f"{type(value).__name__} {' '.join(told)}"
