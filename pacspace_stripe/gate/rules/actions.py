"""Steps and actions on one invoice, as data; as text they are the steps that commands print."""

from dataclasses import dataclass
from datetime import datetime

from pacspace_stripe.vocabulary.windows import iso_to_next_second


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Wait: nothing is to do before ``until``."""

    until: datetime

    def __str__(self) -> str:
        return f"check again at {iso_to_next_second(self.until)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Hold: ``auto_advance=false``. ``again``: another party undid our hold."""

    again: bool = False

    def __str__(self) -> str:
        return "hold (auto_advance=false)"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetBackstop:
    """Backstop: Stripe itself finalizes at ``at``, so that the customer is billed even if the gate dies."""

    at: datetime

    def __str__(self) -> str:
        return f"let Stripe finalize at {iso_to_next_second(self.at)} at the latest"


@dataclass(frozen=True, slots=True)
class Compare:
    """Comparison of both sides, now."""

    def __str__(self) -> str:
        return "compare"


@dataclass(frozen=True, slots=True)
class Confirm:
    """Confirmation that an invoice that left by Stripe's clock has the final lines that were stamped."""

    def __str__(self) -> str:
        return "confirm the final lines"


@dataclass(frozen=True, slots=True)
class WatchRelease:
    """Watch over a release: it ends when Stripe collects or mails the invoice."""

    def __str__(self) -> str:
        return "watch the release"


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """End: nothing is left to do."""

    detail: str

    def __str__(self) -> str:
        return f"nothing more: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteStamp:
    """Stamp: verdict and proof in one update, with the footer while that is possible, and the other fields if set."""

    footer: bool
    auto_advance: bool | None = None
    finalizes_at: datetime | None = None

    def __str__(self) -> str:
        return "stamp metadata and footer" if self.footer else "stamp metadata"


@dataclass(frozen=True, slots=True)
class Prove:
    """Proof: PacSpace checkpoints each window that has records, and its proof roots are cross-checked."""

    def __str__(self) -> str:
        return "prove with PacSpace's checkpoints"


@dataclass(frozen=True, slots=True)
class Finalize:
    """Finalization with ``auto_advance=false``; a release follows only if all lines then are what was stamped."""

    def __str__(self) -> str:
        return "finalize without advancing, read all lines again"


@dataclass(frozen=True, slots=True)
class Release:
    """Release: ``auto_advance=true`` on a finalized invoice that the gate held."""

    def __str__(self) -> str:
        return "release (auto_advance=true)"


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseAlert:
    """Alert, once per kind. ``detail`` replaces the finding's."""

    kind: str
    detail: str | None = None

    def __str__(self) -> str:
        return f"alert {self.kind}"


Step = Wait | Hold | SetBackstop | Compare | Confirm | WatchRelease | End
Action = Hold | WriteStamp | Finalize | Release | RaiseAlert | Wait | End
