"""Proof roots by PacSpace's one published algorithm (CONTRACT 6.1, reading B), over Keccak-256.

PacSpace never published in full which fields make an item and how hashes are joined. So these roots are the
simulator's own: they match each other, and never PacSpace's. Keccak-256 has the original padding, which the standard
library lacks (it has SHA3).
"""

import hashlib
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from pacspace_stripe.simulator.pacspace.amounts import plain_digits

_MASK = (1 << 64) - 1
_BLOCK = 136


def _round_constants() -> tuple[int, ...]:
    constants, register = [], 1
    for _ in range(24):
        constant = 0
        for power in range(7):
            if register & 1:
                constant |= 1 << ((1 << power) - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return tuple(constants)


def _moves() -> tuple[tuple[int, int, int], ...]:
    """Return for each lane after rho and pi: the lane it came from, that lane's column, the rotation."""
    moves = [(0, 0, 0)] * 25
    x, y = 1, 0
    for step in range(24):
        target = y + 5 * ((2 * x + 3 * y) % 5)
        moves[target] = (x + 5 * y, x, (step + 1) * (step + 2) // 2 % 64)
        x, y = y, (2 * x + 3 * y) % 5
    return tuple(moves)


_ROUNDS = _round_constants()
_MOVES = _moves()
_ROWS = tuple((i, i - i % 5 + (i + 1) % 5, i - i % 5 + (i + 2) % 5) for i in range(25))


def _permuted(lanes: list[int]) -> list[int]:
    for constant in _ROUNDS:
        columns = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        mixed = [columns[x - 1] ^ ((c := columns[(x + 1) % 5]) << 1 & _MASK) ^ (c >> 63) for x in range(5)]
        moved = [(((lane := lanes[i] ^ mixed[x]) << turn) | (lane >> (64 - turn))) & _MASK for i, x, turn in _MOVES]
        lanes = [moved[i] ^ (~moved[j] & moved[k]) for i, j, k in _ROWS]
        lanes[0] ^= constant
    return lanes


def keccak256(data: bytes) -> bytes:
    """Return the 32-byte digest of ``data``."""
    padded = bytearray(data) + b"\x01" + bytes(-(len(data) + 1) % _BLOCK)
    padded[-1] |= 0x80
    lanes = [0] * 25
    for offset in range(0, len(padded), _BLOCK):
        for i, lane in enumerate(struct.unpack_from("<17Q", padded, offset)):
            lanes[i] ^= lane
        lanes = _permuted(lanes)
    return struct.pack("<4Q", *lanes[:4])


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
