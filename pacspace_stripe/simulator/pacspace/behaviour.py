"""Switches for behaviour on which the contract is silent or the documents disagree."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, Literal

LateDeltas = Literal["frozen", "new_root"]
CountsBy = Literal["accepted", "verified"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The switches of one world. Every default is the contract's advice (CONTRACT 15) or its newest source."""

    verify_delay: timedelta = timedelta(seconds=1)
    """Time from a delta's acceptance to its verification."""
    checkpoint_delay: timedelta = timedelta(0)
    """Time from a checkpoint request to its commitment; until then the answer names no root."""
    late_deltas: LateDeltas = "new_root"
    """Effect of repeating a scope's checkpoint after more deltas came: none, or a new checkpoint."""
    counts_by: CountsBy = "accepted"
    """Clock that places a delta in a window."""
    doubles: bool = False
    """Add up and answer in IEEE doubles, as a service in JavaScript would."""
    unknown_customer: Literal["not_found", "zero"] = "not_found"
    """Answer of derive and compare for a customer without any delta: 404, or a balance of zero."""
    unknown_root: Literal["unverified", "not_found"] = "unverified"
    """Answer of public verify to a root that was never made: 200 with ``verified: false``, or 404."""
    verify_summary: bool = True
    """If False, public verify gives the bare answer of the SDK's tests: no summary, no envelope."""
    verify_records: bool = False
    """List the records in public verify, as the middle generation of the documents shows."""
    shared_record: bool = False
    """Put the permanent customer link and its access hint into invoice proofs."""
    cadence: timedelta | None = None
    """Least time between two deltas of one customer; None is no limit."""
    plan_limit: int | None = None
    """Deltas accepted per UTC month before 402; None is no limit."""
    max_scope_months: int = 24
    """Wider windows are ``SCOPE_TOO_WIDE``."""
    environment_ready: bool = True
    """If False, every delta is refused with 412."""
    activation_delay: timedelta = timedelta(seconds=1)
    """Time from a provision request in the dashboard to an active environment."""
    in_flight: timedelta = timedelta(0)
    """Time for which a write with an idempotency key is answered as still in flight."""
    in_flight_status: int = 202
    """Status that says "in flight": 202, or an error status with that code."""
    webhook_data: Literal["both", "flat", "nested"] = "both"
    """Data of ``delta.verified``: the SDK's flat fields, the documents' nested ones, or both in one."""
    mfa: bool = False
    """Require a second factor at the dashboard's login."""
    login_token: bool = False
    """Hand out a token at login as well, as older documents show, beside the cookies."""
    fast_roots: bool = False
    """Use SHA3 instead of Keccak, ten times quicker, for benchmarks in which no root is compared."""

    def changed(self, changes: dict[str, Any]) -> "Rules":
        """Return these rules with some of them switched; durations may be seconds."""
        return replace(self, **{name: _as_declared(name, value) for name, value in changes.items()})


_DURATIONS = {field.name for field in fields(Rules) if "timedelta" in str(field.type)}


def _as_declared(name: str, value: Any) -> Any:
    if name in _DURATIONS and isinstance(value, (int, float, str)):
        return timedelta(seconds=float(value))
    return value


BY_NAME: Mapping[str, Mapping[str, Any]] = {
    "cadence": {"cadence": timedelta(days=1)},
    "checkpoint_later": {"checkpoint_delay": timedelta(seconds=5)},
    "counts_by_verified": {"counts_by": "verified"},
    "doubles": {"doubles": True},
    "environment_missing": {"environment_ready": False},
    "in_flight": {"in_flight": timedelta(seconds=2)},
    "late_deltas_frozen": {"late_deltas": "frozen"},
    "never_verified": {"verify_delay": timedelta(days=365)},
    "plan_full": {"plan_limit": 0},
    "unknown_customer_zero": {"unknown_customer": "zero"},
    "verify_bare": {"verify_summary": False},
}
"""Named behaviours for ``simulate --fault``: they last, while a fault strikes once."""
