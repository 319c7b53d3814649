"""What we write into an invoice's metadata, within Stripe's limits (FACTS 3): the stamp, and the sign of a hold.

The stamp is verdict and proof. The sign says that ``auto_advance`` is false because of us; it is written with the
hold in one update, so it tells our hold from a person's after a crash, and even when our database was lost.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from pacspace_stripe.comparison.rules.verdicts import Finding, Verdict, WindowResult
from pacspace_stripe.gate.rules.state import HoldCause
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.windows import iso

PREFIX = "pacspace_"
HOLD_KEY = f"{PREFIX}hold"
VERDICT_KEY, EVIDENCE_KEY, ROOT_KEY = (f"{PREFIX}{name}" for name in ("verdict", "evidence_sha256", "proof_root"))
MOST_KEYS = 50
LONGEST_VALUE = 500
MOST_WINDOWS = 4
"""Windows with metadata of their own; the evidence lists all."""
_PER_INVOICE = ("verdict", "evidence_sha256", "waiver", "windows")
_PER_WINDOW = (
    *("window", "usage", "delta_count", "proof_root", "checkpoint_id", "verify_url"),
    *("record_key", "record_bits", "record_writes", "root_count"),
)
_FIGURES = ("window", "usage", "delta_count", "record_key", "record_bits", "record_writes")
SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"
_SIGN = re.compile(
    rf"(?P<invoice>\S+) since (?P<since>{_TIME})(?: planned (?P<planned>{_TIME}))?(?P<precaution> precaution)?"
)
_SUFFIXES = ("", *(f"_{number}" for number in range(2, MOST_WINDOWS + 1)))
OURS = frozenset(
    [HOLD_KEY]
    + [f"{PREFIX}{name}" for name in _PER_INVOICE]
    + [f"{PREFIX}{name}{suffix}" for name in _PER_WINDOW for suffix in _SUFFIXES]
)
"""Every key that is ours to write. All others are the merchant's, ``pacspace_customer_id`` among them, untouched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataStamp:
    """What to write: ``""`` deletes a key of an earlier stamp. ``shortened``: no room for all keys."""

    changes: Mapping[str, str]
    shortened: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """What the sign of a hold says, so that even a new database knows what the old one did.

    It names the invoice: Stripe copies metadata onto the revision of an invoice, which we do not hold.
    """

    invoice_id: str
    since: datetime
    planned_at: datetime | None
    """Stripe's own planned finalization, as first seen: the hold takes it off the invoice."""
    cause: HoldCause

    def written(self, existing: Mapping[str, str]) -> dict[str, str]:
        """The metadata change; empty when there is no room for another key."""
        planned = f" planned {iso(self.planned_at)}" if self.planned_at else ""
        text = f"{self.invoice_id} since {iso(self.since)}{planned}{' precaution' if self.cause is HoldCause.PRECAUTION else ''}"
        return {HOLD_KEY: text} if HOLD_KEY in existing or len(existing) < MOST_KEYS else {}

    @classmethod
    def on(cls, existing: Mapping[str, str], invoice_id: str) -> Self | None:
        """The sign of our hold on this very invoice, if it is there."""
        found = _SIGN.fullmatch(existing.get(HOLD_KEY, ""))
        if found is None or found["invoice"] != invoice_id:
            return None
        try:
            since = datetime.fromisoformat(found["since"])
            planned_at = datetime.fromisoformat(found["planned"]) if found["planned"] else None
        except ValueError:
            return None
        cause = HoldCause.PRECAUTION if found["precaution"] else HoldCause.METERED
        return cls(invoice_id=invoice_id, since=since, planned_at=planned_at, cause=cause)


def metadata_stamp(
    existing: Mapping[str, str],
    finding: Finding,
    evidence_sha256: str,
    waiver: str | None = None,
    *,
    stays_held: bool = False,
) -> MetadataStamp:
    """The metadata changes that make ``existing`` carry exactly this finding; empty when it already does.

    ``stays_held``: the sign of our hold stays on it, as far as there is room for it beside the proof.
    """
    return _fitted(existing, _all_keys(finding, evidence_sha256, waiver), keeps_hold=stays_held)


def put_back(existing: Mapping[str, str], written: Mapping[str, str]) -> Mapping[str, str]:
    """Return the metadata changes that make ``existing`` carry a stamp again as it was written; empty when it does.

    The sign of our hold stays, as far as there is room for it; every other key of ours that was not written goes.
    """
    return _fitted(existing, written, keeps_hold=True).changes


def ours(existing: Mapping[str, str]) -> dict[str, str]:
    """Return the keys of a stamp, without the sign of a hold."""
    return {key: value for key, value in existing.items() if key in OURS and key != HOLD_KEY and value}


