"""A dispute bundle of unknown origin: its manifest, its chain of evidence, and the other files in it. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pacspace_stripe.errors import RemoteError, UnreadableDocument, UnreadableEvidence
from pacspace_stripe.evidence.models import Count, Sha256, Text
from pacspace_stripe.evidence.reader import (
    OlderEvidence,
    ReadEvidence,
    is_canonical,
    read_evidence,
    read_older,
    strict_json,
)
from pacspace_stripe.http.answers import Fields, exact_json
from pacspace_stripe.verify import printed_text, stamps
from pacspace_stripe.verify.archive import read_zip
from pacspace_stripe.verify.consistency import Link
from pacspace_stripe.verify.pdf import read_pages
from pacspace_stripe.verify.report import Result, cannot_tell, holds, refuted, together, unless
from pacspace_stripe.vocabulary.canonical_json import digest
from pacspace_stripe.vocabulary.quantities import equal, text
from pacspace_stripe.vocabulary.text import plural

MANIFEST, STATEMENT, SUMMARY = "manifest.json", "statement.pdf", "summary.pdf"
INVOICE, LINES = "stripe/invoice.json", "stripe/lines.json"
_LARGEST_MANIFEST = 8 * 1024 * 1024
_LARGEST_CHAIN = 16 * 1024 * 1024
"""Bytes of all links together: some ten thousand of an ordinary invoice, which takes seconds to read, not minutes."""
_LINK = re.compile(r"evidence/[0-9]{4,}\.json")
_APPLICATION = "pacspace-stripe"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class FileEntry(_Strict):
    """The manifest's entry for one file."""

    sha256: Sha256
    bytes: Count


class MissingEntry(_Strict):
    """A file that could not be fetched when the bundle was made."""

    name: Text
    why: Text


class Manifest(_Strict):
    """The list of a bundle's files, and the decision that it is about."""

    format: Literal["pacspace-stripe/bundle/1"]
    invoice: Text
    evidence_sha256: Sha256
    made_at: Text
    files: dict[Text, FileEntry]
    missing: Annotated[tuple[MissingEntry, ...], Field(strict=False)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedBundle:
    """A bundle that could be read."""

    manifest: Manifest
    canonical: bool
    files: Mapping[str, bytes]
    links: Mapping[str, ReadEvidence]
    """The chain's links by name, in order."""
    older: Mapping[str, OlderEvidence]
    """Links that an earlier version wrote; only their place in the chain is read."""
    unreadable: Mapping[str, str]
    """The reason why a link cannot be read, by the link's name."""

    @property
    def chain(self) -> tuple[Link, ...]:
        """All links that can be read, in order."""
        there: dict[str, Link] = {**self.links, **self.older}
        return tuple(there[name] for name in sorted(there, key=_in_order))

    @property
    def decision(self) -> ReadEvidence | None:
        """The decision that the manifest names, if the chain has it."""
        named = (link for link in self.links.values() if link.sha256 == self.manifest.evidence_sha256)
        return next(named, None)

    @property
    def earlier(self) -> tuple[ReadEvidence, ...]:
        """Earlier decisions about the same invoice, in order."""
        last = self.decision
        links = [link for link in self.links.values() if last and link.document.invoice == last.document.invoice]
        decisions = [link for link in links if link.document.confirms is None]
        return tuple(one for one in decisions if last and one.document.chain.sequence < last.document.chain.sequence)

    def check(self, name: str, read: Callable[[bytes], Result]) -> Result:
        """Return what ``read`` finds in a file. A missing file is open where the manifest says why, else refuted."""
        data = self.files.get(name)
        if data is None and any(entry.name == name for entry in self.manifest.missing):
            return cannot_tell(f"{name} could not be fetched when the bundle was made")
        if data is None:
            return refuted(f"{name} is missing")
        try:
            return read(data)
        except (ValueError, RemoteError) as error:
            return cannot_tell(f"{name} cannot be read: {error}")


def read_bundle(data: bytes) -> ReceivedBundle:
    """Read a bundle. Raises UnreadableDocument for a file that is no bundle, or that can be read as two bundles."""
    files = read_zip(data)
    if MANIFEST not in files:
        message = f"the ZIP file is no bundle: it has no {MANIFEST}"
        raise UnreadableDocument(message)
    found = strict_json(files[MANIFEST], largest=_LARGEST_MANIFEST)
    try:
        manifest = Manifest.model_validate(found)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, detail["loc"]))[:200]
        message = f"the bundle's manifest cannot be read: {place}: {detail['msg']}"
        raise UnreadableDocument(message) from None
    names = sorted(filter(_LINK.fullmatch, files), key=_in_order)
    if sum(len(files[name]) for name in names) > _LARGEST_CHAIN:
        message = f"the bundle's chain of evidence is larger than {_LARGEST_CHAIN} bytes"
        raise UnreadableDocument(message)
    links, older, unreadable = {}, {}, {}
    for name in names:
        try:
            links[name] = read_evidence(files[name])
        except UnreadableEvidence as error:
            if (earlier := read_older(files[name])) is not None:
                older[name] = earlier
            else:
                unreadable[name] = str(error)
    return ReceivedBundle(
        manifest=manifest,
        canonical=isinstance(found, dict) and is_canonical(found, files[MANIFEST]),
        files=files,
        links=links,
        older=older,
        unreadable=unreadable,
    )


