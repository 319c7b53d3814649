"""Tables of objects, by id, and listed newest first as Stripe's lists are."""

import bisect
import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from pacspace_stripe.simulator.stripe.world import unix


class Stored(Protocol):
    """The fields that a table needs of its rows."""

    id: str
    created: datetime


Row = TypeVar("Row", bound=Stored)


class Table(Generic[Row]):
    """Rows by id, listed newest first; rows of worlds built in the past are listed by their stated creation."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._order: list[tuple[int, int, str]] = []
        self._place: dict[str, tuple[int, int, str]] = {}
        self._added = 0

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, row_id: object) -> bool:
        return row_id in self._rows

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def get(self, row_id: str) -> Row | None:
        return self._rows.get(row_id)

    def __getitem__(self, row_id: str) -> Row:
        return self._rows[row_id]

    def add(self, row: Row) -> Row:
        """Store a row; its id must be new."""
        if row.id in self._rows:
            message = f"{row.id} is already there"
            raise ValueError(message)
        self._added += 1
        place = (unix(row.created), self._added, row.id)
        self._rows[row.id], self._place[row.id] = row, place
        bisect.insort(self._order, place)
        return row

    def remove(self, row_id: str) -> None:
        del self._rows[row_id]
        place = self._place.pop(row_id)
        del self._order[bisect.bisect_left(self._order, place)]

    def older_than(self, row_id: str | None) -> Iterator[Row]:
        """Yield rows newest first, after ``row_id`` if it is given."""
        stop = len(self._order) if row_id is None else bisect.bisect_left(self._order, self._place[row_id])
        return (self._rows[self._order[at][2]] for at in range(stop - 1, -1, -1))

    def newer_than(self, row_id: str) -> Iterator[Row]:
        """Yield rows oldest first, from just after ``row_id``: ``ending_before`` is read backwards."""
        start = bisect.bisect_right(self._order, self._place[row_id])
        return (self._rows[self._order[at][2]] for at in range(start, len(self._order)))


_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def digits(text: str, length: int = 24) -> str:
    """Return ``length`` letters and digits that stand for ``text``."""
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=32).digest())
    found: list[str] = []
    for _ in range(length):
        number, rest = divmod(number, len(_ALPHABET))
        found.append(_ALPHABET[rest])
    return "".join(found)


class Ids:
    """A generator of ``in_…``, ``cus_…`` and so on; a counter per prefix keeps them independent of each other."""

    def __init__(self, seed: int | str) -> None:
        self._seed = seed
        self._count: Counter[str] = Counter()

    def new(self, prefix: str) -> str:
        """Return the next id with this prefix, such as ``new("in")``."""
        self._count[prefix] += 1
        return f"{prefix}_{digits(f'{self._seed}:{prefix}:{self._count[prefix]}')}"
