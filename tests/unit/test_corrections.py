"""The correction plan: what can still be done about a drift, by cause, status and age."""

import json
import shlex
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.cli.ledger import ledger
from pacspace_stripe.explain.rules.corrections import CorrectionKind
from pacspace_stripe.explain.rules.explanation import Cause, Explanation, LocatedPart
from pacspace_stripe.vocabulary.invoices import Formula, Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.ledger import LedgerProtocol, UsageSign
from pacspace_stripe.vocabulary.policy import Attribution
from tests.support.drifts import (
    AT,
    CUT_IN_LEDGER,
    CUT_IN_STRIPE,
    DAY,
    DRAFT,
    EDGE,
    GIVEN_UP,
    HELD_LATER,
    LAST_HOUR,
    LATE,
    MUCH_LATER,
    NOT_IN_LEDGER,
    NOT_IN_STRIPE,
    OPEN,
    PAID,
    SIGN_IN_LEDGER,
    SIGN_IN_STRIPE,
    TOO_LATE,
    TWICE_AT_THE_END,
    TWICE_IN_LEDGER,
    TWICE_IN_STRIPE,
    UNEXPLAINED,
    UNIT,
    UNIT_IN_PART,
    UNKNOWN,
    VOID,
    WRONG_CUSTOMER,
    explained,
    kinds,
    planned,
    record,
)
from tests.support.examples import CREATED, METER, OCTOBER, PLANNED, Change, held_draft, invoice, left

TABLE = [
    (NOT_IN_STRIPE, DRAFT, ["meter_event"]),
    (NOT_IN_STRIPE, HELD_LATER, ["meter_event"]),
    (NOT_IN_STRIPE, TOO_LATE, ["draft_line_item", "waive"]),
    (NOT_IN_STRIPE, OPEN, ["next_invoice_item", "waive"]),
    (NOT_IN_STRIPE, PAID, ["next_invoice_item"]),
    (NOT_IN_STRIPE, VOID, ["nothing"]),
    (NOT_IN_STRIPE, GIVEN_UP, ["nothing"]),
    (NOT_IN_STRIPE, UNKNOWN, ["nothing"]),
    (TWICE_IN_STRIPE, DRAFT, ["meter_event"]),
    (TWICE_AT_THE_END, DRAFT, ["cancel_meter_event", "meter_event"]),
    (TWICE_AT_THE_END, (held_draft(), CREATED + DAY), ["meter_event"]),
    (TWICE_AT_THE_END, TOO_LATE, ["draft_line_item", "waive"]),
    (TWICE_IN_STRIPE, OPEN, ["credit_note", "waive"]),
    (TWICE_IN_STRIPE, PAID, ["credit_note"]),
    (TWICE_IN_STRIPE, VOID, ["nothing"]),
    (NOT_IN_LEDGER, DRAFT, ["ledger_record", "waive"]),
    (NOT_IN_LEDGER, PAID, ["ledger_record"]),
    (NOT_IN_LEDGER, (held_draft(), OCTOBER.end - DAY), ["ledger_record"]),
    (TWICE_IN_LEDGER, DRAFT, ["ledger_adjustment", "waive"]),
    (TWICE_IN_LEDGER, OPEN, ["ledger_adjustment", "waive"]),
    (TWICE_IN_LEDGER, VOID, ["ledger_adjustment"]),
    (WRONG_CUSTOMER, DRAFT, ["meter_event", "ledger_record", "waive"]),
    (WRONG_CUSTOMER, PAID, ["credit_note", "ledger_record"]),
    (replace(WRONG_CUSTOMER, cause=Cause.WRONG_METER), DRAFT, ["meter_event", "ledger_record", "waive"]),
    (SIGN_IN_LEDGER, DRAFT, ["ledger_adjustment", "waive"]),
    (SIGN_IN_STRIPE, DRAFT, ["meter_event"]),
    (replace(SIGN_IN_LEDGER, billed=Decimal(9), recorded=Decimal(-9)), DRAFT, ["setting"]),
    (UNIT, DRAFT, ["setting"]),
    (replace(UNIT, billed=Decimal(5000), recorded=Decimal(5)), PAID, ["setting"]),
    (UNIT_IN_PART, DRAFT, ["meter_event", "ledger_adjustment", "waive"]),
    (UNIT_IN_PART, PAID, ["next_invoice_item", "ledger_adjustment"]),
    (CUT_IN_STRIPE, DRAFT, ["meter_event"]),
    (CUT_IN_LEDGER, DRAFT, ["ledger_adjustment", "waive"]),
    (LATE, DRAFT, ["nothing", "setting", "waive"]),
    (LATE, PAID, ["nothing", "setting"]),
    (EDGE, DRAFT, ["nothing", "setting", "waive"]),
    (UNEXPLAINED, DRAFT, ["nothing", "waive"]),
    (UNEXPLAINED, PAID, ["nothing"]),
]


