"""What is stamped: a PDF's keywords, and the metadata and footer that an invoice carries at Stripe. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from pacspace_stripe.evidence.models import EvidenceDocument
from pacspace_stripe.evidence.reader import ReadEvidence
from pacspace_stripe.gate.rules.footer import find_block
from pacspace_stripe.gate.rules.stamp import HOLD_KEY, OURS, PREFIX, metadata_stamp
from pacspace_stripe.verify import printed_text as printed
from pacspace_stripe.verify.report import Result, cannot_tell, refuted, skipped, together, unless
from pacspace_stripe.vocabulary.policy import Mode

EVIDENCE_KEY = f"{PREFIX}evidence_sha256"
_HASH, _ROOT = "evidence-sha256:", "proof-root:"


def in_keywords(carriers: Mapping[str, str | None], evidence: ReadEvidence) -> Result:
    """Whether each carrier of keywords names this evidence and its roots; ``carriers``: where → what it says."""
    results = [_keywords(where, said, evidence) for where, said in carriers.items()]
    return together(results, otherwise="there is nothing that carries keywords")


def hash_in_keywords(carriers: Mapping[str, str | None], sha256: str) -> Result:
    """The same of the hash alone, for bytes that cannot be read as evidence."""
    return together(
        [
            _missing(where) if not said else unless(_other_hashes(where, said, sha256), f"{sha256} is the one stamped")
            for where, said in carriers.items()
        ],
        otherwise="there is nothing that carries keywords",
    )


def on_invoice(
    metadata: Mapping[str, str], footer: str | None, evidence: ReadEvidence, earlier: Sequence[ReadEvidence] = ()
) -> Result:
    """Whether an invoice's metadata and footer say what the evidence says.

    ``earlier``: decisions about it that the footer may have frozen with.
    """
    ours = {key: value for key, value in metadata.items() if key in OURS and key != HOLD_KEY}
    if EVIDENCE_KEY not in ours:
        return _unstamped(evidence.document)
    if ours[EVIDENCE_KEY] != evidence.sha256:
        return refuted(f"the invoice at Stripe names other evidence, {ours[EVIDENCE_KEY]}")
    block = find_block(footer)
    in_footer = [printed.in_footer(block, evidence, earlier)] if block else []
    footer_said = "" if block else "; there is no footer of ours"
    stamp = unless(_metadata(ours, evidence), f"the metadata say what the evidence says{footer_said}")
    return together([stamp, *in_footer], otherwise="")


def _unstamped(document: EvidenceDocument) -> Result:
    """Nothing is stamped on a draft that is held, nor by a gate that only observes."""
    held = document.invoice_status == "draft" and not document.decision.verdict.may_leave
    if held or document.policy.mode is Mode.OBSERVE:
        why = "the gate only observed" if document.policy.mode is Mode.OBSERVE else "it was held as a draft"
        return skipped(f"the invoice at Stripe carries no stamp: {why}")
    return cannot_tell("the invoice at Stripe carries no stamp")


def _keywords(where: str, said: str | None, evidence: ReadEvidence) -> Result:
    if not said:
        return _missing(where)
    hashes = list(_other_hashes(where, said, evidence.sha256))
    roots = _named(said, _ROOT)
    problem = [] if roots == set(evidence.document.roots) else [f"{where}: the proof roots are not the evidence's"]
    return unless([*hashes, *problem], f"{evidence.sha256} is the one stamped")


def _missing(where: str) -> Result:
    return cannot_tell(f"{where}: there are no keywords, so nothing is stamped there")


def _other_hashes(where: str, said: str, sha256: str) -> Iterator[str]:
    named = _named(said, _HASH)
    if not named:
        yield f"{where}: no evidence is named"
    for other in sorted(named - {sha256}):
        yield f"{where}: the stamped evidence is {other}, the embedded one is {sha256}"


def _named(said: str, prefix: str) -> set[str]:
    words = (word.strip() for word in said.split(","))
    return {word.removeprefix(prefix) for word in words if word.startswith(prefix)}


def _metadata(ours: Mapping[str, str], evidence: ReadEvidence) -> Iterator[str]:
    """Every key that is there says what a stamp of this evidence says; where there is no room, some are left out."""
    document = evidence.document
    waiver = document.waiver.reason if document.waiver else None
    expected = metadata_stamp({}, document.finding(), evidence.sha256, waiver).changes
    for key in sorted(ours):
        if ours[key] != expected.get(key):
            yield f"{key} is {ours[key]}, the evidence makes it {expected.get(key, 'nothing')}"
    if f"{PREFIX}verdict" not in ours:
        yield "no verdict is stamped"
