"""What is printed: the evidence's hash and proof roots in the text of a page, or of an invoice's footer. Pure.

Stripe freezes an invoice's footer at finalization. Where something else was found out later, the footer goes on naming
what was decided before: that decision is known in a bundle, and elsewhere the question stays open.

Lines wrap, words are hyphenated, letters become ligatures: none of it may matter, so text is compared without white
space, hyphens and case.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pacspace_stripe.domain.footer import ROOTS_IN_TABLE
from pacspace_stripe.domain.quantities import text as plain
from pacspace_stripe.evidence_format import EvidenceDocument, ReadEvidence
from pacspace_stripe.verification.report import Result, cannot_tell, counted, together, unless

_DROPPED = re.compile(r"[\s\-\u00ad\u2010\u2011\u2012\u2013\u2014\ufffe\uffff\x00-\x1f\x7f]+")
_ROOT = re.compile(r"0x[0-9a-f]{64}")
_HASH = re.compile(r"sha256:?([0-9a-f]{64})")
_FIGURES = re.compile(r":(?P<usage>[0-9.]+)in(?P<count>[0-9]+)(?:record|write)")
"""The built-in footer's ``api_calls: 100 in 2 records``."""


def squeezed(text: str) -> str:
    """What is left of a text when white space, hyphens, ligatures and case do not matter."""
    return _DROPPED.sub("", unicodedata.normalize("NFKC", text)).casefold()


_ROOTS_IN_TABLE = squeezed(ROOTS_IN_TABLE)


def on_every_page(pages: Sequence[str], evidence: ReadEvidence, earlier: Sequence[ReadEvidence] = ()) -> Result:
    """Whether every page names this evidence and its proof roots, and no others.

    ``earlier``: decisions about the same invoice that a footer may have frozen with.
    """
    if not pages:
        return cannot_tell("there is no page")
    said = [_Said(f"page {number}", squeezed(page)) for number, page in enumerate(pages, start=1)]
    named = f"every page names the evidence and {_roots_of(evidence)}, and no others"
    in_table = _in_table(said, evidence.document)
    return together(
        [_judged(page, evidence, earlier, named, in_table=in_table) for page in said], otherwise="there is no page"
    )


def in_footer(footer: str, evidence: ReadEvidence, earlier: Sequence[ReadEvidence] = ()) -> Result:
    """The same for the text of an invoice's footer."""
    said = _Said("the footer", squeezed(footer))
    return _judged(said, evidence, earlier, f"the footer names the evidence and {_roots_of(evidence)}")


def _roots_of(evidence: ReadEvidence) -> str:
    roots = evidence.document.roots
    return counted(len(roots), "proof root") if roots else "no proof root, as there is none"


def names(text: str, sha256: str) -> bool:
    """Whether a text names a hash."""
    return sha256 in squeezed(text)


@dataclass(frozen=True, slots=True)
class _Said:
    """A text and where it stands."""

    where: str
    text: str
    """Squeezed."""


def _in_table(pages: Sequence[_Said], document: EvidenceDocument) -> bool:
    """Whether every root is somewhere in the document, and its footers say so instead of naming them."""
    text = "\n".join(page.text for page in pages)
    return _ROOTS_IN_TABLE in text and not any(_missing_roots(text, document))


def _judged(
    said: _Said, evidence: ReadEvidence, earlier: Sequence[ReadEvidence], named: str, *, in_table: bool = False
) -> Result:
    if not any(char.isalnum() for char in said.text):
        return cannot_tell(f"{said.where} has no text that can be read")
    others = set(_HASH.findall(said.text)) - {evidence.sha256}
    known = [link for link in earlier if link.sha256 in others]
    unknown = sorted(others - {link.sha256 for link in known})
    if unknown and _may_be_frozen(said, evidence):
        return cannot_tell(_frozen_with(said, unknown[0], evidence))
    frozen = known[-1] if known and evidence.sha256 not in said.text else None
    if frozen is not None:
        named = f"{said.where} froze with link {frozen.document.chain.sequence}, an earlier decision about the invoice"
    documents = [evidence.document, *(link.document for link in known)]
    problems = [*_hashes(said.text, unknown, (frozen or evidence).sha256)]
    problems += _foreign_roots(said.text, documents)
    if not (in_table and _ROOTS_IN_TABLE in said.text):
        problems += _missing_roots(said.text, (frozen or evidence).document)
    problems += _figures(said.text, documents)
    return unless((f"{said.where} {problem}" for problem in problems), named)


def _may_be_frozen(said: _Said, evidence: ReadEvidence) -> bool:
    """Whether other evidence can be what a footer froze with: beside a whole stamp of ours, or in its place."""
    if evidence.document.invoice_status == "draft":
        return False
    return evidence.sha256 not in said.text or not any(_missing_roots(said.text, evidence.document))


def _frozen_with(said: _Said, other: str, evidence: ReadEvidence) -> str:
    beside = "also names" if evidence.sha256 in said.text else "names"
    why = "an earlier stamp that froze into the invoice, if the vendor's bundle has it in its chain"
    return f"{said.where} {beside} other evidence, {other}, which is not here: {why}"


def _hashes(said: str, others: Sequence[str], sha256: str) -> Iterator[str]:
    for other in others:
        yield f"names other evidence, {other}"
    if sha256 not in said:
        yield "does not name the evidence"


def _foreign_roots(said: str, documents: Sequence[EvidenceDocument]) -> Iterator[str]:
    """Roots of PacSpace's usual form that are of none of the documents."""
    ours = {squeezed(root) for document in documents for root in document.roots}
    for other in sorted(set(_ROOT.findall(said)) - ours):
        yield f"names a proof root that is not the evidence's, {other}"


def _missing_roots(said: str, document: EvidenceDocument) -> Iterator[str]:
    for root in document.roots:
        if squeezed(root) not in said:
            yield f"does not name the proof root {root}"


def _figures(said: str, documents: Sequence[EvidenceDocument]) -> Iterator[str]:
    windows = [window for document in documents for window in document.windows]
    known = {(plain(window.recorded), str(window.count)) for window in windows if window.recorded is not None}
    for found in _FIGURES.finditer(said):
        if (found["usage"], found["count"]) not in known:
            yield f"says {found['usage']} in {found['count']} records, which the evidence does not"
