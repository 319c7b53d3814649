"""PacSpace's public verify, asked about proof roots source by source, within limits.

A document names as many roots as it likes; the answer comes soon anyway. A root that is not asked about stays an open
question, never an agreement. ``db`` decides; ``both`` and ``chain`` can contradict it, and their silence is no finding.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from pacspace_stripe.errors import InvalidInput, RemoteError, RemoteUnavailable
from pacspace_stripe.http.retries import Timeouts
from pacspace_stripe.pacspace_api import PublicPacSpace, Source
from pacspace_stripe.verify.report import Outcome, Result, SourceAnswer, cannot_tell, printable, together
from pacspace_stripe.vocabulary.ledger import ProofSummary
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.text import plural

PATIENCE = Timeouts(total=10.0)
"""With one question, for someone who waits for the answer."""
LONGEST = 30.0
"""Seconds for all proof roots of a document together: none is asked about that much later."""
MOST_ROOTS = 50
_SILENT = "the other proof roots were not asked about: PacSpace does not answer"
_LATE = f"the other proof roots were not asked about: {LONGEST:.0f} seconds were over"
_MANY = f"the other proof roots were not asked about: {MOST_ROOTS} are the most"

Said = ProofSummary | Result
"""An answer of one source, or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RootAnswers:
    """Answers of each source of public verify about one root; ``db`` is always there."""

    root: str
    by_source: Mapping[Source, Said]

    @property
    def summary(self) -> ProofSummary | None:
        """The first answer that confirms the root, with figures if any source gives some."""
        found = [one for one in self.by_source.values() if isinstance(one, ProofSummary) and one.verified]
        return next((one for one in found if one.record_count is not None), found[0] if found else None)

    def judged(self, agree: Callable[[ProofSummary], Result]) -> Result:
        """Return whether the sources agree with what ``agree`` holds them to.

        1. Other figures of any source refute.
        2. Else ``db`` decides.
        3. Where ``db`` cannot tell, another source that agrees is enough.
        """
        found = {source: one if isinstance(one, Result) else agree(one) for source, one in self.by_source.items()}
        others = [result for source, result in found.items() if source is not Source.DB]
        # 1.
        contradicted = list(self._contradicted(agree))
        # 2. and 3.
        agreeing = [result for result in others if result.outcome is Outcome.HOLDS]
        open_there = found[Source.DB].outcome is Outcome.CANNOT_TELL
        decisive = contradicted or (agreeing if open_there and agreeing else [found[Source.DB]])
        return replace(together(decisive, otherwise=""), sources=tuple(self._told()))

    def _contradicted(self, agree: Callable[[ProofSummary], Result]) -> Iterator[Result]:
        """A root that a source does not confirm (yet) may be on its way; figures of it that differ are a finding."""
        for one in self.by_source.values():
            if isinstance(one, ProofSummary) and not (one.record_count is None and one.net_change is None):
                result = agree(replace(one, verified=True))
                if result.outcome is Outcome.REFUTED:
                    yield result

    def _told(self) -> Iterator[SourceAnswer]:
        for source, one in self.by_source.items():
            said, confirms = (one.detail, False) if isinstance(one, Result) else (_in_words(one), one.verified)
            root = printable(self.root)
            yield SourceAnswer(proof_root=root, source=source.value, said=printable(said), confirms=confirms)


def _in_words(summary: ProofSummary) -> str:
    if summary.unknown:
        return "does not know it"
    figures = [] if summary.record_count is None else [plural(summary.record_count, "record")]
    figures += [] if summary.net_change is None else [f"net change {text(summary.net_change)}"]
    confirms = "confirms it" if summary.verified else "does not confirm it"
    words = f"{confirms}, {', '.join(figures)}" if figures else f"{confirms}, without figures"
    return f"{words} ({summary.message})" if summary.message and not summary.verified else words


class Roots:
    """PacSpace's answers about the roots of one document, each asked about once."""

    def __init__(self, pacspace: PublicPacSpace, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pacspace = pacspace
        self._clock = clock
        self._until = clock() + LONGEST
        self._found: dict[str, RootAnswers] = {}
        self._silent = False
        self._without_chain = False

    def about(self, root: str) -> RootAnswers:
        """Return what public verify says of a root, or why it says nothing."""
        if root in self._found:
            return self._found[root]
        if (reason := self._over()) is not None:
            return RootAnswers(root=root, by_source={Source.DB: cannot_tell(reason)})
        self._found[root] = found = RootAnswers(root=root, by_source=dict(self._asked(root)))
        return found

    def _over(self) -> str | None:
        if self._silent:
            return _SILENT
        if len(self._found) >= MOST_ROOTS:
            return _MANY
        return _LATE if self._clock() >= self._until else None

    def _asked(self, root: str) -> Iterator[tuple[Source, Said]]:
        """Ask ``db`` first: it answers at once, and where it does not, nobody does. The chain may be slow or away."""
        said, answered = self._ask(root, Source.DB)
        yield Source.DB, said
        self._silent = not answered
        for source in (Source.BOTH, Source.CHAIN):
            if self._silent or self._without_chain:
                return
            said, answered = self._ask(root, source)
            yield source, said
            self._without_chain = not answered

    def _ask(self, root: str, source: Source) -> tuple[Said, bool]:
        try:
            return self._pacspace.proof_summary(root, source), True
        except (RemoteError, InvalidInput) as error:
            return cannot_tell(str(error)), not isinstance(error, RemoteUnavailable)
