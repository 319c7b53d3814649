"""The steps, in order, for each kind of target. What each checks is in the module it calls.

Of evidence, alone or in a PDF, each step is independent of whoever issued it:

1. It can be read in one way only, and is canonical (RFC 8785).
2. Its SHA-256 is the one stamped: in the PDF's keywords, XMP and document information.
3. Its place in the chain of its subscription.
4. Sums and counts add up, and the verdict follows from them.
5. The footer on every page names it and its proof roots, and no others.
6. Online, with a key: the invoice at Stripe carries its stamp.
7. Online: PacSpace's public verify says the same of every proof root.

Of a bundle: its files (1, 2), its chain (3 to 5), the ledger's side (6, 7), Stripe's (8), its PDFs (9, 10), then the
last two as above.
"""

from collections.abc import Iterator, Sequence

from pacspace_stripe.errors import UnreadableDocument, UnreadableEvidence
from pacspace_stripe.evidence.reader import ReadEvidence, read_evidence, read_older
from pacspace_stripe.verify import bundle as bundles
from pacspace_stripe.verify import chain, online
from pacspace_stripe.verify import consistency as truths
from pacspace_stripe.verify import printed_text as printed
from pacspace_stripe.verify import stamps as stamped
from pacspace_stripe.verify.invoice import Stamp
from pacspace_stripe.verify.ledger_files import LedgerFiles, unconfirmed
from pacspace_stripe.verify.online import Services
from pacspace_stripe.verify.pacspace_answers import Roots
from pacspace_stripe.verify.pdf import Pdf, read_pdf
from pacspace_stripe.verify.report import Result, cannot_tell, holds, refuted, skipped, together, unless
from pacspace_stripe.vocabulary.canonical_json import digest
from pacspace_stripe.vocabulary.ledger import ProofSummary
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.text import plural

Checked = Iterator[tuple[str, Result]]
READABLE = "evidence can be read in one way only and is canonical"
SUMS = "sums and counts add up, and the verdict follows"
STRIPE = "the invoice at Stripe carries this stamp"
STAMP = "the invoice at Stripe carries a stamp"
PACSPACE = "PacSpace's public verify agrees on proof root, record count and net change"


def evidence_or_problem(data: bytes) -> tuple[ReadEvidence | None, Result]:
    """Bytes that may be evidence, and whether they are."""
    try:
        evidence = read_evidence(data)
    except UnreadableEvidence as error:
        earlier = "the evidence was written by an earlier version, in a shape that cannot be judged"
        return None, cannot_tell(earlier if read_older(data) else str(error))
    if not evidence.canonical:
        return evidence, refuted("the evidence is not in canonical JSON (RFC 8785): it was written anew")
    return evidence, holds(f"canonical JSON (RFC 8785), SHA-256 {evidence.sha256}")


def of_pdf(pdf: Pdf, services: Services) -> Checked:
    """A statement, or an invoice with a stamp."""
    evidence, readable = evidence_or_problem(pdf.evidence)
    # 1.
    yield READABLE, readable
    if evidence is None:
        # 2., of which the bytes are enough.
        yield "its SHA-256 is the one stamped", stamped.hash_in_keywords(pdf.keywords, digest(pdf.evidence))
        return
    # 2. to 5.
    yield from in_pdf(pdf, evidence)
    # 6. and 7.
    yield from asked(evidence, services)


def in_pdf(pdf: Pdf, evidence: ReadEvidence, earlier: Sequence[ReadEvidence] = ()) -> Checked:
    """What a PDF says of the evidence in it."""
    # 2.
    yield "its SHA-256 and proof roots are those stamped on the document", _stamped(pdf, evidence)
    # 3.
    yield "its place in the chain of decisions", chain.place(evidence.document)
    # 4.
    yield SUMS, truths.adds_up(evidence.document)
    # 5.
    footers = printed.on_every_page(pdf.pages, evidence, earlier)
    overlaid = [cannot_tell(covered) for covered in pdf.overlaid]
    yield "the footer on every page names it and its proof roots", together([footers, *overlaid], otherwise="")


def _stamped(pdf: Pdf, evidence: ReadEvidence) -> Result:
    if evidence.document.confirms is not None:
        return refuted("a confirmation is embedded, which is never stamped")
    return stamped.in_keywords(pdf.keywords, evidence)


def of_evidence(evidence: ReadEvidence, readable: Result, services: Services) -> Checked:
    """A document by itself: nothing is stamped on it and nothing printed."""
    # 1.
    yield READABLE, readable
    # 3.
    yield "its place in the chain of decisions", chain.place(evidence.document)
    # 4.
    yield SUMS, truths.adds_up(evidence.document)
    # 6. and 7.
    yield from asked(evidence, services)


