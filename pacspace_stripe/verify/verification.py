"""``verify``: a PDF, a bundle, evidence by itself, an invoice at Stripe or a proof root, checked in numbered steps.

Each step about evidence, alone or in a PDF, is independent of its issuer:

1. It can be read in one way only, and is canonical (RFC 8785).
2. Its SHA-256 is the one stamped: in the PDF's keywords, XMP and document information.
3. Its place in the chain of its subscription.
4. Sums and counts add up, and the verdict follows from them.
5. The footer on every page names it and its proof roots, and no others.
6. Online, with a key: the invoice at Stripe carries its stamp.
7. Online: PacSpace's public verify says the same of every proof root.

A bundle's steps are about its files (1, 2), its chain (3 to 5), the ledger's side (6, 7), Stripe's side (8) and its
PDFs (9, 10); the last two are the online steps above.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, TypeAlias

from pacspace_stripe.errors import UnreadableDocument, UnreadableEvidence
from pacspace_stripe.evidence.models import EvidenceDocument, WindowModel
from pacspace_stripe.evidence.reader import ReadEvidence, read_evidence, read_older
from pacspace_stripe.pacspace_api import Source
from pacspace_stripe.verify import bundle as bundles
from pacspace_stripe.verify import online, printed_text, stamps
from pacspace_stripe.verify.archive import LARGEST_ZIP
from pacspace_stripe.verify.consistency import adds_up, intact, place, problems, unbacked
from pacspace_stripe.verify.ledger_files import LedgerFiles
from pacspace_stripe.verify.online import OnlineAnswers, OnlineServices, PublicVerify
from pacspace_stripe.verify.pdf import LARGEST_PDF, Pdf, read_pdf
from pacspace_stripe.verify.report import (
    Result,
    Step,
    StepOutcome,
    VerificationReport,
    VerifiedFigures,
    VerifiedName,
    VerifiedWindow,
    cannot_tell,
    holds,
    numbered,
    printable,
    refuted,
    skipped,
    together,
    unless,
)
from pacspace_stripe.verify.stamps import InvoiceStamp, unconfirmed
from pacspace_stripe.vocabulary.canonical_json import digest
from pacspace_stripe.vocabulary.invoices import Invoice
from pacspace_stripe.vocabulary.ledger import ProofSummary
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.text import plural

Checks: TypeAlias = Iterator[tuple[str, Result]]
"""The name and the result of each step, in order."""

READABLE = "evidence can be read in one way only and is canonical"
SUMS = "sums and counts add up, and the verdict follows"
STRIPE = "the invoice at Stripe carries this stamp"
STAMP = "the invoice at Stripe carries a stamp"
PACSPACE = "PacSpace's public verify agrees on proof root, record count and net change"

_INVOICE = re.compile(r"in_[A-Za-z0-9_]{1,200}")
_ROOT = re.compile(r"0x[0-9a-fA-F]{1,128}")
_LARGEST = max(LARGEST_PDF, LARGEST_ZIP)
_MOST_DIGITS = 5

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
    "vendor's word. Only the vendor can read a settlement record."
)
_CHAIN = "That the public chain has each proof root: PacSpace did not confirm it for all of them."
_KNOWN = "That PacSpace knows the proof root: it was not asked."
_AT_STRIPE, _ON_DOCUMENT = "at Stripe", "as the document says"


def verify(target: str, services: OnlineServices) -> VerificationReport:
    """Run all steps about a file, an invoice's id or a proof root (``0x…``). Never raises for a target's contents."""
    services = replace(services, answers=OnlineAnswers())
    if _INVOICE.fullmatch(target):
        report = _report(target, "invoice", _invoice_steps(target, services), None)
        invoice = services.answers.invoices.get(target)
        return replace(report, figures=_figures_of_stamp(invoice)) if invoice else report
    if _ROOT.fullmatch(target):
        report = _report(target, "proof root", _root_steps(target, services), None)
        summary = services.answers.roots.get(target)
        return replace(report, figures=_figures_of_root(summary)) if summary else report
    try:
        return _verify_file(target, _read(Path(target)), services)
    except UnreadableDocument as error:
        step = ("the file can be read", cannot_tell(str(error)))
        return VerificationReport(target=printable(target), kind="file", steps=numbered([step]))


def _verify_file(target: str, data: bytes, services: OnlineServices) -> VerificationReport:
    """Verify a file by its first bytes, whatever its name is."""
    title = author = None
    if data.startswith(b"%PDF-"):
        pdf = read_pdf(data)
        evidence, _ = _evidence_or_problem(pdf.evidence)
        title, author = pdf.title, pdf.author
        report = _report(target, "PDF", _pdf_steps(pdf, services), evidence)
    elif data.startswith(b"PK"):
        bundle = bundles.read_bundle(data)
        evidence = bundle.decision
        report = _report(target, "bundle", _bundle_steps(bundle, services), evidence)
    elif data.startswith(b"{"):
        # Printed to a file, a document ends with a line end that is not its own.
        evidence, readable = _evidence_or_problem(data.removesuffix(b"\n"))
        if evidence is None:
            raise UnreadableDocument(readable.detail)
        report = _report(target, "evidence", _evidence_steps(evidence, readable, services), evidence)
    else:
        _refuse("it is neither a PDF nor a bundle nor evidence")
    if evidence is None:
        return report
    invoice = services.answers.invoices.get(evidence.document.invoice)
    return replace(report, figures=_figures_of_evidence(evidence.document, invoice, title=title, author=author))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        _refuse(getattr(error, "strerror", None) or "it is no file")
    return data if len(data) <= _LARGEST else _refuse(f"it is larger than {_LARGEST} bytes")


def _refuse(problem: str) -> NoReturn:
    message = f"it cannot be verified: {problem}"
    raise UnreadableDocument(message) from None


def _evidence_or_problem(data: bytes) -> tuple[ReadEvidence | None, Result]:
    """Return the evidence that the bytes are, if they are any, and the result of reading them."""
    try:
        evidence = read_evidence(data)
    except UnreadableEvidence as error:
        earlier = "the evidence was written by an earlier version, in a shape that cannot be verified"
        return None, cannot_tell(earlier if read_older(data) else str(error))
    if not evidence.canonical:
        return evidence, refuted("the evidence is not in canonical JSON (RFC 8785): it was rewritten")
    return evidence, holds(f"canonical JSON (RFC 8785), SHA-256 {evidence.sha256}")


# The steps, in order, for each kind of target.


def _pdf_steps(pdf: Pdf, services: OnlineServices) -> Checks:
    """Check a statement, or a stamped invoice."""
    evidence, readable = _evidence_or_problem(pdf.evidence)
    # 1.
    yield READABLE, readable
    if evidence is None:
        # 2. needs only the bytes.
        yield "its SHA-256 is the one stamped", stamps.hash_in_keywords(pdf.keywords, digest(pdf.evidence))
        return
    # 2. to 5.
    yield from _in_pdf(pdf, evidence)
    # 6. and 7.
    yield from _online(evidence, services)


def _in_pdf(pdf: Pdf, evidence: ReadEvidence, earlier: Sequence[ReadEvidence] = ()) -> Checks:
    """Check a PDF against the evidence in it."""
    # 2.
    stamped = stamps.in_keywords(pdf.keywords, evidence)
    if evidence.document.confirms is not None:
        stamped = refuted("a confirmation is embedded, which is never stamped")
    yield "its SHA-256 and proof roots are those stamped on the document", stamped
    # 3.
    yield "its place in the chain of decisions", place(evidence.document)
    # 4.
    yield SUMS, adds_up(evidence.document)
    # 5.
    footers = printed_text.on_every_page(pdf.pages, evidence, earlier)
    overlaid = [cannot_tell(annotation) for annotation in pdf.overlaid]
    yield "the footer on every page names it and its proof roots", together([footers, *overlaid], otherwise="")


def _evidence_steps(evidence: ReadEvidence, readable: Result, services: OnlineServices) -> Checks:
    """Check evidence by itself: nothing is stamped on it and nothing printed."""
    # 1.
    yield READABLE, readable
    # 3.
    yield "its place in the chain of decisions", place(evidence.document)
    # 4.
    yield SUMS, adds_up(evidence.document)
    # 6. and 7.
    yield from _online(evidence, services)


def _online(evidence: ReadEvidence, services: OnlineServices) -> Checks:
    """Ask Stripe and PacSpace."""
    # 6.
    yield STRIPE, online.at_stripe(services, evidence)
    # 7.
    yield PACSPACE, online.at_pacspace(services, evidence)


def _bundle_steps(bundle: bundles.ReceivedBundle, services: OnlineServices) -> Checks:
    """Check a dispute bundle: the chain, and the vendors' answers of when it was made."""
    # 1.
    yield "every file is the one that the manifest names", bundles.as_listed(bundle)
    # 2.
    yield READABLE, bundles.readable(bundle)
    # 3.
    yield "the chain of decisions is intact", intact(bundle.chain)
    # 4.
    yield "the manifest names the last decision about its invoice", bundles.decided(bundle)
    # 5.
    contradictions = (
        f"link {link.document.chain.sequence}: {problem}"
        for link in bundle.links.values()
        for problem in problems(link.document)
    )
    decisions = f"{plural(len(bundle.links), 'decision')}, and what follows from the figures"
    yield f"in every decision, {SUMS}", unless(contradictions, decisions)
    if (decision := bundle.decision) is None:
        return
    ledger = LedgerFiles(bundle=bundle, document=decision.document)
    # 6.
    yield "the ledger's rows are as many as recorded and sum to as much", ledger.rows()
    # 7.
    yield "PacSpace's receipt and verify answers agree", ledger.answers()
    # 8.
    yield "the invoice's metadata, footer and lines agree", bundles.as_stamped(bundle, decision)
    # 9.
    statement = bundle.check(bundles.STATEMENT, lambda data: _statement_in(data, decision, bundle.earlier))
    yield "the statement in it is about the same evidence, and verifies", statement
    # 10.
    summary = bundle.check(bundles.SUMMARY, lambda data: bundles.summary_names(data, decision))
    yield "the summary in it names the evidence", summary
    # 11. and 12.
    yield from _online(decision, services)


