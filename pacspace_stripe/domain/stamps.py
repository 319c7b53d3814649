"""The stamp: verdict and proof as invoice metadata, within Stripe's limits (stripe-facts 3)."""

from collections.abc import Mapping
from dataclasses import dataclass

from pacspace_stripe.domain.quantities import text
from pacspace_stripe.domain.verdicts import Finding, WindowResult

PREFIX = "pacspace_"
MOST_KEYS = 50
LONGEST_VALUE = 500
MOST_WINDOWS = 4
"""Windows with metadata of their own; the evidence lists all."""
_PER_INVOICE = ("verdict", "evidence_sha256", "waiver", "windows")
_PER_WINDOW = ("window", "usage", "delta_count", "proof_root", "checkpoint_id", "verify_url")
_SUFFIXES = ("", *(f"_{number}" for number in range(2, MOST_WINDOWS + 1)))
OURS = frozenset(
    [f"{PREFIX}{name}" for name in _PER_INVOICE]
    + [f"{PREFIX}{name}{suffix}" for name in _PER_WINDOW for suffix in _SUFFIXES]
)
"""Every key a stamp may carry. All others are the merchant's, ``pacspace_customer_id`` among them: never touched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataStamp:
    """What to write: ``""`` deletes a key of an earlier stamp. ``shortened``: no room for all keys."""

    changes: Mapping[str, str]
    shortened: bool


def metadata_stamp(
    existing: Mapping[str, str], finding: Finding, evidence_sha256: str, waiver: str | None = None
) -> MetadataStamp:
    """The metadata changes that make ``existing`` carry exactly this finding; empty when it already does."""
    wanted = _all_keys(finding, evidence_sha256, waiver)
    room = MOST_KEYS - len(existing.keys() - OURS)
    shortened = len(wanted) > room
    if shortened:
        wanted = _few_keys(wanted, room)
    stale = {key: "" for key in existing if key in OURS and key not in wanted}
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
    if result.count is not None:
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
