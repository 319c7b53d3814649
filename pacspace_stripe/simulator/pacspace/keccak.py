"""Keccak-256 with the original padding, which the standard library lacks (it has SHA3)."""

import struct

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
