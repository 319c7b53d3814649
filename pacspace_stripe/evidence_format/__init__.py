"""Evidence as it is read back: bytes of unknown origin → one strict, frozen document, or UnreadableEvidence.

Owns the format (its JSON Schema is made of these models) and nothing of what evidence means. What cannot be read in
one way only is refused; bytes that can, but are not canonical (RFC 8785), are told apart.
"""

from pacspace_stripe.evidence_format.models import (
    CompareModel,
    EvidenceDocument,
    LeftOutModel,
    PolicyModel,
    ProofModel,
    SelectionModel,
    WindowModel,
)
from pacspace_stripe.evidence_format.older import OlderEvidence, read_older
from pacspace_stripe.evidence_format.reading import (
    LARGEST,
    SCHEMA_NAME,
    ReadEvidence,
    is_canonical,
    json_schema,
    read_evidence,
    strict_json,
)
from pacspace_stripe.evidence_format.values import Count, Sha256, Text

__all__ = [
    "LARGEST",
    "SCHEMA_NAME",
    "CompareModel",
    "Count",
    "EvidenceDocument",
    "LeftOutModel",
    "OlderEvidence",
    "PolicyModel",
    "ProofModel",
    "ReadEvidence",
    "SelectionModel",
    "Sha256",
    "Text",
    "WindowModel",
    "is_canonical",
    "json_schema",
    "read_evidence",
    "read_older",
    "strict_json",
]
