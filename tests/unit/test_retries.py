"""Retries: when a call is repeated, and how long one try may take."""

import pytest

from pacspace_stripe.http.retries import Timeouts, pause, try_limits, worth_repeating


@pytest.mark.parametrize(
    ("status", "headers", "again"),
    [
        (200, {}, False),
        (202, {"stripe-should-retry": "true"}, False),
        (302, {}, False),
        (400, {}, False),
        (400, {"stripe-should-retry": "true"}, True),
        (401, {}, False),
        (404, {}, False),
        (408, {}, True),
        (409, {}, True),
        (409, {"stripe-should-retry": "false"}, False),
        (422, {}, False),
        (429, {}, True),
        (429, {"stripe-should-retry": "false"}, False),
        (429, {"stripe-should-retry": "perhaps"}, True),
        (500, {}, True),
        (500, {"stripe-should-retry": "false"}, False),
        (502, {}, True),
        (503, {"stripe-should-retry": "true"}, True),
        (599, {}, True),
    ],
)
def test_status_and_headers_decide_about_a_repetition(status: int, headers: dict[str, str], *, again: bool) -> None:
    assert worth_repeating(status, headers) is again


@pytest.mark.parametrize(
    ("tried", "random", "asked", "seconds"),
    [
        (1, 0.0, None, 0.0),
        (1, 1.0, None, 0.5),
        (2, 1.0, None, 1.0),
        (3, 0.5, None, 1.0),
        (4, 1.0, None, 4.0),
        (60, 1.0, None, 4.0),
        (1, 1.0, 0.0, 0.5),
        (1, 0.1, 2.0, 2.0),
        (1, 0.1, 5.0, 5.0),
        (1, 0.1, 5.1, None),
        (1, 0.1, 3600.0, None),
    ],
)
def test_pauses_grow_and_respect_retry_after(
    tried: int, random: float, asked: float | None, seconds: float | None
) -> None:
    assert pause(tried, random, asked=asked) == seconds


@pytest.mark.parametrize(
    ("left", "tries_left", "limits"),
    [
        (20.0, 3, (3.0, 8.0)),
        (9.0, 2, (2.0, 4.0)),
        (3.0, 1, (1.0, 2.0)),
        (20.0, 1, (3.0, 8.0)),
        (3.0, 3, (pytest.approx(1 / 3), pytest.approx(2 / 3))),
    ],
)
def test_one_try_leaves_time_for_later_tries(left: float, tries_left: int, limits: tuple[float, float]) -> None:
    assert try_limits(Timeouts(), left=left, tries_left=tries_left) == limits


def test_three_tries_fit_into_the_total_time_even_if_all_time_out() -> None:
    timeouts = Timeouts()
    left = timeouts.total
    for tried in range(1, timeouts.tries + 1):
        limits = try_limits(timeouts, left=left, tries_left=timeouts.tries - tried + 1)
        assert min(limits) > 0.5
        left -= sum(limits)
        left -= (pause(tried, 1.0, asked=None) or 0) if tried < timeouts.tries else 0
    assert left >= 0
