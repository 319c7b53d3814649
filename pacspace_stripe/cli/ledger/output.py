"""What the commands show: PacSpace's answers for people, or as JSON."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal

from pacspace_stripe.cli.output import echo_json, echo_line
from pacspace_stripe.pacspace_api import CustomerReceipt, Verification
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.windows import iso

_CENTS = -2
"""PacSpace's pages write ``100.00``; so do we, and never fewer digits than there are."""


def amount(number: Decimal | None) -> str:
    """Every digit there is, and at least two after the point."""
    if number is None:
        return "unknown"
    plain = Decimal(text(number))
    return f"{plain:.2f}" if int(plain.as_tuple().exponent) > _CENTS else f"{plain:f}"


def records(count: int | None) -> str:
    """So many records, in words."""
    return f"{'an unknown number of' if count is None else count} record{'' if count == 1 else 's'}"


def document(value: object) -> Json:
    """A result as JSON: decimals as strings, times in UTC; without what opens a customer's record, and raw bodies."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: document(getattr(value, field.name)) for field in fields(value) if field.repr}
    if isinstance(value, Mapping):
        return {str(name): document(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [document(each) for each in value]
    return value if value is None or isinstance(value, bool | int) else _word(value)


def _word(value: object) -> str:
    match value:
        case Decimal():
            return text(value)
        case datetime():
            return iso(value)
        case _:
            return str(value)


def coverage(receipt: CustomerReceipt, proof: Verification) -> str:
    """How much of a receipt its proof root vouches for, which may be older than the last record."""
    if not proof.verified:
        return "  the root is not verified yet"
    if proof.record_count is None or receipt.count is None:
        return "  how many records the root covers is not known"
    if (proof.record_count, proof.net_change) == (receipt.count, receipt.net):
        return "  the root covers all of it"
    covered = f"the root covers {proof.record_count} of {records(receipt.count)}"
    return f"  {covered}, net change {amount(proof.net_change)}: a new checkpoint covers what came since"


def say(result: object, *lines: str, as_json: bool, err: bool = False, **concluded: object) -> None:
    """The lines for people, or the whole result as JSON, with what the command ``concluded`` from it.

    ``err``: a document goes to standard output, so people are told on standard error.
    """
    if as_json:
        found = document(result)
        echo_json(
            {**found, **{name: document(each) for name, each in concluded.items()}}
            if isinstance(found, dict)
            else found
        )
        return
    for line in lines:
        echo_line(line, err=err)
