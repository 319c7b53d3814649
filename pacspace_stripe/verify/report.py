"""The report of a verification: what it is about, what each step found, and what stays unproven. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pacspace_stripe.vocabulary.canonical_json import Json

_LONGEST = 1000
_MOST_DETAILS = 5
_COMPARE = "Compare these figures with the page in front of you: it must show the same."
_COMPARE_ROOT = (
    "Compare with the page that names this proof root: it must show as many records, and as recorded usage the net "
    "change, whose sign the vendor chose."
)


class StepOutcome(StrEnum):
    """The outcome of one step, or of all of them."""

    HOLDS = "holds"
    REFUTED = "refuted"
    CANNOT_TELL = "cannot tell"
    """The step was tried, and nothing could be concluded: a service is down, a page has no text."""
    SKIPPED = "skipped"
    """The step was not tried."""


_WORST_FIRST = (StepOutcome.REFUTED, StepOutcome.CANNOT_TELL, StepOutcome.HOLDS, StepOutcome.SKIPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAnswer:
    """PacSpace's answer about one proof root from one of its sources, in words. Printable."""

    proof_root: str
    source: str
    """``db``, ``chain`` or ``both``."""
    said: str
    confirms: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An outcome and what was seen. Printable: nothing that a document says can act on a terminal."""

    outcome: StepOutcome
    detail: str
    sources: tuple[SourceAnswer, ...] = ()
    """PacSpace's answers behind it, source by source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One numbered step: what was checked, and how that went."""

    number: int
    checked: str
    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedName:
    """A name and its source, because evidence has ids only."""

    name: str
    said: str
    """Source in words, like "at Stripe"."""

    def __str__(self) -> str:
        return f"{self.name} ({self.said})"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedWindow:
    """Both figures of one meter and period, as they are written; None where they are not known."""

    meter: str | None
    account: str | None
    period: str | None
    billed: str | None
    recorded: str | None
    records: str | None
    net_change: str | None = None
    """Net change that a proof root alone covers, in the ledger's sign: the vendor chose the sign of usage."""

    def as_json(self) -> dict[str, Json]:
        """Return the window for machines, quantities as strings."""
        start, _, end = (self.period or "").partition("/")
        return {
            "meter": self.meter,
            "account": self.account,
            "start": start or None,
            "end": end or None,
            "billed": self.billed,
            "recorded": self.recorded,
            "records": self.records,
            **({"net_change": self.net_change} if self.net_change is not None else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedFigures:
    """Owner of an invoice and the usage it bills, as far as the target says so. Only the steps say whether it holds."""

    invoice: str | None
    customer: str | None
    title: str | None = None
    """Title of the document, which names the invoice's number."""
    number: VerifiedName | None = None
    vendor: VerifiedName | None = None
    customer_name: VerifiedName | None = None
    windows: tuple[VerifiedWindow, ...] = ()
    more_windows: int = 0
    """Number of windows that the stamp counts and does not name."""

    @property
    def compare(self) -> str:
        """The sentence that says what to compare with the page; empty where there is no figure."""
        if not self.windows:
            return ""
        return _COMPARE_ROOT if any(window.net_change for window in self.windows) else _COMPARE

    def as_json(self) -> dict[str, Json]:
        """Return the figures for machines."""
        return {
            "invoice": self.invoice,
            "number": self.number.name if self.number else None,
            "title": self.title,
            "vendor": self.vendor.name if self.vendor else None,
            "vendor_said": self.vendor.said if self.vendor else None,
            "customer": self.customer,
            "customer_name": self.customer_name.name if self.customer_name else None,
            "windows": [window.as_json() for window in self.windows],
            "more_windows": self.more_windows,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """All steps about one target, and what they leave open."""

    target: str
    kind: str
    """Kind of target: "PDF", "bundle", "evidence", "invoice", "proof root" or, when it cannot be read, "file"."""
    steps: tuple[Step, ...]
    figures: VerifiedFigures | None = None
    """Owner, meters, periods and quantities; None where the target does not say or cannot be read."""
    invoice: str | None = None
    verdict: str | None = None
    """Verdict on the invoice, where the target names one. A proof that holds may be the proof of a drift."""
    not_proven: tuple[str, ...] = ()

    @property
    def outcome(self) -> StepOutcome:
        """The outcome of all steps: one refutation refutes, else one open question leaves all open.

        A verification in which no step was run proves nothing: it cannot tell.
        """
        found = {step.result.outcome for step in self.steps}
        if StepOutcome.REFUTED in found:
            return StepOutcome.REFUTED
        if StepOutcome.HOLDS in found and found <= {StepOutcome.HOLDS, StepOutcome.SKIPPED}:
            return StepOutcome.HOLDS
        return StepOutcome.CANNOT_TELL

    def as_json(self) -> dict[str, Json]:
        """Return the report for machines, in one object."""
        return {
            "target": self.target,
            "kind": self.kind,
            "invoice": self.invoice,
            "verdict": self.verdict,
            "figures": self.figures.as_json() if self.figures else None,
            "result": self.outcome.value,
            "steps": [_step(step) for step in self.steps],
            "compare": (self.figures.compare or None) if self.figures else None,
            "not_proven": list(self.not_proven),
        }


def _step(step: Step) -> Json:
    answers: list[Json] = [
        {"proof_root": answer.proof_root, "source": answer.source, "said": answer.said}
        for answer in step.result.sources
    ]
    shown: dict[str, Json] = {
        "number": step.number,
        "checked": step.checked,
        "result": step.result.outcome.value,
        "detail": step.result.detail,
    }
    return {**shown, "sources": answers} if answers else shown


def holds(detail: str) -> Result:
    """Return the result of a check that passed."""
    return Result(outcome=StepOutcome.HOLDS, detail=printable(detail))


def refuted(detail: str) -> Result:
    """Return the result of a check that found a contradiction."""
    return Result(outcome=StepOutcome.REFUTED, detail=printable(detail))


def cannot_tell(detail: str) -> Result:
    """Return the result of a check that was tried and could not be completed."""
    return Result(outcome=StepOutcome.CANNOT_TELL, detail=printable(detail))


def skipped(detail: str) -> Result:
    """Return the result of a check that was not tried."""
    return Result(outcome=StepOutcome.SKIPPED, detail=printable(detail))


def unless(problems: Iterable[str], then: str) -> Result:
    """Return a refutation by the problems, or, where there is none, that it holds."""
    found = list(problems)
    return refuted(_joined(found)) if found else holds(then)


def together(results: Iterable[Result], *, otherwise: str) -> Result:
    """Combine several results about one question: the worst one decides. ``otherwise`` says why there is none."""
    found = list(results)
    if not found:
        return skipped(otherwise)
    worst = min((result.outcome for result in found), key=_WORST_FIRST.index)
    details = dict.fromkeys(result.detail for result in found if result.outcome is worst and result.detail)
    sources = tuple(dict.fromkeys(answer for result in found for answer in result.sources))
    return Result(outcome=worst, detail=printable(_joined(list(details))), sources=sources)


def numbered(steps: Iterable[tuple[str, Result]]) -> tuple[Step, ...]:
    """Return the steps numbered in order, from 1."""
    return tuple(
        Step(number=number, checked=checked, result=result) for number, (checked, result) in enumerate(steps, start=1)
    )


def printable(text: str) -> str:
    """Return text on one line, with � for all that could act on a terminal or turn the reading direction."""
    line = " ".join(text.split())
    shown = "".join(char if char.isprintable() else "\ufffd" for char in line)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"


def _joined(details: list[str]) -> str:
    more = f"; and {len(details) - _MOST_DETAILS} more" if len(details) > _MOST_DETAILS else ""
    return "; ".join(details[:_MOST_DETAILS]) + more
