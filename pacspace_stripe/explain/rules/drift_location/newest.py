"""Usage that a meter with an event time window drops: only the newest event of each hour or day counts. Pure."""

from typing import TYPE_CHECKING

from pacspace_stripe.explain.rules.drift_location.figures import Bucket, Entry, Piece, Situation
from pacspace_stripe.explain.rules.explanation import Cause
from pacspace_stripe.vocabulary.quantities import total
from pacspace_stripe.vocabulary.windows import floor_to

if TYPE_CHECKING:
    from datetime import datetime


def newest_only(part: Bucket, situation: Situation) -> Piece | None:
    """Explain a part in which Stripe has just what the newest record of each hour or day says."""
    if situation.newest_of is None:
        return None
    newest: dict[datetime, Entry] = {}
    for entry in part.entries:
        newest[floor_to(entry.used.start if entry.used else entry.accepted_at, situation.newest_of)] = entry
    dropped = tuple(entry for entry in part.entries if not any(entry is kept for kept in newest.values()))
    if not dropped or not part.close(part.billed, total(entry.quantity for entry in newest.values())):
        return None
    records = tuple(entry.located() for entry in dropped)
    return Piece(bucket=part, cause=Cause.EVENT_TIME_WINDOW, records=records, sure=True)


def explains_all(situation: Situation) -> bool:
    """Return whether this alone explains every part that differs: then it is no other fault that runs through them."""
    differing = [part for part in situation.inside if part.differs]
    return bool(differing) and all(newest_only(part, situation) for part in differing)
