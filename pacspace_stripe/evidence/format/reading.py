"""Bytes of unknown origin → one document, or UnreadableEvidence. What cannot be read in one way only is refused."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import rfc8785
from pydantic import ValidationError

from pacspace_stripe.errors import UnreadableEvidence
from pacspace_stripe.evidence.format.models import EvidenceDocument
from pacspace_stripe.evidence.format.values import LARGEST_INTEGER
from pacspace_stripe.evidence.rules.document import FORMAT
from pacspace_stripe.http.answers import unique
from pacspace_stripe.vocabulary.canonical_json import digest

SCHEMA_NAME = "evidence-1.json"
LARGEST = 4 * 1024 * 1024
"""Bytes: several times what an invoice of the most lines that are read (10,000) can fill."""
_LONGEST_INTEGER = len(str(LARGEST_INTEGER)) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadEvidence:
    """A document as it was found: its very bytes and their hash."""

    document: EvidenceDocument
    data: bytes
    canonical: bool
    """Whether these are the only bytes that can say this. Ours always are; others were written by something else."""

    @property
    def sha256(self) -> str:
        """Of the bytes, lower-case hex."""
        return digest(self.data)


def read_evidence(data: bytes) -> ReadEvidence:
    """The document in these bytes. Raises UnreadableEvidence for everything that is not one, and nothing else."""
    found = strict_json(data, largest=LARGEST)
    if not isinstance(found, dict):
        _refuse("it is not an object")
    if found.get("format") != FORMAT:
        _refuse(f"its format is not {FORMAT}")
    try:
        document = EvidenceDocument.model_validate(found)
    except ValidationError as error:
        problem = _first(error)
    else:
        return ReadEvidence(document=document, data=data, canonical=is_canonical(found, data))
    # Raised out here: the foreign error, with the input in it, does not stay attached as context.
    return _refuse(problem)


def strict_json(data: bytes, *, largest: int) -> object:
    """JSON that has one meaning only, without fractions. Raises UnreadableEvidence."""
    if len(data) > largest:
        _refuse(f"it is larger than {largest} bytes")
    try:
        text = data.decode("utf-8")
        found: object = json.loads(
            text, object_pairs_hook=unique, parse_float=_no_fraction, parse_constant=_no_fraction, parse_int=_integer
        )
        json.dumps(found, ensure_ascii=False).encode("utf-8")  # halves of a surrogate pair are no text
    except UnicodeDecodeError:
        _refuse("it is not UTF-8")
    except UnicodeEncodeError:
        _refuse("it holds halves of characters")
    except RecursionError:
        _refuse("it is nested too deep")
    except json.JSONDecodeError as error:
        _refuse(f"it is not JSON: {error.msg} at {error.pos}")
    except ValueError as error:
        _refuse(str(error))
    return found


def is_canonical(found: Mapping[str, Any], data: bytes) -> bool:
    """Whether bytes are what RFC 8785 makes of the JSON that was read from them."""
    try:
        return rfc8785.dumps(dict(found)) == data
    except (ValueError, RecursionError):
        return False


def json_schema() -> dict[str, Any]:
    """The format as a JSON Schema, for everybody else's validators."""
    schema = EvidenceDocument.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{FORMAT.replace('/', ':')}",
        "title": "Evidence of pacspace-stripe, version 1",
        **{name: value for name, value in schema.items() if name != "title"},
    }


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER or abs(number := int(digits)) > LARGEST_INTEGER:
        message = "a number is larger than JSON's readers agree on"
        raise ValueError(message)
    return number


def _no_fraction(_: str) -> NoReturn:
    message = "a number is no whole one: quantities are text"
    raise ValueError(message)


def _first(error: ValidationError) -> str:
    detail = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, detail['loc']))[:200] or 'it'}: {detail['msg']}"


def _refuse(problem: str) -> NoReturn:
    message = f"the evidence cannot be read: {problem}"
    raise UnreadableEvidence(message) from None
