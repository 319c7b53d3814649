"""The stamp of an invoice at Stripe by itself, without the evidence that it names. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.gate.rules.footer import find_block
from pacspace_stripe.gate.rules.stamp import MOST_WINDOWS, PREFIX
from pacspace_stripe.http.answers import decimal_of
from pacspace_stripe.verify.ledger_files import unconfirmed
from pacspace_stripe.verify.printed_text import squeezed
from pacspace_stripe.verify.report import Result, cannot_tell, holds, refuted, skipped, unless
from pacspace_stripe.verify.stamps import EVIDENCE_KEY
from pacspace_stripe.vocabulary.ledger import ProofSummary
from pacspace_stripe.vocabulary.quantities import equal, text
from pacspace_stripe.vocabulary.text import plural

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHOWN = ("window", "usage", "delta_count")
_SUFFIXES = ("", *(f"_{number}" for number in range(2, MOST_WINDOWS + 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class StampedWindow:
    """One window of a stamp that names a proof root."""

    proof_root: str
    usage: Decimal | None
    """Billed, in the meter's unit."""
    count: str | None
    matched: bool
    root_count: str | None = None
    """Where the root also covers records that are no usage of this meter: all that it covers."""

    def agrees(self, summary: ProofSummary) -> Result:
        """Whether public verify says what is stamped. Billed and recorded may differ by a tolerance, or by a waiver."""
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
class Stamp:
    """Our keys in an invoice's metadata, and its footer."""

    metadata: Mapping[str, str]
    footer: str | None

    @property
    def verdict(self) -> str | None:
        """As stamped."""
        return self.metadata.get(f"{PREFIX}verdict")

    @property
    def windows(self) -> tuple[StampedWindow, ...]:
        """Those with a proof root."""
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
        """Return what is stamped of each window by its key's name, proof root or not."""
        found = ({name: self.metadata.get(f"{PREFIX}{name}{suffix}") for name in _SHOWN} for suffix in _SUFFIXES)
        named = ({name: value for name, value in keys.items() if value is not None} for keys in found)
        return tuple(keys for keys in named if keys)

    @property
    def unbacked(self) -> bool:
        """Whether it says that usage matched, and names no proof root for it."""
        roots = {suffix for suffix in _SUFFIXES if self.metadata.get(f"{PREFIX}proof_root{suffix}")}
        usages = {suffix: used for suffix in _SUFFIXES if (used := self.metadata.get(f"{PREFIX}usage{suffix}"))}
        bare = not usages or any(decimal_of(used) != 0 for suffix, used in usages.items() if suffix not in roots)
        return self.verdict == Verdict.MATCHED and bare

    def whole(self) -> Result:
        """Whether it names a verdict and evidence."""
        sha256 = self.metadata.get(EVIDENCE_KEY)
        if sha256 is None:
            return cannot_tell("the invoice carries no stamp")
        if not _SHA256.fullmatch(sha256):
            return refuted(f"{EVIDENCE_KEY} is no SHA-256: {sha256}")
        known = self.verdict in set(Verdict)
        return holds(f"{self.verdict}, evidence {sha256}") if known else refuted("no verdict is stamped")

    def in_footer(self) -> Result:
        """Whether the footer names the same."""
        block = find_block(self.footer)
        if block is None:
            return skipped("the invoice has no footer of ours: it was finalized before, or had no room")
        said = squeezed(block)
        wanted = [self.metadata.get(EVIDENCE_KEY, ""), *(window.proof_root for window in self.windows)]
        missing = [f"the footer does not name {name}" for name in wanted if squeezed(name) not in said]
        if missing and self.verdict == Verdict.DRIFTED:
            return cannot_tell("the footer was frozen at finalization, before the drift was found")
        return unless(missing, "the footer names the same evidence and proof roots")