def asked(evidence: ReadEvidence, services: Services) -> Checked:
    """What Stripe and PacSpace say now."""
    # 6.
    yield STRIPE, online.at_stripe(services, evidence)
    # 7.
    yield PACSPACE, online.at_pacspace(services, evidence)


def of_bundle(bundle: bundles.Bundle, services: Services) -> Checked:
    """A dispute bundle: the chain, and what Stripe and PacSpace said when it was made."""
    # 1.
    yield "every file is the one that the manifest names", bundles.as_listed(bundle)
    # 2.
    yield READABLE, bundles.readable(bundle)
    # 3.
    yield "the chain of decisions is intact", chain.intact(bundle.chain)
    # 4.
    yield "the manifest names the last decision about its invoice", bundles.decided(bundle)
    # 5.
    yield f"in every decision, {SUMS}", _sums(bundle)
    if (decision := bundle.decision) is not None:
        yield from _about(bundle, decision)
        yield from asked(decision, services)


def _about(bundle: bundles.Bundle, decision: ReadEvidence) -> Checked:
    ledger = LedgerFiles(document=decision.document, files=bundle.files, missing=bundle.missing)
    # 6.
    yield "the ledger's rows are as many as recorded and sum to as much", ledger.rows()
    # 7.
    yield "PacSpace's receipt and verify answers agree", ledger.answers()
    # 8.
    yield "the invoice's metadata, footer and lines agree", bundles.as_stamped(bundle, decision)
    # 9.
    yield "the statement in it is about the same evidence, and verifies", _statement(bundle, decision)
    # 10.
    yield "the summary in it names the evidence", _summary(bundle, decision)


def _sums(bundle: bundles.Bundle) -> Result:
    problems = (
        f"link {link.document.chain.sequence}: {problem}"
        for link in bundle.links.values()
        for problem in truths.problems(link.document)
    )
    return unless(problems, f"{plural(len(bundle.links), 'decision')}, and what follows from the figures")


def _statement(bundle: bundles.Bundle, decision: ReadEvidence) -> Result:
    data = bundle.files.get(bundles.STATEMENT)
    if data is None:
        return bundles.absent(bundle, bundles.STATEMENT)
    try:
        pdf = read_pdf(data)
    except UnreadableDocument as error:
        return refuted(f"{bundles.STATEMENT}: {error}")
    if pdf.evidence != decision.data:
        return refuted(f"{bundles.STATEMENT} carries other evidence")
    return together([result for _, result in in_pdf(pdf, decision, bundle.earlier)], otherwise="")


def _summary(bundle: bundles.Bundle, decision: ReadEvidence) -> Result:
    data = bundle.files.get(bundles.SUMMARY)
    return bundles.absent(bundle, bundles.SUMMARY) if data is None else bundles.summary_names(data, decision)


def of_root(root: str, services: Services) -> Checked:
    """A proof root by itself: all there is to ask is whether PacSpace knows it."""
    yield "PacSpace's public verify confirms the proof root", _root(root, services)


def _root(root: str, services: Services) -> Result:
    if services.pacspace is None:
        return skipped(services.no_pacspace)
    said = Roots(services.pacspace, clock=services.clock).about(root)
    if said.summary is not None:
        services.heard.roots[root] = said.summary
    return said.judged(_known)


def _known(said: ProofSummary) -> Result:
    if not said.verified:
        return unconfirmed(said)
    records = "an unnamed number of records" if said.record_count is None else plural(said.record_count, "record")
    net = "not named" if said.net_change is None else text(said.net_change)
    return holds(f"PacSpace confirms it, with {records}, net change {net}")


def of_invoice(invoice_id: str, services: Services) -> Checked:
    """An invoice at Stripe, by its stamp alone."""
    if services.stripe is None:
        yield STAMP, skipped(services.no_stripe)
        return
    invoice = online.read_invoice(services, services.stripe, invoice_id)
    if isinstance(invoice, Result):
        yield STAMP, invoice
        return
    stamp = Stamp(metadata=invoice.metadata, footer=invoice.footer)
    yield STAMP, stamp.whole()
    yield "its footer names the evidence and the proof roots that its metadata name", stamp.in_footer()
    yield PACSPACE, _stamped_at_pacspace(stamp, services)


def _stamped_at_pacspace(stamp: Stamp, services: Services) -> Result:
    if stamp.unbacked:
        return cannot_tell("no proof root is stamped: only the vendor says what was recorded")
    if services.pacspace is None:
        return skipped(services.no_pacspace)
    roots = Roots(services.pacspace, clock=services.clock)
    results = [roots.about(window.proof_root).judged(window.agrees) for window in stamp.windows]
    return together(results, otherwise="no proof root is stamped")
