"""Evidence in the shape before lines named their quantities and links what they confirm: only its place is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pacspace_stripe.errors import UnreadableEvidence
from pacspace_stripe.evidence.format.models import ChainModel
from pacspace_stripe.evidence.format.reading import LARGEST, strict_json
from pacspace_stripe.evidence.format.values import Sha256, Text
from pacspace_stripe.vocabulary.canonical_json import digest


class OlderDocument(BaseModel):
    """What it is about, and where it stands."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, hide_input_in_errors=True)

    format: Literal["pacspace-stripe/evidence/1"]
    invoice: Text
    subscription: Text | None
    confirms: Sha256 | None = None
    chain: ChainModel


@dataclass(frozen=True, slots=True, kw_only=True)
class OlderEvidence:
    """A link that an earlier version wrote: its very bytes, and its place in the chain."""

    document: OlderDocument
    data: bytes

    @property
    def sha256(self) -> str:
        """Of the bytes, lower-case hex."""
        return digest(self.data)


def read_older(data: bytes) -> OlderEvidence | None:
    """The link of the older shape in these bytes; None: there is none."""
    try:
        found = strict_json(data, largest=LARGEST)
        document = OlderDocument.model_validate(found)
    except (UnreadableEvidence, ValidationError):
        return None
    return OlderEvidence(document=document, data=data) if isinstance(found, dict) and _older(found) else None


def _older(found: Mapping[str, Any]) -> bool:
    windows = found.get("windows")
    listed = windows if isinstance(windows, list) else []
    return "confirms" not in found or any(isinstance(window, dict) and "line_items" in window for window in listed)
