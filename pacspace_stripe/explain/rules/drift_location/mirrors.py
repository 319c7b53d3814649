"""The mirror of a difference in the same part on another account or meter. Pure."""

from pacspace_stripe.explain.rules.drift_location.beyond_edge import matching_records
from pacspace_stripe.explain.rules.drift_location.figures import Bucket, Neighbour, Piece, Situation


def mirrored(part: Bucket, situation: Situation) -> Piece | None:
    """Another account or meter has too much where ours has too little, or the other way around."""
    for neighbour in situation.neighbours:
        there = _mirror(part, neighbour)
        if there is not None:
            # The ledger's record lies where the ledger has more.
            source = there if part.excess > 0 else part
            chosen = matching_records(source, part.excess.copy_abs())
            records = tuple(entry.located() for entry in chosen)
            return Piece(bucket=part, cause=neighbour.cause, records=records, counterpart=neighbour.name, sure=True)
    return None


def _mirror(part: Bucket, neighbour: Neighbour) -> Bucket | None:
    """Its part of the same time whose difference is ours with the other sign."""
    for theirs in neighbour.buckets:
        same_time = theirs.window.start < part.window.end and part.window.start < theirs.window.end
        if (
            same_time
            and theirs.differs
            and (part.close(theirs.excess, -part.excess) or theirs.close(theirs.excess, -part.excess))
        ):
            return theirs
    return None