def _fitted(existing: Mapping[str, str], wanted: Mapping[str, str], *, keeps_hold: bool) -> MetadataStamp:
    room = MOST_KEYS - len(existing.keys() - OURS)
    kept = {HOLD_KEY} if keeps_hold and HOLD_KEY in existing and len(wanted) < room else set()
    shortened = len(wanted) > room
    if shortened:
        wanted = _few_keys(wanted, room)
    stale = {key: "" for key in existing if key in OURS and key not in kept and key not in wanted}
    changed = {key: value for key, value in wanted.items() if existing.get(key) != value}
    return MetadataStamp(changes={**changed, **stale}, shortened=shortened)


def _all_keys(finding: Finding, evidence_sha256: str, waiver: str | None) -> dict[str, str]:
    keys = {f"{PREFIX}verdict": finding.verdict.value, f"{PREFIX}evidence_sha256": evidence_sha256}
    if waiver is not None:
        keys[f"{PREFIX}waiver"] = waiver if len(waiver) <= LONGEST_VALUE else waiver[: LONGEST_VALUE - 1] + "…"
    for suffix, result in zip(_SUFFIXES, finding.windows, strict=False):
        keys |= {f"{PREFIX}{name}{suffix}": value for name, value in _window_keys(result).items()}
    if len(finding.windows) > 1:
        keys[f"{PREFIX}windows"] = str(len(finding.windows))
    return {key: value for key, value in keys.items() if 0 < len(value) <= LONGEST_VALUE}


def _window_keys(result: WindowResult) -> dict[str, str]:
    keys = {}
    if result.window is not None:
        keys["window"] = str(result.window)
    if result.billed is not None:
        keys["usage"] = text(result.billed)
    if result.record is not None and not result.record.verified:
        return keys
    if result.record is not None:
        # Its writes are no deltas, and it has no root: the record itself is the proof.
        record = result.record
        keys |= {"record_key": record.key, "record_bits": text(record.bits), "record_writes": str(record.writes)}
    elif result.count is not None:
        keys["delta_count"] = str(result.count)
    if result.proof is not None and result.proof.count != result.count:
        # The root covers records too that are no usage of this meter.
        keys["root_count"] = str(result.proof.count)
    if result.proof is not None:
        keys["proof_root"] = result.proof.proof_root
        keys["checkpoint_id"] = result.proof.checkpoint_id
        keys["verify_url"] = result.proof.verify_url
    return keys


def carried(existing: Mapping[str, str], finding: Finding) -> tuple[Finding, str] | None:
    """The finding that a stamp on it already proves, and the hash of that stamp's evidence; None when it does not.

    It does when the figures, counts and proof roots that it names are those found now; of a look that only reads, which
    has no roots, when it has some. A stamp names what there was room for: of many windows the first ones, among the
    merchant's own keys perhaps none. What a person waived stays waived while its figures are the same.
    """
    sha, verdict = existing.get(f"{PREFIX}evidence_sha256", ""), existing.get(f"{PREFIX}verdict")
    waived = verdict == Verdict.WAIVED.value and finding.verdict in (Verdict.DRIFTED, Verdict.UNPROVEN)
    if not SHA256.fullmatch(sha):
        return None
    if not waived and not verdict == finding.verdict.value == Verdict.MATCHED.value:
        return None
    if _shortened(existing, finding, sha):
        return None if waived else (finding, sha)
    named = zip(_SUFFIXES, finding.windows, strict=False)
    same_number = existing.get(f"{PREFIX}windows", "1") == str(len(finding.windows))
    if not same_number or not all(_says(existing, suffix, result, rooted=not waived) for suffix, result in named):
        return None
    return (replace(finding, verdict=Verdict.WAIVED) if waived else finding), sha


def _shortened(existing: Mapping[str, str], finding: Finding, sha: str) -> bool:
    """Return whether the merchant's own keys left no room for the figures of a stamp."""
    figures = any(existing.get(f"{PREFIX}{name}{suffix}") for name in _FIGURES for suffix in _SUFFIXES)
    return not figures and metadata_stamp(existing, finding, sha).shortened


def _says(existing: Mapping[str, str], suffix: str, result: WindowResult, *, rooted: bool) -> bool:
    keys = _window_keys(result)
    if any(existing.get(f"{PREFIX}{name}{suffix}") != keys.get(name) for name in _FIGURES):
        return False
    root = existing.get(f"{PREFIX}proof_root{suffix}")
    if result.proof is not None:
        counted = existing.get(f"{PREFIX}root_count{suffix}")
        return (root, counted) == (result.proof.proof_root, keys.get("root_count"))
    needs_root = rooted and bool(result.count) and result.record is None
    return not needs_root or root is not None


def _few_keys(keys: Mapping[str, str], room: int) -> dict[str, str]:
    """The most important ones, as many as there is room for."""
    names = (f"{PREFIX}verdict", f"{PREFIX}evidence_sha256", f"{PREFIX}verify_url")
    return {name: keys[name] for name in [name for name in names if name in keys][: max(room, 0)]}
