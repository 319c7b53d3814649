"""Printed text: the proof is found however it was set, and nothing else is taken for it."""

import json

import pytest

from pacspace_stripe.evidence.reader import ReadEvidence, read_evidence
from pacspace_stripe.verify import StepOutcome
from pacspace_stripe.verify.printed_text import in_footer, on_every_page
from pacspace_stripe.verify.report import printable
from pacspace_stripe.verify.stamps import in_keywords
from pacspace_stripe.vocabulary.canonical_json import canonical
from tests.support.evidence import GENUINE
from tests.support.examples import ROOT, SHA

EVIDENCE = read_evidence(GENUINE["matched"].document)
HASH = EVIDENCE.sha256
FOOTER = f"""Metered usage as recorded in PacSpace, an independent ledger
2026-10-01 00:00 to 2026-11-01 00:00 UTC
api_calls: 100 in 4 records
Proof root: {ROOT}
Verify: https://verify.example/{ROOT}
Evidence SHA-256: {HASH}"""
OTHER_ROOT, OTHER_HASH = "0x" + "ba" * 32, "0123456789abcdef" * 4


def wrapped(words: str, width: int, end: str) -> str:
    return end.join(words[at : at + width] for at in range(0, len(words), width))


def outcome(*pages: str, evidence: ReadEvidence = EVIDENCE) -> StepOutcome:
    return on_every_page(pages, evidence).outcome


@pytest.mark.parametrize("end", ["\n", "\r\n", "-\n", "\u00ad\n", "\u2010\r\n", "\ufffe", "\x02\n", " "])
@pytest.mark.parametrize("width", [7, 20, 33, 64])
def test_a_footer_that_was_wrapped_or_hyphenated_anywhere_is_read(width: int, end: str) -> None:
    assert outcome(wrapped(FOOTER, width, end)) is StepOutcome.HOLDS


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(FOOTER, id="as it is"),
        pytest.param(f"Invoice 1\nTotal: 12.50\n{FOOTER}\nPage 1 of 2", id="among other text"),
        pytest.param(FOOTER + FOOTER, id="twice"),
        pytest.param(FOOTER.upper().replace("0XAB", "0xAB"), id="in capitals"),
        pytest.param(FOOTER.replace("ff", "\ufb00"), id="with ligatures"),
        pytest.param(FOOTER.replace(" ", "\u00a0"), id="with spaces that do not break"),
    ],
)
def test_a_footer_is_found_however_it_is_set(page: str) -> None:
    assert outcome(page) is StepOutcome.HOLDS
    assert outcome(FOOTER, page, FOOTER) is StepOutcome.HOLDS


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(FOOTER.replace(ROOT, OTHER_ROOT), id="another root"),
        pytest.param(FOOTER.replace(f"root: {ROOT}", f"root: {OTHER_ROOT}"), id="another root beside the right link"),
        pytest.param(FOOTER + f"\nProof root: {OTHER_ROOT}", id="a root more"),
        pytest.param(FOOTER.replace(HASH, OTHER_HASH), id="another hash"),
        pytest.param(FOOTER + f"\nEvidence SHA-256: {OTHER_HASH}", id="a hash more"),
        pytest.param(FOOTER.replace(HASH, HASH[:-1]), id="a digit less"),
        pytest.param(FOOTER.replace(ROOT, ""), id="no root"),
        pytest.param(FOOTER.replace(HASH, ""), id="no hash"),
        pytest.param(FOOTER.replace("100 in 4", "101 in 4"), id="another figure"),
        pytest.param(FOOTER.replace("100 in 4", "100 in 5"), id="another number of records"),
        pytest.param("Thank you for your business", id="nothing of ours"),
    ],
)
def test_a_footer_with_anything_else_is_refuted_on_any_page(page: str) -> None:
    assert outcome(page) is StepOutcome.REFUTED
    assert outcome(FOOTER, page) is StepOutcome.REFUTED
    assert in_footer(page, EVIDENCE).outcome is StepOutcome.REFUTED


def test_a_page_without_text_leaves_the_question_open() -> None:
    assert outcome(FOOTER, " \r\n") is StepOutcome.CANNOT_TELL
    assert outcome() is StepOutcome.CANNOT_TELL


def test_a_refuted_page_is_not_hidden_by_one_without_text() -> None:
    assert outcome("", FOOTER.replace(HASH, OTHER_HASH)) is StepOutcome.REFUTED


def later_of(froze: ReadEvidence) -> ReadEvidence:
    """The evidence about a finalized invoice, two links after the decision that its footer froze with."""
    document = json.loads(GENUINE["confirmation"].document)
    document["decision"] = {"verdict": "drifted", "reason": "CHANGED_AT_FINALIZATION"}
    document["chain"] = froze.document.chain.model_dump() | {"sequence": 3, "previous_sha256": SHA}
    document["windows"][0]["proof"] |= {"proof_root": OTHER_ROOT, "verify_url": f"https://verify.example/{ROOT}"}
    return read_evidence(canonical(document | {"confirms": None}))


LATER = later_of(EVIDENCE)
OVERLAY = FOOTER.replace(ROOT, OTHER_ROOT).replace(HASH, LATER.sha256)
"""The text that stamp-pdf puts on the page."""


@pytest.mark.parametrize("page", [FOOTER, FOOTER + OVERLAY, OVERLAY + FOOTER])
def test_a_frozen_footer_holds_where_its_earlier_decision_is_known(page: str) -> None:
    assert on_every_page([page, OVERLAY], LATER, [EVIDENCE]).outcome is StepOutcome.HOLDS
    assert in_footer(page, LATER, [EVIDENCE]).outcome is StepOutcome.HOLDS


