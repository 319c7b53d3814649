"""The order in which a window's figures are explained, and what is said of several faults at once. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from pacspace_stripe.explain.rules.drift_location.cause_rules import explained
from pacspace_stripe.explain.rules.drift_location.figures import Piece, Situation, joined
from pacspace_stripe.explain.rules.drift_location.lag import without_lag
from pacspace_stripe.explain.rules.drift_location.newest import explains_all
from pacspace_stripe.explain.rules.drift_location.patterns import pattern
from pacspace_stripe.explain.rules.explanation import Cause, LocatedPart
from pacspace_stripe.vocabulary.quantities import text

_MOST_RECORDS = 50
"""Named in one place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the figures tell so far."""

    pieces: tuple[Piece, ...]
    """In order of time."""

    @property
    def unsure(self) -> tuple[Piece, ...]:
        """The places about which neighbours may say more."""
        return tuple(piece for piece in self.pieces if not piece.sure)

    @property
    def main(self) -> Piece | None:
        """One of the fault that makes up most of the difference."""
        sizes: dict[object, Decimal] = {}
        for piece in self.pieces:
            sizes[piece.kind] = sizes.get(piece.kind, Decimal(0)) + piece.bucket.excess.copy_abs()
        return max(self.pieces, key=lambda piece: sizes[piece.kind], default=None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said when there is more than one fault, or more than can be listed."""
        main, others = self.main, []
        for piece in self.pieces:
            if main is not None and piece.kind != main.kind:
                others.append(f"also {said(piece)}")
            if len(piece.records) > _MOST_RECORDS:
                others.append(f"{len(piece.records) - _MOST_RECORDS} more records in {piece.bucket.window}")
        return tuple(others)

    def located(self, meter: str) -> tuple[LocatedPart, ...]:
        """Every place, with its own cause where it is another one."""
        main = self.main
        return tuple(
            LocatedPart(
                window=piece.bucket.window,
                meter=meter,
                billed=piece.bucket.billed,
                recorded=piece.bucket.recorded,
                records=piece.records[:_MOST_RECORDS],
                cause=piece.cause if main is not None and piece.cause is not main.cause else None,
            )
            for piece in self.pieces
        )


def diagnose(situation: Situation) -> Diagnosis:
    """A fault that runs through all that differs; else part by part."""
    found = None if explains_all(situation) else pattern(situation.inside)
    if found is not None:
        return Diagnosis(pieces=(found,))
    parts = without_lag(situation.inside, situation.slack)
    return Diagnosis(pieces=tuple(_merged(explained(part, situation) for part in parts if part.differs)))


def _merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Places of one kind that follow each other, as one place."""
    merged: list[Piece] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if last is not None and last.kind == piece.kind and last.bucket.window.end == piece.bucket.window.start:
            merged[-1] = _both(last, piece)
        else:
            merged.append(piece)
    return merged


def _both(one: Piece, other: Piece) -> Piece:
    return replace(
        one,
        bucket=joined((one.bucket, other.bucket)),
        records=(*one.records, *other.records),
        sure=one.sure and other.sure,
    )


def said(piece: Piece) -> str:
    """A place in a few words."""
    named = f" ({piece.counterpart})" if piece.counterpart else ""
    return f"{piece.cause.value}{named} in {piece.bucket.window}: differs by {text(piece.bucket.excess)}"


def needs_edges(pieces: Sequence[Piece]) -> bool:
    """Whether what lies outside the window may explain some of them."""
    return any(not piece.sure and piece.cause is not Cause.WRONG_SIGN for piece in pieces)
