"""The printed proof: the evidence's hash and proof roots in the text of a page, or of an invoice's footer. Pure.

Stripe freezes an invoice's footer at finalization. When a later check decides differently, the footer keeps naming the
earlier decision: a bundle has that decision, and elsewhere the question stays open.

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
"""The figures of the built-in footer, ``api_calls: 100 in 2 records``."""
_HEADING = "meteredusageasrecordedinpacspace"
"""The first words of our footer."""
_BETWEEN = "recorded"
"""The word between a meter's name and its figures where the name is written from right to left."""


def squeezed(text: str) -> str:
    """Return a text without white space, hyphens, ligatures and case."""
    return _DROPPED.sub("", unicodedata.normalize("NFKC", text)).casefold()


_ROOTS_IN_TABLE = squeezed(ROOTS_IN_TABLE)


def on_every_page(pages: Sequence[str], evidence: ReadEvidence, earlier: Sequence[ReadEvidence] = ()) -> Result:
    """Check that every page names this evidence and its proof roots, and no others.

    ``earlier``: decisions about the same invoice that a footer may have frozen with.
    """
    if not pages:
        return cannot_tell("there is no page")
    printed = [_PrintedText(f"page {number}", squeezed(page)) for number, page in enumerate(pages, start=1)]
    named = f"every page names the evidence and {_roots_of(evidence)}, and no others"
    in_table = _in_table(printed, evidence.document)
    return together(
        [_check(page, evidence, earlier, named, in_table=in_table) for page in printed], otherwise="there is no page"
    )


def in_footer(footer: str, evidence: ReadEvidence, earlier: Sequence[ReadEvidence] = ()) -> Result:
    """Check that the text of an invoice's footer names this evidence and its proof roots, and no others."""
    printed = _PrintedText("the footer", squeezed(footer), whole=True)
    return _check(printed, evidence, earlier, f"the footer names the evidence and {_roots_of(evidence)}")


def _roots_of(evidence: ReadEvidence) -> str:
    roots = evidence.document.roots
    return plural(len(roots), "proof root") if roots else "no proof root, as there is none"


def names(text: str, sha256: str) -> bool:
    """Return whether a text names a hash."""
    return sha256 in squeezed(text)


def roots_in(text: str) -> tuple[str, ...]:
    """Return everything in a text that has the form of a proof root, in order."""
    return tuple(dict.fromkeys(_ROOT.findall(squeezed(text))))


@dataclass(frozen=True, slots=True)
class _PrintedText:
    """A text and where it stands."""

    where: str
    text: str
    """Squeezed."""
    whole: bool = False
    """True when all of it is our footer."""

    @property
    def footers(self) -> tuple[tuple[int, int], ...]:
        """Start and end of each footer of ours in it, from its heading to the evidence's hash."""
        if self.whole:
            return ((0, len(self.text)),)
        ends = [found.end() for found in _HASH.finditer(self.text)]
        starts = [self.text.rfind(_HEADING, before, end) for before, end in pairwise([0, *ends])]
        return tuple((start, end) for start, end in zip(starts, ends, strict=True) if start >= 0)


def _in_table(pages: Sequence[_PrintedText], document: EvidenceDocument) -> bool:
    """Return whether every root is somewhere in the document, and its footers say so instead of naming them."""
    text = "\n".join(page.text for page in pages)
    return _ROOTS_IN_TABLE in text and not any(_missing_roots(text, document))


