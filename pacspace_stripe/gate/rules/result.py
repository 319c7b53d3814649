"""Result of a check, in the one shape that every command prints."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from pacspace_stripe.comparison.rules.verdicts import Finding, Reason, Verdict
from pacspace_stripe.evidence.rules.document import shown
from pacspace_stripe.explain.rules.explanation import Explanation, explanation_of, has_drifted
from pacspace_stripe.explain.rules.explanation_text import sentence
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.windows import iso

Shown = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """Result of one check: the finding, the steps that were or would be taken, and the time of the next check."""

    invoice_id: str
    status: str
    """Stripe's status of the invoice as last read."""
    verdict: Verdict | None
    """None when nothing is metered, or it is too early to compare."""
    reason: Reason | None
    detail: str
    windows: tuple[Shown, ...]
    steps: tuple[str, ...]
    next_check_at: datetime | None
    early_warning: "CheckResult | None" = None
    """Early warning that was given before the invoice was made, where a command asks for it."""
    so_far: "CheckResult | None" = None
    """Both sides compared now, where a command asks for it before the gate compares them."""

    @property
    def good(self) -> bool:
        """Return whether the invoice is matched or waived, or bills nothing that the gate compares."""
        return self.verdict is None or self.verdict.may_leave

    @property
    def drifted(self) -> bool:
        """Return whether the figures of any window differ, whatever a waiver says."""
        return any(map(has_drifted, self.windows))

    def explained(self, explanations: Iterable[Explanation]) -> "CheckResult":
        """Return the result with ``cause`` and ``sentence`` in each window whose very figures were explained."""
        known = tuple(explanations)
        return replace(self, windows=tuple(_explained(window, known) for window in self.windows))

    def as_json(self) -> dict[str, Json]:
        """Return ``invoice, verdict, reason, windows[…]`` and what belongs to them; decimals are strings."""
        return {
            "invoice": self.invoice_id,
            "status": self.status,
            "verdict": self.verdict.value if self.verdict else None,
            "reason": self.reason.value if self.reason else None,
            "detail": self.detail,
            "windows": [dict(window) for window in self.windows],
            "steps": list(self.steps),
            "next_check_at": iso(self.next_check_at) if self.next_check_at else None,
            **({"early_warning": self.early_warning.as_json()} if self.early_warning else {}),
            **({"so_far": self.so_far.as_json()} if self.so_far else {}),
        }


def _explained(window: Shown, explanations: tuple[Explanation, ...]) -> Shown:
    found = explanation_of(window, explanations)
    return window if found is None else {**window, "cause": found.cause.value, "sentence": sentence(found)}


def shown_windows(finding: Finding) -> tuple[Shown, ...]:
    """Return every window of a finding as commands print it."""
    return tuple(
        {key: value if isinstance(value, int) or value is None else str(value) for key, value in shown(result).items()}
        for result in finding.windows
    )


def result_of(
    state: InvoiceState, *, status: str, steps: tuple[str, ...] = (), next_check_at: datetime | None = None
) -> CheckResult:
    """Return the last finding of an invoice state; for a waived invoice also who released it and why."""
    detail = state.detail
    if state.verdict is Verdict.WAIVED and state.waiver:
        detail = f"released by {state.waiver.by}: {state.waiver.reason}" + (f"; {detail}" if detail else "")
    return CheckResult(
        invoice_id=state.invoice_id,
        status=status,
        verdict=state.verdict,
        reason=state.reason,
        detail=detail,
        windows=state.windows,
        steps=steps,
        next_check_at=next_check_at,
    )
