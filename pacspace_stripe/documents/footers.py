"""The footer's view → the values that its template sees."""

from dataclasses import dataclass

from pacspace_stripe.documents.views import FooterView, FooterWindow
from pacspace_stripe.documents.wording import figure, moment, one_line, optional, right_to_left

FOOTER_TEMPLATE = "invoice_footer.txt.jinja"


@dataclass(frozen=True, slots=True, kw_only=True)
class FooterWindowValues:
    """One entry of ``windows``."""

    meter: str
    """The meter's event name."""
    right_to_left: bool
    """Whether it has right-to-left letters: digits after them on the same line would be shown out of order."""
    start: str
    """In UTC, like `2026-09-01 00:00`."""
    end: str
    """The same; not part of the window."""
    usage: str | None
    """Recorded usage in the meter's unit, its exact digits; none when the ledger could not say."""
    count: int | None
    """Number of records, or of writes with `record_key`; none like `usage`."""
    proof_root: str | None
    """PacSpace's root of the records; none when there is nothing to prove."""
    verify_url: str | None
    """Where a person can check the root; none like it."""
    record_key: str | None
    """Of the settlement ledger, which has no roots: the record that is the proof itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FooterValues:
    """What every invoice's footer says about its metered usage."""

    windows: list[FooterWindowValues]
    """One for each meter and period."""
    evidence_sha256: str
    """SHA-256 of the evidence document, in lower-case hex."""


def footer_values(view: FooterView) -> FooterValues:
    """The view's values as text, each on one line."""
    return FooterValues(
        windows=[_window(window) for window in view.windows], evidence_sha256=one_line(view.evidence_sha256)
    )


def _window(window: FooterWindow) -> FooterWindowValues:
    return FooterWindowValues(
        meter=one_line(window.meter),
        right_to_left=right_to_left(window.meter),
        start=moment(window.start),
        end=moment(window.end),
        usage=figure(window.usage),
        count=window.count,
        proof_root=optional(window.proof_root),
        verify_url=optional(window.verify_url),
        record_key=optional(window.record_key),
    )