@pytest.mark.parametrize(("explanation", "seen", "expected"), TABLE)
def test_a_plan_offers_what_can_still_be_done(
    explanation: Explanation, seen: tuple[Invoice, datetime], expected: list[str]
) -> None:
    invoice, now = seen
    assert kinds(planned(explanation, invoice, now)) == expected


def test_every_cause_has_a_plan_for_every_status() -> None:
    for cause in Cause:
        for status in InvoiceStatus:
            assert planned(explained(cause, "7", "3"), left(status))


def test_missing_usage_is_sent_with_its_own_time_and_name() -> None:
    (event,) = planned(NOT_IN_STRIPE)
    assert event.command == (
        'curl https://api.stripe.com/v1/billing/meter_events -u "$STRIPE_API_KEY:" -d event_name=api_calls '
        "-d 'payload[stripe_customer_id]=cus_1' -d 'payload[value]=7' "
        f"-d timestamp={int(AT.timestamp())} -d identifier=correction-rec_1"
    )
    assert event.until == AT + 35 * DAY


def test_what_is_older_than_35_days_counts_at_the_end_of_the_same_period() -> None:
    now = AT + 36 * DAY
    (event,) = planned(NOT_IN_STRIPE, held_draft(), now)
    latest = OCTOBER.end - timedelta(minutes=1)
    assert f"timestamp={int(latest.timestamp())}" in event.command
    assert event.until == latest + 35 * DAY
    assert "more than 35 days ago" in event.why


def test_a_draft_that_advances_automatically_waits_no_longer_than_stripe() -> None:
    (event,) = planned(NOT_IN_STRIPE, invoice())
    assert event.until == PLANNED


def test_a_cancellation_says_where_its_identifier_comes_from_and_what_follows_when_it_is_too_late() -> None:
    cancel, event = planned(TWICE_AT_THE_END)
    assert '-d type=cancel -d cancel[identifier]="$IDENTIFIER"' in cancel.command
    assert cancel.until == OCTOBER.end + DAY
    assert "Stripe lists none" in cancel.why
    assert "payload[value]=-7" in event.command
    assert "Where cancelling is refused" in event.why
    (later,) = planned(TWICE_AT_THE_END, now=CREATED + 2 * DAY)
    assert "It is too late to cancel" in later.why


@pytest.mark.parametrize(
    ("explanation", "formula", "expected"),
    [
        (NOT_IN_STRIPE, Formula.COUNT, "for n in $(seq 7); do curl"),
        (explained(Cause.NOT_IN_STRIPE, "0", "0.5"), Formula.COUNT, "invoiceitems"),
        (TWICE_IN_STRIPE, Formula.COUNT, "invoiceitems"),
        (NOT_IN_STRIPE, Formula.LAST, "invoiceitems"),
    ],
)
def test_only_a_sum_takes_any_event(explanation: Explanation, formula: Formula, expected: str) -> None:
    (first, *_) = planned(explanation, formula=formula)
    assert expected in first.command


def test_amounts_of_money_are_left_to_the_person_who_runs_the_command() -> None:
    item, waiver = planned(TWICE_IN_STRIPE, held_draft(), MUCH_LATER)
    assert item.command.endswith('-d invoice=in_1 -d amount="-$AMOUNT"')
    assert "$AMOUNT is what 7 api_calls cost, in the smallest unit of usd" in item.why
    assert "Stripe takes none older than 35 days" in item.why
    assert shlex.split(waiver.command)[:4] == ["pacspace-stripe", "release", "in_1", "--reason"]


def test_a_paid_invoice_is_credited_to_the_customers_balance_and_an_open_one_is_not() -> None:
    (paid,), (opened, _) = planned(TWICE_IN_STRIPE, *PAID), planned(TWICE_IN_STRIPE, *OPEN)
    assert "credit_amount" in paid.command
    assert "credit_amount" not in opened.command


def test_a_duplicate_in_the_ledger_is_adjusted_by_the_opposite_amount() -> None:
    adjustment, _ = planned(TWICE_IN_LEDGER)
    words = shlex.split(adjustment.command)
    assert words[:5] == ["pacspace-stripe", "ledger", "record", "cus_1", "7"]
    assert words[-2:] == ["--adjusts-record", "rec_2"]
    assert "the next invoice then differs the other way" in adjustment.why


@pytest.mark.parametrize(
    ("policy", "amount"),
    [
        ({}, "-7"),
        ({"usage_sign": UsageSign.POSITIVE}, "7"),
        ({"units": {METER: Decimal(1000)}}, "-7000"),
        ({"units": {"storage": Decimal(1000)}}, "-7"),
    ],
)
def test_the_ledger_is_corrected_in_its_own_sign_and_unit(policy: dict[str, Change], amount: str) -> None:
    (first, *_) = planned(NOT_IN_LEDGER, **policy)
    assert shlex.split(first.command)[4] == amount


