"""Values within PacSpace's limits are sent unchanged; all others are refused before anything is sent."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.errors import InvalidInput
from pacspace_stripe.pacspace_api import (
    CheckpointName,
    CurrentMonth,
    Month,
    NewDelta,
    PacSpace,
    Scope,
    Since,
    Write,
    inputs,
)
from pacspace_stripe.pacspace_api.http import exact_json, segment
from pacspace_stripe.pacspace_api.inputs import scope_fields
from pacspace_stripe.vocabulary.windows import Window


@pytest.mark.parametrize("name", ["reason", "reference_id", "adjusts_record"])
def test_text_that_could_not_be_read_back_is_not_sent(name: str) -> None:
    with pytest.raises(InvalidInput, match="not text"):
        new_delta(**{name: "nothing\x00here"})


def new_delta(**changes: Any) -> NewDelta:  # noqa: ANN401  # right or wrong
    return NewDelta(**{"customer_id": "cust_1", "delta": Decimal(-1), "reason": "usage", **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"delta": 1_000_000_000},
        {"delta": Decimal("-1000000000.00")},
        {"delta": Decimal("1E-30")},
        {"customer_id": "a"},
        {"customer_id": "A_z-0.9:" * 16},
        {"reason": "r" * 500},
        {"reason": "ü€😀"},
        {"reference_id": "usage:cust_1:2026-04-01"},
        {"metadata": {"a": [1, Decimal("0.10"), None, {"b": True}]}},
        {"adjusts_record": "rec_1"},
        {"adjusts_reference": "r1"},
    ],
    ids=repr,
)
def test_a_delta_within_the_documented_limits_can_be_sent(changes: dict[str, object]) -> None:
    json.loads(exact_json(new_delta(**changes).body()))


@pytest.mark.parametrize(
    "changes",
    [
        {"delta": 0},
        {"delta": Decimal("-0.000")},
        {"delta": Decimal("NaN")},
        {"delta": Decimal("sNaN")},
        {"delta": Decimal("Infinity")},
        {"delta": Decimal("1000000000.01")},
        {"delta": -1_000_000_001},
        {"delta": 10**400},
        {"delta": Decimal("1E+999999999")},
        {"delta": Decimal("1E-31")},
        {"delta": 0.1},
        {"delta": float("nan")},
        {"delta": True},
        {"delta": "5"},
        {"delta": None},
        {"customer_id": ""},
        {"customer_id": "a" * 129},
        {"customer_id": "a b"},
        {"customer_id": "a/b"},
        {"customer_id": "ü"},
        {"customer_id": "a\n"},
        {"customer_id": None},
        {"reason": ""},
        {"reason": "r" * 501},
        {"reason": None},
        {"reason": "\ud800"},
        {"reference_id": ""},
        {"reference_id": 5},
        {"metadata": ["a"]},
        {"metadata": {1: "a"}},
        {"adjusts_record": "rec_1", "adjusts_reference": "r1"},
    ],
    ids=repr,
)
def test_a_delta_outside_the_documented_limits_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as refused:
        new_delta(**changes)
    assert refused.value.hint


@pytest.mark.parametrize("bits", [0, 0.5, True, "1", 2**53 + 1, None])
def test_bits_are_whole_numbers(bits: Any) -> None:  # noqa: ANN401  # right or wrong
    with pytest.raises(InvalidInput):
        Write(key="k", account_id="a", bits=bits)


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=12).filter(bool))
def test_a_delta_is_sent_with_exactly_its_digits(amount: Decimal) -> None:
    sent = json.loads(exact_json(new_delta(delta=amount).body()), parse_float=Decimal, parse_int=Decimal)
    assert sent["delta"] == amount


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_json_values_are_written_unchanged(value: object) -> None:
    assert json.loads(exact_json(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), {1: 2}, b"x", {3}, object(), [b"x"]])
def test_values_that_json_cannot_hold_are_refused(value: object) -> None:
    with pytest.raises(InvalidInput):
        exact_json(value)


@pytest.mark.parametrize("named", ["", ".", "..", "...", "\ud800"])
def test_an_id_that_names_another_path_is_refused(named: str) -> None:
    with pytest.raises(InvalidInput):
        segment(named)


@pytest.mark.parametrize(
    ("scope", "asked"),
    [
        (None, {}),
        (Month(year=2026, month=4), {"period": "2026-04"}),
        (Month.parse("0999-12"), {"period": "0999-12"}),
        (CurrentMonth(), {"timePreset": "current_month"}),
        (
            Window(start=datetime(2026, 4, 1, 8, 30, 15, tzinfo=UTC), end=datetime(2026, 5, 1, tzinfo=UTC)),
            {"timePreset": "custom", "startDate": "2026-04-01T08:30:15Z", "endDate": "2026-05-01T00:00:00Z"},
        ),
        (Since(checkpoint="0xab"), {"startingCheckpoint": "0xab", "startingCheckpointType": "proofRoot"}),
        (
            Since(checkpoint="rec_1", named_by=CheckpointName.RECORD_ID),
            {"startingCheckpoint": "rec_1", "startingCheckpointType": "recordId"},
        ),
        (Since(checkpoint="0xab", named_by=None), {"startingCheckpoint": "0xab"}),
    ],
)
def test_each_scope_has_its_own_query(scope: Scope | None, asked: dict[str, str]) -> None:
    assert scope_fields(scope) == asked


@pytest.mark.parametrize(("year", "month"), [(2026, 0), (2026, 13), (0, 1), (10000, 1)])
def test_a_month_outside_the_calendar_is_refused(year: int, month: int) -> None:
    with pytest.raises(InvalidInput):
        Month(year=year, month=month)


@pytest.mark.parametrize("written", ["", "2026", "2026-13", "04-2026", "2026-04-01", "April"])
def test_a_month_written_in_another_way_is_refused(written: str) -> None:
    with pytest.raises(InvalidInput, match="2026-04"):
        Month.parse(written)


def test_a_month_is_that_of_utc() -> None:
    west = timezone(timedelta(hours=-8))
    assert str(Month.of(datetime(2026, 4, 30, 17, tzinfo=west))) == "2026-05"
    with pytest.raises(InvalidInput):
        Month.of(datetime(2026, 4, 30))  # noqa: DTZ001  # what must not be


def test_a_scope_since_a_checkpoint_needs_its_name() -> None:
    with pytest.raises(InvalidInput):
        Since(checkpoint="")


@pytest.mark.parametrize(
    ("key", "given", "chosen"),
    [
        ("pk_test_a.b", {}, "https://app.pacspace.io"),
        ("pk_live_a.b", {}, "https://app.pacspace.io"),
        ("pk_test_a.b", {"sandbox_url": "https://sandbox.test/"}, "https://sandbox.test"),
        ("pk_live_a.b", {"sandbox_url": "https://sandbox.test"}, "https://app.pacspace.io"),
        ("pk_test_a.b", {"sandbox_url": "https://s.test", "base_url": "http://127.0.0.1:1"}, "http://127.0.0.1:1"),
        ("pk_live_a.b", {"base_url": "https://proxy.test/pacspace/"}, "https://proxy.test/pacspace"),
    ],
)
def test_the_address_follows_the_key_unless_it_is_given(key: str, given: dict[str, Any], chosen: str) -> None:
    with PacSpace(key, **given) as pac:
        assert pac.base_url == chosen


@pytest.mark.parametrize("key", ["", "sk_test_a", "pk_live_", "pk_test_a b", "pk_test_ü", None])
def test_a_wrong_key_is_not_repeated(key: Any) -> None:  # noqa: ANN401  # right or wrong
    with pytest.raises(InvalidInput) as refused:
        PacSpace(key)
    said = f"{refused.value}{refused.value.hint}".replace("pk_test_…", "").replace("pk_live_…", "")
    assert not key or key not in said


@pytest.mark.parametrize(
    "address",
    ["ftp://a", "app.pacspace.io", "https://", "https://a?b", "https://a#b", "http://[", "http://pacspace.test"],
)
def test_an_address_that_is_not_https_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput):
        PacSpace("pk_test_a.b", base_url=address)


@pytest.mark.parametrize("check", [inputs.idempotency_key, inputs.token])
@pytest.mark.parametrize("given", ["", "a b", "ü", "a\r\nX-Evil: 1", "k" * 9000, 5])
def test_a_key_or_token_that_no_header_can_carry_is_refused(check: Any, given: object) -> None:  # noqa: ANN401  # a function
    with pytest.raises(InvalidInput):
        check(given)
