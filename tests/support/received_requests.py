"""What a payer holds, made of a world: a statement with its evidence, and a bundle, each easy to tamper with."""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pikepdf

from pacspace_stripe.vocabulary.canonical_json import canonical, digest
from pacspace_stripe.vocabulary.windows import iso
from tests.support.bundles import Opened
from tests.support.pdfs import reopened, retouched, written
from tests.support.worlds import World

ATTACHMENT = "evidence.json"
MADE_AT = datetime(2026, 12, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Papers:
    """About the newest invoice of a world."""

    invoice: str
    evidence: bytes
    files: Mapping[str, bytes] = field(repr=False)
    """Of the bundle, without its manifest."""

    @property
    def statement(self) -> bytes:
        return self.files["statement.pdf"]

    @property
    def plain(self) -> bytes:
        """The statement without an attachment."""
        return retouched(self.statement, _detach)

    @property
    def bundle(self) -> bytes:
        return zipped({**self.files, "manifest.json": self.manifest()})

    @property
    def document(self) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self.evidence)

    @property
    def root(self) -> str:
        return str(self.document["windows"][0]["proof"]["proof_root"])

    def manifest(self, **changes: object) -> bytes:
        """As the bundle's writer makes it, of whatever files there are now."""
        return canonical(
            {
                "format": "pacspace-stripe/bundle/1",
                "invoice": self.invoice,
                "evidence_sha256": digest(self.evidence),
                "made_at": iso(MADE_AT),
                "files": {name: {"sha256": digest(data), "bytes": len(data)} for name, data in self.files.items()},
                "missing": [],
                **changes,  # type: ignore[dict-item]
            }
        )

    def with_files(self, changes: Mapping[str, bytes | None]) -> "Papers":
        """Other files in a bundle that is whole in itself; None takes one out."""
        there = {name: data for name, data in {**self.files, **changes}.items() if data is not None}
        return replace(self, files=there)


def papers(world: World, invoice_id: str | None = None) -> Papers:
    """Of an invoice that was decided."""
    bundle = world.app.dispute_bundles.of_invoice(invoice_id or world.invoice_id, made_at=MADE_AT)
    assert bundle.missing == ()
    entries = Opened.of(bundle.content).entries
    manifest = json.loads(entries.pop("manifest.json"))
    [evidence] = [data for data in entries.values() if digest(data) == manifest["evidence_sha256"]]
    return Papers(invoice=manifest["invoice"], evidence=evidence, files=entries)


def _detach(document: pikepdf.Pdf) -> None:
    for key in list(document.attachments):
        del document.attachments[key]
    if "/AF" in document.Root:
        del document.Root.AF


def attached(pdf: bytes, evidence: bytes, *, name: str = ATTACHMENT, more: Mapping[str, bytes] | None = None) -> bytes:
    """The PDF with evidence embedded as the documents do it, in the place of any that is there."""
    with reopened(pdf) as document:
        _detach(document)
        files = []
        for number, (called, content) in enumerate([(name, evidence), *(more or {}).items()]):
            spec = filespec(document, called, content)
            document.attachments[f"{number}-{called}" if number else called] = spec
            files.append(spec.obj)
        document.Root.AF = pikepdf.Array(files)
        return written(document)


def filespec(document: pikepdf.Pdf, name: str, content: bytes) -> pikepdf.AttachedFileSpec:
    """A file to attach."""
    spec = pikepdf.AttachedFileSpec(
        document,
        content,
        description="",
        filename=name,
        mime_type="application/json",
        creation_date="",
        mod_date="",
    )
    spec.obj.AFRelationship = pikepdf.Name.Data
    return spec


def zipped(files: Mapping[str, bytes], *, packing: int = zipfile.ZIP_STORED) -> bytes:
    """A ZIP with these entries, in order."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name], compress_type=packing)
    return out.getvalue()


def swapped(root: str) -> str:
    """Another root that looks like it: one digit differs."""
    return root[:-1] + ("0" if root[-1] != "0" else "1")
