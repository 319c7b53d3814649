"""How this PacSpace behaves where the contract is silent or the documents disagree."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, Literal

LateDeltas = Literal["frozen", "new_root"]
CountsBy = Literal["accepted", "verified"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The switches of one world. Every default is the contract's advice (section 15) or its newest source."""

    verify_delay: timedelta = timedelta(seconds=1)
    """From a delta's acceptance to its verification."""
    checkpoint_delay: timedelta = timedelta(0)
    """From a checkpoint request to its commitment; until then the answer names no root."""
    late_deltas: LateDeltas = "new_root"
    """What a repeated checkpoint of one scope does when more deltas came: nothing, or a new checkpoint."""
    counts_by: CountsBy = "accepted"
    """Which clock places a delta in a window."""
    doubles: bool = False
    """Add up and answer in IEEE doubles, as a service in JavaScript would."""
    unknown_customer: Literal["not_found", "zero"] = "not_found"
    """Derive and compare for a customer without any delta: 404, or a balance of zero."""
    unknown_root: Literal["unverified", "not_found"] = "unverified"
    """Public verify of a root nobody made: 200 with ``verified: false``, or 404."""
    verify_summary: bool = True
    """Without it, public verify gives the bare answer of the SDK's tests: no summary, no envelope."""
    verify_records: bool = False
    """Whether public verify lists the records, as the middle generation of the documents shows."""
    shared_record: bool = False
    """Whether invoice proofs carry the permanent customer link and its access hint."""
    cadence: timedelta | None = None
    """The least time between two deltas of one customer; None means no limit."""
    plan_limit: int | None = None
    """Deltas accepted per UTC month before 402; None means no limit."""
    max_scope_months: int = 24
    """Wider windows are ``SCOPE_TOO_WIDE``."""
    environment_ready: bool = True
    """Without it every delta is refused with 412."""
    activation_delay: timedelta = timedelta(seconds=1)
    """From a provision request in the dashboard to an active environment."""
    in_flight: timedelta = timedelta(0)
    """How long a write with an idempotency key is answered as still in flight before its outcome is."""
    in_flight_status: int = 202
    """How "in flight" is said: 202, or an error status with the same code."""
    webhook_data: Literal["both", "flat", "nested"] = "both"
    """The data of ``delta.verified``: the SDK's flat fields, the documents' nested ones, or both in one."""
    mfa: bool = False
    """Whether logging in to the dashboard takes a code as well."""
    login_token: bool = False
    """Whether a login hands out a token too, as older documents show, and not cookies only."""
    fast_roots: bool = False
    """SHA3 in place of Keccak, ten times quicker: for benchmarks, where no one looks at roots."""

    def changed(self, changes: dict[str, Any]) -> "Rules":
        """These rules with some switched; durations may be seconds."""
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
"""Behaviours with a name, for ``simulate --fault``: they last, where a fault strikes."""