def _check(
    printed: _PrintedText,
    evidence: ReadEvidence,
    earlier: Sequence[ReadEvidence],
    named: str,
    *,
    in_table: bool = False,
) -> Result:
    if not any(char.isalnum() for char in printed.text):
        return cannot_tell(f"{printed.where} has no text that can be read")
    others = set(_HASH.findall(printed.text)) - {evidence.sha256}
    known = [link for link in earlier if link.sha256 in others]
    unknown = sorted(others - {link.sha256 for link in known})
    if unknown and _may_be_frozen(printed, evidence):
        return cannot_tell(_frozen_with(printed, unknown[0], evidence))
    frozen = known[-1] if known and evidence.sha256 not in printed.text else None
    if frozen is not None:
        named = (
            f"{printed.where} froze with link {frozen.document.chain.sequence}, an earlier decision about the invoice"
        )
    documents = [evidence.document, *(link.document for link in known)]
    problems = [*_hashes(printed.text, unknown, (frozen or evidence).sha256)]
    problems += _foreign_roots(printed.text, documents)
    if not (in_table and _ROOTS_IN_TABLE in printed.text):
        problems += _missing_roots(printed.text, (frozen or evidence).document)
    figures = list(_figures(printed, documents))
    problems += [_other_figures(one) for one in figures if one.in_footer]
    if not problems and (outside := [one for one in figures if one.meter is not None]):
        return cannot_tell(f"{printed.where} {_other_figures(outside[0])}, though not in the footer")
    return unless((f"{printed.where} {problem}" for problem in problems), named)


def _other_figures(figures: "_Figures") -> str:
    meter = "" if figures.meter is None else f" of {figures.meter}"
    records = "1 record" if figures.count == "1" else f"{figures.count} records"
    return f"says {figures.usage} in {records}{meter}, which the evidence does not"


def _may_be_frozen(printed: _PrintedText, evidence: ReadEvidence) -> bool:
    """Return whether a footer can have frozen with other evidence: in the place of our stamp, or beside a whole one."""
    if evidence.document.invoice_status == "draft":
        return False
    return evidence.sha256 not in printed.text or not any(_missing_roots(printed.text, evidence.document))


def _frozen_with(printed: _PrintedText, other: str, evidence: ReadEvidence) -> str:
    beside = "also names" if evidence.sha256 in printed.text else "names"
    why = "an earlier stamp that froze into the invoice, if the vendor's bundle has it in its chain"
    return f"{printed.where} {beside} other evidence, {other}, which is not here: {why}"


def _hashes(printed: str, others: Sequence[str], sha256: str) -> Iterator[str]:
    for other in others:
        yield f"names other evidence, {other}"
    if sha256 not in printed:
        yield "does not name the evidence"


def _foreign_roots(printed: str, documents: Sequence[EvidenceDocument]) -> Iterator[str]:
    """Yield roots of PacSpace's usual form that none of the documents has."""
    ours = {squeezed(root) for document in documents for root in document.roots}
    for other in sorted(set(_ROOT.findall(printed)) - ours):
        yield f"names a proof root that is not the evidence's, {other}"


def _missing_roots(printed: str, document: EvidenceDocument) -> Iterator[str]:
    for root in document.roots:
        if squeezed(root) not in printed:
            yield f"does not name the proof root {root}"


@dataclass(frozen=True, slots=True)
class _Figures:
    """Usage and number of records that a text names for a meter."""

    usage: str
    count: str
    meter: str | None
    in_footer: bool
    """True when they stand in a footer of ours, not elsewhere on the page."""


def _figures(printed: _PrintedText, documents: Sequence[EvidenceDocument]) -> Iterator[_Figures]:
    """Yield the figures that no document has for that meter, or, where no meter is named, for any meter."""
    known = _known_figures(documents)
    anywhere = {figures for of_meter in known.values() for figures in of_meter}
    for found in _FIGURES.finditer(printed.text):
        meter = _meter(printed.text[: found.start()], known)
        figures = (found["usage"], found["count"])
        if figures not in (anywhere if meter is None else known[meter]):
            within = any(start <= found.start() < end for start, end in printed.footers)
            yield _Figures(*figures, meter=meter, in_footer=within)


def _known_figures(documents: Sequence[EvidenceDocument]) -> dict[str, set[tuple[str, str]]]:
    """Return the recorded figures of each meter in the form in which a squeezed text has them."""
    known: dict[str, set[tuple[str, str]]] = {}
    for window in (window for document in documents for window in document.windows):
        figures = known.setdefault(squeezed(window.meter), set())
        if window.recorded is not None:
            figures.add((squeezed(plain(window.recorded)), str(window.count)))
    return known


def _meter(before: str, known: Iterable[str]) -> str | None:
    """Return the meter whose name stands before its figures."""
    named = [meter for meter in known if before.removesuffix(_BETWEEN).endswith(meter)]
    return max(named, key=len, default=None)
