"""PacSpace's answers → our values, in every documented spelling. Pure; surprises are UnexpectedAnswer.

Two spellings of one thing that contradict each other are a surprise too: neither is believed.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlsplit

from pacspace_stripe.domain.ledger import Balance, Checkpoint, Comparison, InvoiceProof, ProofSummary
from pacspace_stripe.domain.windows import Window
from pacspace_stripe.errors import UnexpectedAnswer
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.transport.answers import Fields, error_body, json_answer
from pacspace_stripe.transport.client import Answer

Value = TypeVar("Value")
_ROOTS = ("proofRoot", "merkleRoot", "itemsRoot")
_COUNTS = ("deltasCount", "deltaCount")
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
"""Roots and checkpoint ids go into metadata and footers: nothing but such characters was ever seen in one."""
_SETTLED = {"verified", "failed"}


def data_of(what: str, answer: Answer, *, bare: bool = False) -> Fields:
    """What is in the envelope: ``{success, data}`` or ``{statusCode, data}`` (1.4); ``bare``: or none at all (3.13)."""
    body = Fields(PACSPACE, what, json_answer(PACSPACE, what, answer.body))
    if "success" in body:
        if body.optional_flag("success") is not True:
            raise _contradiction(what, answer)
        return body.fields("data")
    if "statusCode" in body:
        if body.integer("statusCode") // 100 != 2:  # noqa: PLR2004  # success
            raise _contradiction(what, answer)
        return body.fields("data")
    return body if bare and "data" not in body else body.reject("success", "is missing")


def _contradiction(what: str, answer: Answer) -> UnexpectedAnswer:
    said = error_body(answer.body)
    message = f"{what}: HTTP {answer.status} with success=false{said.suffix}"
    return UnexpectedAnswer(PACSPACE, message, status=answer.status, code=said.code, request_id=answer.request_id)


def is_pending(answer: Answer) -> bool:
    """Whether the same idempotency key is still being worked on (1.7)."""
    return error_body(answer.body).code == "IDEMPOTENCY_PENDING"


def balance_from_pacspace(data: Fields, account: str, window: Window) -> Balance:
    """A derive answer (3.4)."""
    _check_account(data, account)
    count = _one_of(data, _COUNTS, (data.optional_integer(name) for name in _COUNTS))
    if count is None or count < 0:
        data.reject("deltasCount", "is missing" if count is None else "is negative")
    return Balance(account=account, window=window, net=data.number("computedBalance"), count=count)


def comparison_from_pacspace(data: Fields, sent: Comparison) -> Comparison:
    """A compare answer (3.5), beside the figures that were sent. Something of it must be there."""
    neutral = data.optional_number("neutralBalance")
    yours, theirs = data.optional_flag("matchesYours"), data.optional_flag("matchesTheirs")
    if neutral is None and yours is None and theirs is None:
        data.reject("neutralBalance", "is missing")
    return Comparison(
        your_balance=sent.your_balance,
        their_balance=sent.their_balance,
        neutral_balance=neutral,
        matches_yours=yours,
        matches_theirs=theirs,
    )


def checkpoint_from_pacspace(data: Fields, account: str) -> Checkpoint:
    """A checkpoint (3.6), with its root once there is one."""
    _check_account(data, account)
    return Checkpoint(checkpoint_id=_named(data, "checkpointId", data.text("checkpointId")), proof_root=_root(data))


def has_failed(data: Fields) -> bool:
    """Whether PacSpace gave up on it: such a checkpoint has no proof and will have none."""
    return (data.optional_text("status") or "").upper() == "FAILED"


def invoice_proof_from_pacspace(data: Fields, account: str) -> InvoiceProof:
    """An invoice-proof answer (3.9). Its access hint is a secret of the payer and is not even read."""
    _check_account(data, account)
    if not any(name in data for name in ("customerId", *_ROOTS)):
        data.reject("proofRoot", "is missing")
    return InvoiceProof(
        proof_root=_root(data),
        verify_url=_url(data, "verifyUrl"),
        verification_api_url=_url(data, "verificationApiUrl"),
    )


def proof_summary_from_pacspace(data: Fields, proof_root: str) -> ProofSummary:
    """A public verify answer (3.13)."""
    named = data.optional_text("proofRoot")
    if named is not None and named.lower() != proof_root.lower():
        data.reject("proofRoot", "is not the one asked for")
    summary = data.optional_fields("summary")
    return ProofSummary(
        proof_root=proof_root,
        verified=data.flag("verified"),
        record_count=summary.optional_integer("recordCount") if summary else None,
        net_change=summary.optional_number("netChange") if summary else None,
    )


def is_unsettled(item: Fields, since: datetime, before: datetime) -> bool:
    """Whether a row of recent activity (3.11) lies between two moments and may still change the balance."""
    if item.text("status").lower() in _SETTLED:
        return False
    at = item.optional_written_at("time")
    return at is None or since <= at < before


def total_of(listing: Fields, *, unnamed: int) -> int:
    """How many rows a list has in all (T: ``pagination.total``); ``unnamed`` where it does not say."""
    pagination = listing.optional_fields("pagination")
    total = pagination.optional_integer("total") if pagination else listing.optional_integer("total")
    return unnamed if total is None else total


def gaps_of(data: Fields) -> int:
    """How many gaps a gaps answer (3.12) names. Its shape is not published: any of these, and nothing else."""
    counts = (data.optional_integer(name) for name in ("totalGaps", "gapCount", "missingCount"))
    lists = (data.length(name) for name in ("gaps", "missing", "missingSequences") if name in data)
    named = next((count for count in (*counts, *lists) if count is not None), None)
    return data.reject("gaps", "is missing") if named is None else named


def _check_account(data: Fields, account: str) -> None:
    named = data.optional_text("customerId")
    if named is not None and named != account:
        data.reject("customerId", "is not the one asked for")


def _one_of(data: Fields, names: Iterable[str], values: Iterable[Value | None]) -> Value | None:
    """One value under several names; all that are there must agree."""
    found = {value for value in values if value is not None}
    if len(found) > 1:
        data.reject("/".join(names), "contradict each other")
    return next(iter(found), None)


def _root(data: Fields) -> str | None:
    root = _one_of(data, _ROOTS, (data.optional_text(name) for name in _ROOTS))
    return None if root is None else _named(data, "proofRoot", root)


def _named(data: Fields, field: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        data.reject(field, "has characters or a length that no such name has")
    return name


def _url(data: Fields, name: str) -> str | None:
    url = data.optional_text(name)
    if url is None:
        return None
    printable = url.isascii() and url.isprintable() and " " not in url
    if not printable or urlsplit(url).scheme not in {"http", "https"}:
        data.reject(name, "is not a web address")
    return url
