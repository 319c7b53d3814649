"""What a verification found, step by step, and what it does not prove."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pacspace_stripe.vocabulary.canonical_json import Json

if TYPE_CHECKING:
    from pacspace_stripe.verify.figures import VerifiedFigures

_LONGEST = 1000


class Outcome(StrEnum):
    """What became of one step."""

    HOLDS = "holds"
    REFUTED = "refuted"
    CANNOT_TELL = "cannot tell"
    """It was tried, and nothing could be concluded: a service is down, a page has no text."""
    SKIPPED = "skipped"
    """It was not tried."""


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

    outcome: Outcome
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
class Report:
    """All steps about one target, and what they leave open."""

    target: str
    kind: str
    """What the target is: "PDF", "bundle", "evidence", "invoice", "proof root"."""
    steps: tuple[Step, ...]
    figures: "VerifiedFigures | None" = None
    """Owner, meters, periods and quantities; None where the target does not say or cannot be read."""
    invoice: str | None = None
    """The invoice it is about, where it says so; and the verdict on it, which a proof may hold of a wrong one too."""
    verdict: str | None = None
    not_proven: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """One refutation refutes; else one open question leaves all open; a verification of nothing proves nothing."""
        found = {step.result.outcome for step in self.steps}
        if Outcome.REFUTED in found:
            return Outcome.REFUTED
        return Outcome.HOLDS if found <= {Outcome.HOLDS, Outcome.SKIPPED} and Outcome.HOLDS in found else _OPEN

    def as_json(self) -> dict[str, Json]:
        """For machines: the same in one object."""
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
        {"proof_root": one.proof_root, "source": one.source, "said": one.said} for one in step.result.sources
    ]
    shown: dict[str, Json] = {
        "number": step.number,
        "checked": step.checked,
        "result": step.result.outcome.value,
        "detail": step.result.detail,
    }
    return {**shown, "sources": answers} if answers else shown


_OPEN = Outcome.CANNOT_TELL
_WORST_FIRST = (Outcome.REFUTED, Outcome.CANNOT_TELL, Outcome.HOLDS, Outcome.SKIPPED)


def holds(detail: str) -> Result:
    """It is as it should be."""
    return Result(outcome=Outcome.HOLDS, detail=printable(detail))


def refuted(detail: str) -> Result:
    """It is not as it should be."""
    return Result(outcome=Outcome.REFUTED, detail=printable(detail))


def cannot_tell(detail: str) -> Result:
    """It was tried in vain."""
    return Result(outcome=Outcome.CANNOT_TELL, detail=printable(detail))


def skipped(detail: str) -> Result:
    """It was not tried."""
    return Result(outcome=Outcome.SKIPPED, detail=printable(detail))


def unless(problems: Iterable[str], then: str) -> Result:
    """Refuted by the problems, or else holding."""
    found = list(problems)
    return refuted(_joined(found)) if found else holds(then)


def together(results: Iterable[Result], *, otherwise: str) -> Result:
    """Several results about one question: the worst one speaks. ``otherwise``: why there are none."""
    found = list(results)
    if not found:
        return skipped(otherwise)
    worst = min((result.outcome for result in found), key=_WORST_FIRST.index)
    said = dict.fromkeys(result.detail for result in found if result.outcome is worst and result.detail)
    sources = tuple(dict.fromkeys(answer for result in found for answer in result.sources))
    return Result(outcome=worst, detail=printable(_joined(list(said))), sources=sources)


def numbered(steps: Iterable[tuple[str, Result]]) -> tuple[Step, ...]:
    """The steps in order, from 1."""
    return tuple(
        Step(number=number, checked=checked, result=result) for number, (checked, result) in enumerate(steps, start=1)
    )


def printable(text: str) -> str:
    """Text on one line in which everything that could act on a terminal or turn the reading direction is shown as �."""
    line = " ".join(text.split())
    shown = "".join(char if char.isprintable() else "\ufffd" for char in line)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"


_MANY = 5


def _joined(said: list[str]) -> str:
    more = f"; and {len(said) - _MANY} more" if len(said) > _MANY else ""
    return "; ".join(said[:_MANY]) + more
