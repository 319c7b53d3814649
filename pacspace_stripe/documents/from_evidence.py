"""What the footer says, told by a stored evidence document: the same text as when it was decided."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from pacspace_stripe.documents import FooterView, FooterWindow


def footer_view(document: Mapping[str, Any], evidence_sha256: str) -> FooterView:
    """The view of a footer: every window that has a period, but for records that are not verified."""
    windows = [window for window in document["windows"] if window["start"] and _names_proof(window)]
    return FooterView(windows=tuple(map(_window, windows)), evidence_sha256=evidence_sha256)


def proof_roots(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Every proof root, in the order of the windows."""
    found = ((window["proof"] or {}).get("proof_root") for window in document["windows"])
    return tuple(dict.fromkeys(root for root in found if root))


def _names_proof(window: Mapping[str, Any]) -> bool:
    record = window.get("record")
    return record is None or bool(record["verified"])


def _window(window: Mapping[str, Any]) -> FooterWindow:
    proof, record = window["proof"] or {}, window.get("record") or {}
    return FooterWindow(
        meter=window["meter"],
        start=datetime.fromisoformat(window["start"]),
        end=datetime.fromisoformat(window["end"]),
        usage=None if window["recorded"] is None else Decimal(window["recorded"]),
        count=window["count"],
        proof_root=proof.get("proof_root"),
        verify_url=proof.get("verify_url"),
        record_key=record.get("key"),
    )
