"""The reader of evidence: bytes of unknown origin become one document, or UnreadableEvidence.

Bytes with more than one possible meaning are refused. Readable bytes that are not canonical (RFC 8785) are marked so.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import rfc8785
from pydantic import BaseModel, ConfigDict, ValidationError

from pacspace_stripe.errors import UnreadableEvidence
from pacspace_stripe.evidence.models import LARGEST_INTEGER, ChainModel, EvidenceDocument, Sha256, Text
from pacspace_stripe.evidence.rules.document import FORMAT
from pacspace_stripe.http.answers import unique
from pacspace_stripe.vocabulary.canonical_json import digest

SCHEMA_NAME = "evidence-1.json"
LARGEST = 4 * 1024 * 1024
"""Bytes: several times the evidence of an invoice with the most lines that are read (10,000)."""
_LONGEST_INTEGER = len(str(LARGEST_INTEGER)) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadEvidence:
    """A document with the bytes that it was read from."""

    document: EvidenceDocument
    data: bytes
    canonical: bool
    """True for the one canonical form of this document. Ours always are canonical; other bytes are not our work."""

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes in lower-case hex."""
        return digest(self.data)


def read_evidence(data: bytes) -> ReadEvidence:
    """Return the document in these bytes. Raises UnreadableEvidence for any other bytes, and nothing else."""
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
    # Raised outside the handler: pydantic's error holds the input and must not stay attached as context.
    return _refuse(problem)


def strict_json(data: bytes, *, largest: int) -> object:
    """Return JSON that has one meaning only: no repeated keys, no fractions. Raises UnreadableEvidence."""
    if len(data) > largest:
        _refuse(f"it is larger than {largest} bytes")
    try:
        text = data.decode("utf-8")
        found: object = json.loads(
            text, object_pairs_hook=unique, parse_float=_no_fraction, parse_constant=_no_fraction, parse_int=_integer
        )
        json.dumps(found, ensure_ascii=False).encode("utf-8")  # half a surrogate pair is no text
    except UnicodeDecodeError:
        _refuse("it is not UTF-8")
    except UnicodeEncodeError:
        _refuse("it holds half a surrogate pair")
    except RecursionError:
        _refuse("it is nested too deep")
    except json.JSONDecodeError as error:
        _refuse(f"it is not JSON: {error.msg} at {error.pos}")
    except ValueError as error:
        _refuse(str(error))
    return found


def is_canonical(found: Mapping[str, Any], data: bytes) -> bool:
    """Return whether bytes are the RFC 8785 form of the JSON that was read from them."""
    try:
        return rfc8785.dumps(dict(found)) == data
    except (ValueError, RecursionError):
        return False


def json_schema() -> dict[str, Any]:
    """Return the format as a JSON Schema, for other validators."""
    schema = EvidenceDocument.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{FORMAT.replace('/', ':')}",
        "title": "Evidence of pacspace-stripe, version 1",
        **{name: value for name, value in schema.items() if name != "title"},
    }


# -- evidence of earlier versions ------------------------------------------------------------------------------------


class OlderDocument(BaseModel):
    """The invoice of an older document, and its place in the chain."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, hide_input_in_errors=True)

    format: Literal["pacspace-stripe/evidence/1"]
    invoice: Text
    subscription: Text | None
    confirms: Sha256 | None = None
    chain: ChainModel


@dataclass(frozen=True, slots=True, kw_only=True)
class OlderEvidence:
    """A link that an earlier version wrote, before lines named quantities and links what they confirm."""

    document: OlderDocument
    data: bytes

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes in lower-case hex."""
        return digest(self.data)


def read_older(data: bytes) -> OlderEvidence | None:
    """Return the link of the older shape in these bytes; None if there is none."""
    try:
        found = strict_json(data, largest=LARGEST)
        document = OlderDocument.model_validate(found)
    except (UnreadableEvidence, ValidationError):
        return None
    return OlderEvidence(document=document, data=data) if isinstance(found, dict) and _is_older(found) else None


def _is_older(found: Mapping[str, Any]) -> bool:
    windows = found.get("windows")
    listed = windows if isinstance(windows, list) else []
    return "confirms" not in found or any(isinstance(window, dict) and "line_items" in window for window in listed)


# -- numbers and refusals ---------------------------------------------------------------------------------------------


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER or abs(number := int(digits)) > LARGEST_INTEGER:
        message = "a number is larger than all readers of JSON can hold"
        raise ValueError(message)
    return number


def _no_fraction(_: str) -> NoReturn:
    message = "a number has a fraction: quantities are text"
    raise ValueError(message)


def _first(error: ValidationError) -> str:
    detail = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, detail['loc']))[:200] or 'it'}: {detail['msg']}"


def _refuse(problem: str) -> NoReturn:
    message = f"the evidence cannot be read: {problem}"
    raise UnreadableEvidence(message) from None
