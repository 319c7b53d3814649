"""The stamp: verdict and proof as invoice metadata, within Stripe's limits (stripe-facts 3)."""

from collections.abc import Mapping
from dataclasses import dataclass

from pacspace_stripe.domain.quantities import text
from pacspace_stripe.domain.verdicts import Finding, WindowResult

PREFIX = "pacspace_"
ACCOUNT_KEY = "pacspace_customer_id"
"""The merchant's own key (it chooses the ledger account): never touched."""
MOST_KEYS = 50
LONGEST_VALUE = 500
MOST_WINDOWS = 4
"""Windows with metadata of their own; the evidence lists all."""


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
    others = sum(1 for key in existing if not _is_ours(key))
    shortened = others + len(wanted) > MOST_KEYS
    if shortened:
        wanted = _few_keys(wanted)
    stale = {key: "" for key in existing if _is_ours(key) and key not in wanted}
    changed = {key: value for key, value in wanted.items() if existing.get(key) != value}
    return MetadataStamp(changes={**changed, **stale}, shortened=shortened)


def _is_ours(key: str) -> bool:
    return key.startswith(PREFIX) and key != ACCOUNT_KEY


def _all_keys(finding: Finding, evidence_sha256: str, waiver: str | None) -> dict[str, str]:
    keys = {f"{PREFIX}verdict": finding.verdict.value, f"{PREFIX}evidence_sha256": evidence_sha256}
    if waiver is not None:
        keys[f"{PREFIX}waiver"] = waiver
    for number, result in enumerate(finding.windows[:MOST_WINDOWS], start=1):
        suffix = "" if number == 1 else f"_{number}"
        keys |= {f"{PREFIX}{name}{suffix}": value for name, value in _window_keys(result).items()}
    if len(finding.windows) > 1:
        keys[f"{PREFIX}windows"] = str(len(finding.windows))
    return {key: value for key, value in keys.items() if len(value) <= LONGEST_VALUE}


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


def _few_keys(keys: Mapping[str, str]) -> dict[str, str]:
    names = (f"{PREFIX}verdict", f"{PREFIX}evidence_sha256", f"{PREFIX}verify_url")
    return {name: keys[name] for name in names if name in keys}
