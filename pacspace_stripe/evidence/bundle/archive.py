"""Files → one ZIP with a manifest of their hashes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from typing import TypeVar
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import rfc8785

from pacspace_stripe.errors import InvalidInput, RateLimited, RemoteError, RemoteUnavailable, RenderError
from pacspace_stripe.evidence.bundle.redaction import shareable_text
from pacspace_stripe.vocabulary.canonical_json import Json, canonical, digest
from pacspace_stripe.vocabulary.windows import iso

FORMAT = "pacspace-stripe/bundle/1"
MANIFEST = "manifest.json"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The first moment that a ZIP can name."""
_PLAIN_FILE = 0o100644 << 16
_UNIX = 3

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """A file that belongs into the bundle and could not be had now."""

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """One finished bundle."""

    content: bytes
    """The ZIP."""
    manifest: dict[str, Json]
    files: tuple[str, ...]
    """Names of all entries, the manifest among them."""
    missing: tuple[Lack, ...]
    notes: tuple[str, ...]
    """What a person should know before sending it: nothing is missing, but something is not as it was."""


@dataclass(slots=True, kw_only=True)
class Folder:
    """Collects a bundle's files, and why those that are not there are not."""

    files: dict[str, bytes] = field(default_factory=dict)
    missing: list[Lack] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _silent: dict[str, str] = field(default_factory=dict)

    def put(self, name: str, content: bytes) -> None:
        """One file as it is."""
        self.files[name] = content

    def put_json(self, name: str, document: Json) -> None:
        """One file of canonical JSON (RFC 8785)."""
        self.put(name, rfc8785.dumps(document))

    def asked(self, service: str, names: tuple[str, ...], ask: Callable[[], Found]) -> Found | None:
        """The answer that the files of these names are made of; None, and they are missing, when there is none.

        A vendor that does not answer is not asked again: each question would take as long.
        """
        if service in self._silent:
            self.lacks(names, self._silent[service])
            return None
        try:
            return ask()
        except (RemoteError, InvalidInput, RenderError) as error:
            why = shareable_text(" ".join(str(error).split()))
            if isinstance(error, RemoteUnavailable) and not isinstance(error, RateLimited):
                self._silent[error.service] = why
            self.lacks(names, why)
            return None

    def answers(self, service: str) -> bool:
        """Whether nothing that was asked of it stayed without an answer."""
        return service not in self._silent

    def lacks(self, names: tuple[str, ...], why: str) -> None:
        """These files could not be had."""
        self.missing += [Lack(name=name, why=why) for name in names]

    def packed(self, invoice_id: str, evidence_sha256: str, made_at: datetime) -> Bundle:
        """The ZIP of all of it."""
        files: dict[str, Json] = {
            name: {"sha256": digest(content), "bytes": len(content)} for name, content in self.files.items()
        }
        manifest: dict[str, Json] = {
            "format": FORMAT,
            "invoice": invoice_id,
            "evidence_sha256": evidence_sha256,
            "made_at": iso(made_at),
            "files": files,
            "missing": [{"name": lack.name, "why": lack.why} for lack in self.missing],
        }
        entries = {**self.files, MANIFEST: canonical(manifest)}
        return Bundle(
            content=zipped(entries),
            manifest=manifest,
            files=tuple(sorted(entries)),
            missing=tuple(self.missing),
            notes=tuple(self.notes),
        )


def zipped(entries: Mapping[str, bytes]) -> bytes:
    """A ZIP of nothing but these entries. Stored: what deflating gives depends on the library at hand."""
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_STORED) as archive:
        for name in sorted(entries):
            entry = ZipInfo(name, _LONG_AGO)
            entry.create_system, entry.external_attr = _UNIX, _PLAIN_FILE
            archive.writestr(entry, entries[name])
    return buffer.getvalue()
