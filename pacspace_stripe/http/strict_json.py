"""Signed bodies as JSON, read strictly: one meaning or none. Both vendors' events are read through here."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Never

from pacspace_stripe.http.answers import unique


def json_object(body: bytes) -> Mapping[str, object] | None:
    """The object in a body; None when it holds anything else, or a name twice."""
    try:
        data = json.loads(
            body.decode("utf-8"), object_pairs_hook=unique, parse_float=Decimal, parse_constant=_no_constant
        )
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _no_constant(_: str) -> Never:
    message = "NaN and Infinity are not JSON"
    raise ValueError(message)


def mapping(value: object) -> Mapping[str, object]:
    """An object, or an empty one in the place of anything else."""
    return value if isinstance(value, dict) else {}


def matching(form: re.Pattern[str], value: object) -> str | None:
    """Text of this form, or None."""
    return value if isinstance(value, str) and form.fullmatch(value) else None
