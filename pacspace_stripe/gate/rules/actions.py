"""What can be done next with one invoice, as data; printed as a person would say it."""

from dataclasses import dataclass
from datetime import datetime

from pacspace_stripe.vocabulary.windows import iso_to_next_second


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing to do before ``until``."""

    until: datetime

    def __str__(self) -> str:
        return f"look again at {iso_to_next_second(self.until)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Set ``auto_advance=false``. ``again``: somebody undid our hold."""

    again: bool = False

    def __str__(self) -> str:
        return "hold (auto_advance=false)"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetBackstop:
    """Let Stripe itself finalize at ``at``, should we die: the customer is still billed."""

    at: datetime

    def __str__(self) -> str:
        return f"let Stripe finalize at {iso_to_next_second(self.at)} at the latest"


@dataclass(frozen=True, slots=True)
class Compare:
    """Compare now."""

    def __str__(self) -> str:
        return "compare"


@dataclass(frozen=True, slots=True)
class Confirm:
    """It left by Stripe's clock: see whether its final lines are those that were stamped."""

    def __str__(self) -> str:
        return "confirm the final lines"


@dataclass(frozen=True, slots=True)
class WatchRelease:
    """We released it: see whether it has had an effect."""

    def __str__(self) -> str:
        return "watch the release"


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Nothing more to do, ever."""

    detail: str

    def __str__(self) -> str:
        return f"nothing more: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteStamp:
    """Write verdict and proof in one update. ``footer``: still possible; the rest goes along if set."""

    footer: bool
    auto_advance: bool | None = None
    finalizes_at: datetime | None = None

    def __str__(self) -> str:
        return "stamp metadata and footer" if self.footer else "stamp metadata"


@dataclass(frozen=True, slots=True)
class Prove:
    """Have PacSpace checkpoint each window that has records, and cross-check the proof roots."""

    def __str__(self) -> str:
        return "prove with PacSpace's checkpoints"


@dataclass(frozen=True, slots=True)
class Finalize:
    """``finalize(auto_advance=false)``, then all lines again, then release only if they are what was stamped."""

    def __str__(self) -> str:
        return "finalize without advancing, read all lines again"


@dataclass(frozen=True, slots=True)
class Release:
    """Set ``auto_advance=true`` on the finalized invoice that we held."""

    def __str__(self) -> str:
        return "release (auto_advance=true)"


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseAlert:
    """Tell people, once per kind. ``detail`` replaces the finding's."""

    kind: str
    detail: str | None = None

    def __str__(self) -> str:
        return f"alert {self.kind}"


Step = Wait | Hold | SetBackstop | Compare | Confirm | WatchRelease | End
Action = Hold | WriteStamp | Finalize | Release | RaiseAlert | Wait | End
