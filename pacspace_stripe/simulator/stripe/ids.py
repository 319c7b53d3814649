"""Identifiers in Stripe's form, from a seed: one world twice has equal ids, two seeds share none."""

import hashlib
from collections import Counter

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
