"""What leaves the house in a bundle: no secrets, no mail addresses, no metadata that the vendor kept for himself.

Evidence is not touched: its bytes are what was hashed. So a waiver's reason stands there, and in the stamp, as written.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from pacspace_stripe.errors import UnexpectedAnswer
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.vocabulary import quantities
from pacspace_stripe.vocabulary.canonical_json import Json

_PRIVATE = re.compile(r"secret|token|password|passcode|accesshint|accesscode|cookie|apikey|credential|mail|metadata")
_ADDRESS = re.compile(r"(?<![\w.+%-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_REMOVED = "[address removed]"
_DEEPEST = 50
_LARGEST_INTEGER = 2**53
_LARGEST_EXPONENT = 30


def shareable_text(words: str) -> str:
    """Words without mail addresses, and without what no JSON can hold."""
    return _ADDRESS.sub(_REMOVED, words.encode(errors="replace").decode())


def shareable(value: object, *, depth: int = 0) -> Json:
    """A vendor's answer as JSON that may be shared: whole numbers as numbers, all others as strings of their digits."""
    if depth > _DEEPEST:
        raise UnexpectedAnswer(PACSPACE, "the answer is nested deeper than any that is documented")
    match value:
        case None | bool():
            return value
        case int():
            return value if abs(value) < _LARGEST_INTEGER else str(value)
        case Decimal():
            return quantities.text(value) if abs(value.adjusted()) <= _LARGEST_EXPONENT else str(value)
        case Mapping():
            return {
                shareable_text(str(name)): shareable(inner, depth=depth + 1)
                for name, inner in value.items()
                if not _PRIVATE.search(re.sub(r"[^a-z]", "", str(name).lower()))
            }
        case Sequence() if not isinstance(value, str):
            return [shareable(inner, depth=depth + 1) for inner in value]
        case _:
            return shareable_text(str(value))
