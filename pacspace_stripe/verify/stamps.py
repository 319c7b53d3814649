"""Stamps: a PDF's keywords, and the metadata and footer that an invoice carries at Stripe. Pure.

``in_keywords`` and ``on_invoice`` compare a stamp with the evidence that it names; ``InvoiceStamp`` is an invoice's
stamp by itself. ``agrees`` compares PacSpace's public answer about a proof root with the evidence.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.evidence.models import EvidenceDocument
from pacspace_stripe.evidence.reader import ReadEvidence
from pacspace_stripe.gate.rules.footer import find_block
from pacspace_stripe.gate.rules.stamp import EVIDENCE_KEY, HOLD_KEY, MOST_WINDOWS, OURS, PREFIX, metadata_stamp
from pacspace_stripe.http.answers import decimal_of
from pacspace_stripe.verify import printed_text
from pacspace_stripe.verify.report import Result, cannot_tell, holds, refuted, skipped, together, unless
from pacspace_stripe.vocabulary.ledger import Proof, ProofSummary
from pacspace_stripe.vocabulary.policy import Mode
from pacspace_stripe.vocabulary.quantities import equal, text
from pacspace_stripe.vocabulary.text import plural

_HASH, _ROOT = "evidence-sha256:", "proof-root:"
SAME_FIGURES = "PacSpace says the same of these proof roots"
_NO_KEYWORDS = "there is nothing that carries keywords"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHOWN = ("window", "usage", "delta_count")
_SUFFIXES = ("", *(f"_{number}" for number in range(2, MOST_WINDOWS + 1)))


def in_keywords(carriers: Mapping[str, str | None], evidence: ReadEvidence) -> Result:
    """Check that the keywords at each place in a PDF name this evidence and its roots."""
    results = []
    for place, keywords in carriers.items():
        if not keywords:
            results.append(_without_keywords(place))
            continue
        problems = list(_other_hashes(place, keywords, evidence.sha256))
        if _named(keywords, _ROOT) != set(evidence.document.roots):
            problems.append(f"{place}: the proof roots are not the evidence's")
        results.append(unless(problems, f"{evidence.sha256} is the one stamped"))
    return together(results, otherwise=_NO_KEYWORDS)


def hash_in_keywords(carriers: Mapping[str, str | None], sha256: str) -> Result:
    """Check the hash alone, for bytes that cannot be read as evidence."""
    results = [
        unless(_other_hashes(place, keywords, sha256), f"{sha256} is the one stamped")
        if keywords
        else _without_keywords(place)
        for place, keywords in carriers.items()
    ]
    return together(results, otherwise=_NO_KEYWORDS)


def _without_keywords(place: str) -> Result:
    return cannot_tell(f"{place}: there are no keywords, so nothing is stamped there")


def _other_hashes(place: str, keywords: str, sha256: str) -> Iterator[str]:
    named = _named(keywords, _HASH)
    if not named:
        yield f"{place}: no evidence is named"
    for other in sorted(named - {sha256}):
        yield f"{place}: the stamped evidence is {other}, the embedded one is {sha256}"


def _named(keywords: str, prefix: str) -> set[str]:
    words = (word.strip() for word in keywords.split(","))
    return {word.removeprefix(prefix) for word in words if word.startswith(prefix)}


def on_invoice(
    metadata: Mapping[str, str], footer: str | None, evidence: ReadEvidence, earlier: Sequence[ReadEvidence] = ()
) -> Result:
    """Check that an invoice's metadata and footer agree with the evidence.

    ``earlier``: decisions about it that the footer may have frozen with.
    """
    ours = {key: value for key, value in metadata.items() if key in OURS and key != HOLD_KEY}
    if EVIDENCE_KEY not in ours:
        return _unstamped(evidence.document)
    if ours[EVIDENCE_KEY] != evidence.sha256:
        return refuted(f"the invoice at Stripe names other evidence, {ours[EVIDENCE_KEY]}")
    block = find_block(footer)
    in_footer = [printed_text.in_footer(block, evidence, earlier)] if block else []
    without = "" if block else "; there is no footer of ours"
    stamp = unless(_other_metadata(ours, evidence), f"the metadata say what the evidence says{without}")
    return together([stamp, *in_footer], otherwise="")


def _unstamped(document: EvidenceDocument) -> Result:
    """Return the result for an invoice without a stamp, which a held draft and an observing gate are expected to be."""
    held = document.invoice_status == "draft" and not document.decision.verdict.may_leave
    if held or document.policy.mode is Mode.OBSERVE:
        why = "the gate only observed" if document.policy.mode is Mode.OBSERVE else "it was held as a draft"
        return skipped(f"the invoice at Stripe carries no stamp: {why}")
    return cannot_tell("the invoice at Stripe carries no stamp")


def _other_metadata(ours: Mapping[str, str], evidence: ReadEvidence) -> Iterator[str]:
    """Yield each key that a stamp of this evidence would not have; where there is no room, some keys are left out."""
    document = evidence.document
    waiver = document.waiver.reason if document.waiver else None
    expected = metadata_stamp({}, document.finding(), evidence.sha256, waiver).changes
    for key in sorted(ours):
        if ours[key] != expected.get(key):
            yield f"{key} is {ours[key]}, the evidence makes it {expected.get(key, 'nothing')}"
    if f"{PREFIX}verdict" not in ours:
        yield "no verdict is stamped"


@dataclass(frozen=True, slots=True, kw_only=True)
class StampedWindow:
    """One window of a stamp that names a proof root."""

    proof_root: str
    usage: Decimal | None
    """Billed, in the meter's unit."""
    count: str | None
    matched: bool
    root_count: str | None = None
    """Number of all records that the root covers, where some of them are no usage of this meter."""

    def agrees(self, summary: ProofSummary) -> Result:
        """Check that public verify confirms the stamped figures, which may differ by a tolerance or a waiver."""
        if not summary.verified:
            return unconfirmed(summary)
        if summary.record_count is None or summary.net_change is None or self.count is None:
            return cannot_tell(f"PacSpace confirms the proof root {self.proof_root}, but count and net are not known")
        covered = self.root_count or self.count
        if str(summary.record_count) != covered:
            return refuted(
                f"PacSpace says {plural(summary.record_count, 'record')} of {self.proof_root}, stamped are {covered}"
            )
        if self.root_count is None and self.usage is not None and equal(abs(summary.net_change), self.usage):
            return holds("PacSpace confirms the stamped roots, counts and usage")
        net = text(summary.net_change)
        if not self.matched:
            return holds(f"PacSpace confirms the proof root {self.proof_root}, with a net change of {net}")
        return cannot_tell(f"PacSpace says a net change of {net} for {self.proof_root}: only the evidence explains it")


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceStamp:
    """Our keys in an invoice's metadata, and its footer, without the evidence that they name."""

    metadata: Mapping[str, str]
    footer: str | None

    @property
    def verdict(self) -> str | None:
        """The stamped verdict."""
        return self.metadata.get(f"{PREFIX}verdict")

    @property
    def windows(self) -> tuple[StampedWindow, ...]:
        """The stamped windows that name a proof root."""
        return tuple(
            StampedWindow(
                proof_root=root,
                usage=decimal_of(self.metadata.get(f"{PREFIX}usage{suffix}")),
                count=self.metadata.get(f"{PREFIX}delta_count{suffix}"),
                matched=self.verdict == Verdict.MATCHED,
                root_count=self.metadata.get(f"{PREFIX}root_count{suffix}"),
            )
            for suffix in _SUFFIXES
            if (root := self.metadata.get(f"{PREFIX}proof_root{suffix}"))
        )

    @property
    def figures(self) -> tuple[Mapping[str, str], ...]:
        """The stamped texts of each window by its key's name, proof root or not."""
        found = ({name: self.metadata.get(f"{PREFIX}{name}{suffix}") for name in _SHOWN} for suffix in _SUFFIXES)
        named = ({name: value for name, value in keys.items() if value is not None} for keys in found)
        return tuple(keys for keys in named if keys)

    @property
    def unbacked(self) -> bool:
        """True if the stamp says that usage matched, and names no proof root for it."""
        roots = {suffix for suffix in _SUFFIXES if self.metadata.get(f"{PREFIX}proof_root{suffix}")}
        usages = {suffix: used for suffix in _SUFFIXES if (used := self.metadata.get(f"{PREFIX}usage{suffix}"))}
        bare = not usages or any(decimal_of(used) != 0 for suffix, used in usages.items() if suffix not in roots)
        return self.verdict == Verdict.MATCHED and bare

    def whole(self) -> Result:
        """Check that the stamp names a verdict and evidence."""
        sha256 = self.metadata.get(EVIDENCE_KEY)
        if sha256 is None:
            return cannot_tell("the invoice carries no stamp")
        if not _SHA256.fullmatch(sha256):
            return refuted(f"{EVIDENCE_KEY} is no SHA-256: {sha256}")
        known = self.verdict in set(Verdict)
        return holds(f"{self.verdict}, evidence {sha256}") if known else refuted("no verdict is stamped")

    def in_footer(self) -> Result:
        """Check that the footer names the same evidence and proof roots as the metadata."""
        block = find_block(self.footer)
        if block is None:
            return skipped("the invoice has no footer of ours: it was finalized before, or had no room")
        squeezed = printed_text.squeezed(block)
        names = [self.metadata.get(EVIDENCE_KEY, ""), *(window.proof_root for window in self.windows)]
        missing = [f"the footer does not name {name}" for name in names if printed_text.squeezed(name) not in squeezed]
        if missing and self.verdict == Verdict.DRIFTED:
            return cannot_tell("the footer was frozen at finalization, before the drift was found")
        return unless(missing, "the footer names the same evidence and proof roots")


