"""Evidence as it is read back: all that the gate writes, and nothing that could be read in two ways."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

import pacspace_stripe
from pacspace_stripe.errors import PacspaceStripeError, UnreadableEvidence
from pacspace_stripe.evidence.reader import LARGEST, read_evidence
from pacspace_stripe.evidence.rules.document import Evidence
from pacspace_stripe.verify.consistency import problems
from pacspace_stripe.vocabulary.canonical_json import canonical
from tests.support.evidence import GENUINE, MATCHED, sealed
from tests.support.examples import SHA

SCHEMA = json.loads((Path(pacspace_stripe.__file__).parent / "evidence/evidence-1.json").read_text())


@pytest.mark.parametrize("evidence", GENUINE.values(), ids=GENUINE)
def test_evidence_of_the_gate_reads_back_unchanged(evidence: Evidence) -> None:
    read = read_evidence(evidence.document)
    assert (read.canonical, read.sha256, read.data) == (True, evidence.sha256, evidence.document)


@pytest.mark.parametrize("evidence", GENUINE.values(), ids=GENUINE)
def test_evidence_of_the_gate_adds_up(evidence: Evidence) -> None:
    assert list(problems(read_evidence(evidence.document).document)) == []


@pytest.mark.parametrize("evidence", GENUINE.values(), ids=GENUINE)
def test_the_shipped_schema_accepts_evidence_of_the_gate(evidence: Evidence) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(evidence.document))


def test_the_shipped_schema_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_finding_reads_back_equal() -> None:
    assert read_evidence(sealed(MATCHED).document).document.finding() == MATCHED


def changed(**changes: Any) -> bytes:  # noqa: ANN401 - any JSON, right or wrong
    """Return the matched document with other values at dotted places, of any JSON kind."""
    document = json.loads(GENUINE["matched"].document)
    for place, value in changes.items():
        *parents, name = place.split("__")
        inner = document
        for parent in parents:
            inner = inner[int(parent) if parent.isdigit() else parent]
        inner[name] = value
    return rfc8785.dumps(document)


MALFORMED: dict[str, dict[str, Any]] = {
    "another version": {"format": "pacspace-stripe/evidence/2"},
    "no version": {"format": None},
    "a field too many": {"extra": 1},
    "a field too many inside": {"windows__0__extra": 1},
    "a verdict that we have no word for": {"decision__verdict": "fine"},
    "a reason that we have no word for": {"windows__0__reason": "BECAUSE"},
    "a number in the place of text": {"invoice": 1},
    "text in the place of a number": {"windows__0__count": "4"},
    "a truth in the place of a number": {"windows__0__count": True},
    "a number in the place of a truth": {"livemode": 0},
    "a quantity that is a number": {"windows__0__billed": 100},
    "a quantity with an exponent": {"windows__0__billed": "1e2"},
    "a quantity with zeros before": {"windows__0__billed": "0100"},
    "a quantity with zeros after": {"windows__0__billed": "100.0"},
    "a quantity with a line end": {"windows__0__billed": "100\n"},
    "a quantity in other digits": {"windows__0__billed": "\u0661\u0660\u0660"},
    "less than zero of nothing": {"windows__0__billed": "-0"},
    "no quantity": {"windows__0__billed": "NaN"},
    "an endless quantity": {"windows__0__billed": "Infinity"},
    "a quantity of a million digits": {"windows__0__billed": "9" * 1_000_000},
    "a count below zero": {"windows__0__count": -1},
    "a place before the first": {"chain__sequence": 0},
    "a hash that is none": {"chain__previous_sha256": "c0ffee"},
    "a hash in capitals": {"confirms": SHA.upper()},
    "a root that is a sentence": {"windows__0__proof__proof_root": "0x ab"},
    "a time without a zone": {"decided_at": "2026-11-01T00:00:00"},
    "a time in another zone": {"decided_at": "2026-11-01T00:00:00+00:00"},
    "a time that never was": {"decided_at": "2026-02-30T00:00:00Z"},
    "a time before all years": {"decided_at": "0000-01-01T00:00:00Z"},
    "a window that ends before it starts": {"windows__0__end": "2026-09-01T00:00:00Z"},
    "a window without an end": {"windows__0__end": None},
    "a proof of no account": {"windows__0__account": None},
    "windows that are no list": {"windows": {}},
    "too many lines": {"windows__0__lines": [{"id": "il_1", "quantity": "1"}] * 10_001},
    "a text too long": {"customer": "x" * 5001},
}


@pytest.mark.parametrize("changes", MALFORMED.values(), ids=MALFORMED)
def test_evidence_that_the_gate_never_writes_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UnreadableEvidence):
        read_evidence(changed(**changes))


@pytest.mark.parametrize("name", MALFORMED)
def test_the_schema_refuses_the_same_as_far_as_a_schema_can(name: str) -> None:
    beyond = {
        *("a time that never was", "a time before all years", "a window that ends before it starts"),
        *("a window without an end", "a proof of no account", "a quantity with a line end"),
    }
    document = json.loads(changed(**MALFORMED[name]))
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(document) == (name in beyond)


def test_a_field_that_is_missing_is_refused() -> None:
    document = json.loads(GENUINE["matched"].document)
    for name in document:
        short = {key: value for key, value in document.items() if key != name}
        with pytest.raises(UnreadableEvidence):
            read_evidence(canonical(short))


def unreadable() -> Iterator[Any]:
    genuine = GENUINE["matched"].document
    yield pytest.param(b"", id="nothing")
    yield pytest.param(genuine[:-1], id="cut off")
    yield pytest.param(genuine + b"{}", id="two documents")
    yield pytest.param(b"\xef\xbb\xbf" + genuine, id="a byte order mark")
    yield pytest.param(genuine.decode().encode("utf-16"), id="another encoding")
    yield pytest.param(genuine.replace(b"cus_1", b"cus_\xff"), id="bytes that are no text")
    yield pytest.param(genuine.replace(b"cus_1", b"cus_\\ud800"), id="half of a character")
    yield pytest.param(b'{"invoice":"in_2",' + genuine[1:], id="a name twice")
    yield pytest.param(genuine.replace(b'"count":4', b'"count":4,"count":4'), id="a name twice inside")
    yield pytest.param(genuine.replace(b'"count":4', b'"count":4.0'), id="a fraction")
    yield pytest.param(genuine.replace(b'"count":4', b'"count":4e0'), id="an exponent")
    yield pytest.param(genuine.replace(b'"count":4', b'"count":NaN'), id="NaN")
    yield pytest.param(genuine.replace(b'"count":4', b'"count":-Infinity'), id="Infinity")
    yield pytest.param(genuine.replace(b'"count":4', b'"count":9007199254740992'), id="a number beyond a double's")
    yield pytest.param(genuine.replace(b'"count":4', b'"count":' + b"9" * 100_000), id="a number of 100,000 digits")
    yield pytest.param(b"[" * 1_000_000, id="nested too deep")
    yield pytest.param(b'{"format":' * 100_000, id="nested too deep in objects")
    yield pytest.param(b'{"format":"pacspace-stripe/evidence/1","a":' + b"[" * 5000 + b"]" * 5000 + b"}", id="deep")
    yield pytest.param(b'"' + b"x" * LARGEST + b'"', id="too large")
    yield pytest.param(b"[]", id="a list")
    yield pytest.param(b"null", id="null")


@pytest.mark.parametrize("data", list(unreadable()))
def test_bytes_with_more_than_one_meaning_are_refused(data: bytes) -> None:
    with pytest.raises(UnreadableEvidence):
        read_evidence(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(json.dumps(json.loads(GENUINE["matched"].document)).encode(), id="spaces"),
        pytest.param(
            json.dumps(dict(reversed(json.loads(GENUINE["matched"].document).items())), separators=(",", ":")).encode(),
            id="re-ordered keys",
        ),
        pytest.param(GENUINE["matched"].document.replace(b"cus_1", b"cus_\\u0031"), id="another escape"),
        pytest.param(GENUINE["matched"].document + b" ", id="a space after it"),
    ],
)
def test_another_spelling_is_readable_but_not_canonical(data: bytes) -> None:
    read = read_evidence(data)
    assert read.canonical is False
    assert read.document == read_evidence(GENUINE["matched"].document).document


def test_an_error_names_the_place_and_not_the_value() -> None:
    with pytest.raises(UnreadableEvidence, match=r"windows\.0\.billed") as refused:
        read_evidence(changed(windows__0__billed="\x1b[31m100"))
    assert "\x1b" not in str(refused.value)


@given(
    st.binary(max_size=200) | st.text(max_size=200).map(lambda text: f'{{"format":"{text}"}}'.encode(errors="replace"))
)
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(UnreadableEvidence):
        read_evidence(data)


@given(st.integers(min_value=0), st.binary(min_size=1, max_size=3))
def test_a_changed_byte_is_refused_or_is_another_document(at: int, new: bytes) -> None:
    genuine = GENUINE["waived"].document
    at %= len(genuine)
    data = genuine[:at] + new + genuine[at + len(new) :]
    try:
        read = read_evidence(data)
    except PacspaceStripeError:
        return
    assert (read.sha256 == GENUINE["waived"].sha256) == (data == genuine)
