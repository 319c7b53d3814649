"""Where a backfill stands: kept in our own store, by what the backfill is about."""

import json
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from pacspace_stripe.backfill.rows import Written
from pacspace_stripe.backfill.rules.tally import Place, Selection, Tally, shown
from pacspace_stripe.store import Store
from pacspace_stripe.vocabulary.canonical_json import digest


@dataclass(slots=True, kw_only=True)
class Bookmark:
    """What is kept between two runs of one backfill."""

    until: datetime
    """Where the first run began, also when none was named."""
    place: Place = field(default_factory=Place)
    tally: Tally = field(default_factory=Tally)
    report_bytes: int = 0
    """The length of the CSV file up to there."""
    beyond: dict[str, Written] = field(default_factory=dict)
    """Writes for invoices behind the place, by id: a stop came before they could be counted."""


_BOOKMARK: TypeAdapter[Bookmark] = TypeAdapter(Bookmark)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmarks:
    """One for every selection. ``open_end``: no end was named, so that tomorrow it is still the same one."""

    store: Store

    def find(self, selection: Selection, *, open_end: bool) -> Bookmark | None:
        """How far the same backfill got before it was stopped. One that another version wrote may say nothing to us."""
        kept = self.store.journal.fact(_name(selection, open_end=open_end))
        try:
            return None if kept is None else _BOOKMARK.validate_json(kept)
        except ValidationError:
            return None

    def keep(self, selection: Selection, bookmark: Bookmark, *, open_end: bool) -> None:
        """Called when a portion is done: all before it is, too."""
        name = _name(selection, open_end=open_end)
        self.store.journal.remember_fact(name, _BOOKMARK.dump_json(bookmark).decode())

    def forget(self, selection: Selection, *, open_end: bool) -> None:
        """It is finished, or begins anew."""
        self.store.journal.forget_fact(_name(selection, open_end=open_end))


def _name(selection: Selection, *, open_end: bool) -> str:
    about = {**shown(selection), **({"until": "now"} if open_end else {})}
    return f"backfill:{digest(json.dumps(about, sort_keys=True).encode())[:40]}"
