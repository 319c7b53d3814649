"""An explanation in words that need no knowledge of meters, ledgers or either vendor. Pure.

Whatever comes from a vendor (meters, accounts) is made harmless to a terminal; every time is UTC and says so.
"""

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal

from pacspace_stripe.explain.rules.explanation import Cause, Explanation, Located, Rejection
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
    Cause.TRUNCATED_DECIMALS: "One side dropped what comes after the decimal point.",
    Cause.EVENT_TIME_WINDOW: (
        "Stripe's meter counts only the newest event of each hour or day (its event_time_window); the ledger has all."
    ),
    Cause.UNEXPLAINED: "The figures differ there, and nothing that they show tells why.",
}
"""Every cause in one sentence for a person: what it means, and what usually leads to it."""

_LOOK: dict[Cause, str] = {
    Cause.NOT_IN_STRIPE: "Look where meter events are sent to Stripe: for errors and for a backlog at that time.",
    Cause.REJECTED_BY_STRIPE: "Correct what the errors name where meter events are sent, then send the usage again.",
    Cause.NOT_IN_LEDGER: "Look where usage is recorded in the ledger: for errors and for a backlog at that time.",
    Cause.TWICE_IN_STRIPE: "Look where meter events are sent to Stripe: for retries that took a new identifier.",
    Cause.TWICE_IN_LEDGER: "Look where usage is recorded in the ledger: for retries that took a new reference.",
    Cause.WRONG_CUSTOMER: "Look where a customer of yours is turned into Stripe's customer and into a ledger account.",
    Cause.WRONG_METER: "Look where the meter's name, and the ledger's reason or account, are chosen.",
    Cause.WRONG_SIGN: "Look at the sign of what is sent, and at PACSPACE_STRIPE_USAGE_SIGN.",
    Cause.UNIT_FACTOR: "Agree on one unit where usage is sent, or name the meter's unit factor in the settings.",
    Cause.RECORDED_LATE: "Look for what delayed the ledger's records at the end of the period.",
    Cause.PERIOD_EDGE: "Nothing is lost: decide which period it belongs to, and which clock both sides go by.",
    Cause.TRUNCATED_DECIMALS: "Look where the number is turned into text or into a whole number before it is sent.",
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
    Cause.TRUNCATED_DECIMALS: "{less} most likely dropped what comes after the decimal point",
    Cause.EVENT_TIME_WINDOW: (
        "Stripe's meter most likely dropped {these}: it counts only the newest event of each hour or day"
    ),
    Cause.UNEXPLAINED: "nothing in the figures tells why",
}
"""The second half of a sentence: what most likely went wrong."""

_UP_TO = "\N{EN DASH}"
_INSTANT = timedelta(microseconds=1)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NAMED = 3
"""Up to so many parts of a window are named one by one in a sentence."""


def sentence(explanation: Explanation, *, naming: bool = True) -> str:
    """One line: when, on which meter, by how much, and what most likely went wrong.

    Without ``naming`` it names no other customer's account: for documents that a customer may read.
    """
    parts = _of_main_cause(explanation)
    whole = _off(explanation)
    off = _off_in(parts) if parts else whole
    of_all = "" if off == whole else f" ({_more(whole)} in the whole period)"
    suspicion = _SUSPICION[explanation.cause].format_map(_fields(explanation, naming=naming))
    return f"{_when(parts, explanation.window)}, meter {printable(explanation.meter)}: {_by(off)}{of_all}; {suspicion}."


def words(explanation: Explanation) -> tuple[str, ...]:
    """A few paragraphs, each one line: what differs, where, most likely why and what to look at, what is not known."""
    cause = explanation.cause
    why = CAUSES[cause] if cause is Cause.UNEXPLAINED else f"Most likely: {_lowered(CAUSES[cause])}"
    others = [(part.window, part.cause) for part in _parts(explanation) if part.cause not in (None, cause)]
    elsewhere = (f"{span(window)}: {CAUSES[other]}" for window, other in others if other)
    rejected = map(rejection_sentence, explanation.rejections)
    reasons = (f"{why} {_LOOK[cause]}", *rejected, *elsewhere)
    said = (_figures(explanation), _place(explanation), *reasons, *explanation.notes)
    return tuple(printable(paragraph) for paragraph in said if paragraph)


def rejection_sentence(rejection: Rejection) -> str:
    """Return what Stripe rejected, with what error, when, and one of its samples."""
    of = f" of the meter {rejection.meter}" if rejection.meter else ", whose meter it did not find,"
    sample = next(iter(rejection.samples), None)
    shown = f" For example {sample.identifier}: {sample.message.rstrip('.')}." if sample else ""
    checked = span(Window(start=rejection.start, end=rejection.end))
    return printable(
        f"Stripe rejected {_events(rejection.count)}{of} with {rejection.code}, checked on {checked}.{shown}"
    )


def _events(count: int) -> str:
    return "1 meter event" if count == 1 else f"{count:,} meter events"


def _rejected(explanation: Explanation) -> str:
    """Return how many were rejected and with which codes, the most frequent one first."""
    counts = Counter[str]()
    for one in explanation.rejections:
        counts[one.code] += one.count
    codes = ", ".join(code for code, _ in counts.most_common(_NAMED))
    return f"{_events(counts.total())} ({printable(codes)})"


