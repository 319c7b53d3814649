"""What is printed: found however it was set, and nothing else in its place."""

import json

import pytest

from pacspace_stripe.domain.evidence import canonical
from pacspace_stripe.evidence_format import ReadEvidence, read_evidence
from pacspace_stripe.verification import Outcome
from pacspace_stripe.verification.printed import in_footer, on_every_page
from pacspace_stripe.verification.report import printable
from pacspace_stripe.verification.stamped import in_keywords
from tests.unit.examples import ROOT, SHA
from tests.unit.test_evidence_format import GENUINE

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


def outcome(*pages: str, evidence: ReadEvidence = EVIDENCE) -> Outcome:
    return on_every_page(pages, evidence).outcome


@pytest.mark.parametrize("end", ["\n", "\r\n", "-\n", "\u00ad\n", "\u2010\r\n", "\ufffe", "\x02\n", " "])
@pytest.mark.parametrize("width", [7, 20, 33, 64])
def test_a_footer_that_was_wrapped_or_hyphenated_anywhere_is_read(width: int, end: str) -> None:
    assert outcome(wrapped(FOOTER, width, end)) is Outcome.HOLDS


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
    assert outcome(page) is Outcome.HOLDS
    assert outcome(FOOTER, page, FOOTER) is Outcome.HOLDS


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
def test_a_footer_that_says_anything_else_is_refuted_on_any_page(page: str) -> None:
    assert outcome(page) is Outcome.REFUTED
    assert outcome(FOOTER, page) is Outcome.REFUTED
    assert in_footer(page, EVIDENCE).outcome is Outcome.REFUTED


def test_a_page_without_text_leaves_it_open() -> None:
    assert outcome(FOOTER, " \r\n") is Outcome.CANNOT_TELL
    assert outcome() is Outcome.CANNOT_TELL


def test_a_refuted_page_is_not_hidden_by_one_without_text() -> None:
    assert outcome("", FOOTER.replace(HASH, OTHER_HASH)) is Outcome.REFUTED


def test_a_footer_that_froze_before_the_drift_was_found_leaves_it_open() -> None:
    document = json.loads(GENUINE["confirmation"].document)
    document["decision"] = {"verdict": "drifted", "reason": "CHANGED_AT_FINALIZATION"}
    document["chain"]["previous_sha256"] = SHA
    later = read_evidence(canonical(document | {"confirms": None}))
    assert outcome(FOOTER.replace(HASH, SHA), evidence=later) is Outcome.CANNOT_TELL
    assert outcome(FOOTER.replace(HASH, OTHER_HASH), evidence=later) is Outcome.REFUTED


WORDS = f"evidence-sha256:{HASH}, proof-root:{ROOT}"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (WORDS, Outcome.HOLDS),
        (f"usage, {WORDS}, invoice", Outcome.HOLDS),
        (f"proof-root:{ROOT},evidence-sha256:{HASH}", Outcome.HOLDS),
        (f"evidence-sha256:{HASH}", Outcome.REFUTED),
        (f"proof-root:{ROOT}", Outcome.REFUTED),
        (f"{WORDS}, proof-root:{OTHER_ROOT}", Outcome.REFUTED),
        (f"{WORDS}, evidence-sha256:{OTHER_HASH}", Outcome.REFUTED),
        (WORDS.replace(HASH, OTHER_HASH), Outcome.REFUTED),
        (WORDS.replace(ROOT, OTHER_ROOT), Outcome.REFUTED),
        ("", Outcome.CANNOT_TELL),
        (None, Outcome.CANNOT_TELL),
    ],
)
def test_keywords_name_the_evidence_and_its_roots_and_no_others(said: str | None, expected: Outcome) -> None:
    assert in_keywords({"XMP": said}, EVIDENCE).outcome is expected
    assert in_keywords({"XMP": WORDS, "document information": said}, EVIDENCE).outcome is expected


def test_what_is_shown_is_one_line_of_printable_characters() -> None:
    shown = printable("a\x1b[31m\n\tb\u202e\x9bc\ud800" + "x" * 5000)
    assert shown.startswith("a\ufffd[31m b\ufffd\ufffdc\ufffdx")
    assert shown.isprintable()
    assert len(shown) <= 1000
