"""PacSpace's answers → the domain's values, for the gate. Pure; surprises are UnexpectedAnswer.

Reads no more than the gate judges by: a surprise in anything else must not hold an invoice.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from itertools import islice

from pacspace_stripe.http.answers import Fields
from pacspace_stripe.pacspace_api.envelope import (
    COUNTS,
    RECORD_IDS,
    ROOTS,
    check_same,
    count_of,
    root_of,
    safe_name,
    url_of,
)
from pacspace_stripe.vocabulary.ledger import Balance, Checkpoint, Comparison, InvoiceProof, ProofSummary, Record
from pacspace_stripe.vocabulary.windows import Window

_SETTLED = {"verified", "failed"}
_SHOWN = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
"""What is shown to a person as an id or a number: nothing else was ever seen in one."""


def balance_from_pacspace(data: Fields, account: str, window: Window) -> Balance:
    """A derive answer (CONTRACT 3.4)."""
    net, count = net_and_count(data, account)
    if net and not count:
        data.reject("computedBalance", "is made of no records")
    return Balance(account=account, window=window, net=net, count=count)


def net_and_count(data: Fields, account: str) -> tuple[Decimal, int]:
    """The figures of a derive answer (CONTRACT 3.4): the balance, and the number of deltas behind it."""
    check_same(data, "customerId", account)
    count = count_of(data, *COUNTS)
    if count is None:
        data.reject("deltasCount", "is missing")
    return data.number("computedBalance"), count


def bucket_figures(data: Fields, key: str) -> tuple[Decimal, int, bool]:
    """The figures of a settlement record (7): the sum, the number of writes, and whether all of them are verified."""
    check_same(data, "key", key)
    writes = count_of(data, "totalWrites")
    if writes is None:
        data.reject("totalWrites", "is missing")
    bits = data.number("currentBits")
    if bits != bits.to_integral_value():
        data.reject("currentBits", "is not a whole number")
    if bits and not writes:
        data.reject("currentBits", "is made of no writes")
    return bits, writes, data.flag("verified")


def comparison_from_pacspace(data: Fields, sent: Comparison) -> Comparison:
    """A compare answer (CONTRACT 3.5), beside the figures that were sent. Something of it must be there."""
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


def checkpoint_from_pacspace(data: Fields, account: str | None) -> Checkpoint:
    """A checkpoint (CONTRACT 3.6), with its root once there is one. ``account`` None: of everybody."""
    if account is not None:
        check_same(data, "customerId", account)
    checkpoint_id = safe_name(data, "checkpointId", data.text("checkpointId"))
    return Checkpoint(checkpoint_id=checkpoint_id, proof_root=root_of(data))


def has_failed(data: Fields) -> bool:
    """Whether PacSpace gave up on it: such a checkpoint has no proof and will have none."""
    return (data.optional_text("status") or "").upper() == "FAILED"


def invoice_proof_from_pacspace(data: Fields, account: str) -> InvoiceProof:
    """An invoice-proof answer (CONTRACT 3.9). Its access hint is a secret of the payer and is not even read."""
    check_same(data, "customerId", account)
    if not any(name in data for name in ("customerId", *ROOTS)):
        data.reject("proofRoot", "is missing")
    return InvoiceProof(
        proof_root=root_of(data),
        verify_url=url_of(data, "verifyUrl"),
        verification_api_url=url_of(data, "verificationApiUrl"),
    )


def proof_summary_from_pacspace(data: Fields, proof_root: str) -> ProofSummary:
    """A public verify answer (CONTRACT 3.13)."""
    named = data.optional_text("proofRoot")
    if named is not None and named.lower() != proof_root.lower():
        data.reject("proofRoot", "is not the one asked for")
    summary = data.optional_fields("summary")
    return ProofSummary(
        proof_root=proof_root,
        verified=data.flag("verified"),
        record_count=summary.optional_integer("recordCount") if summary else None,
        net_change=summary.optional_number("netChange") if summary else None,
        message=data.optional_text("message"),
    )


def is_unsettled(item: Fields, since: datetime, before: datetime) -> bool:
    """Whether a row of recent activity (CONTRACT 3.11) lies between two moments and may still change the balance."""
    if item.text("status").lower() in _SETTLED:
        return False
    at = item.optional_written_at("time")
    return at is None or since <= at < before


def gaps_of(data: Fields) -> int:
    """How many gaps a gaps answer (CONTRACT 3.12) names. Its shape is not published: any of these, and nothing else.

    They must agree on whether there is any: a page of none is no gap less.
    """
    counts = [data.optional_integer(name) for name in ("totalGaps", "gapCount", "missingCount")]
    lists = [data.length(name) for name in ("gaps", "missing", "missingSequences") if name in data]
    named = [count for count in (*counts, *lists) if count is not None]
    if not named:
        data.reject("gaps", "is missing")
    if not named[0] and (any(named) or data.optional_flag("hasGaps")):
        data.reject("gaps", "contradict each other")
    return named[0]


def named(rows: Iterable[Fields], *, most: int) -> tuple[str, ...]:
    """The ids of the first few records, where they have any."""
    ids = (next((row.data[name] for name in RECORD_IDS if row.data.get(name)), None) for row in rows)
    return tuple(islice((one for one in ids if isinstance(one, str) and _SHOWN.fullmatch(one)), most))


def gaps_named(data: Fields, *, most: int) -> tuple[str, ...]:
    """The first few gaps of a gaps answer, ``4`` or ``4 to 7``, where it has them as the simulator has.

    Its shape is not published (CONTRACT 3.12), and nothing is judged by these names: what is otherwise is left out.
    """
    rows = data.data.get("gaps")
    spans = ((row.get("fromSequence"), row.get("toSequence")) for row in _mappings(rows))
    return tuple(islice((_span(first, last) for first, last in spans if _is_sequence(first, last)), most))


def _mappings(rows: object) -> list[Mapping[str, object]]:
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _is_sequence(*bounds: object) -> bool:
    return all(isinstance(bound, (int, str)) and _SHOWN.fullmatch(str(bound)) for bound in bounds)


def _span(first: object, last: object) -> str:
    return str(first) if str(first) == str(last) else f"{first} to {last}"


def record_from_pacspace(data: Fields, key: str) -> Record:
    """A ``reads/bucket`` answer (7)."""
    bits, writes, verified = bucket_figures(data, key)
    return Record(key=key, bits=bits, writes=writes, verified=verified)
