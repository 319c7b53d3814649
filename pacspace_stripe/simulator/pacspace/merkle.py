"""Proof roots by PacSpace's one published algorithm (CONTRACT 6.1, reading B).

PacSpace never published in full which fields make an item and how hashes are joined. So these roots are the simulator's
own: they match each other, and never PacSpace's.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from pacspace_stripe.simulator.pacspace.amounts import plain_digits
from pacspace_stripe.simulator.pacspace.keccak import keccak256

EMPTY_ROOT = bytes(32)

Hash = Callable[[bytes], bytes]


def sha3_256(data: bytes) -> bytes:
    """Return a digest in Keccak's place, for benchmarks that need roots in microseconds (``Rules.fast_roots``)."""
    return hashlib.sha3_256(data).digest()


def canonical_json(value: Any) -> str:
    """Return JSON with keys sorted at every level, no whitespace, and numbers without needless digits."""
    if isinstance(value, Mapping):
        pairs = (f"{canonical_json(key)}:{canonical_json(value[key])}" for key in sorted(value))
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(canonical_json, value)) + "]"
    if isinstance(value, Decimal):
        return plain_digits(value)
    return json.dumps(value, ensure_ascii=False)


def leaf(item: Mapping[str, Any], hashed: Hash = keccak256) -> bytes:
    """Return the hash of one item."""
    return hashed(b"pacspace:item:v1:" + canonical_json(item).encode())


def root(leaves: Sequence[bytes], hashed: Hash = keccak256) -> bytes:
    """Return the root over leaves in insertion order; an odd level repeats its last node."""
    level = list(leaves) or [EMPTY_ROOT]
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        pairs = zip(level[::2], level[1::2], strict=True)
        level = [hashed(b"pacspace:node:v1:" + left + right) for left, right in pairs]
    return level[0]


def as_hex(digest: bytes) -> str:
    """Return a digest as the API spells it."""
    return f"0x{digest.hex()}"


__all__ = ["EMPTY_ROOT", "Hash", "as_hex", "canonical_json", "keccak256", "leaf", "root", "sha3_256"]
