"""An explanation in words and as JSON: nothing is lost, nothing is left to guess, nothing steers a terminal."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from unicodedata import category

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacspace_stripe.comparison.rules.verdicts import Reason, WindowResult, summarize
from pacspace_stripe.explain.rules.explanation import (
    Cause,
    DayFigures,
    Explanation,
    LocatedPart,
    LocatedRecord,
    Side,
    explanation_of,
    fingerprint,
)
from pacspace_stripe.explain.rules.explanation_text import CAUSES, figure, paragraphs, sentence, window_in_words
from pacspace_stripe.gate.rules.result import shown_windows
from pacspace_stripe.vocabulary.windows import Window
from tests.support.explanations import HOUR, OCTOBER, TWICE, explained, part

DASH = "\N{EN DASH}"
DAY = timedelta(days=1)

# -- words ------------------------------------------------------------------------------------------------------------


def test_a_sentence_names_time_meter_difference_and_cause() -> None:
    assert sentence(TWICE) == (
        f"On 17 Oct 2026, 14:00{DASH}15:00 UTC, meter api_calls: Stripe counted 31,400 more than the ledger recorded; "
        "these 3 records were most likely sent to Stripe twice."
    )


@pytest.mark.parametrize(
    ("cause", "records", "said"),
    [
        (Cause.NOT_IN_STRIPE, 2, "these 2 records most likely never reached Stripe's meter"),
        (Cause.NOT_IN_STRIPE, 0, "this usage most likely never reached Stripe's meter"),
        (Cause.NOT_IN_LEDGER, 0, "this usage was most likely never recorded in the ledger"),
        (Cause.TWICE_IN_STRIPE, 1, "this record was most likely sent to Stripe twice"),
        (Cause.TWICE_IN_LEDGER, 2, "these 2 records were most likely recorded in the ledger twice"),
        (Cause.WRONG_CUSTOMER, 0, "it under another customer"),
        (Cause.WRONG_METER, 0, "it under another meter"),
        (Cause.WRONG_SIGN, 1, "this record most likely came with the opposite sign on one side"),
        (Cause.UNIT_FACTOR, 0, "both sides most likely count in different units"),
        (Cause.RECORDED_LATE, 1, "the ledger most likely accepted this record only after the period had ended"),
        (
            Cause.PERIOD_EDGE,
            1200,
            "both sides most likely have these 1,200 records, on different sides of the period's",
        ),
        (Cause.TRUNCATED_DECIMALS, 0, "most likely dropped the digits after the decimal point"),
        (Cause.UNEXPLAINED, 0, "nothing in the figures shows why"),
    ],
)
def test_every_cause_has_its_own_words(cause: Cause, records: int, said: str) -> None:
    assert said in sentence(explained(cause, records=records))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"counterpart": "cus_2"}, "the ledger most likely has it under another customer, ledger account cus_2."),
        (
            {"counterpart": "cus_2", "billed": Decimal(90)},
            "Stripe most likely counted it under another customer, ledger account cus_2.",
        ),
        (
            {"cause": Cause.WRONG_METER, "counterpart": "tokens"},
            "the ledger most likely has it under the meter tokens.",
        ),
        (
            {"cause": Cause.UNIT_FACTOR, "billed": Decimal(100000), "factor": Decimal(1000)},
            "in different units: Stripe's figures are the ledger's times 1,000.",
        ),
        (
            {"cause": Cause.UNIT_FACTOR, "billed": Decimal("0.1"), "factor": Decimal(1000)},
            "in different units: the ledger's figures are Stripe's times 1,000.",
        ),
        (
            {"cause": Cause.UNIT_FACTOR, "factor": Decimal(60)},
            "in different units: one side's figures are the other's times 60.",
        ),
        ({"cause": Cause.TRUNCATED_DECIMALS}, "the ledger most likely dropped the digits"),
        ({"cause": Cause.TRUNCATED_DECIMALS, "billed": Decimal(99)}, "Stripe's side most likely dropped the digits"),
    ],
)
def test_a_sentence_names_what_is_known_about_the_cause(changes: dict[str, object], said: str) -> None:
    assert said in sentence(replace(explained(Cause.WRONG_CUSTOMER), **changes))  # type: ignore[arg-type]  # by name


def test_a_sentence_for_a_customer_names_no_other_customer() -> None:
    found = sentence(replace(explained(Cause.WRONG_CUSTOMER), counterpart="cus_2"), naming=False)
    assert found.endswith("under another customer.")
    assert "cus_2" not in found


def test_there_is_one_list_of_all_causes() -> None:
    assert list(CAUSES) == list(Cause)
    assert len(set(CAUSES.values())) == len(Cause)
    for meaning in CAUSES.values():
        assert meaning.endswith(".")


@pytest.mark.parametrize("cause", list(Cause))
def test_paragraphs_say_what_where_why_and_what_is_not_known(cause: Cause) -> None:
    said = paragraphs(replace(TWICE, cause=cause))
    assert said[0] == (
        "1 Oct 2026 through 31 Oct 2026 (UTC), meter api_calls, ledger account cus_acme: "
        "Stripe counted 1,031,400, the ledger recorded 1,000,000, so Stripe has 31,400 more."
    )
    assert said[1] == "All of the difference lies in one part of that time."
    assert CAUSES[cause].split(" ", 1)[1] in said[2]
    assert said[3] == "PacSpace did not answer for 3 October"
    assert len(set(said)) == len(said)


def test_an_unlocated_difference_is_named() -> None:
    nowhere = replace(TWICE, located=())
    assert sentence(nowhere).startswith(
        "From 1 Oct 2026 through 31 Oct 2026 (UTC), meter api_calls: Stripe counted 31,400"
    )
    assert paragraphs(nowhere)[1] == "Where in that time they differ could not be located."
    partly = replace(TWICE, located=(part(billed="1400", recorded="0"),))
    assert "1,400 more than the ledger recorded (31,400 more in the whole" in sentence(partly)
    assert paragraphs(partly)[1] == "The located difference lies in one part of that time and comes to 1,400 of 31,400."


def test_a_part_with_a_cause_of_its_own_is_named_separately() -> None:
    later = Window(start=HOUR.start + DAY, end=HOUR.end + DAY)
    lost = replace(part(later, billed="5", recorded="0", records=1), cause=Cause.NOT_IN_LEDGER)
    both = replace(TWICE, billed=TWICE.billed + 5, located=(*TWICE.located, lost))
    assert sentence(both) == (
        f"On 17 Oct 2026, 14:00{DASH}15:00 UTC, meter api_calls: Stripe counted 31,400 more than the ledger recorded "
        "(31,405 more in the whole period); these 3 records were most likely "
        "sent to Stripe twice."
    )
    assert paragraphs(both)[1] == "All of the difference lies in 2 parts of that time."
    assert f"18 Oct 2026, 14:00{DASH}15:00 UTC: {CAUSES[Cause.NOT_IN_LEDGER]}" in paragraphs(both)


def test_up_to_three_parts_are_named_in_a_sentence() -> None:
    def parts(count: int) -> Explanation:
        hours = (Window(start=HOUR.start + DAY * number, end=HOUR.end + DAY * number) for number in range(count))
        return replace(TWICE, located=tuple(part(hour, billed="1", recorded="0") for hour in hours))

    hour = f"14:00{DASH}15:00 UTC"
    assert sentence(parts(3)).startswith(
        f"On 17 Oct 2026, {hour}; 18 Oct 2026, {hour} and 19 Oct 2026, {hour}, meter api_calls"
    )
    assert sentence(parts(4)).startswith("In 4 parts of 1 Oct 2026 through 31 Oct 2026 (UTC), ")


def test_a_mirror_on_another_meter_is_not_counted_twice() -> None:
    mirrored = replace(TWICE, located=(*TWICE.located, part(billed="0", recorded="31400", meter="tokens")))
    assert sentence(mirrored).startswith(
        f"On 17 Oct 2026, 14:00{DASH}15:00 UTC, meter api_calls: Stripe counted 31,400 "
    )


@pytest.mark.parametrize(
    ("quantity", "shown"),
    [
        ("0", "0"),
        ("999", "999"),
        ("31400", "31,400"),
        ("1234567.000000000000000000000000000001", "1,234,567.000000000000000000000000000001"),
        ("-0.125", "-0.125"),
        ("-31400.50", "-31,400.5"),
        ("1E+6", "1,000,000"),
        ("123456789012345678901234567890123456789", "123,456,789,012,345,678,901,234,567,890,123,456,789"),
    ],
)
def test_no_digit_is_lost_and_thousands_are_separated(quantity: str, shown: str) -> None:
    assert figure(Decimal(quantity)) == shown


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12))
def test_a_figure_reads_back_as_it_was(quantity: Decimal) -> None:
    assert Decimal(figure(quantity).replace(",", "")) == quantity


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [
        ("2026-10-17T14:00", "2026-10-17T15:00", f"17 Oct 2026, 14:00{DASH}15:00 UTC"),
        ("2026-10-17T23:00", "2026-10-18T00:00", f"17 Oct 2026, 23:00{DASH}24:00 UTC"),
        ("2026-10-17T00:00", "2026-10-18T00:00", "17 Oct 2026 (UTC)"),
        ("2026-10-30T00:00", "2026-11-02T00:00", "30 Oct 2026 through 1 Nov 2026 (UTC)"),
        ("2026-10-17T14:00", "2026-10-18T03:00", "17 Oct 2026, 14:00 to 18 Oct 2026, 03:00 UTC"),
        ("2026-10-17T14:00:07", "2026-10-17T14:01", f"17 Oct 2026, 14:00:07{DASH}14:01 UTC"),
        ("2024-02-29T00:00", "2024-03-01T00:00", "29 Feb 2024 (UTC)"),
    ],
)
def test_a_window_in_words_names_its_zone(start: str, end: str, shown: str) -> None:
    first, last = (datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (start, end))
    assert window_in_words(Window(start=first, end=last)) == shown


NASTY = "api\x1b[2J\n\u202ecalls"


@pytest.mark.parametrize("cause", list(Cause))
def test_a_vendors_text_stays_on_its_line_and_controls_no_terminal(cause: Cause) -> None:
    hostile = replace(explained(cause), meter=NASTY, account=NASTY, counterpart=NASTY, notes=(NASTY,))
    assert all(line.isprintable() for line in (sentence(hostile), *paragraphs(hostile)))
    assert all(
        r"\x1b[2J\n\u202e" in line for line in (sentence(hostile), paragraphs(hostile)[0], paragraphs(hostile)[-1])
    )


# -- JSON -------------------------------------------------------------------------------------------------------------

moments = st.datetimes(timezones=st.just(UTC))
figures = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15)
windows = st.builds(
    lambda at, minutes: Window(start=at, end=at + timedelta(minutes=minutes)),
    st.datetimes(max_value=datetime(3000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - Hypothesis adds the zone
    st.integers(1, 600000),
)
records = st.builds(
    LocatedRecord,
    side=st.sampled_from(Side),
    quantity=figures,
    at=st.none() | moments,
    record_id=st.none() | st.text(),
    reference_id=st.none() | st.text(),
)
places = st.builds(
    LocatedPart,
    window=windows,
    meter=st.text(),
    billed=figures,
    recorded=figures,
    cause=st.none() | st.sampled_from(Cause),
    records=st.lists(records, max_size=3).map(tuple),
)
explanations = st.builds(
    Explanation,
    account=st.text(),
    meter=st.text(),
    window=windows,
    billed=figures,
    recorded=figures,
    cause=st.sampled_from(Cause),
    located=st.lists(places, max_size=3).map(tuple),
    counterpart=st.none() | st.text(),
    factor=st.none() | figures,
    days=st.lists(st.builds(DayFigures, on=st.dates(), billed=figures, recorded=figures), max_size=3).map(tuple),
    calls=st.integers(0, 60),
    notes=st.lists(st.text(), max_size=2).map(tuple),
)


@settings(max_examples=40)
@given(explanations)
def test_an_explanation_reads_back_from_json_without_floats(explanation: Explanation) -> None:
    def no_float(written: str) -> None:
        raise AssertionError(written)

    written = json.dumps(explanation.as_json())
    assert Explanation.from_json(json.loads(written, parse_float=no_float)) == explanation


@settings(max_examples=40)
@given(explanations)
def test_any_explanation_has_printable_words(explanation: Explanation) -> None:
    lines = (sentence(explanation), *paragraphs(explanation))
    assert all(each.isprintable() or category(each) == "Zs" for line in lines for each in line)


def test_json_has_the_shape_that_is_documented() -> None:
    document = replace(TWICE, days=TWICE.days[:1]).as_json()
    assert document == {
        "account": "cus_acme",
        "meter": "api_calls",
        "start": "2026-10-01T00:00:00Z",
        "end": "2026-11-01T00:00:00Z",
        "billed": "1031400",
        "recorded": "1000000",
        "cause": "twice_in_stripe",
        "counterpart": None,
        "factor": None,
        "located": [
            {
                "start": "2026-10-17T14:00:00Z",
                "end": "2026-10-17T15:00:00Z",
                "meter": "api_calls",
                "billed": "62800",
                "recorded": "31400",
                "records": [
                    {
                        "side": "ledger",
                        "record_id": f"rec_{number}",
                        "reference_id": f"usage-2026-10-17-{number}",
                        "at": f"2026-10-17T14:0{number}:00Z",
                        "quantity": "100",
                    }
                    for number in range(3)
                ],
            }
        ],
        "days": [{"on": "2026-10-01", "billed": "0", "recorded": "0"}],
        "calls": 17,
        "notes": ["PacSpace did not answer for 3 October"],
    }


def test_a_cause_of_a_newer_version_is_unexplained_to_this_one() -> None:
    assert Explanation.from_json({**TWICE.as_json(), "cause": "moon_phase"}).cause is Cause.UNEXPLAINED


# -- which figures ----------------------------------------------------------------------------------------------------


def result(**changes: object) -> WindowResult:
    known = WindowResult(
        account="cus_acme",
        meter="api_calls",
        window=OCTOBER,
        billed=Decimal(1031400),
        recorded=Decimal(1000000),
        count=12,
        reason=Reason.OVERBILLED,
    )
    return replace(known, **changes)  # type: ignore[arg-type]  # by name


def shown(*results: WindowResult) -> list[dict[str, str | int | None]]:
    return [dict(window) for window in shown_windows(summarize(results))]


def test_a_fingerprint_changes_only_with_the_figures_that_differ() -> None:
    known = fingerprint(shown(result()))
    equal = result(meter="tokens", billed=Decimal(1), recorded=Decimal(1), reason=Reason.EXACT)
    assert fingerprint(shown(result(count=13, detail="other words"), equal)) == known
    others: list[dict[str, object]] = [
        {"billed": Decimal(1031401)},
        {"recorded": Decimal(1)},
        {"account": "cus_2"},
        {"meter": "m"},
        {"window": HOUR},
    ]
    changed = {fingerprint(shown(result(**other))) for other in others}
    assert len(changed | {known}) == len(others) + 1


def test_an_explanation_is_about_its_very_figures() -> None:
    window = {"count": 3, "reason": "OVERBILLED", **{name: TWICE.as_json()[name] for name in list(TWICE.as_json())[:6]}}
    assert explanation_of(window, (replace(TWICE, meter="tokens"), TWICE)) is TWICE
    assert explanation_of({**window, "billed": "1031401"}, (TWICE,)) is None
    assert explanation_of({**window, "recorded": None}, (TWICE,)) is None
