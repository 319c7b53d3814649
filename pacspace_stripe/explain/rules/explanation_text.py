"""An explanation in words that need no knowledge of meters, ledgers or either vendor.

Text from a vendor (meters, accounts, messages) is made safe for a terminal. Every time is UTC and labelled so.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from pacspace_stripe.explain.rules.explanation import Cause, Explanation, LocatedPart
from pacspace_stripe.explain.rules.rejections import Rejection
from pacspace_stripe.vocabulary import quantities
from pacspace_stripe.vocabulary.text import printable
from pacspace_stripe.vocabulary.windows import Window

CAUSES: dict[Cause, str] = {
    Cause.NOT_IN_STRIPE: (
        "The ledger has usage that Stripe's meter never counted: the meter event was not sent, or Stripe refused it."
    ),
    Cause.REJECTED_BY_STRIPE: (
        "Stripe accepted meter events and rejected them later, so its meter never counted usage that the ledger has."
    ),
    Cause.NOT_IN_LEDGER: (
        "Stripe's meter counted usage that the ledger does not have: it was not recorded, or recording it failed."
    ),
    Cause.TWICE_IN_STRIPE: (
        "Stripe's meter counted the same usage twice: its meter event was sent again under another identifier."
    ),
    Cause.TWICE_IN_LEDGER: "The ledger has the same usage twice: it was recorded again under another reference.",
    Cause.WRONG_CUSTOMER: "One side has the usage under another customer: where it is sent, two were mixed up.",
    Cause.WRONG_METER: "One side has the usage under another meter: where it is sent, two were mixed up.",
    Cause.WRONG_SIGN: "One side has the usage with the opposite sign, as if it had been given back.",
    Cause.UNIT_FACTOR: (
        "Both sides have the same usage in different units: one side's figures are the other's times a fixed number."
    ),
    Cause.RECORDED_LATE: (
        "The ledger accepted the usage after the period had ended, so it does not count for the period it belongs to."
    ),
    Cause.PERIOD_EDGE: "Both sides have the usage, but on different sides of the period's start or end.",
    Cause.TRUNCATED_DECIMALS: "One side dropped the digits after the decimal point.",
    Cause.EVENT_TIME_WINDOW: (
        "Stripe's meter counts only the newest event of each hour or day (its event_time_window); the ledger has all."
    ),
    Cause.UNEXPLAINED: "The figures differ there, and nothing in them shows why.",
}
"""Every cause in one sentence for a person: its meaning, and what usually leads to it."""

_NEXT_STEP: dict[Cause, str] = {
    Cause.NOT_IN_STRIPE: "Check the code that sends meter events to Stripe, for errors and a backlog at that time.",
    Cause.REJECTED_BY_STRIPE: "Correct what the errors name where meter events are sent, then send the usage again.",
    Cause.NOT_IN_LEDGER: "Check the code that records usage in the ledger, for errors and a backlog at that time.",
    Cause.TWICE_IN_STRIPE: "Check the code that sends meter events to Stripe, for retries that took a new identifier.",
    Cause.TWICE_IN_LEDGER: "Check the code that records usage in the ledger, for retries that took a new reference.",
    Cause.WRONG_CUSTOMER: "Check how your customers are mapped to Stripe's customers and to ledger accounts.",
    Cause.WRONG_METER: "Check how the meter's name, and the ledger's reason or account, are chosen.",
    Cause.WRONG_SIGN: "Check the sign of what is sent, and PACSPACE_STRIPE_USAGE_SIGN.",
    Cause.UNIT_FACTOR: "Agree on one unit where usage is sent, or name the meter's unit factor in the settings.",
    Cause.RECORDED_LATE: "Find out what delayed the ledger's records at the end of the period.",
    Cause.PERIOD_EDGE: "Nothing is lost: decide which period the usage belongs to, and which clock both sides use.",
    Cause.TRUNCATED_DECIMALS: "Check how the number is turned into text or into a whole number before it is sent.",
    Cause.EVENT_TIME_WINDOW: (
        "Bill by a meter without an event time window, which cannot be changed on a meter, or send one event with all "
        "usage of each hour or day."
    ),
    Cause.UNEXPLAINED: "Compare your own usage records of that time with both sides.",
}
_SUSPICION: dict[Cause, str] = {
    Cause.NOT_IN_STRIPE: "{these} most likely never reached Stripe's meter",
    Cause.REJECTED_BY_STRIPE: "Stripe rejected {rejected} at that time, after it had accepted them",
    Cause.NOT_IN_LEDGER: "{these} {were} most likely never recorded in the ledger",
    Cause.TWICE_IN_STRIPE: "{these} {were} most likely sent to Stripe twice",
    Cause.TWICE_IN_LEDGER: "{these} {were} most likely recorded in the ledger twice",
    Cause.WRONG_CUSTOMER: "{other} it under another customer{account}",
    Cause.WRONG_METER: "{other} it under {meter}",
    Cause.WRONG_SIGN: "{these} most likely came with the opposite sign on one side",
    Cause.UNIT_FACTOR: "both sides most likely count in different units{times}",
    Cause.RECORDED_LATE: "the ledger most likely accepted {these} only after the period had ended",
    Cause.PERIOD_EDGE: "both sides most likely have {these}, on different sides of the period's edge",
    Cause.TRUNCATED_DECIMALS: "{less} most likely dropped the digits after the decimal point",
    Cause.EVENT_TIME_WINDOW: (
        "Stripe's meter most likely dropped {these}: it counts only the newest event of each hour or day"
    ),
    Cause.UNEXPLAINED: "nothing in the figures shows why",
}
"""The second half of the sentence: what most likely went wrong."""

_SHORT_DASH = "\N{EN DASH}"
_INSTANT = timedelta(microseconds=1)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MOST_NAMED = 3
"""Parts of a window, or error codes, that a sentence names one by one."""


def sentence(explanation: Explanation, *, naming: bool = True) -> str:
    """Return one line: when, on which meter, by how much, and what most likely went wrong.

    Without ``naming`` it names no other customer's account: for documents that a customer may read.
    """
    parts = [part for part in _own_parts(explanation) if part.cause in (None, explanation.cause)]
    whole = quantities.subtract(explanation.billed, explanation.recorded)
    located = _difference(parts) if parts else whole
    if located:
        difference = f"Stripe counted {_more_or_less(located)} than the ledger recorded"
    else:
        difference = "Stripe counted as much as the ledger recorded in all"
    of_whole = "" if located == whole else f" ({_more_or_less(whole)} in the whole period)"
    suspicion = _SUSPICION[explanation.cause].format_map(_fields(explanation, naming=naming))
    when = _when([part.window for part in parts], explanation.window)
    return f"{when}, meter {printable(explanation.meter)}: {difference}{of_whole}; {suspicion}."


def paragraphs(explanation: Explanation) -> tuple[str, ...]:
    """Return paragraphs of one line each: what differs, where, the likely cause and a next step, what is not known."""
    cause = explanation.cause
    meaning = CAUSES[cause]
    if cause is not Cause.UNEXPLAINED:
        # A name at the start keeps its capital.
        meaning = f"Most likely: {meaning if meaning.startswith('Stripe') else meaning[0].lower() + meaning[1:]}"
    found = (
        _both_figures(explanation),
        _located_share(explanation),
        f"{meaning} {_NEXT_STEP[cause]}",
        *map(rejection_sentence, explanation.rejections),
        *(
            f"{window_in_words(part.window)}: {CAUSES[part.cause]}"
            for part in _own_parts(explanation)
            if part.cause is not None and part.cause is not cause
        ),
        *explanation.notes,
    )
    return tuple(printable(paragraph) for paragraph in found if paragraph)


def rejection_sentence(rejection: Rejection) -> str:
    """Return what Stripe rejected, with which error, when, and one of its samples."""
    meter = f" of the meter {rejection.meter}" if rejection.meter else ", whose meter it did not find,"
    sample = next(iter(rejection.samples), None)
    example = f" For example {sample.identifier}: {sample.message.rstrip('.')}." if sample else ""
    checked = window_in_words(Window(start=rejection.start, end=rejection.end))
    return printable(
        f"Stripe rejected {_meter_events(rejection.count)}{meter} with {rejection.code}, checked on {checked}.{example}"
    )


def figure(quantity: Decimal) -> str:
    """Return every digit of a quantity, with thousands separated: ``31,400``, ``-0.125``."""
    whole, point, rest = quantities.text(quantity.copy_abs()).partition(".")
    return f"{'-' if quantity < 0 else ''}{int(whole):,}{point}{rest}"


def window_in_words(window: Window) -> str:
    """Return a window as people write it, marked as UTC; whole days by their dates alone."""
    start, end, last = window.start, window.end, window.end - _INSTANT
    if _is_midnight(start) and _is_midnight(end):
        days = _date(start) if start.date() == last.date() else f"{_date(start)} through {_date(last)}"
        return f"{days} (UTC)"
    if start.date() == last.date():
        until = "24:00" if _is_midnight(end) else _clock(end)
        return f"{_date(start)}, {_clock(start)}{_SHORT_DASH}{until} UTC"
    return f"{_date(start)}, {_clock(start)} to {_date(end)}, {_clock(end)} UTC"


def _is_midnight(at: datetime) -> bool:
    return at.time() == at.time().min


def _date(at: datetime) -> str:
    # Not by strftime's %b, whose names of months depend on the locale.
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"


def _own_parts(explanation: Explanation) -> tuple[LocatedPart, ...]:
    """Return the parts of this very meter: their mirror on another meter is the same difference, not more of it."""
    return tuple(part for part in explanation.located if part.meter == explanation.meter)


def _difference(parts: Iterable[LocatedPart]) -> Decimal:
    return quantities.total(quantities.subtract(part.billed, part.recorded) for part in parts)


def _when(parts: list[Window], whole: Window) -> str:
    """Name the parts that were found; the whole window when none was, or when there are too many to name."""
    windows = parts or [whole]
    if len(windows) > _MOST_NAMED:
        return f"In {len(windows)} parts of {window_in_words(whole)}"
    first = windows[0]
    one_day = first.start.date() == (first.end - _INSTANT).date()
    *others, last = map(window_in_words, windows)
    return f"{'On' if one_day else 'From'} {' and '.join(filter(None, ('; '.join(others), last)))}"


def _more_or_less(difference: Decimal) -> str:
    return f"{figure(difference.copy_abs())} {'more' if difference >= 0 else 'less'}"


def _meter_events(count: int) -> str:
    return "1 meter event" if count == 1 else f"{count:,} meter events"


def _fields(explanation: Explanation, *, naming: bool) -> dict[str, str]:
    """Return the values that the second half of a sentence may show."""
    count = sum(len(part.records) for part in explanation.located if part.cause in (None, explanation.cause))
    overbilled = quantities.subtract(explanation.billed, explanation.recorded) > 0
    counterpart = printable(explanation.counterpart) if explanation.counterpart else ""
    rejected = Counter[str]()
    for each in explanation.rejections:
        rejected[each.code] += each.count
    codes = ", ".join(code for code, _ in rejected.most_common(_MOST_NAMED))
    return {
        "these": "this usage" if count == 0 else "this record" if count == 1 else f"these {count:,} records",
        "were": "were" if count > 1 else "was",
        "other": "the ledger most likely has" if overbilled else "Stripe most likely counted",
        "less": "the ledger" if overbilled else "Stripe's side",
        "account": f", ledger account {counterpart}" if counterpart and naming else "",
        "meter": f"the meter {counterpart}" if counterpart else "another meter",
        "times": _times(explanation),
        "rejected": f"{_meter_events(rejected.total())} ({printable(codes)})",
    }


def _times(explanation: Explanation) -> str:
    """Return which side's figures are the other's times the factor, as far as the whole window shows it."""
    if explanation.factor is None:
        return ""
    factor, billed, recorded = explanation.factor, explanation.billed, explanation.recorded
    if quantities.equal(quantities.multiply(recorded, factor), billed):
        return f": Stripe's figures are the ledger's times {figure(factor)}"
    if quantities.equal(quantities.multiply(billed, factor), recorded):
        return f": the ledger's figures are Stripe's times {figure(factor)}"
    return f": one side's figures are the other's times {figure(factor)}"


def _both_figures(explanation: Explanation) -> str:
    difference = quantities.subtract(explanation.billed, explanation.recorded)
    more = f", so Stripe has {_more_or_less(difference)}" if difference else ""
    return (
        f"{window_in_words(explanation.window)}, meter {explanation.meter}, ledger account {explanation.account}: "
        f"Stripe counted {figure(explanation.billed)}, the ledger recorded {figure(explanation.recorded)}{more}."
    )


def _located_share(explanation: Explanation) -> str:
    """Return how much of the difference was located, and in how many parts of the window."""
    parts = _own_parts(explanation)
    if not parts:
        return "Where in that time they differ could not be located."
    located = _difference(parts)
    whole = quantities.subtract(explanation.billed, explanation.recorded)
    count = "one part" if len(parts) == 1 else f"{len(parts):,} parts"
    if located == whole:
        return f"All of the difference lies in {count} of that time."
    return f"The located difference lies in {count} of that time and comes to {figure(located)} of {figure(whole)}."