def _statement_in(data: bytes, decision: ReadEvidence, earlier: Sequence[ReadEvidence]) -> Result:
    try:
        pdf = read_pdf(data)
    except UnreadableDocument as error:
        return refuted(f"{bundles.STATEMENT}: {error}")
    if pdf.evidence != decision.data:
        return refuted(f"{bundles.STATEMENT} carries other evidence")
    return together([result for _, result in _in_pdf(pdf, decision, earlier)], otherwise="")


def _root_steps(root: str, services: OnlineServices) -> Checks:
    """Check a proof root by itself: only PacSpace can say whether it knows it."""
    checked = "PacSpace's public verify confirms the proof root"
    if services.pacspace is None:
        yield checked, skipped(services.no_pacspace)
        return
    answers = PublicVerify(services.pacspace, clock=services.clock).about(root)
    if answers.summary is not None:
        services.answers.roots[root] = answers.summary
    yield checked, answers.compared(_confirmed)


def _confirmed(summary: ProofSummary) -> Result:
    if not summary.verified:
        return unconfirmed(summary)
    count = summary.record_count
    records = "an unnamed number of records" if count is None else plural(count, "record")
    net = "not named" if summary.net_change is None else text(summary.net_change)
    return holds(f"PacSpace confirms it, with {records}, net change {net}")


