"""The printed proof: the evidence's hash and proof roots in the text of a page, or of an invoice's footer. Pure.

Stripe freezes an invoice's footer at finalization. When a later check decides differently, the footer keeps naming the
earlier decision: a bundle has that decision, and elsewhere the question stays open.

Lines wrap, words are hyphenated, letters become ligatures: none of it may matter, so text is compared without white
space, hyphens and case.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
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
    # Where the roots are too many for a footer, the footers say that the table names them.
    text = "\n".join(page.text for page in printed)
    in_table = _ROOTS_IN_TABLE in text and not any(_missing_roots(text, evidence.document))
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


def _check(
    printed: _PrintedText,
    evidence: ReadEvidence,
    earlier: Sequence[ReadEvidence],
    named: str,
    *,
    in_table: bool = False,
) -> Result:
    """Compare one text with the evidence: the decision it is about, its hash, its roots and its figures."""
    where, text = printed.where, printed.text
    if not any(char.isalnum() for char in text):
        return cannot_tell(f"{where} has no text that can be read")
    # 1. The decision: a footer that Stripe froze at finalization may name an earlier one, beside ours or in its place.
    ours = evidence.sha256 in text
    others = set(_HASH.findall(text)) - {evidence.sha256}
    known = [link for link in earlier if link.sha256 in others]
    unknown = sorted(others - {link.sha256 for link in known})
    may_be_frozen = not ours or not any(_missing_roots(text, evidence.document))
    if unknown and may_be_frozen and evidence.document.invoice_status != "draft":
        beside = "also names" if ours else "names"
        why = "an earlier stamp that froze into the invoice, if the vendor's bundle has it in its chain"
        return cannot_tell(f"{where} {beside} other evidence, {unknown[0]}, which is not here: {why}")
    expected = evidence
    if known and not ours:
        expected = known[-1]
        named = f"{where} froze with link {expected.document.chain.sequence}, an earlier decision about the invoice"
    # 2. The hash.
    problems = [f"names other evidence, {other}" for other in unknown]
    if expected.sha256 not in text:
        problems.append("does not name the evidence")
    # 3. The roots: none of PacSpace's usual form that the evidence does not have, and none missing.
    documents = [evidence.document, *(link.document for link in known)]
    roots = {squeezed(root) for document in documents for root in document.roots}
    foreign = sorted(set(_ROOT.findall(text)) - roots)
    problems += [f"names a proof root that is not the evidence's, {other}" for other in foreign]
    if not (in_table and _ROOTS_IN_TABLE in text):
        problems += _missing_roots(text, expected.document)
    # 4. The figures: other ones in our footer refute; elsewhere on the page they may be about something else.
    figures = list(_other_figures(printed, documents))
    problems += [str(each) for each in figures if each.in_footer]
    if not problems and (outside := [each for each in figures if each.meter is not None]):
        return cannot_tell(f"{where} {outside[0]}, though not in the footer")
    return unless((f"{where} {problem}" for problem in problems), named)


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

    def __str__(self) -> str:
        meter = "" if self.meter is None else f" of {self.meter}"
        # Any number of digits may be printed, so the count stays text.
        records = "1 record" if self.count == "1" else f"{self.count} records"
        return f"says {self.usage} in {records}{meter}, which the evidence does not"


def _other_figures(printed: _PrintedText, documents: Sequence[EvidenceDocument]) -> Iterator[_Figures]:
    """Yield the figures that no document has for that meter, or, where no meter is named, for any meter."""
    known: dict[str, set[tuple[str, str]]] = {}
    for window in (window for document in documents for window in document.windows):
        of_meter = known.setdefault(squeezed(window.meter), set())
        if window.recorded is not None:
            of_meter.add((squeezed(plain(window.recorded)), str(window.count)))
    anywhere = {figures for of_meter in known.values() for figures in of_meter}
    for found in _FIGURES.finditer(printed.text):
        before = printed.text[: found.start()].removesuffix(_BETWEEN)
        meter = max((meter for meter in known if before.endswith(meter)), key=len, default=None)
        figures = (found["usage"], found["count"])
        if figures not in (anywhere if meter is None else known[meter]):
            within = any(start <= found.start() < end for start, end in printed.footers)
            yield _Figures(*figures, meter=meter, in_footer=within)