def figure(quantity: Decimal) -> str:
    """Every digit, thousands separated: ``31,400``, ``-0.125``."""
    whole, point, rest = quantities.text(quantity.copy_abs()).partition(".")
    return f"{'-' if quantity < 0 else ''}{int(whole):,}{point}{rest}"


def span(window: Window) -> str:
    """A window as people say it, in UTC and saying so; whole days by their names alone."""
    start, end, last = window.start, window.end, window.end - _INSTANT
    if _midnight(start) and _midnight(end):
        days = _date(start) if start.date() == last.date() else f"{_date(start)} through {_date(last)}"
        return f"{days} (UTC)"
    if start.date() == last.date():
        return f"{_date(start)}, {_clock(start)}{_UP_TO}{'24:00' if _midnight(end) else _clock(end)} UTC"
    return f"{_date(start)}, {_clock(start)} to {_date(end)}, {_clock(end)} UTC"


def _midnight(at: datetime) -> bool:
    return at.time() == at.time().min


def _date(at: datetime) -> str:
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"


def _parts(explanation: Explanation) -> tuple[Located, ...]:
    """The parts of this very meter: a mirror of them on another one is no more of the same difference."""
    return tuple(part for part in explanation.located if part.meter == explanation.meter)


def _of_main_cause(explanation: Explanation) -> tuple[Located, ...]:
    """What the explanation's own cause is about; a part may have another one."""
    return tuple(part for part in _parts(explanation) if part.cause in (None, explanation.cause))


def _when(parts: tuple[Located, ...], window: Window) -> str:
    """The parts that were found; the whole window when none was, or too many to name."""
    windows = [part.window for part in parts] or [window]
    if len(windows) > _NAMED:
        return f"In {len(windows)} parts of {span(window)}"
    first = windows[0]
    one_day = first.start.date() == (first.end - _INSTANT).date()
    *others, last = [span(each) for each in windows]
    return f"{'On' if one_day else 'From'} {' and '.join(filter(None, ('; '.join(others), last)))}"


def _off(explanation: Explanation) -> Decimal:
    return quantities.subtract(explanation.billed, explanation.recorded)


def _off_in(parts: tuple[Located, ...]) -> Decimal:
    return quantities.total(quantities.subtract(part.billed, part.recorded) for part in parts)


def _by(off: Decimal) -> str:
    if not off:
        return "Stripe counted as much as the ledger recorded in all"
    return f"Stripe counted {_more(off)} than the ledger recorded"


def _more(off: Decimal) -> str:
    return f"{figure(off.copy_abs())} {'more' if off >= 0 else 'less'}"


def _fields(explanation: Explanation, *, naming: bool) -> dict[str, str]:
    """What the second half of a sentence may say."""
    count = sum(len(part.records) for part in explanation.located if part.cause in (None, explanation.cause))
    more = _off(explanation) > 0
    there = printable(explanation.counterpart) if explanation.counterpart else ""
    return {
        "these": "this usage" if count == 0 else "this record" if count == 1 else f"these {count:,} records",
        "were": "were" if count > 1 else "was",
        "other": "the ledger most likely has" if more else "Stripe most likely counted",
        "less": "the ledger" if more else "Stripe's side",
        "account": f", ledger account {there}" if there and naming else "",
        "meter": f"the meter {there}" if there else "another meter",
        "times": _times(explanation),
        "rejected": _rejected(explanation),
    }


def _times(explanation: Explanation) -> str:
    """Whose figures are the other's times the factor, as far as the whole window tells."""
    if explanation.factor is None:
        return ""
    factor, billed, recorded = explanation.factor, explanation.billed, explanation.recorded
    if quantities.equal(quantities.multiply(recorded, factor), billed):
        return f": Stripe's figures are the ledger's times {figure(factor)}"
    if quantities.equal(quantities.multiply(billed, factor), recorded):
        return f": the ledger's figures are Stripe's times {figure(factor)}"
    return f": one side's figures are the other's times {figure(factor)}"


def _figures(explanation: Explanation) -> str:
    both = f"Stripe counted {figure(explanation.billed)}, the ledger recorded {figure(explanation.recorded)}"
    off = _off(explanation)
    more = f", so Stripe has {_more(off)}" if off else ""
    named = f"meter {explanation.meter}, ledger account {explanation.account}"
    return f"{span(explanation.window)}, {named}: {both}{more}."


def _place(explanation: Explanation) -> str:
    """How much of the difference was placed, and in how small a part of the window."""
    parts = _parts(explanation)
    if not parts:
        return "Where in that time they differ could not be told."
    placed, off = _off_in(parts), _off(explanation)
    many = "one part" if len(parts) == 1 else f"{len(parts):,} parts"
    if placed == off:
        return f"All of the difference lies in {many} of that time."
    return f"What could be placed lies in {many} of that time and comes to {figure(placed)} of {figure(off)}."


def _lowered(words: str) -> str:
    """As the rest of a sentence; a name keeps its capital."""
    return words if words.startswith("Stripe") else words[0].lower() + words[1:]
