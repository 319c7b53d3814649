"""What there is to verify: a PDF, a bundle, evidence by itself, an invoice at Stripe, a proof root."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from pacspace_stripe.errors import UnreadableDocument
from pacspace_stripe.evidence.models import EvidenceDocument
from pacspace_stripe.evidence.reader import ReadEvidence
from pacspace_stripe.pacspace_api import Source
from pacspace_stripe.verify import figures, steps
from pacspace_stripe.verify.archive import LARGEST_ZIP
from pacspace_stripe.verify.bundle import read_bundle
from pacspace_stripe.verify.consistency import unbacked
from pacspace_stripe.verify.online import Heard, Services
from pacspace_stripe.verify.pdf import LARGEST_PDF, read_pdf
from pacspace_stripe.verify.report import Outcome, Report, Step, cannot_tell, numbered, printable

_INVOICE = re.compile(r"in_[A-Za-z0-9_]{1,200}")
_ROOT = re.compile(r"0x[0-9a-fA-F]{1,128}")
_LARGEST = max(LARGEST_PDF, LARGEST_ZIP)
_RECOMPUTED = "The proof root: it was taken from PacSpace, and not recomputed from the records."
_USED = "That the usage took place: what agrees is what was billed and what PacSpace recorded."
_LATER = "That no later decision was made: a document names what came before it, not what came after."
_PAGES = (
    "What the pages say besides: only the footer's hash, roots and recorded usage were read, not tables, amounts, "
    "pictures, or where links and QR codes lead."
)
_ISSUER = "That this is what the vendor stamped on the invoice: no stamp at Stripe was compared."
_EVIDENCE = "What was compared: the stamp only names the evidence. Ask the vendor for the statement, and verify that."
_UNBACKED = (
    "What was recorded, where no proof root covers it: nothing of PacSpace stands behind those figures but the "
    "vendor's word. A settlement record only the vendor can read."
)
_CHAIN = "That the public chain has each proof root: PacSpace did not say so of all of them."
_KNOWN = "That PacSpace knows the proof root: it was not asked."


def verify(target: str, services: Services) -> Report:
    """All steps about a file, an invoice's id or a proof root (``0x…``). Never raises for what a target holds."""
    services = replace(services, heard=Heard())
    if _INVOICE.fullmatch(target):
        report = _report(target, "invoice", numbered(steps.of_invoice(target, services)), None)
        read = services.heard.invoices.get(target)
        return replace(report, figures=figures.of_stamp(read)) if read else report
    if _ROOT.fullmatch(target):
        report = _report(target, "proof root", numbered(steps.of_root(target, services)), None)
        said = services.heard.roots.get(target)
        return replace(report, figures=figures.of_root(said)) if said else report
    try:
        data = _read(Path(target))
        return _of_file(target, data, services)
    except UnreadableDocument as error:
        step = ("the file can be read", cannot_tell(str(error)))
        return Report(target=printable(target), kind="file", steps=numbered([step]))


def _of_file(target: str, data: bytes, services: Services) -> Report:
    """By what the file begins with, whatever its name is."""
    if data.startswith(b"%PDF-"):
        pdf = read_pdf(data)
        evidence, _ = steps.evidence_or_problem(pdf.evidence)
        report = _report(target, "PDF", numbered(steps.of_pdf(pdf, services)), evidence)
        return _about(report, evidence, services, title=pdf.title, author=pdf.author)
    if data.startswith(b"PK"):
        bundle = read_bundle(data)
        report = _report(target, "bundle", numbered(steps.of_bundle(bundle, services)), bundle.decision)
        return _about(report, bundle.decision, services)
    if data.startswith(b"{"):
        # Printed to a file, a document ends with a line end that is not its own.
        evidence, readable = steps.evidence_or_problem(data.removesuffix(b"\n"))
        if evidence is None:
            raise UnreadableDocument(readable.detail)
        report = _report(target, "evidence", numbered(steps.of_evidence(evidence, readable, services)), evidence)
        return _about(report, evidence, services)
    return _refuse("it is neither a PDF nor a bundle nor evidence")


def _about(
    report: Report,
    evidence: ReadEvidence | None,
    services: Services,
    *,
    title: str | None = None,
    author: str | None = None,
) -> Report:
    if evidence is None:
        return report
    read = services.heard.invoices.get(evidence.document.invoice)
    return replace(report, figures=figures.of_evidence(evidence.document, read, title=title, author=author))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        _refuse(getattr(error, "strerror", None) or "it is no file")
    return data if len(data) <= _LARGEST else _refuse(f"it is larger than {_LARGEST} bytes")


def _report(target: str, kind: str, found: tuple[Step, ...], evidence: ReadEvidence | None) -> Report:
    document = evidence.document if evidence else None
    return Report(
        target=printable(target),
        kind=kind,
        steps=found,
        invoice=printable(document.invoice) if document else None,
        verdict=_verdict(document),
        not_proven=tuple(_not_proven(kind, found, document)),
    )


def _verdict(document: EvidenceDocument | None) -> str | None:
    return f"{document.decision.verdict} ({document.decision.reason})" if document else None


def _not_proven(kind: str, found: tuple[Step, ...], document: EvidenceDocument | None) -> Iterator[str]:
    """What no step shows, or no step that was run."""
    outcomes = {step.checked: step.result.outcome for step in found}
    roots = document is None or bool(document.roots)
    if roots:
        yield _RECOMPUTED
    answers = [answer for step in found for answer in step.result.sources]
    confirmed = {answer.proof_root for answer in answers if answer.confirms and answer.source != Source.DB}
    if any(answer.proof_root not in confirmed for answer in answers):
        yield _CHAIN
    if kind == "proof root":
        return
    if document is not None and unbacked(document):
        yield _UNBACKED
    if roots and outcomes.get(steps.PACSPACE) is not Outcome.HOLDS:
        yield _KNOWN
    if kind != "invoice" and outcomes.get(steps.STRIPE) is not Outcome.HOLDS:
        yield _ISSUER
    if kind in {"PDF", "bundle"}:
        yield _PAGES
    if kind == "invoice":
        yield _EVIDENCE
    yield from (_LATER, _USED)


def _refuse(problem: str) -> NoReturn:
    message = f"it cannot be verified: {problem}"
    raise UnreadableDocument(message) from None