@pytest.mark.parametrize("attribution", [Attribution.AUTO, Attribution.USAGE_TIME])
def test_where_usage_time_decides_a_late_record_settles_it(attribution: Attribution) -> None:
    (first,) = planned(NOT_IN_LEDGER, attribution=attribution)
    words = shlex.split(first.command)
    assert json.loads(words[words.index("--metadata") + 1]) == {
        "summaryWindowStart": "2026-10-17T14:00:00Z",
        "summaryWindowEnd": "2026-10-17T15:00:00Z",
    }


@pytest.mark.parametrize(
    ("meter_from", "expected"),
    [
        ("reason", f"--reason {METER}"),
        ("metadata.meter", f'"meter": "{METER}"'),
        ("account", "usage_correction"),
    ],
)
def test_a_correction_counts_for_the_meter_it_is_about(meter_from: str, expected: str) -> None:
    (first, *_) = planned(NOT_IN_LEDGER, meter_from=meter_from)
    assert expected in " ".join(shlex.split(first.command))


def test_usage_that_is_in_another_ledger_account_adjusts_nothing_here() -> None:
    elsewhere = explained(Cause.WRONG_CUSTOMER, "7", "0", record(), counterpart="cus_2")
    found = [one for one in planned(elsewhere) if one.kind is CorrectionKind.LEDGER_RECORD]
    assert ["adjusts" in one.command for one in found] == [False]


def test_either_side_of_a_wrong_customer_is_moved_only_on_a_condition() -> None:
    stripe, ledger_side, _ = planned(WRONG_CUSTOMER)
    assert "If it is usage of cus_2, Stripe is wrong" in stripe.why
    assert "If it is usage of cus_1, the ledger is wrong" in ledger_side.why


def test_the_settlement_ledger_takes_whole_amounts_whenever_they_come() -> None:
    (write,) = planned(NOT_IN_LEDGER, ledger=LedgerProtocol.SETTLEMENT, usage_sign=UsageSign.POSITIVE)
    assert write.command.startswith("pacspace-stripe ledger write cus_1 7 --account cus_1")
    refused, _ = planned(CUT_IN_LEDGER, ledger=LedgerProtocol.SETTLEMENT)
    assert refused.kind is CorrectionKind.NOTHING


def test_a_unit_is_what_makes_the_two_sides_agree() -> None:
    (larger,) = planned(UNIT)
    (smaller,) = planned(replace(UNIT, billed=Decimal(5000), recorded=Decimal(5)))
    assert larger.command == f"export PACSPACE_STRIPE_UNITS={METER}=1000"
    assert smaller.command == f"export PACSPACE_STRIPE_UNITS={METER}=0.001"
    (beside,) = planned(UNIT, units={"storage": Decimal(1024)})
    assert beside.command == f"export PACSPACE_STRIPE_UNITS={METER}=1000,storage=1024"


def test_two_faults_are_corrected_each_on_its_own_side() -> None:
    lost = LocatedPart(window=LAST_HOUR, meter=METER, billed=Decimal(5), recorded=Decimal(0), cause=Cause.NOT_IN_LEDGER)
    both = replace(TWICE_IN_STRIPE, billed=Decimal(119), located=(*TWICE_IN_STRIPE.located, lost))
    event, missing, waiver = planned(both)
    assert "payload[value]=-7" in event.command
    assert shlex.split(missing.command)[:5] == ["pacspace-stripe", "ledger", "record", "cus_1", "-5"]
    assert "billed 119" in waiver.command


def test_many_records_are_one_correction_of_their_sum() -> None:
    many = tuple(record("1", AT + number * timedelta(minutes=1), f"rec_{number}") for number in range(11))
    (event,) = planned(explained(Cause.NOT_IN_STRIPE, "0", "11", *many))
    assert "payload[value]=11" in event.command
    few = planned(explained(Cause.NOT_IN_STRIPE, "0", "3", *many[:3]))
    assert [f"correction-rec_{number}" in one.command for number, one in enumerate(few)] == [True] * 3


NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)


@given(meter=NAMES, customer=NAMES, cause=st.sampled_from(list(Cause)), status=st.sampled_from(list(InvoiceStatus)))
def test_every_command_is_one_line_that_a_shell_reads_as_intended(
    meter: str, customer: str, cause: Cause, status: InvoiceStatus
) -> None:
    found = explained(cause, "7", "3", record("4"), meter=meter, account="cus_1")
    for one in planned(found, replace(left(status), customer_id=customer)):
        words = shlex.split(one.command)
        assert "\n" not in one.command
        if "curl" in words:
            assert all(
                word.startswith(("-", "curl", "https://", "$STRIPE")) or "=" in word or ":" in word for word in words
            )


def test_our_own_commands_are_taken_by_our_own_command_line() -> None:
    for explanation in (TWICE_IN_LEDGER, NOT_IN_LEDGER):
        (first, *_) = planned(explanation, attribution=Attribution.USAGE_TIME)
        words = shlex.split(first.command)[3:]
        command = ledger.commands["record"]
        assert command.make_context("record", words).params["customer"] == "cus_1"
