"""The archive of a dispute bundle: its files, what is missing and why, and one ZIP with a manifest of their hashes.

What is put in as JSON or text of a vendor must be shareable: no secrets, no mail addresses, no metadata that the vendor
keeps for itself. Evidence is put in untouched, since its bytes are what was hashed: so a waiver's reason stands there,
and in the stamp, as it was written.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from typing import TypeVar
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import rfc8785

from pacspace_stripe.errors import (
    InvalidInput,
    RateLimited,
    RemoteError,
    RemoteUnavailable,
    RenderError,
    UnexpectedAnswer,
)
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.vocabulary import quantities
from pacspace_stripe.vocabulary.canonical_json import Json, canonical, digest
from pacspace_stripe.vocabulary.windows import iso

FORMAT = "pacspace-stripe/bundle/1"
MANIFEST = "manifest.json"
_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The first moment that a ZIP can name."""
_PLAIN_FILE = 0o100644 << 16
_UNIX = 3
_PRIVATE = re.compile(r"secret|token|password|passcode|accesshint|accesscode|cookie|apikey|credential|mail|metadata")
_MAIL_ADDRESS = re.compile(r"(?<![\w.+%-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_DEEPEST = 50
_LARGEST_INTEGER = 2**53
_LARGEST_EXPONENT = 30

AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingFile:
    """A file that belongs into the bundle and is not available now."""

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeBundle:
    """One finished bundle."""

    content: bytes
    """The ZIP."""
    manifest: dict[str, Json]
    files: tuple[str, ...]
    """Names of all entries, the manifest among them."""
    missing: tuple[MissingFile, ...]
    notes: tuple[str, ...]
    """Sentences for the person who sends it, about files that are there and differ from what was decided about."""


@dataclass(slots=True, kw_only=True)
class BundleFolder:
    """The files of a bundle so far, and those that are missing."""

    files: dict[str, bytes] = field(default_factory=dict)
    missing: list[MissingFile] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _silent: dict[str, str] = field(default_factory=dict)
    """Reason for each service that does not answer."""

    def put_json(self, name: str, document: Json) -> None:
        """Add one file of canonical JSON (RFC 8785)."""
        self.files[name] = rfc8785.dumps(document)

    def ask(self, service: str, names: tuple[str, ...], question: Callable[[], AnswerT]) -> AnswerT | None:
        """Return the answer for these files; without one, note them as missing and return None.

        A service that does not answer is not asked again: each further question would take as long.
        """
        why = self._silent.get(service)
        if why is None:
            try:
                return question()
            except (RemoteError, InvalidInput, RenderError) as error:
                why = shareable_text(" ".join(str(error).split()))
                if isinstance(error, RemoteUnavailable) and not isinstance(error, RateLimited):
                    self._silent[error.service] = why
        self.missing += [MissingFile(name=name, why=why) for name in names]
        return None

    def has_answered(self, service: str) -> bool:
        """Return whether the service answered everything that it was asked."""
        return service not in self._silent

    def packed(self, invoice_id: str, evidence_sha256: str, made_at: datetime) -> DisputeBundle:
        """Return the bundle of all files and the manifest that hashes them."""
        files: dict[str, Json] = {
            name: {"sha256": digest(content), "bytes": len(content)} for name, content in self.files.items()
        }
        manifest: dict[str, Json] = {
            "format": FORMAT,
            "invoice": invoice_id,
            "evidence_sha256": evidence_sha256,
            "made_at": iso(made_at),
            "files": files,
            "missing": [{"name": each.name, "why": each.why} for each in self.missing],
        }
        entries = {**self.files, MANIFEST: canonical(manifest)}
        return DisputeBundle(
            content=zipped(entries),
            manifest=manifest,
            files=tuple(sorted(entries)),
            missing=tuple(self.missing),
            notes=tuple(self.notes),
        )


def zipped(entries: Mapping[str, bytes]) -> bytes:
    """Return a ZIP of exactly these entries: the same bytes for the same entries."""
    buffer = BytesIO()
    # Stored, not deflated: deflated bytes depend on the version of zlib.
    with ZipFile(buffer, "w", ZIP_STORED) as archive:
        for name in sorted(entries):
            entry = ZipInfo(name, _EARLIEST)
            entry.create_system, entry.external_attr = _UNIX, _PLAIN_FILE
            archive.writestr(entry, entries[name])
    return buffer.getvalue()


def shareable_text(text: str) -> str:
    """Return a text without mail addresses, and without characters that JSON cannot hold."""
    return _MAIL_ADDRESS.sub("[address removed]", text.encode(errors="replace").decode())


def shareable(value: object, *, depth: int = 0) -> Json:
    """Return a vendor's answer as JSON that may be shared: whole numbers as numbers, all others as text.

    Raises UnexpectedAnswer for one that is nested too deep.
    """
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
