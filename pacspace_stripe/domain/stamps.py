"""What we write into an invoice's metadata, within Stripe's limits (stripe-facts 3): the stamp, and the sign of a hold.

The stamp is verdict and proof. The sign says that ``auto_advance`` is false because of us; it is written with the
hold in one update, so it tells our hold from a person's after a crash, and even when our database was lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pacspace_stripe.domain.quantities import text
from pacspace_stripe.domain.verdicts import Finding, WindowResult
from pacspace_stripe.domain.windows import iso

PREFIX = "pacspace_"
HOLD_KEY = f"{PREFIX}hold"
MOST_KEYS = 50
LONGEST_VALUE = 500
MOST_WINDOWS = 4
"""Windows with metadata of their own; the evidence lists all."""
_PER_INVOICE = ("verdict", "evidence_sha256", "waiver", "windows")
_PER_WINDOW = (
    *("window", "usage", "delta_count", "proof_root", "checkpoint_id", "verify_url"),
    *("record_key", "record_bits", "record_writes"),
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


def sign_of_hold(existing: Mapping[str, str], invoice_id: str, at: datetime) -> dict[str, str]:
    """What a hold writes beside ``auto_advance``; empty when there is no room for another key.

    It names the invoice: Stripe copies metadata onto the revision of an invoice, which we do not hold.
    """
    room = HOLD_KEY in existing or len(existing) < MOST_KEYS
    return {HOLD_KEY: f"{invoice_id} since {iso(at)}"} if room else {}


def carries_our_hold(existing: Mapping[str, str], invoice_id: str) -> bool:
    """Whether the sign of our hold on this very invoice is there."""
    return existing.get(HOLD_KEY, "").startswith(f"{invoice_id} ")


def metadata_stamp(
    existing: Mapping[str, str],
    finding: Finding,
    evidence_sha256: str,
    waiver: str | None = None,
    *,
    stays_held: bool = False,
) -> MetadataStamp:
    """The metadata changes that make ``existing`` carry exactly this finding; empty when it already does.

    ``stays_held``: the sign of our hold stays on it.
    """
    wanted = _all_keys(finding, evidence_sha256, waiver)
    kept = {HOLD_KEY} if stays_held and HOLD_KEY in existing else set()
    room = MOST_KEYS - len(existing.keys() - OURS) - len(kept)
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
    if result.record is not None:
        # Its writes are no deltas, and it has no root: the record itself is the proof.
        record = result.record
        keys |= {"record_key": record.key, "record_bits": text(record.bits), "record_writes": str(record.writes)}
    elif result.count is not None:
        keys["delta_count"] = str(result.count)
    if result.proof is not None:
        keys["proof_root"] = result.proof.proof_root
        keys["checkpoint_id"] = result.proof.checkpoint_id
        keys["verify_url"] = result.proof.verify_url
    return keys


def _few_keys(keys: Mapping[str, str], room: int) -> dict[str, str]:
    """The most important ones, as many as there is room for."""
    names = (f"{PREFIX}verdict", f"{PREFIX}evidence_sha256", f"{PREFIX}verify_url")
    return {name: keys[name] for name in [name for name in names if name in keys][: max(room, 0)]}
