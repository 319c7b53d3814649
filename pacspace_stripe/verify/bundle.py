"""A dispute bundle from somebody else: its manifest, its chain of evidence, and the other files in it. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from pacspace_stripe.verify import printed_text as printed
from pacspace_stripe.verify import stamps
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

    @property
    def missing(self) -> frozenset[str]:
        """Names of files that could not be fetched, by the manifest."""
        return frozenset(entry.name for entry in self.manifest.missing)


def read_bundle(data: bytes) -> ReceivedBundle:
    """Read a bundle. Raises UnreadableDocument for a file that is no bundle, or that can be read as two bundles."""
    files = read_zip(data)
    if MANIFEST not in files:
        message = f"the ZIP file is no bundle: it has no {MANIFEST}"
        raise UnreadableDocument(message)
    found = strict_json(files[MANIFEST], largest=_LARGEST_MANIFEST)
    manifest = _manifest(found)
    links, older, unreadable = _links(files)
    canonical = isinstance(found, dict) and is_canonical(found, files[MANIFEST])
    return ReceivedBundle(
        manifest=manifest, canonical=canonical, files=files, links=links, older=older, unreadable=unreadable
    )


def _manifest(found: object) -> Manifest:
    try:
        return Manifest.model_validate(found)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False, include_context=False)[0]
        message = f"the bundle's manifest cannot be read: {'.'.join(map(str, detail['loc']))[:200]}: {detail['msg']}"
    raise UnreadableDocument(message)


def _in_order(name: str) -> tuple[int, str]:
    return len(name), name


def _links(
    files: Mapping[str, bytes],
) -> tuple[dict[str, ReadEvidence], dict[str, OlderEvidence], dict[str, str]]:
    links, older, unreadable = {}, {}, {}
    names = sorted(filter(_LINK.fullmatch, files), key=_in_order)
    if sum(len(files[name]) for name in names) > _LARGEST_CHAIN:
        message = f"the bundle's chain of evidence is larger than {_LARGEST_CHAIN} bytes"
        raise UnreadableDocument(message)
    for name in names:
        try:
            links[name] = read_evidence(files[name])
        except UnreadableEvidence as error:
            if (found := read_older(files[name])) is not None:
                older[name] = found
            else:
                unreadable[name] = str(error)
    return links, older, unreadable


def as_listed(bundle: ReceivedBundle) -> Result:
    """Check that every file is the one that the manifest names, and that there is no other."""
    return unless(
        _not_listed(bundle), f"{plural(len(bundle.manifest.files), 'file')} with the sizes and hashes in the manifest"
    )


def _not_listed(bundle: ReceivedBundle) -> Iterator[str]:
    there = {name: data for name, data in bundle.files.items() if name != MANIFEST}
    for name in sorted(there.keys() - bundle.manifest.files.keys()):
        yield f"{name} is not in the manifest"
    for name, entry in bundle.manifest.files.items():
        data = there.get(name)
        if data is None:
            yield f"{name} is missing"
        elif (digest(data), len(data)) != (entry.sha256, entry.bytes):
            yield f"{name} is not the file that the manifest names"
    if not bundle.canonical:
        yield "the manifest is not canonical"


def readable(bundle: ReceivedBundle) -> Result:
    """Check that every link of the chain is evidence, in canonical bytes."""
    said = f"{plural(len(bundle.links), 'document')} in canonical JSON (RFC 8785)"
    found = unless([*bundle.unreadable.values(), *(f"{n} is not canonical" for n in _odd(bundle))], said)
    return together([found, *(_of_earlier_version(name) for name in bundle.older)], otherwise="")


def _of_earlier_version(name: str) -> Result:
    return cannot_tell(f"{name} was written by an earlier version, in a shape of which only its place is read")


def _odd(bundle: ReceivedBundle) -> list[str]:
    return [name for name, link in bundle.links.items() if not link.canonical]


def decided(bundle: ReceivedBundle) -> Result:
    """Check that the manifest's evidence is in the chain, is a decision, and the last one about its invoice."""
    decision, manifest = bundle.decision, bundle.manifest
    if decision is None and (older := [name for name, link in bundle.older.items() if _named(link, manifest)]):
        return _of_earlier_version(older[0])
    if decision is None:
        return refuted(f"the evidence that the manifest names, {manifest.evidence_sha256}, is not in the chain")
    problems = list(_not_decided(decision, manifest))
    later = [
        str(link.document.chain.sequence)
        for link in bundle.chain
        if link.document.invoice == manifest.invoice and link.document.confirms is None
        if link.document.chain.sequence > decision.document.chain.sequence
    ]
    if later:
        problems.append(f"a later decision about {manifest.invoice} is in the chain, link {', '.join(later)}")
    return unless(problems, f"link {decision.document.chain.sequence} is {decision.sha256}, about {manifest.invoice}")


