"""What the models are made of: values in the one way that evidence writes them. Anything else is refused."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from pacspace_stripe.vocabulary.windows import iso

_QUANTITY = r"^-?(?:0|[1-9][0-9]{0,39})(?:\.[0-9]{0,119}[1-9])?$"
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{6})?Z$"
_NAME = r"^[A-Za-z0-9_.:-]{1,200}$"
_LONGEST_TEXT = 5000
MOST = 10_000
"""Of anything that there can be several of."""
LARGEST_INTEGER = 2**53 - 1
"""RFC 8785 takes no larger ones: they are doubles to other readers."""
Value = TypeVar("Value")


def _quantity(written: object) -> Decimal:
    if not isinstance(written, str) or not re.fullmatch(_QUANTITY, written) or written == "-0":
        message = "is not a quantity: plain digits as text"
        raise ValueError(message)
    return Decimal(written)


def _moment(written: object) -> datetime:
    if not isinstance(written, str) or not re.fullmatch(_MOMENT, written):
        message = "is not a time in UTC"
        raise ValueError(message)
    at = datetime.fromisoformat(written)
    if iso(at) != written:
        message = "is not a time as it is written here"
        raise ValueError(message)
    return at


_QUANTITY_SCHEMA = {"type": "string", "pattern": _QUANTITY, "not": {"const": "-0"}}
Quantity = Annotated[Decimal, BeforeValidator(_quantity), WithJsonSchema(_QUANTITY_SCHEMA)]
"""Text of plain digits, the one way that evidence writes them; 40 digits before and 120 after the point at most."""
Unit = Annotated[Quantity, Field(gt=0)]
Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "pattern": _MOMENT})]
Text = Annotated[str, Field(max_length=_LONGEST_TEXT)]
Name = Annotated[str, Field(pattern=_NAME)]
"""What PacSpace's roots and checkpoint ids are made of."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
Several = Annotated[tuple[Value, ...], Field(strict=False, max_length=MOST)]
"""JSON's lists; pydantic is strict about tuples."""
Word = Annotated[Value, Field(strict=False)]
"""One of an enumeration's words; pydantic is strict about enumerations."""


class Strict(BaseModel):
    """Nothing is guessed, added or changed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)
