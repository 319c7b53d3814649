"""What is printed: the evidence's hash and proof roots in the text of a page, or of an invoice's footer. Pure.

Stripe freezes an invoice's footer at finalization. Where something else was found out later, the footer goes on naming
what was decided before: that decision is known in a bundle, and elsewhere the question stays open.

Lines wrap, words are hyphenated, letters become ligatures: none of it may matter, so text is compared without white
space, hyphens and case.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pacspace_stripe.evidence.models import EvidenceDocument
from pacspace_stripe.evidence.reader import ReadEvidence
from pacspace_stripe.gate.rules.footer import ROOTS_IN_TABLE
from pacspace_stripe.verify.report import Result, cannot_tell, together, unless
from pacspace_stripe.vocabulary.quantities import text as plain
from pacspace_stripe.vocabulary.text import plural

_DROPPED = re.compile(r"[\s\-\u00ad\u2010\u2011\u2012\u2013\u2014\ufffe\uffff\x00-\x1f\x7f]+")
_ROOT = re.compile(r"0x[0-9a-f]{64}")
_HASH = re.compile(r"sha256:?([0-9a-f]{64})")
_FIGURES = re.compile(r":(?P<usage>[0-9.]+)in(?P<count>[0-9]+)(?:record|write)")
"""The built-in footer's ``api_calls: 100 in 2 records``; what it begins with, and what can stand after the meter."""
_HEADING, _BETWEEN = "meteredusageasrecordedinpacspace", "recorded"


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
    said = _Said("the footer", squeezed(footer), whole=True)
    return _judged(said, evidence, earlier, f"the footer names the evidence and {_roots_of(evidence)}")


def _roots_of(evidence: ReadEvidence) -> str:
    roots = evidence.document.roots
    return plural(len(roots), "proof root") if roots else "no proof root, as there is none"


def names(text: str, sha256: str) -> bool:
    """Whether a text names a hash."""
    return sha256 in squeezed(text)


def roots_in(text: str) -> tuple[str, ...]:
    """What has the form of a proof root in a text, in order."""
    return tuple(dict.fromkeys(_ROOT.findall(squeezed(text))))


@dataclass(frozen=True, slots=True)
class _Said:
    """A text and where it stands."""

    where: str
    text: str
    """Squeezed."""
    whole: bool = False
    """Whether all of it is our footer."""

    @property
    def footers(self) -> tuple[tuple[int, int], ...]:
        """Where our footers begin and end in it: from their heading to the evidence's hash."""
        if self.whole:
            return ((0, len(self.text)),)
        ends = [found.end() for found in _HASH.finditer(self.text)]
        starts = [self.text.rfind(_HEADING, before, end) for before, end in pairwise([0, *ends])]
        return tuple((start, end) for start, end in zip(starts, ends, strict=True) if start >= 0)


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
    figures = list(_figures(said, documents))
    problems += [_said_wrongly(one) for one in figures if one.in_footer]
    if not problems and (outside := [one for one in figures if one.meter is not None]):
        return cannot_tell(f"{said.where} {_said_wrongly(outside[0])}, though not in the footer")
    return unless((f"{said.where} {problem}" for problem in problems), named)


def _said_wrongly(figures: "_Figures") -> str:
    meter = "" if figures.meter is None else f" of {figures.meter}"
    records = "1 record" if figures.count == "1" else f"{figures.count} records"
    return f"says {figures.usage} in {records}{meter}, which the evidence does not"


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


@dataclass(frozen=True, slots=True)
class _Figures:
    """Usage and number of records, as a text says them of a meter."""

    usage: str
    count: str
    meter: str | None
    in_footer: bool
    """Whether a footer of ours says it, not anybody else's words on the page."""


def _figures(said: _Said, documents: Sequence[EvidenceDocument]) -> Iterator[_Figures]:
    """Those that none of the documents says, of that meter or else of any."""
    known = _known_figures(documents)
    anywhere = {figures for of_meter in known.values() for figures in of_meter}
    for found in _FIGURES.finditer(said.text):
        meter = _meter(said.text[: found.start()], known)
        figures = (found["usage"], found["count"])
        if figures not in (anywhere if meter is None else known[meter]):
            within = any(start <= found.start() < end for start, end in said.footers)
            yield _Figures(*figures, meter=meter, in_footer=within)


def _known_figures(documents: Sequence[EvidenceDocument]) -> dict[str, set[tuple[str, str]]]:
    """Meter → what the documents say was recorded of it, all as it is found in a text."""
    known: dict[str, set[tuple[str, str]]] = {}
    for window in (window for document in documents for window in document.windows):
        figures = known.setdefault(squeezed(window.meter), set())
        if window.recorded is not None:
            figures.add((squeezed(plain(window.recorded)), str(window.count)))
    return known


def _meter(before: str, known: Iterable[str]) -> str | None:
    """The meter whose name stands before its figures; after a name from right to left, there is a word between."""
    named = [meter for meter in known if before.removesuffix(_BETWEEN).endswith(meter)]
    return max(named, key=len, default=None)