def _named(link: Link, manifest: Manifest) -> bool:
    return link.sha256 == manifest.evidence_sha256


def _not_decided(decision: ReadEvidence, manifest: Manifest) -> Iterator[str]:
    if decision.document.invoice != manifest.invoice:
        yield f"the evidence is about {decision.document.invoice}, the bundle about {manifest.invoice}"
    if decision.document.confirms is not None:
        yield "the manifest names a confirmation, not the decision"


def as_stamped(bundle: ReceivedBundle, decision: ReadEvidence) -> Result:
    """Check the invoice's metadata, footer and lines, as Stripe had them when the bundle was made."""
    found = [_part(bundle, INVOICE, lambda data: _invoice(data, decision, bundle.earlier))]
    found.append(_part(bundle, LINES, lambda data: _lines(data, _final(bundle, decision))))
    return together(found, otherwise="")


def absent(bundle: ReceivedBundle, name: str) -> Result:
    """Return the result for a file that is not there: open where the manifest says why, else refuted."""
    why = "could not be fetched when the bundle was made"
    return cannot_tell(f"{name} {why}") if name in bundle.missing else refuted(f"{name} is missing")


def _part(bundle: ReceivedBundle, name: str, read: Callable[[bytes], Result]) -> Result:
    data = bundle.files.get(name)
    if data is None:
        return absent(bundle, name)
    try:
        return read(data)
    except (ValueError, RemoteError) as error:
        return cannot_tell(f"{name} cannot be read: {error}")


def _invoice(data: bytes, decision: ReadEvidence, earlier: Sequence[ReadEvidence]) -> Result:
    invoice = Fields(_APPLICATION, INVOICE, exact_json(data))
    if invoice.text("invoice") != decision.document.invoice:
        return refuted(f"{INVOICE} is about another invoice")
    return stamps.on_invoice(invoice.texts("metadata"), invoice.optional_text("footer"), decision, earlier)


def _final(bundle: ReceivedBundle, decision: ReadEvidence) -> ReadEvidence:
    """Return the evidence about the final lines: the confirmation of the decision, or else the decision itself."""
    confirming = (link for link in bundle.links.values() if link.document.confirms == decision.sha256)
    return next(confirming, decision)


def _lines(data: bytes, final: ReadEvidence) -> Result:
    rows = Fields(_APPLICATION, LINES, {"lines": exact_json(data)}).items("lines")
    there = {row.text("id"): row.optional_number("quantity") for row in rows}
    problems = list(_other_lines(there, final))
    if problems and final.document.invoice_status == "draft":
        return cannot_tell(f"the draft's lines have changed since: {'; '.join(problems)}")
    return unless(problems, "the lines bill what the evidence says")


def _other_lines(there: Mapping[str, Decimal | None], final: ReadEvidence) -> Iterator[str]:
    for line in (line for window in final.document.windows for line in window.lines):
        if line.id not in there:
            yield f"line {line.id} is not among the invoice's"
            continue
        quantity = there[line.id]
        if quantity is None or line.quantity is None:
            same = quantity is line.quantity
        else:
            same = equal(quantity, line.quantity)
        if not same:
            yield f"line {line.id} bills {_shown(quantity)}, the evidence says {_shown(line.quantity)}"


def _shown(quantity: Decimal | None) -> str:
    return "nothing" if quantity is None else text(quantity)


def summary_names(data: bytes, decision: ReadEvidence) -> Result:
    """Check that the summary is about this evidence. The summary carries none: the manifest's hash protects it."""
    try:
        pages = read_pages(data)
    except UnreadableDocument as error:
        return refuted(f"{SUMMARY}: {error}")
    if any(printed.names(page, decision.sha256) for page in pages):
        return holds(f"{SUMMARY} names the evidence")
    return cannot_tell(f"{SUMMARY} does not name the evidence")
