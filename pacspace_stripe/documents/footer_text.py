"""The text that a metered invoice's footer says about its usage: what the footer's template sees.

``gate.rules.footer`` puts the text between our marker lines and into the merchant's own footer.
"""

from dataclasses import dataclass

from pacspace_stripe.documents.plain_text import figure, moment, one_line, optional, right_to_left
from pacspace_stripe.documents.views import FooterView

FOOTER_TEMPLATE = "invoice_footer.txt.jinja"


@dataclass(frozen=True, slots=True, kw_only=True)
class FooterWindowValues:
    """One entry of `windows`."""

    meter: str
    """The meter's event name."""
    right_to_left: bool
    """True when it has right-to-left letters: digits after them on the same line would be shown out of order."""
    start: str
    """Start of the period in UTC, like `2026-09-01 00:00`."""
    end: str
    """End of the period, which is not part of it."""
    usage: str | None
    """Recorded usage in the meter's unit, its exact digits; none when the ledger could not say."""
    count: int | None
    """Number of records, or of writes with `record_key`; none like `usage`."""
    proof_root: str | None
    """PacSpace's root of the records; none when there is nothing to prove."""
    verify_url: str | None
    """The address where a person can check the root; none without one."""
    record_key: str | None
    """The key of the record that is the proof itself, with the settlement ledger, which has no roots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FooterValues:
    """The text of every invoice's footer about its metered usage."""

    windows: list[FooterWindowValues]
    """One for each meter and period."""
    evidence_sha256: str
    """SHA-256 of the evidence document, in lower-case hex."""


def footer_values(view: FooterView) -> FooterValues:
    """Return the view's values as text, each on one line.

    Windows without a period, and settlement records that PacSpace has not verified, are left out: they prove nothing.
    """
    return FooterValues(
        windows=[
            FooterWindowValues(
                meter=one_line(window.meter),
                right_to_left=right_to_left(window.meter),
                start=moment(window.start),
                end=moment(window.end),
                usage=figure(window.recorded),
                count=window.count,
                proof_root=optional(window.proof_root),
                verify_url=optional(window.verify_url),
                record_key=optional(window.record_key),
            )
            for window in view.windows
            if window.start and window.end and window.record_verified
        ],
        evidence_sha256=one_line(view.evidence_sha256),
    )
