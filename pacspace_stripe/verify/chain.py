"""The chain of one subscription's decisions: each link names the SHA-256 of the one before. Pure."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

from pacspace_stripe.evidence.models import EvidenceDocument
from pacspace_stripe.evidence.reader import OlderDocument, OlderEvidence, ReadEvidence
from pacspace_stripe.verify.report import Result, unless
from pacspace_stripe.vocabulary.text import plural

Link: TypeAlias = ReadEvidence | OlderEvidence
"""What an earlier version wrote has its place, too."""
_LEFT_OUT = {"chain", "decided_at", "invoice_status", "confirms", "windows"}
_LEFT_OUT_OF_WINDOWS = {"lines", "from_meter"}
"""What a confirmation says anew; all else is the decision's, word for word."""


def place(document: EvidenceDocument) -> Result:
    """Where a document says it stands, when the others are not at hand."""
    chain = document.chain
    before = f"after {chain.previous_sha256}" if chain.previous_sha256 else "the first"
    return unless(_misplaced(document), f"link {chain.sequence} of {chain.id}, {before}; the other links are not here")


def intact(links: Sequence[Link]) -> Result:
    """Whether links, in the order they are given, are a whole chain from its first."""
    return unless(_broken(links), f"{plural(len(links), 'link')}, each naming the one before, from the first on")


def _misplaced(document: EvidenceDocument | OlderDocument) -> Iterator[str]:
    chain = document.chain
    if (chain.sequence == 1) != (chain.previous_sha256 is None):
        yield f"link {chain.sequence} {'names' if chain.previous_sha256 else 'names no'} link before it"
    if chain.id != (document.subscription or document.invoice):
        yield f"link {chain.sequence} is of another chain than its subscription's"


def _broken(links: Sequence[Link]) -> Iterator[str]:
    if not links:
        yield "the chain is empty"
        return
    for number, link in enumerate(links, start=1):
        yield from _misplaced(link.document)
        if link.document.chain.sequence != number:
            yield f"link {link.document.chain.sequence} stands in the place of link {number}"
        if link.document.chain.id != links[0].document.chain.id:
            yield f"link {number} is of another chain"
    for one, next_one in pairwise(links):
        if next_one.document.chain.previous_sha256 != one.sha256:
            yield f"link {next_one.document.chain.sequence} does not name the one before it"
    yield from _unconfirmed(links)


def _unconfirmed(links: Sequence[Link]) -> Iterator[str]:
    """A confirmation says of a finalized invoice what an earlier decision said of its draft."""
    earlier: dict[str, EvidenceDocument] = {}
    for link in links:
        if isinstance(link, OlderEvidence):
            continue
        document = link.document
        if document.confirms is not None:
            decision = earlier.get(document.confirms)
            if decision is None or decision.confirms is not None or _said(decision) != _said(document):
                yield f"link {document.chain.sequence} does not confirm an earlier decision of this chain"
        earlier[link.sha256] = document


def _said(document: EvidenceDocument) -> tuple[object, ...]:
    windows = [window.model_dump(exclude=_LEFT_OUT_OF_WINDOWS) for window in document.windows]
    return document.model_dump(exclude=_LEFT_OUT), windows
