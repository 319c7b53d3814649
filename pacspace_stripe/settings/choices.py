"""How it is written which of the ledger's deltas count. The same rules as in ``written``."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from pacspace_stripe.ledger.rules.selection import BY_METADATA, BY_REASON
from pacspace_stripe.vocabulary.policy import BY_ACCOUNT, NO_USAGE, UsageItems

_LONGEST_REASON: Final = 500
"""PacSpace's rule for a reason (CONTRACT 3.1)."""
_UNIT = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")


def meter_from(written: str) -> str:
    """``account``, ``reason`` or ``metadata.KEY``."""
    text = written.strip()
    named = text.startswith(BY_METADATA) and len(text) > len(BY_METADATA)
    if text not in (BY_ACCOUNT, BY_REASON) and not named:
        message = "must be account, reason, or metadata.KEY with the key that names the meter"
        raise ValueError(message)
    return text


def reasons(written: str) -> frozenset[str]:
    """Reasons of deltas, separated by commas, as PacSpace has them to the letter."""
    found = [part.strip() for part in written.split(",")]
    if any(not part or len(part) > _LONGEST_REASON for part in found):
        message = "must be reasons of deltas, separated by commas, each of 1 to 500 characters"
        raise ValueError(message)
    return frozenset(found)


READING, TOTAL = ":reading", ":total"
_READINGS = (
    "must be event names of meters, separated by commas, each once; METER:total where Stripe is sent a running total, "
    "METER:reading where a name has a colon of its own"
)


def readings(written: str) -> frozenset[str]:
    """``seats,tokens:total``: meters of the aggregation ``last``, and how the ledger's records stand for its value."""
    found = [_reading(part.strip()) for part in written.split(",")]
    if len({meter_of(each) for each in found}) != len(found):
        raise ValueError(_READINGS)
    return frozenset(found)


def _reading(part: str) -> str:
    meter, colon, word = part.rpartition(":")
    if not part or (colon and (not meter or f":{word}" not in (READING, TOTAL))):
        raise ValueError(_READINGS)
    plain = word == READING[1:] and ":" not in meter
    return meter if colon and plain else part


def meter_of(reading: str) -> str:
    """The meter's name in a part of ``readings``."""
    return reading.removesuffix(TOTAL).removesuffix(READING)


def units(written: str) -> Mapping[str, Decimal]:
    """``api_calls=1000,storage=1024``: of each meter, how many of the ledger's units are one of Stripe's."""
    found: dict[str, Decimal] = {}
    for part in written.split(","):
        meter, equals, unit = (each.strip() for each in part.rpartition("="))
        exact = Decimal(unit) if _UNIT.fullmatch(unit) else Decimal(0)
        if not (meter and equals) or exact == 0 or meter in found:
            message = "must be METER=NUMBER, separated by commas, each meter once, each number above 0 (api_calls=1000)"
            raise ValueError(message)
        found[meter] = exact
    return {meter: found[meter] for meter in sorted(found)}


def usage_items(written: str) -> UsageItems:
    """``metadata.KEY``, ``product.ID=METER``, ``price.ID=METER`` and ``amount=-``, separated by commas."""
    keys: list[str] = []
    named: dict[str, dict[str, str]] = {"product": {}, "price": {}}
    amounts: str | None = None
    for part in (each.strip() for each in written.split(",")):
        kind, dot, rest = part.partition(".")
        name, equals, meter = (each.strip() for each in rest.rpartition("="))
        if kind == "metadata" and dot and rest and rest not in keys:
            keys.append(rest)
        elif kind in named and name and equals and meter and name not in named[kind]:
            named[kind][name] = meter
        elif part == f"amount={NO_USAGE}" and amounts is None:
            amounts = NO_USAGE
        else:
            message = (
                "must be metadata.KEY, product.ID=METER, price.ID=METER or amount=-, separated by commas, each once; "
                "a METER of - bills no usage"
            )
            raise ValueError(message)
    return UsageItems(
        metadata_keys=tuple(sorted(keys)),
        products=dict(sorted(named["product"].items())),
        prices=dict(sorted(named["price"].items())),
        amounts=amounts,
    )
