"""Rules of the alerts: which are sent, which are throttled, and when a delivery is retried."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.alerts.rules.alert import (
    DAY,
    DELIVERED_WITHIN,
    JITTER,
    MOST_A_DAY,
    QUIET_FOR,
    RETRY_SCHEDULE,
    Alert,
    AlertType,
    Delivered,
    DeliveryOutcome,
    EarlierAlert,
    GivenUp,
    RetryAt,
    Send,
    SwitchedOff,
    Throttle,
    alerted_after_recovery,
    calls_for_recovery,
    delivery_outcome,
    fingerprint,
    is_too_old,
    throttled,
)

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DRIFT = "drifted:OVERBILLED"


def past(ago: timedelta, kind: str = DRIFT, figures: str = "10", *, sent: bool = True) -> EarlierAlert:
    return EarlierAlert(kind=kind, figures=figures, at=NOW - ago, sent=sent)


def left_out(ago: timedelta, kind: str = DRIFT) -> EarlierAlert:
    return past(ago, kind, sent=False)


OFTEN = [past(n * 2 * HOUR, figures=f"{n}") for n in range(1, MOST_A_DAY + 1)]


@pytest.mark.parametrize(
    ("before", "kind", "figures", "decided"),
    [
        pytest.param([], DRIFT, "10", Send(left_out=0), id="the first is sent"),
        pytest.param([past(5 * MINUTE)], DRIFT, "10", Throttle(), id="the same within an hour is no news"),
        pytest.param([past(5 * MINUTE)], DRIFT, "11", Send(left_out=0), id="other figures are"),
        pytest.param([past(5 * MINUTE)], "drifted:UNDERBILLED", "10", Send(left_out=0), id="another reason is"),
        pytest.param([past(5 * MINUTE)], "unproven:UNMAPPED", "10", Send(left_out=0), id="another kind is"),
        pytest.param([past(QUIET_FOR)], DRIFT, "10", Send(left_out=0), id="after an hour it is news again"),
        pytest.param(
            [past(2 * HOUR), left_out(90 * MINUTE), left_out(80 * MINUTE)],
            *(DRIFT, "10", Send(left_out=2)),
            id="what was left out is counted",
        ),
        pytest.param(
            [left_out(3 * HOUR), past(2 * HOUR), left_out(90 * MINUTE)],
            *(DRIFT, "10", Send(left_out=1)),
            id="what was counted before is not counted again",
        ),
        pytest.param(
            [past(2 * HOUR), left_out(90 * MINUTE, "unproven:UNMAPPED")],
            *(DRIFT, "10", Send(left_out=0)),
            id="each kind has its own count",
        ),
        pytest.param([left_out(5 * MINUTE)], DRIFT, "10", Send(left_out=1), id="a throttled alert is not a sent one"),
        pytest.param(OFTEN, DRIFT, "99", Throttle(), id="five a day are enough, whatever the figures do"),
        pytest.param(OFTEN[1:], DRIFT, "99", Send(left_out=0), id="the fifth is sent"),
        pytest.param(OFTEN, "unproven:UNMAPPED", "99", Send(left_out=0), id="another kind has its own five"),
        pytest.param([*OFTEN[1:], past(DAY)], DRIFT, "99", Send(left_out=0), id="those of yesterday do not count"),
        pytest.param(
            [past(MINUTE, "recovered:matched", "")] * 9,
            "recovered:matched",
            "",
            Send(left_out=0),
            id="a recovery is sent",
        ),
        pytest.param([past(-MINUTE)], DRIFT, "10", Throttle(), id="a clock that was set back repeats nothing"),
    ],
)
def test_alerts_are_sent_or_throttled(
    before: list[EarlierAlert], kind: str, figures: str, decided: Send | Throttle
) -> None:
    assert throttled(kind, figures, NOW, before) == decided


@given(st.lists(st.sampled_from(["10", "11", "12"]), min_size=1, max_size=60), st.integers(1, 90))
def test_a_flapping_invoice_sends_few_messages_a_day_and_counts_the_throttled(figures: list[str], minutes: int) -> None:
    earlier: list[EarlierAlert] = []
    for place, figure in enumerate(figures):
        at = NOW + place * minutes * MINUTE
        decided = throttled(DRIFT, figure, at, earlier)
        if isinstance(decided, Send):
            since = [one.sent for one in earlier]
            trailing = len(since) - 1 - max((n for n, was in enumerate(since) if was), default=-1)
            assert decided.left_out == trailing
        earlier.append(EarlierAlert(kind=DRIFT, figures=figure, at=at, sent=isinstance(decided, Send)))
    for one in earlier:
        day = [other for other in earlier if other.sent and one.at <= other.at < one.at + DAY]
        assert len(day) <= MOST_A_DAY
        same = [other for other in day if other.figures == one.figures and other.at < one.at + QUIET_FOR]
        assert len(same) <= 1


@pytest.mark.parametrize(
    ("kind", "type_"),
    [
        ("drifted:OVERBILLED", AlertType.DRIFTED),
        ("upcoming_blocked:UNDERBILLED", AlertType.BLOCKED),
        ("unproven:UNMAPPED", AlertType.UNPROVEN),
        ("went_out_unproven:NOT_SETTLED", AlertType.WENT_OUT_UNPROVEN),
        ("recovered:waived", AlertType.RECOVERED),
        ("upcoming_recovered", AlertType.RECOVERED),
        ("hold_undone", AlertType.ATTENTION),
        ("finalization_failed:customer_tax_location_invalid", AlertType.ATTENTION),
        ("of_a_later_version", AlertType.ATTENTION),
        ("test", AlertType.TEST),
    ],
)
def test_a_message_has_the_type_of_its_kind(kind: str, type_: AlertType) -> None:
    assert Alert(alert_id="msg_1", job_id="in_1", kind=kind, at=NOW).type is type_


@pytest.mark.parametrize(
    ("sent", "calls_for_it", "stays"),
    [
        ((), False, ()),
        (("drifted:OVERBILLED",), True, ()),
        (("unproven:UNMAPPED", "hold_undone"), True, ("hold_undone",)),
        (("upcoming_blocked:OVERBILLED",), True, ()),
        (("went_out_unproven:NOT_SETTLED",), True, ()),
        (("stripe_refused", "unanswered", "held_unread", "waiver_ended"), False, ()),
        (("paid_under_hold:EXACT", "finalization_failed:x"), False, ("paid_under_hold:EXACT", "finalization_failed:x")),
    ],
)
def test_kinds_that_a_recovery_ends(sent: tuple[str, ...], *, calls_for_it: bool, stays: tuple[str, ...]) -> None:
    assert calls_for_recovery(sent) is calls_for_it
    assert alerted_after_recovery(sent) == stays


@pytest.mark.parametrize(
    ("status", "attempts", "asked", "outcome"),
    [
        pytest.param(200, 1, None, Delivered(), id="200"),
        pytest.param(204, 10, None, Delivered(), id="204 at the last"),
        pytest.param(None, 1, None, RetryAt(at=NOW + timedelta(seconds=5)), id="no answer"),
        pytest.param(500, 2, None, RetryAt(at=NOW + 5 * MINUTE), id="500"),
        pytest.param(404, 9, None, RetryAt(at=NOW + DAY), id="404"),
        pytest.param(302, 1, None, RetryAt(at=NOW + timedelta(seconds=5)), id="a redirect is a failure"),
        pytest.param(429, 1, MINUTE, RetryAt(at=NOW + MINUTE), id="as late as it asks"),
        pytest.param(503, 3, MINUTE, RetryAt(at=NOW + 30 * MINUTE), id="not sooner than planned"),
        pytest.param(503, 1, 30 * DAY, RetryAt(at=NOW + DAY), id="no receiver may ask for a month"),
        pytest.param(500, 10, None, GivenUp(), id="the tenth was the last"),
        pytest.param(None, 11, None, GivenUp(), id="and one more, after a crash"),
        pytest.param(410, 1, None, SwitchedOff(at=NOW + timedelta(seconds=5)), id="gone"),
        pytest.param(410, 10, None, SwitchedOff(at=NOW + DAY), id="gone at the last"),
    ],
)
def test_an_attempt_is_delivered_retried_given_up_or_ends_its_address(
    status: int | None, attempts: int, asked: timedelta | None, outcome: DeliveryOutcome
) -> None:
    assert delivery_outcome(status, attempts, NOW, 0.0, retry_after=asked) == outcome


@given(st.integers(1, len(RETRY_SCHEDULE)), st.floats(0, 1))
def test_jitter_only_adds_its_share(attempts: int, chance: float) -> None:
    outcome = delivery_outcome(500, attempts, NOW, chance)
    assert isinstance(outcome, RetryAt)
    plain = RETRY_SCHEDULE[attempts - 1]
    assert plain <= outcome.at - NOW <= plain * (1 + JITTER) + timedelta(microseconds=1)


def test_attempts_span_more_than_a_day_and_end_before_the_message_is_too_old() -> None:
    assert DAY < sum(RETRY_SCHEDULE, timedelta(0)) * (1 + JITTER) <= DELIVERED_WITHIN
    alert = Alert(alert_id="msg_1", job_id="in_1", kind=DRIFT, at=NOW)
    assert not is_too_old(alert, NOW + DELIVERED_WITHIN)
    assert is_too_old(alert, NOW + DELIVERED_WITHIN + MINUTE)


WINDOW = {"account": "cus_1", "meter": "api_calls", "start": "a", "end": "b", "billed": "100", "recorded": "90"}


@pytest.mark.parametrize(
    ("changed", "same"),
    [({"reason": "UNDERBILLED"}, True), ({"count": 7}, True), ({"billed": "101"}, False), ({"account": None}, False)],
)
def test_fingerprints_are_equal_for_equal_figures(changed: dict[str, str | int | None], *, same: bool) -> None:
    assert (fingerprint([WINDOW]) == fingerprint([WINDOW | changed])) is same
