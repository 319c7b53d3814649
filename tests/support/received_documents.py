"""The documents that a payer receives: a statement with its evidence, and a bundle, each easy to tamper with."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pikepdf

from pacspace_stripe.verify import OnlineServices, StepOutcome, VerificationReport, verify
from pacspace_stripe.vocabulary.canonical_json import canonical, digest
from pacspace_stripe.vocabulary.windows import iso
from tests.support.bundles import Opened
from tests.support.pdfs import reopened, retouched, written
from tests.support.worlds import World, world

ATTACHMENT = "evidence.json"
MADE_AT = datetime(2026, 12, 1, tzinfo=UTC)
NOBODY = OnlineServices()
"""No service to ask: verification offline."""


@dataclass(frozen=True, kw_only=True)
class ReceivedDocuments:
    """The documents about one invoice of a world."""

    invoice: str
    evidence: bytes
    files: Mapping[str, bytes] = field(repr=False)
    """The bundle's files by name, without its manifest."""

    @property
    def statement(self) -> bytes:
        return self.files["statement.pdf"]

    @property
    def plain(self) -> bytes:
        """Return the statement without an attachment."""
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
        """Return the manifest that the bundle's writer makes for the files."""
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

    def with_files(self, changes: Mapping[str, bytes | None]) -> "ReceivedDocuments":
        """Return the documents with other files; None takes one out. The bundle's manifest still matches."""
        there = {name: data for name, data in {**self.files, **changes}.items() if data is not None}
        return replace(self, files=there)


def received_documents(town: World, invoice_id: str | None = None) -> ReceivedDocuments:
    """Return the documents of a decided invoice, by default the newest."""
    bundle = town.app.dispute_bundles.of_invoice(invoice_id or town.invoice_id, made_at=MADE_AT)
    assert bundle.missing == ()
    entries = Opened.of(bundle.content).entries
    manifest = json.loads(entries.pop("manifest.json"))
    [evidence] = [data for data in entries.values() if digest(data) == manifest["evidence_sha256"]]
    return ReceivedDocuments(invoice=manifest["invoice"], evidence=evidence, files=entries)


def of_second_invoice(folder: Path) -> ReceivedDocuments:
    """Return the documents of a subscription's second invoice, matched and finalized."""
    with world(folder) as town:
        town.subscribe()
        town.use("100")
        town.run(timedelta(days=15))
        town.use("7.5", at=town.clock.now() - timedelta(hours=2))
        town.use("2.5", at=town.clock.now() - timedelta(hours=1))
        town.run(timedelta(days=16))
        return received_documents(town)


def of_another_customer(folder: Path) -> ReceivedDocuments:
    """Return the genuine documents of another vendor's customer."""
    with world(folder) as town:
        town.subscribe("cus_other")
        town.use("3", customer="cus_other")
        return received_documents(town.run())


def _detach(document: pikepdf.Pdf) -> None:
    for key in list(document.attachments):
        del document.attachments[key]
    if "/AF" in document.Root:
        del document.Root.AF


def attached(pdf: bytes, evidence: bytes, *, name: str = ATTACHMENT, more: Mapping[str, bytes] | None = None) -> bytes:
    """Return the PDF with this evidence embedded in the place of any other."""
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
    """Return a file to attach."""
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
    """Return a ZIP with these entries, in order."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name], compress_type=packing)
    return out.getvalue()


def swapped(root: str) -> str:
    """Return a root that differs in one digit."""
    return root[:-1] + ("0" if root[-1] != "0" else "1")


def verified(folder: Path, data: bytes, name: str = "document") -> VerificationReport:
    """Verify bytes offline, written to a file of this name."""
    path = folder / name
    path.write_bytes(data)
    return verify(str(path), NOBODY)


def refuted_steps(report: VerificationReport) -> list[str]:
    """Return what the refuted steps checked."""
    return [step.checked for step in report.steps if step.result.outcome is StepOutcome.REFUTED]


def why(report: VerificationReport) -> str:
    """Return every step with its result, for a failing test."""
    return "\n".join(f"{step.number}. {step.checked}: {step.result}" for step in report.steps)


def evidence_with(made: ReceivedDocuments, change: Callable[[Any], None]) -> bytes:
    """Return the evidence after a forger's change, canonical again."""
    document = made.document
    change(document)
    return canonical(document)


def billed_more(document: Any) -> None:  # noqa: ANN401 - JSON
    """Change the billed figure."""
    document["windows"][0]["billed"] = "11"


def info_keywords(made: ReceivedDocuments, words: str | None) -> bytes:
    """Return the statement with other keywords in its document information; None removes them."""

    def change(pdf: pikepdf.Pdf) -> None:
        if words is None:
            del pdf.trailer.Info.Keywords
        else:
            pdf.trailer.Info.Keywords = words

    return retouched(made.statement, change)


def keywords(sha256: str, root: str) -> str:
    """Return the keywords of a document about this evidence and root."""
    return f"evidence-sha256:{sha256}, proof-root:{root}"
