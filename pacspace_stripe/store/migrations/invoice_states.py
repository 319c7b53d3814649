"""Stored invoice states of revision 0007 and of revision 0008, as plain JSON, and the way from one to the other.

Up to 0007 a row held a stage beside boolean flags; since 0008 ``stage`` is an object that names one position. This
module is frozen: it imports nothing that later versions change. An old process that reads a new row during a rolling
deployment fails to parse ``stage`` and writes nothing; a new process converts an old row as it reads it.
"""

from typing import Any

Row = dict[str, Any]
_SOME_TIME = "1970-01-01T00:00:00Z"
"""Time of an act of which the old row keeps only that it took place."""
_FLAGS = (
    *("stage", "held", "precaution", "backstop_at", "blocked", "past"),
    *("finalized_by_us", "updates_unread", "stamped", "released_at", "cleared"),
)


def is_old(row: Row) -> bool:
    """Return whether a row has the form of revision 0007 or earlier."""
    return not isinstance(row.get("stage"), dict)


def upgraded(old: Row) -> Row:
    """Return a row of revision 0007 in the form of 0008."""
    new = {name: value for name, value in old.items() if name not in _FLAGS}
    cause = "precaution" if old.get("precaution") else "metered"
    new["stage"] = _position(old, cause)
    if old.get("backstop_at"):
        new["backstop"] = {"at": old["backstop_at"], "cause": cause}
    if old.get("blocked"):
        # The old row does not say which early warning blocked it: period 0 stands for one that is not known.
        new["early_warning_id"] = f"upcoming:{old.get('subscription_id')}:0"
    if old.get("past") and old.get("first"):
        new["first"] = {**old["first"], "origin": "past"}
    if old.get("finalized_by_us"):
        new["finalizer"] = "us"
    if old.get("updates_unread"):
        new["unread_updates"] = [old.get("held_at") or _SOME_TIME]
    new["stamp"] = old.get("stamped")
    return new


def _position(old: Row, cause: str) -> Row:
    stage = old.get("stage", "seen")
    if old.get("held"):
        return {"is": "held", "step": _step(stage, old.get("held_at")), "cause": cause}
    match stage:
        case "released":
            return {"is": "released", "at": old.get("released_at") or old.get("held_at") or _SOME_TIME}
        case "ended":
            return {"is": "cleared" if old.get("cleared") else "ended"}
        case "stamped" | "finalized":
            return {"is": "stamped"}
        case _:
            # Not held any more, or not yet: "backstopped" is read off the backstop.
            return {"is": "free"}


def _step(stage: str, held_at: str | None) -> str:
    steps = {"held": "held", "stamped": "stamped", "finalized": "finalized", "released": "releasing"}
    if stage == "stamped" and held_at is None:
        return "requested"
    # A hold was saved as an intent beside the stage before it, and the stage followed once Stripe had taken it.
    return steps.get(stage, "requested")


def downgraded(new: Row) -> Row:
    """Return a row of revision 0008 in the form of 0007."""
    added = ("stage", "backstop", "early_warning_id", "unread_updates", "stamp")
    old = {name: value for name, value in new.items() if name not in added}
    position, backstop = new["stage"], new.get("backstop") or {}
    held = position["is"] == "held"
    first = dict(new["first"]) if new.get("first") else None
    old |= {
        "stage": stage_of(new),
        "held": held,
        "precaution": "precaution" in (position.get("cause"), backstop.get("cause")),
        "backstop_at": backstop.get("at"),
        "blocked": new.get("early_warning_id") is not None,
        "past": first is not None and first.pop("origin", "present") == "past",
        "first": first,
        "finalized_by_us": new.get("finalizer") == "us",
        "updates_unread": bool(new.get("unread_updates")),
        "stamped": new.get("stamp"),
        "released_at": position.get("at"),
        "cleared": position["is"] in ("cleared", "released"),
    }
    if held and position["step"] == "requested":
        # A hold that is not known to be in place had no time.
        old["held_at"] = None
    return old


def stage_of(new: Row) -> str:
    """Return the stage that commands print for a row of revision 0008, and that its column holds."""
    position = new["stage"]
    match position["is"]:
        case "held":
            return {"requested": "held", "releasing": "released"}.get(position["step"]) or str(position["step"])
        case "free":
            return "backstopped" if new.get("backstop") else "seen"
        case "cleared" | "ended":
            return "ended"
        case name:
            return str(name)