def _in_order(name: str) -> tuple[int, str]:
    return len(name), name


def as_listed(bundle: ReceivedBundle) -> Result:
    """Check that every file is the one that the manifest names, and that there is no other."""
    listed = bundle.manifest.files
    there = {name: data for name, data in bundle.files.items() if name != MANIFEST}
    problems = [f"{name} is not in the manifest" for name in sorted(there.keys() - listed.keys())]
    for name, entry in listed.items():
        if name not in there:
            problems.append(f"{name} is missing")
        elif (digest(there[name]), len(there[name])) != (entry.sha256, entry.bytes):
            problems.append(f"{name} is not the file that the manifest names")
    if not bundle.canonical:
        problems.append("the manifest is not canonical")
    return unless(problems, f"{plural(len(listed), 'file')} with the sizes and hashes in the manifest")


def readable(bundle: ReceivedBundle) -> Result:
    """Check that every link of the chain is evidence, in canonical bytes."""
    odd = (f"{name} is not canonical" for name, link in bundle.links.items() if not link.canonical)
    documents = f"{plural(len(bundle.links), 'document')} in canonical JSON (RFC 8785)"
    found = unless([*bundle.unreadable.values(), *odd], documents)
    return together([found, *map(_of_earlier_version, bundle.older)], otherwise="")


def _of_earlier_version(name: str) -> Result:
    return cannot_tell(f"{name} was written by an earlier version, in a shape of which only its place is read")


def decided(bundle: ReceivedBundle) -> Result:
    """Check that the manifest's evidence is in the chain, is a decision, and the last one about its invoice."""
    decision, manifest = bundle.decision, bundle.manifest
    if decision is None:
        for name, link in bundle.older.items():
            if link.sha256 == manifest.evidence_sha256:
                return _of_earlier_version(name)
        return refuted(f"the evidence that the manifest names, {manifest.evidence_sha256}, is not in the chain")
    sequence = decision.document.chain.sequence
    problems = []
    if decision.document.invoice != manifest.invoice:
        problems.append(f"the evidence is about {decision.document.invoice}, the bundle about {manifest.invoice}")
    if decision.document.confirms is not None:
        problems.append("the manifest names a confirmation, not the decision")
    later = [
        str(link.document.chain.sequence)
        for link in bundle.chain
        if link.document.invoice == manifest.invoice and link.document.confirms is None
        if link.document.chain.sequence > sequence
    ]
    if later:
        problems.append(f"a later decision about {manifest.invoice} is in the chain, link {', '.join(later)}")
    return unless(problems, f"link {sequence} is {decision.sha256}, about {manifest.invoice}")


def as_stamped(bundle: ReceivedBundle, decision: ReadEvidence) -> Result:
    """Check the invoice's metadata, footer and lines, as Stripe had them when the bundle was made."""
    # A confirmation, if there is one, is about the final lines.
    confirming = (link for link in bundle.links.values() if link.document.confirms == decision.sha256)
    final = next(confirming, decision)
    invoice = bundle.check(INVOICE, lambda data: _invoice(data, decision, bundle.earlier))
    return together([invoice, bundle.check(LINES, lambda data: _lines(data, final))], otherwise="")


def _invoice(data: bytes, decision: ReadEvidence, earlier: Sequence[ReadEvidence]) -> Result:
    invoice = Fields(_APPLICATION, INVOICE, exact_json(data))
    if invoice.text("invoice") != decision.document.invoice:
        return refuted(f"{INVOICE} is about another invoice")
    return stamps.on_invoice(invoice.texts("metadata"), invoice.optional_text("footer"), decision, earlier)


def _lines(data: bytes, final: ReadEvidence) -> Result:
    rows = Fields(_APPLICATION, LINES, {"lines": exact_json(data)}).items("lines")
    there = {row.text("id"): row.optional_number("quantity") for row in rows}
    problems = []
    for line in (line for window in final.document.windows for line in window.lines):
        if line.id not in there:
            problems.append(f"line {line.id} is not among the invoice's")
            continue
        quantity = there[line.id]
        if quantity is None or line.quantity is None:
            same = quantity is line.quantity
        else:
            same = equal(quantity, line.quantity)
        if not same:
            problems.append(f"line {line.id} bills {_shown(quantity)}, the evidence says {_shown(line.quantity)}")
    if problems and final.document.invoice_status == "draft":
        return cannot_tell(f"the draft's lines have changed since: {'; '.join(problems)}")
    return unless(problems, "the lines bill what the evidence says")


def _shown(quantity: Decimal | None) -> str:
    return "nothing" if quantity is None else text(quantity)


def summary_names(data: bytes, decision: ReadEvidence) -> Result:
    """Check that the summary is about this evidence. The summary carries none: the manifest's hash protects it."""
    try:
        pages = read_pages(data)
    except UnreadableDocument as error:
        return refuted(f"{SUMMARY}: {error}")
    if any(printed_text.names(page, decision.sha256) for page in pages):
        return holds(f"{SUMMARY} names the evidence")
    return cannot_tell(f"{SUMMARY} does not name the evidence")
