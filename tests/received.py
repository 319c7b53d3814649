"""What a payer holds, made of a world: a statement with its evidence, and a bundle, each easy to tamper with."""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pikepdf
import rfc8785

from pacspace_stripe.domain.evidence import canonical, digest
from pacspace_stripe.domain.quantities import text
from pacspace_stripe.domain.windows import Window, iso
from pacspace_stripe.errors import NotFound
from pacspace_stripe.pacspace_api import Derived, PacSpace
from pacspace_stripe.pacspace_api.calls import Calls
from pacspace_stripe.pacspace_api.scopes import scope_fields
from pacspace_stripe.pacspace_api.wire import Wire
from pacspace_stripe.statements import statement_pdf
from tests.pdfs import reopened, written
from tests.worlds import ENVIRONMENT, World

ATTACHMENT = "evidence.json"


@dataclass(frozen=True, kw_only=True)
class Papers:
    """About the newest invoice of a world."""

    invoice: str
    evidence: bytes
    plain: bytes
    """The statement without an attachment."""
    files: Mapping[str, bytes] = field(repr=False)
    """Of the bundle, without its manifest."""

    @property
    def statement(self) -> bytes:
        return attached(self.plain, self.evidence)

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
        """As the bundle's writer makes it."""
        return canonical(
            {
                "format": "pacspace-stripe/bundle/1",
                "invoice": self.invoice,
                "evidence_sha256": digest(self.evidence),
                "made_at": "2026-12-01T00:00:00Z",
                "files": {name: {"sha256": digest(data), "bytes": len(data)} for name, data in self.files.items()},
                **changes,  # type: ignore[dict-item]
            }
        )

    def with_files(self, changes: Mapping[str, bytes | None]) -> "Papers":
        """Other files in a bundle that is whole in itself; None takes one out."""
        there = {name: data for name, data in {**self.files, **changes}.items() if data is not None}
        return replace(self, files=there)


def papers(world: World, invoice_id: str | None = None) -> Papers:
    """Of an invoice that was decided."""
    invoice_id = invoice_id or world.invoice_id
    links = world.app.store.chains.of_subject(invoice_id)
    decision = [link for link in links if json.loads(link.document)["confirms"] is None][-1]
    chain = json.loads(decision.document)["chain"]["id"]
    plain = statement_pdf(world.app, invoice_id)
    files = {
        **{f"evidence/{n:04}.json": link.document for n, link in enumerate(world.app.store.chains.of_chain(chain), 1)},
        **_ledger(world, json.loads(decision.document)),
        **_stripe(world, invoice_id),
        "statement.pdf": attached(plain, decision.document),
        "summary.pdf": plain,
    }
    return Papers(invoice=invoice_id, evidence=decision.document, plain=plain, files=files)


def _ledger(world: World, document: Any) -> dict[str, bytes]:  # noqa: ANN401 - JSON
    key, address = ENVIRONMENT["PACSPACE_API_KEY"], ENVIRONMENT["PACSPACE_API_BASE_URL"]
    client = PacSpace(key, base_url=address, transport=world.app.transport)
    calls = Calls(Wire(world.app.transport, key, address))
    files: dict[str, bytes] = {}
    whole = [window for window in document["windows"] if window["account"] and window["start"]]
    for number, window in enumerate(whole, start=1):
        stem, account = f"ledger/{number:04}", window["account"]
        span = Window(start=datetime.fromisoformat(window["start"]), end=datetime.fromisoformat(window["end"]))
        if window.get("record"):
            files[f"{stem}-record.json"] = canonical(window["record"])
            continue
        files[f"{stem}-records.json"] = canonical(_records(_derived(client, account, span), window))
        if window["proof"]:
            files[f"{stem}-receipt.json"] = _answer(calls.receipt(account, scope_fields(span)).data)
            files[f"{stem}-verify.json"] = _answer(calls.verify(window["proof"]["proof_root"], {}).data)
    return files


def _derived(client: PacSpace, account: str, span: Window) -> Derived:
    try:
        return client.balance.derive_all(account, span)
    except NotFound:
        nothing = {"starting_balance": None, "latest_receipt_id": None, "deltas": (), "summaries": ()}
        return Derived(customer_id=account, balance=Decimal(0), count=0, **nothing)  # type: ignore[arg-type]  # by name


def _records(derived: Derived, window: Any) -> Any:  # noqa: ANN401 - JSON
    rows = [
        {
            "record_id": delta.record_id,
            "at": delta.recorded_at and delta.recorded_at.isoformat(),
            "delta": None if delta.amount is None else text(delta.amount),
            "reason": delta.reason,
            "reference_id": delta.reference_id,
            "status": delta.status.value,
        }
        for delta in derived.deltas
    ]
    scope = {name: window[name] for name in ("account", "start", "end")}
    return {**scope, "net": text(derived.balance), "count": derived.count, "records": rows}


def _answer(data: Any) -> bytes:  # noqa: ANN401 - JSON
    return rfc8785.dumps(json.loads(json.dumps(data, default=str)))


def _stripe(world: World, invoice_id: str) -> dict[str, bytes]:
    invoice = world.app.stripe.read_invoice(invoice_id)
    ours = {key: value for key, value in invoice.metadata.items() if key.startswith("pacspace_")}
    lines = [
        {
            "id": line.line_id,
            "quantity": None if line.quantity is None else text(line.quantity),
            "price": line.price_id,
            "start": iso(line.window.start) if line.window else None,
            "end": iso(line.window.end) if line.window else None,
        }
        for line in invoice.line_items
    ]
    about = {"invoice": invoice_id, "number": invoice.number, "status": invoice.status.value}
    return {
        "stripe/invoice.json": rfc8785.dumps({**about, "metadata": ours, "footer": invoice.footer}),
        "stripe/lines.json": rfc8785.dumps(lines),
    }


def attached(pdf: bytes, evidence: bytes, *, name: str = ATTACHMENT, more: Mapping[str, bytes] | None = None) -> bytes:
    """The PDF with evidence embedded as the documents do it, in the place of any that is there."""
    with reopened(pdf) as document:
        for key in list(document.attachments):
            del document.attachments[key]
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