@pytest.mark.parametrize("page", [FOOTER, FOOTER + OVERLAY, OVERLAY + FOOTER, FOOTER.replace(HASH, OTHER_HASH)])
def test_a_frozen_footer_leaves_the_question_open_where_the_earlier_decision_is_not_known(page: str) -> None:
    found = on_every_page([OVERLAY, page], LATER)
    assert found.outcome is StepOutcome.CANNOT_TELL
    assert "names other evidence" in found.detail


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(OVERLAY.replace(OTHER_ROOT, ROOT), id="another root without the decision it is of"),
        pytest.param(FOOTER + OVERLAY.replace(OTHER_ROOT, ROOT), id="the earlier root in both"),
        pytest.param(FOOTER + OVERLAY.replace(OTHER_ROOT, ""), id="no root of its own"),
        pytest.param(OVERLAY.replace(LATER.sha256, ""), id="no hash"),
        pytest.param(OVERLAY + f"\nProof root: {ROOT}", id="a root more, that of its own link"),
    ],
)
def test_a_swapped_root_is_refuted_although_a_footer_can_freeze(page: str) -> None:
    assert outcome(page, evidence=LATER) is StepOutcome.REFUTED


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(FOOTER.replace(ROOT, OTHER_ROOT), id="the later root with the earlier hash"),
        pytest.param(FOOTER.replace("100 in 4", "101 in 4"), id="another figure"),
        pytest.param(OVERLAY.replace(OTHER_ROOT, ROOT), id="the earlier root without its hash"),
        pytest.param(FOOTER + f"\nProof root: 0x{'cd' * 32}", id="a root of neither"),
    ],
)
def test_a_frozen_footer_names_its_own_roots_and_figures(page: str) -> None:
    assert on_every_page([page], LATER, [EVIDENCE]).outcome is StepOutcome.REFUTED


def with_meters(*meters: str) -> tuple[ReadEvidence, str]:
    """Return evidence of several meters, each with its own figures, and the footer."""
    document = json.loads(GENUINE["matched"].document)
    [window] = document["windows"]
    document["windows"] = [
        {**window, "meter": meter, "recorded": f"{number}00", "count": number}
        for number, meter in enumerate(meters, start=1)
    ]
    lines = [f"{meter}: {number}00 in {number} records" for number, meter in enumerate(meters, start=1)]
    read = read_evidence(canonical(document))
    said = FOOTER.replace("api_calls: 100 in 4 records", "\n".join(lines)).replace(HASH, read.sha256)
    return read, said


def test_other_text_on_the_page_is_not_taken_for_the_footers_figures() -> None:
    assert outcome(f"Plan: 250 in 3 records\n{FOOTER}\nAPI calls: 250 in 3 records") is StepOutcome.HOLDS
    assert outcome(f"{FOOTER}\napi_calls: 250 in 3 records") is StepOutcome.CANNOT_TELL


def test_figures_are_those_of_their_meter() -> None:
    evidence, said = with_meters("calls", "api_calls", "\u05e9\u05d9\u05d7\u05d5\u05ea")
    for genuine in (said, said.replace(": 300", "\nRecorded: 300")):
        assert outcome(genuine, evidence=evidence) is StepOutcome.HOLDS
    assert outcome(said.replace("100 in 1", "200 in 2"), evidence=evidence) is StepOutcome.REFUTED
    assert outcome(said.replace(": 300", "\nRecorded: 301"), evidence=evidence) is StepOutcome.REFUTED


def test_a_footer_under_a_heading_of_the_vendors_own_never_holds_with_other_figures() -> None:
    said = FOOTER.replace("Metered usage as recorded in PacSpace", "Usage")
    assert outcome(said) is StepOutcome.HOLDS
    assert outcome(said.replace("100 in 4", "101 in 4")) is StepOutcome.CANNOT_TELL


WORDS = f"evidence-sha256:{HASH}, proof-root:{ROOT}"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (WORDS, StepOutcome.HOLDS),
        (f"usage, {WORDS}, invoice", StepOutcome.HOLDS),
        (f"proof-root:{ROOT},evidence-sha256:{HASH}", StepOutcome.HOLDS),
        (f"evidence-sha256:{HASH}", StepOutcome.REFUTED),
        (f"proof-root:{ROOT}", StepOutcome.REFUTED),
        (f"{WORDS}, proof-root:{OTHER_ROOT}", StepOutcome.REFUTED),
        (f"{WORDS}, evidence-sha256:{OTHER_HASH}", StepOutcome.REFUTED),
        (WORDS.replace(HASH, OTHER_HASH), StepOutcome.REFUTED),
        (WORDS.replace(ROOT, OTHER_ROOT), StepOutcome.REFUTED),
        ("", StepOutcome.CANNOT_TELL),
        (None, StepOutcome.CANNOT_TELL),
    ],
)
def test_keywords_name_the_evidence_and_its_roots_and_no_others(said: str | None, expected: StepOutcome) -> None:
    assert in_keywords({"XMP": said}, EVIDENCE).outcome is expected
    assert in_keywords({"XMP": WORDS, "document information": said}, EVIDENCE).outcome is expected


def test_printable_text_is_one_line() -> None:
    shown = printable("a\x1b[31m\n\tb\u202e\x9bc\ud800" + "x" * 5000)
    assert shown.startswith("a\ufffd[31m b\ufffd\ufffdc\ufffdx")
    assert shown.isprintable()
    assert len(shown) <= 1000
