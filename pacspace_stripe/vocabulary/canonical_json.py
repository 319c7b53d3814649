"""JSON as we write it where its bytes matter: canonical by RFC 8785, hashed with SHA-256."""

import hashlib
from collections.abc import Mapping
from typing import TypeAlias

import rfc8785

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"
"""JSON without fractions: quantities are strings, since a JSON number is a double to many readers."""


def canonical(document: Mapping[str, Json]) -> bytes:
    """Return the RFC 8785 bytes of an object."""
    return rfc8785.dumps(dict(document))


def digest(data: bytes) -> str:
    """Return the SHA-256 of some bytes in lower-case hex."""
    return hashlib.sha256(data).hexdigest()
