"""Receipt documents (CONTRACT 3.10), one per checkpoint, by its id or its root, as JSON and as PDF.

Only ``links.permalink`` is published of their shape: the rest is the simulator's.
"""

from typing import Any

import httpx

from pacspace_stripe.simulator.http import json_response
from pacspace_stripe.simulator.pacspace import answers
from pacspace_stripe.simulator.pacspace.checkpoints import StoredCheckpoint
from pacspace_stripe.simulator.pacspace.inputs import PacSpaceRequest
from pacspace_stripe.simulator.pacspace.refusals import PacSpaceRefusal, invalid
from pacspace_stripe.simulator.pacspace.world import World

_PDF = ".pdf"


def listed(world: World, call: PacSpaceRequest) -> dict[str, Any]:
    """GET /api/v1/balance/customers/{customerId}/receipts: newest first."""
    account, limit = call.customer(), call.whole("limit", 25, 1, 100)
    world.require(account)
    made = [each for each in reversed(world.checkpoints.of(account)) if each.committed(world.now())]
    rows = [_row(world, each) for each in made[:limit]]
    return {"customerId": account, "receipts": rows, **answers.paged(len(made), limit, 0)}


def document(world: World, call: PacSpaceRequest) -> dict[str, Any]:
    """GET /api/v1/balance/receipts/{receiptId}."""
    named = call.query.get("customerDisplayName", "false")
    if named not in {"true", "false"}:
        message = "customerDisplayName must be true or false"
        raise invalid(message)
    made = _existing(world, call.values["receiptId"])
    wishes = {"locale": call.query.get("locale", "en"), "timezone": call.query.get("timezone", "UTC")}
    shown = {"customerDisplayName": made.scope.account} if named == "true" else {}
    return {**_row(world, made), **wishes, **shown, "unit": call.query.get("unit", "credits")}


def public(world: World, call: PacSpaceRequest) -> httpx.Response:
    """GET /api/v1/receipt/{receiptId} for anyone, and the same with ``.pdf``."""
    name = call.values["receiptId"]
    made = _existing(world, name.removesuffix(_PDF))
    if not name.endswith(_PDF):
        return json_response(200, {"success": True, "data": _row(world, made)})
    lines = ["Simulator receipt", made.checkpoint_id, made.proof_root, f"records: {made.count}"]
    return httpx.Response(200, content=_pdf(lines), headers={"Content-Type": "application/pdf"})


def _existing(world: World, name: str) -> StoredCheckpoint:
    made = world.checkpoints.named(name)
    if made is None or not made.committed(world.now()):
        message = "Receipt not found"
        raise PacSpaceRefusal(404, message, "RECEIPT_NOT_FOUND")
    return made


def _row(world: World, made: StoredCheckpoint) -> dict[str, Any]:
    address = f"{world.base_url}/api/v1/receipt/{made.checkpoint_id}"
    return {
        "receiptId": made.checkpoint_id,
        **answers.checkpoint(world, made),
        "links": {
            "permalink": f"{world.base_url}/receipt/{made.checkpoint_id}",
            "json": address,
            "pdf": address + _PDF,
        },
    }


def _pdf(lines: list[str]) -> bytes:
    """Return the smallest PDF with one page of text."""
    shown = " ".join(f"({line}) Tj T*" for line in lines)
    stream = f"BT /F1 10 Tf 40 780 Td 14 TL {shown} ET".encode()
    fonts = b"<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Courier >> >> >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources %s >>" % fonts,
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    written, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    tail = b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return written + tail % (size, table, size, len(written))
