"""The footer's view → the values that its template sees."""

from pacspace_stripe.documents.views import FooterView, FooterWindow
from pacspace_stripe.documents.wording import figure, moment, one_line, optional, right_to_left

FOOTER_TEMPLATE = "invoice_footer.txt.jinja"


def footer_values(view: FooterView) -> dict[str, object]:
    """What the template sees: text, counts and None."""
    return {
        "windows": [_window(window) for window in view.windows],
        "evidence_sha256": one_line(view.evidence_sha256),
    }


def _window(window: FooterWindow) -> dict[str, object]:
    return {
        "meter": one_line(window.meter),
        "right_to_left": right_to_left(window.meter),
        "start": moment(window.start),
        "end": moment(window.end),
        "usage": figure(window.usage),
        "count": window.count,
        "proof_root": optional(window.proof_root),
        "verify_url": optional(window.verify_url),
        "record_key": optional(window.record_key),
    }