def _invoice_steps(invoice_id: str, services: OnlineServices) -> Checks:
    """Check an invoice at Stripe by its stamp alone."""
    if services.stripe is None:
        yield STAMP, skipped(services.no_stripe)
        return
    invoice = online.read_invoice(services, services.stripe, invoice_id)
    if isinstance(invoice, Result):
        yield STAMP, invoice
        return
    stamp = InvoiceStamp(metadata=invoice.metadata, footer=invoice.footer)
    yield STAMP, stamp.whole()
    yield "its footer names the evidence and the proof roots that its metadata name", stamp.in_footer()
    if stamp.unbacked:
        at_pacspace = cannot_tell("no proof root is stamped: only the vendor says what was recorded")
    elif services.pacspace is None:
        at_pacspace = skipped(services.no_pacspace)
    else:
        public = PublicVerify(services.pacspace, clock=services.clock)
        results = [public.about(window.proof_root).compared(window.agrees) for window in stamp.windows]
        at_pacspace = together(results, otherwise="no proof root is stamped")
    yield PACSPACE, at_pacspace


# The report around the steps.


def _report(target: str, kind: str, checks: Checks, evidence: ReadEvidence | None) -> VerificationReport:
    document = evidence.document if evidence else None
    steps = numbered(checks)
    return VerificationReport(
        target=printable(target),
        kind=kind,
        steps=steps,
        invoice=printable(document.invoice) if document else None,
        verdict=f"{document.decision.verdict} ({document.decision.reason})" if document else None,
        not_proven=tuple(_not_proven(kind, steps, document)),
    )


