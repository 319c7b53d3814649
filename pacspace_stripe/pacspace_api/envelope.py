"""Opening PacSpace's answers: envelopes, and one thing under several names. Pure; surprises are UnexpectedAnswer.

Two spellings of one thing that contradict each other are a surprise too: neither is believed.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import TypeVar
from urllib.parse import urlsplit

from pacspace_stripe.errors import UnexpectedAnswer
from pacspace_stripe.http.answers import Fields, json_answer
from pacspace_stripe.http.calls import Answer
from pacspace_stripe.pacspace_api.failures import PACSPACE

Value = TypeVar("Value")
ROOTS = ("proofRoot", "merkleRoot", "itemsRoot")
COUNTS = ("deltasCount", "deltaCount")
RECORD_IDS = ("recordId", "anchorId")
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
"""Roots and checkpoint ids go into metadata and footers: nothing but such characters was ever seen in one."""


def data_of(what: str, answer: Answer, *, bare: bool = False) -> Fields:
    """What is in the envelope: ``{success, data}`` or ``{statusCode, data}`` (CONTRACT 1.4); ``bare``: or none at all (CONTRACT 3.13)."""
    body = success_of(what, answer)
    if _enveloped(body):
        return body.fields("data")
    return body if bare and "data" not in body else body.reject("success", "is missing")


def listing_of(what: str, answer: Answer, *names: str) -> Fields:
    """The same for a list of rows, under any of ``names`` or as the data itself: it is then under the first."""
    body = success_of(what, answer)
    if not _enveloped(body):
        body.reject("success", "is missing")
    rows = body.raw("data")
    if isinstance(rows, list):
        return Fields(PACSPACE, what, {names[0]: rows})
    data = body.fields("data")
    there = next((name for name in names if name in data), None) or data.reject(names[0], "is missing")
    return data if there == names[0] else Fields(PACSPACE, what, {**data.data, names[0]: data.raw(there)})


def _enveloped(body: Fields) -> bool:
    return "success" in body or "statusCode" in body


def success_of(what: str, answer: Answer) -> Fields:
    """The whole body of an answer that says of itself that it went well (CONTRACT 1.4)."""
    body = Fields(PACSPACE, what, json_answer(PACSPACE, what, answer.body))
    failed = "success" in body and body.optional_flag("success") is not True
    if "success" not in body and "statusCode" in body:
        failed = body.integer("statusCode") // 100 != 2  # noqa: PLR2004  # success
    if not failed:
        return body
    said = answer.said
    message = f"{what}: HTTP {answer.status} with success=false{said.suffix}"
    raise UnexpectedAnswer(PACSPACE, message, status=answer.status, code=said.code, request_id=answer.request_id)


def is_pending(answer: Answer) -> bool:
    """Whether the same idempotency key is still being worked on (CONTRACT 1.7), whatever the status."""
    return answer.said.code == PENDING


PENDING = "IDEMPOTENCY_PENDING"


def one_of(data: Fields, names: Iterable[str], values: Iterable[Value | None]) -> Value | None:
    """One value under several names; all that are there must agree."""
    found = {value for value in values if value is not None}
    if len(found) > 1:
        data.reject("/".join(names), "contradict each other")
    return next(iter(found), None)


def text_of(data: Fields, *names: str) -> str | None:
    """A text under several names."""
    return one_of(data, names, (data.optional_text(name) for name in names))


def number_of(data: Fields, *names: str) -> Decimal | None:
    """An exact number under several names."""
    return one_of(data, names, (data.optional_number(name) for name in names))


def count_of(data: Fields, *names: str) -> int | None:
    """A number of things, so never negative, under several names."""
    count = one_of(data, names, (data.optional_integer(name) for name in names))
    if count is not None and count < 0:
        data.reject(names[0], "is negative")
    return count


def root_of(data: Fields) -> str | None:
    """A proof root, under its names."""
    root = text_of(data, *ROOTS)
    return None if root is None else safe_name(data, "proofRoot", root)


def safe_name(data: Fields, field: str, name: str) -> str:
    """An id or root of no odd characters or length."""
    if not _NAME.fullmatch(name):
        data.reject(field, "has characters or a length that no such name has")
    return name


def url_of(data: Fields, *names: str) -> str | None:
    """A web address, opaque but printable."""
    url = text_of(data, *names)
    if url is None:
        return None
    printable = url.isascii() and url.isprintable() and " " not in url
    if not printable or _scheme(url) not in {"http", "https"}:
        data.reject(names[0], "is not a web address")
    return url


def _scheme(url: str) -> str | None:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return None


def check_same(data: Fields, name: str, asked: str) -> None:
    """Refuse an answer about something else than what was asked for."""
    named = data.optional_text(name)
    if named is not None and named != asked:
        data.reject(name, "is not the one asked for")


def total_of(listing: Fields, *, unnamed: int) -> int:
    """How many rows a list has in all (T: ``pagination.total``); ``unnamed`` where it does not say."""
    pagination = listing.optional_fields("pagination")
    total = pagination.optional_integer("total") if pagination else listing.optional_integer("total")
    return unnamed if total is None else total