def agrees(summary: ProofSummary, proof: Proof) -> Result:
    """Check that public verify agrees with the evidence about a root; of a stale root, PacSpace only has to know it."""
    if not summary.verified:
        return unconfirmed(summary)
    if proof.stale:
        return holds("PacSpace knows the proof root, which covers other records, as the evidence says")
    count, net = summary.record_count, summary.net_change
    problems = []
    if count is not None and count != proof.count:
        problems.append(f"PacSpace says {plural(count, 'record')} of {proof.proof_root}, the evidence {proof.count}")
    if net is not None and not equal(net, proof.net):
        change = f"a net change of {text(net)} for {proof.proof_root}"
        problems.append(f"PacSpace says {change}, the evidence {text(proof.net)}")
    if not problems and (count is None or net is None):
        named = "names neither the number of its records nor their net change"
        return cannot_tell(f"PacSpace confirms the proof root {proof.proof_root}, but {named}")
    return unless(problems, SAME_FIGURES)


def unconfirmed(summary: ProofSummary) -> Result:
    """Return the result for a root that PacSpace does not confirm: it denies the root, or it cannot say."""
    problem = f"PacSpace does not confirm the proof root {summary.proof_root}"
    return refuted(problem) if summary.denied else cannot_tell(f"{problem} now, and does not say that there is none")