def _not_proven(kind: str, steps: tuple[Step, ...], document: EvidenceDocument | None) -> Iterator[str]:
    """Yield a sentence for everything that no step shows, or no step that was run."""
    outcomes = {step.checked: step.result.outcome for step in steps}
    roots = document is None or bool(document.roots)
    if roots:
        yield _RECOMPUTED
    answers = [answer for step in steps for answer in step.result.sources]
    confirmed = {answer.proof_root for answer in answers if answer.confirms and answer.source != Source.DB}
    if any(answer.proof_root not in confirmed for answer in answers):
        yield _CHAIN
    if kind == "proof root":
        return
    if document is not None and unbacked(document):
        yield _UNBACKED
    if roots and outcomes.get(PACSPACE) is not StepOutcome.HOLDS:
        yield _KNOWN
    if kind != "invoice" and outcomes.get(STRIPE) is not StepOutcome.HOLDS:
        yield _ISSUER
    if kind in {"PDF", "bundle"}:
        yield _PAGES
    if kind == "invoice":
        yield _EVIDENCE
    yield from (_LATER, _USED)


def _figures_of_evidence(
    document: EvidenceDocument, at_stripe: Invoice | None, *, title: str | None, author: str | None
) -> VerifiedFigures:
    """Return what evidence is about, with the names that Stripe or the document around it gives."""
    known = at_stripe if at_stripe and at_stripe.customer_id == document.customer else None
    vendor = _named(known.account_name if known else None, _AT_STRIPE) or _named(author, _ON_DOCUMENT)
    return VerifiedFigures(
        invoice=printable(document.invoice),
        customer=printable(document.customer),
        title=printable(title) if title else None,
        number=_named(known.number if known else None, _AT_STRIPE),
        vendor=vendor,
        customer_name=_named(known.customer_name if known else None, _AT_STRIPE),
        windows=tuple(map(_figures_of_window, document.windows)),
    )


def _figures_of_window(window: WindowModel) -> VerifiedWindow:
    return VerifiedWindow(
        meter=printable(window.meter),
        account=printable(window.account) if window.account is not None else None,
        period=str(window.window) if window.window else None,
        billed=text(window.billed) if window.billed is not None else None,
        recorded=text(window.recorded) if window.recorded is not None else None,
        records=str(window.count) if window.count is not None else None,
    )


def _figures_of_stamp(invoice: Invoice) -> VerifiedFigures:
    """Return what the stamp on an invoice at Stripe says: it names no meter, and no more than four windows."""
    stamp = InvoiceStamp(metadata=invoice.metadata, footer=invoice.footer)
    windows = tuple(
        VerifiedWindow(
            meter=None,
            account=None,
            period=printable(keys["window"]) if "window" in keys else None,
            billed=printable(keys["usage"]) if "usage" in keys else None,
            recorded=None,
            records=printable(keys["delta_count"]) if "delta_count" in keys else None,
        )
        for keys in stamp.figures
    )
    number = invoice.metadata.get("pacspace_windows", "")
    counted = int(number) if number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS else 0
    return VerifiedFigures(
        invoice=printable(invoice.invoice_id),
        customer=printable(invoice.customer_id),
        number=_named(invoice.number, _AT_STRIPE),
        vendor=_named(invoice.account_name, _AT_STRIPE),
        customer_name=_named(invoice.customer_name, _AT_STRIPE),
        windows=windows,
        more_windows=max(0, counted - len(windows)),
    )


def _figures_of_root(summary: ProofSummary) -> VerifiedFigures:
    """Return what PacSpace says a root covers: one net change, without a meter or an invoice."""
    window = VerifiedWindow(
        meter=None,
        account=None,
        period=None,
        billed=None,
        recorded=None,
        records=str(summary.record_count) if summary.record_count is not None else None,
        net_change=text(summary.net_change) if summary.net_change is not None else None,
    )
    return VerifiedFigures(invoice=None, customer=None, windows=(window,))


def _named(name: str | None, source: str) -> VerifiedName | None:
    shown = printable(name) if name else ""
    return VerifiedName(name=shown, said=source) if shown else None
