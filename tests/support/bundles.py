"""A reader of bundles without any code of the product, so that a mistake of the product cannot hide."""

import hashlib
import json
from dataclasses import dataclass
from decimal import Decimal
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from tests.support.pdfs import pages


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def canonical(document: object) -> bytes:
    """Return RFC 8785 bytes of JSON without fractions and exotic names: evidence has neither."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Opened:
    """The entries of a bundle by name, in their order."""

    entries: dict[str, bytes]

    @classmethod
    def of(cls, content: bytes) -> "Opened":
        with ZipFile(BytesIO(content)) as archive:
            assert archive.testzip() is None
            assert archive.comment == b""
            for entry in archive.infolist():
                assert entry.date_time == (1980, 1, 1, 0, 0, 0)
                assert entry.compress_type in (ZIP_STORED, ZIP_DEFLATED)
                assert (entry.extra, entry.comment) == (b"", b"")
            names = archive.namelist()
            assert names == sorted(set(names))
            return cls({name: archive.read(name) for name in names})

    def json(self, name: str) -> Any:  # noqa: ANN401 - whatever it says
        document = json.loads(self.entries[name], parse_float=Decimal)
        assert canonical(document) == self.entries[name], name
        return document

    def text(self, name: str) -> list[str]:
        """Return a PDF's text, page by page."""
        return [" ".join(page.split()) for page in pages(self.entries[name])]

    @property
    def manifest(self) -> dict[str, Any]:
        return dict(self.json("manifest.json"))

    @property
    def missing(self) -> list[str]:
        return [lack["name"] for lack in self.manifest["missing"]]

    @property
    def chain(self) -> list[dict[str, Any]]:
        return [self.json(name) for name in self.entries if name.startswith("evidence/")]

    def decision(self) -> dict[str, Any]:
        """Return the link that the manifest names."""
        [name] = [
            name
            for name, content in self.entries.items()
            if name.startswith("evidence/") and sha256(content) == self.manifest["evidence_sha256"]
        ]
        return dict(self.json(name))
