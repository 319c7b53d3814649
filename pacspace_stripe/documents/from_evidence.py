"""What documents say, told by a stored evidence document: the same as when it was decided."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.documents.charts import days_of
from pacspace_stripe.documents.views import (
    Day,
    FooterView,
    FooterWindow,
    StatementWindow,
    SummaryWindow,
)
from pacspace_stripe.explain.rules.explanation import Explanation, explanation_of
from pacspace_stripe.explain.rules.explanation_text import sentence


def footer_view(document: Mapping[str, Any], evidence_sha256: str) -> FooterView:
    """The view of a footer: every window that has a period, but for records that are not verified."""
    windows = tuple(
        FooterWindow(usage=_quantity(window["recorded"]), **_told(window))
        for window in document["windows"]
        if window["start"] and _names_proof(window)
    )
    return FooterView(windows=windows, evidence_sha256=evidence_sha256)


def statement_windows(
    document: Mapping[str, Any], days_of: Callable[[dict[str, Any]], tuple[Day, ...]]
) -> tuple[StatementWindow, ...]:
    """The rows of a statement: every window that has a period; what could not be told apart has none."""
    return tuple(
        StatementWindow(account=window["account"] or "-", days=days_of(window), **_figures(window), **_told(window))
        for window in document["windows"]
        if window["start"]
    )


def summary_windows(document: Mapping[str, Any], explanations: Iterable[Explanation] = ()) -> tuple[SummaryWindow, ...]:
    """The rows of a summary: every window. What a root covers is told only where PacSpace's public answer named it.

    Of a drift, what it comes from. What a person let go all the same, that person's words explain.
    """
    known = tuple(explanations) if document["decision"]["verdict"] == Verdict.DRIFTED else ()
    return tuple(_summary_window(window, explanation_of(window, known)) for window in document["windows"])


def proof_roots(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Every proof root, in the order of the windows."""
    found = ((window["proof"] or {}).get("proof_root") for window in document["windows"])
    return tuple(dict.fromkeys(root for root in found if root))


def is_about(footer: str, document: Mapping[str, Any], evidence_sha256: str) -> bool:
    """Whether a footer names this evidence and its roots: one that froze may name what was decided before."""
    return all(_names(footer, one) for one in (evidence_sha256, *proof_roots(document)))


def _names(footer: str, hexadecimal: str) -> bool:
    return re.search(rf"(?<![0-9a-fA-F]){re.escape(hexadecimal)}(?![0-9a-fA-F])", footer) is not None


def decided_at(document: Mapping[str, Any]) -> datetime:
    """When it was decided."""
    return datetime.fromisoformat(document["decided_at"])


def _summary_window(window: Mapping[str, Any], explained: Explanation | None) -> SummaryWindow:
    proof = window["proof"] or {}
    stated = proof if proof.get("cross_checked") else {}
    return SummaryWindow(
        covered=stated.get("record_count"),
        net=_quantity(stated.get("net_change")),
        stale=proof.get("stale", False),
        sentence=sentence(explained, naming=False) if explained else None,
        days=days_of(explained) if explained else (),
        **_figures(window),
        **_told(window),
    )


def _names_proof(window: Mapping[str, Any]) -> bool:
    record = window.get("record")
    return record is None or bool(record["verified"])


def _told(window: Mapping[str, Any]) -> dict[str, Any]:
    """What every document tells of a window."""
    proof, record = window["proof"] or {}, window.get("record") or {}
    return {
        "meter": window["meter"],
        "start": _moment(window["start"]),
        "end": _moment(window["end"]),
        "count": window["count"],
        "proof_root": proof.get("proof_root"),
        "verify_url": proof.get("verify_url"),
        "record_key": record.get("key"),
    }


def _figures(window: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _quantity(window[name]) for name in ("billed", "recorded")}


def _moment(written: str | None) -> datetime | None:
    return None if written is None else datetime.fromisoformat(written)


def _quantity(written: str | None) -> Decimal | None:
    return None if written is None else Decimal(written)
