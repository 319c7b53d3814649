"""Reading foreign JSON: exactly, or not at all."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.errors import UnexpectedAnswer
from pacspace_stripe.http.answers import Fields, decimal_of, exact_json, json_answer
from pacspace_stripe.http.calls import ErrorBody, error_body


def test_numbers_are_exactly_those_that_were_written() -> None:
    assert exact_json(b'{"a": 0.1, "b": 12345678901234567890.5, "c": 3, "d": -1.50e2}') == {
        "a": Decimal("0.1"),
        "b": Decimal("12345678901234567890.5"),
        "c": 3,
        "d": Decimal("-1.50e2"),
    }


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>502 Bad Gateway</html>",
        b"{",
        b"NaN",
        b'{"a": Infinity}',
        b"\xff\xfe",
        b"[" * 100_000,
        b"9" * 5000,
        b"1e99999999999999999999",
    ],
    ids=["empty", "page", "cut", "nan", "infinity", "not utf-8", "deep", "long", "exponent"],
)
def test_unusable_json_is_an_unexpected_answer(text: bytes) -> None:
    with pytest.raises(UnexpectedAnswer, match="Stripe: /v1/x: the answer is not JSON"):
        json_answer("Stripe", "/v1/x", text)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0, "0"),
        (1250, "1250"),
        (Decimal("-0.5"), "-0.5"),
        ("12.000000000001", "12.000000000001"),
        ("-3", "-3"),
        ("1e2", "1e2"),
        (10**30, "1e30"),
        ("0", "0"),
    ],
)
def test_numbers_and_numeric_strings_are_read_exactly(value: object, number: str) -> None:
    assert decimal_of(value) == Decimal(number)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        1.5,
        "",
        " 1",
        "1 ",
        "1_000",
        "1,000",
        "0x10",
        "١٢",
        "NaN",
        "Infinity",
        "1e999",
        "--1",
        ".5",
        [1],
        {},
        Decimal("1e999999999"),
        Decimal("NaN"),
        10**31,
        10**400,
    ],
)
def test_other_values_are_no_numbers(value: object) -> None:
    assert decimal_of(value) is None


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=9))
def test_every_decimal_survives_the_way_through_json(number: Decimal) -> None:
    assert Fields("PacSpace", "x", exact_json(f'{{"a": {number:f}}}')).number("a") == number


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", ErrorBody()),
        (b"<html>", ErrorBody()),
        (b"[1]", ErrorBody()),
        (b"{}", ErrorBody()),
        (b'{"error": null}', ErrorBody()),
        (b'{"error": 5}', ErrorBody()),
        (
            b'{"success": false, "error": {"code": "CADENCE_LIMIT", "message": "slow", "retryAfterSeconds": 120}}',
            ErrorBody(code="CADENCE_LIMIT", message="slow", retry_after=120.0, readable=True, nested=True),
        ),
        (
            b'{"message": ["a must be b", "c"], "code": "X", "retryAfterSeconds": "1.5"}',
            ErrorBody(code="X", message="a must be b; c", retry_after=1.5, readable=True),
        ),
        (
            b'{"statusCode": 404, "error": "Not Found", "message": "Cannot GET /x"}',
            ErrorBody(message="Cannot GET /x", readable=True),
        ),
        (b'{"error": {"code": 5, "message": {}}}', ErrorBody(readable=True, nested=True)),
        (b'{"message": "m", "retryAfterSeconds": -1}', ErrorBody(message="m", readable=True)),
        (b'{"message": "m", "retryAfterSeconds": true}', ErrorBody(message="m", readable=True)),
    ],
)
def test_error_bodies_of_both_vendors_are_read(body: bytes, said: ErrorBody) -> None:
    assert error_body(body) == said


def test_a_message_stays_on_one_line() -> None:
    assert error_body(b'{"message": "one\\n  ERROR two\\u2028three"}').message == "one ERROR two three"


def test_a_long_message_is_cut() -> None:
    assert len(error_body(b'{"message": "' + b"x" * 5000 + b'"}').message or "") == 300


Reader = Callable[[Fields, str], object]

_GOOD = {
    "text": "hello",
    "flag": False,
    "integer": 5,
    "number": "0.25",
    "at": 1_700_000_000,
    "object": {"id": "cus_1"},
    "list": [{"id": "a"}],
    "written": "2026-02-14T14:22:00.000Z",
    "null": None,
}


@pytest.mark.parametrize(
    ("read", "name", "value"),
    [
        (Fields.text, "text", "hello"),
        (Fields.flag, "flag", False),
        (Fields.integer, "integer", 5),
        (Fields.number, "number", Decimal("0.25")),
        (Fields.number, "integer", Decimal(5)),
        (Fields.at, "at", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (Fields.optional_id, "object", "cus_1"),
        (Fields.optional_id, "text", "hello"),
        (Fields.texts, "object", {"id": "cus_1"}),
        (Fields.texts, "null", {}),
        (Fields.length, "list", 1),
        (Fields.optional_written_at, "written", datetime(2026, 2, 14, 14, 22, tzinfo=UTC)),
        *((read, name, None) for read in (Fields.optional_text, Fields.optional_id) for name in ("null", "absent")),
        *((read, "absent", None) for read in (Fields.optional_flag, Fields.optional_integer, Fields.optional_number)),
        *((read, "absent", None) for read in (Fields.optional_at, Fields.optional_fields, Fields.optional_written_at)),
        (Fields.nullable_text, "null", None),
        (Fields.nullable_id, "null", None),
        (Fields.nullable_fields, "null", None),
    ],
)
def test_a_field_of_the_right_type_is_read(read: Reader, name: str, value: object) -> None:
    assert read(Fields("Stripe", "thing", _GOOD), name) == value


_REQUIRED: list[Reader] = [
    Fields.text, Fields.flag, Fields.integer, Fields.number, Fields.at, Fields.fields, Fields.items, Fields.length,
]  # fmt: skip
_PRESENT: list[Reader] = [Fields.nullable_text, Fields.nullable_id, Fields.nullable_fields, Fields.raw]


@pytest.mark.parametrize("read", [*_REQUIRED, *_PRESENT])
def test_a_missing_field_is_named(read: Reader) -> None:
    with pytest.raises(UnexpectedAnswer, match="Stripe: thing: absent is missing"):
        read(Fields("Stripe", "thing", _GOOD), "absent")


@pytest.mark.parametrize("read", _REQUIRED)
def test_null_is_not_a_value(read: Reader) -> None:
    with pytest.raises(UnexpectedAnswer, match=r"thing[:.] ?null is null"):
        read(Fields("Stripe", "thing", _GOOD), "null")


@pytest.mark.parametrize(
    ("read", "name", "problem"),
    [
        (Fields.text, "integer", "is a number, not text"),
        (Fields.optional_text, "flag", "is true or false, not text"),
        (Fields.flag, "text", "is text, not true or false"),
        (Fields.flag, "integer", "is a number, not true or false"),
        (Fields.integer, "flag", "is true or false, not a whole number"),
        (Fields.integer, "number", "is text, not a whole number"),
        (Fields.number, "text", "is text that is no usable number"),
        (Fields.number, "flag", "is true or false that is no usable number"),
        (Fields.fields, "list", "is a list, not an object"),
        (Fields.items, "object", "is an object, not a list"),
        (Fields.length, "text", "is text, not a list"),
        (Fields.optional_id, "list", "is a list, not text"),
        (Fields.optional_written_at, "text", "is not an ISO 8601 time"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(read: Reader, name: str, problem: str) -> None:
    with pytest.raises(UnexpectedAnswer, match=f"{name} {problem}"):
        read(Fields("Stripe", "thing", _GOOD), name)


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (Fields.text, ""),
        (Fields.text, "a\x00b"),
        (Fields.text, "\ud800"),
        (Fields.integer, 2**63),
        (Fields.integer, Decimal("1.0")),
        (Fields.at, -1),
        (Fields.at, 10**12),
        (Fields.items, [1]),
        (Fields.texts, {"key": 1}),
        (Fields.number, Decimal("1e99")),
    ],
)
def test_values_that_cannot_be_used_are_refused(read: Reader, value: object) -> None:
    with pytest.raises(UnexpectedAnswer, match="field"):
        read(Fields("Stripe", "thing", {"field": value}), "field")


@pytest.mark.parametrize("data", [None, 5, "text", [], True, Decimal(1)])
def test_only_an_object_has_fields(data: object) -> None:
    with pytest.raises(UnexpectedAnswer, match=r"thing is .*, not an object"):
        Fields("Stripe", "thing", data)


def test_text_beyond_ascii_is_kept() -> None:
    assert Fields("Stripe", "thing", exact_json(rb'{"a": "\ud83d\ude00 Z\u00fcrich"}')).text("a") == "😀 Zürich"
