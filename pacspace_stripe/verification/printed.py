"""What is printed: the evidence's hash and proof roots in the text of a page, or of an invoice's footer. Pure.

Lines wrap, words are hyphenated, letters become ligatures: none of it may matter, so text is compared without white
space, hyphens and case.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence

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


def on_every_page(pages: Sequence[str], evidence: ReadEvidence) -> Result:
    """Whether every page names this evidence and its proof roots, and no others."""
    if not pages:
        return cannot_tell("there is no page")
    named = f"every page names the evidence and {_roots_of(evidence)}, and no others"
    results = [_on_page(f"page {number}", page, evidence, named) for number, page in enumerate(pages, start=1)]
    return together(results, otherwise="there is no page")


def in_footer(footer: str, evidence: ReadEvidence) -> Result:
    """The same for the text of an invoice's footer."""
    return _on_page("the footer", footer, evidence, f"the footer names the evidence and {_roots_of(evidence)}")


def _roots_of(evidence: ReadEvidence) -> str:
    roots = evidence.document.roots
    return counted(len(roots), "proof root") if roots else "no proof root, as there is none"


def names(text: str, sha256: str) -> bool:
    """Whether a text names a hash."""
    return sha256 in squeezed(text)


def _on_page(where: str, text: str, evidence: ReadEvidence, named: str) -> Result:
    said = squeezed(text)
    if not any(char.isalnum() for char in said):
        return cannot_tell(f"{where} has no text that can be read")
    others = sorted(set(_HASH.findall(said)) - {evidence.sha256})
    if others and others == [_superseded(evidence.document)]:
        earlier = f"{where} was frozen with the evidence before this one ({others[0]}), which is not here"
        return cannot_tell(earlier)
    problems = [*_hashes(said, others, evidence.sha256), *_roots(said, evidence.document)]
    figures = _figures(said, evidence.document)
    return unless((f"{where} {problem}" for problem in (*problems, *figures)), named)


def _superseded(document: EvidenceDocument) -> str | None:
    """Stripe froze the footer at finalization: what was found out later names the evidence before it only there."""
    return None if document.invoice_status == "draft" else document.chain.previous_sha256


def _hashes(said: str, others: Sequence[str], sha256: str) -> Iterator[str]:
    for other in others:
        yield f"names other evidence, {other}"
    if sha256 not in said:
        yield "does not name the evidence"


def _roots(said: str, document: EvidenceDocument) -> Iterator[str]:
    """Roots of PacSpace's usual form that are not the evidence's, and the evidence's that are missing."""
    ours = {squeezed(root): root for root in document.roots}
    linked = "".join(squeezed(window.proof.verify_url) for window in document.windows if window.proof)
    for other in sorted(set(_ROOT.findall(said)) - ours.keys()):
        if other not in linked:
            yield f"names a proof root that is not the evidence's, {other}"
    for squeezed_root, root in ours.items():
        if squeezed_root not in said:
            yield f"does not name the proof root {root}"


def _figures(said: str, document: EvidenceDocument) -> Iterator[str]:
    windows = document.windows
    known = {(plain(window.recorded), str(window.count)) for window in windows if window.recorded is not None}
    for found in _FIGURES.finditer(said):
        if (found["usage"], found["count"]) not in known:
            yield f"says {found['usage']} in {found['count']} records, which the evidence does not"
