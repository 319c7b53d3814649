"""The proof roots of an early warning: what the ledger said when the warning was given, whatever the verdict was.

Each window is checkpointed as far as the ledger was read. PacSpace's silence or refusal (a cadence limit, a plan limit)
leaves the verdict as it is: the proof is missing, the row says so, and a later look asks again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from pacspace_stripe.comparison.rules.verdicts import Finding, Reason, Verdict, WindowResult, summarize
from pacspace_stripe.errors import RemoteError
from pacspace_stripe.evidence.rules import document as evidence
from pacspace_stripe.gate.rules.result import Shown, shown_windows
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.ledger.ledgers import Ledger
from pacspace_stripe.vocabulary.canonical_json import Json, canonical, digest

_SAME_FIGURES = ("account", "meter", "start", "end", "billed", "recorded", "count")


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningProofs:
    """A finding with the proofs that PacSpace gave for it, and why any other is missing."""

    finding: Finding
    windows: tuple[Shown, ...]
    """The rows that commands and alerts show: a window's root, or why it is missing."""
    journal: Mapping[str, Json]
    """The finding as the audit log keeps it."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Why roots are missing, each reason once."""
        return tuple(dict.fromkeys(str(row["proof_missing"]) for row in self.windows if row.get("proof_missing")))

    @property
    def core(self) -> str:
        """A digest that is equal while there is nothing new to write to the audit log."""
        known: list[dict[str, Json]] = [
            {name: value for name, value in row.items() if name != "proof_missing"} for row in self.windows
        ]
        return digest(canonical({"decision": self.journal["decision"], "windows": [*known]}))

    @property
    def detail(self) -> str:
        """The finding's detail, with what is missing."""
        if not self.missing:
            return self.finding.detail
        said = f"the ledger's proof is missing and is tried again: {', '.join(self.missing)}"
        return "; ".join(filter(None, (self.finding.detail, said)))

    @property
    def alert(self) -> str:
        """Return the alert's text, with every root that a drifted window has."""
        found = (row for row in self.windows if row["proof_root"] and _drifted(row))
        roots = dict.fromkeys(f"the ledger up to {row['end']} has proof root {row['proof_root']}" for row in found)
        return "; ".join(filter(None, (self.detail, *roots)))


def checkpointed(ledger: Ledger, finding: Finding, known: InvoiceState) -> WarningProofs:
    """Checkpoint every window that has records. Raises what the transport's guard raises, nothing of PacSpace's."""
    results: list[WindowResult] = []
    missing: dict[str, str] = {}
    for result in finding.windows:
        try:
            proven = ledger.proven(_whole_scope(result))
        except RemoteError as error:
            missing[result.key] = error.with_hint
            results.append(result)
            continue
        if proven.proof is None or proven.detail != result.detail:
            stale = proven.reason is Reason.ROOT_STALE and result.reason.verdict is Verdict.MATCHED
            if not stale and proven.detail != result.detail:
                missing[result.key] = proven.detail
            results.append(proven if stale else result)
            continue
        results.append(replace(result, proof=proven.proof))
    found = summarize(tuple(results))
    return WarningProofs(finding=found, windows=_rows(found, missing, known.windows), journal=_journal(found, missing))


def not_checkpointed(finding: Finding) -> WarningProofs:
    """Return a finding without any proof, as in observe mode."""
    return WarningProofs(finding=finding, windows=_rows(finding, {}, ()), journal=_journal(finding, {}))


def _whole_scope(result: WindowResult) -> WindowResult:
    """Return the result as its whole scope is proven, where nothing of it counts or what counts is unknown."""
    selected = result.selected
    if selected is None or result.count or result.reason is Reason.ZERO:
        return result
    return replace(result, recorded=result.recorded or Decimal(0), count=selected.count)


def _rows(finding: Finding, missing: Mapping[str, str], known: Iterable[Shown]) -> tuple[Shown, ...]:
    """Show every window with its root. A root of the very same figures, found before, stays."""
    roots = {_figures(row): row for row in known if row.get("proof_root")}
    rows: list[Shown] = []
    for window, result in zip(shown_windows(finding), finding.windows, strict=True):
        before = roots.get(_figures(window), {}) if result.proof is None else {}
        row: dict[str, str | int | None] = {
            **window,
            "proof_root": result.proof.proof_root if result.proof else before.get("proof_root"),
            "checkpoint_id": result.proof.checkpoint_id if result.proof else before.get("checkpoint_id"),
        }
        if result.key in missing and not row["proof_root"]:
            row["proof_missing"] = missing[result.key]
        rows.append(row)
    return tuple(rows)


def _figures(row: Shown) -> tuple[object, ...]:
    return tuple(row.get(name) for name in _SAME_FIGURES)


def _journal(finding: Finding, missing: Mapping[str, str]) -> Mapping[str, Json]:
    document = evidence.found(finding)
    return {**document, "proof_missing": dict(missing)} if missing else document


def _drifted(row: Shown) -> bool:
    return Reason(str(row["reason"])).verdict is Verdict.DRIFTED
