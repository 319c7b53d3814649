"""Broken answers: a call ends in a result or in one of our own errors, and no broken answer counts as agreement."""

import contextlib
import copy
import json
from collections import deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache, partial
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacspace_stripe.errors import PacspaceStripeError, RemoteError, UnexpectedAnswer
from pacspace_stripe.http.client import Transport
from pacspace_stripe.pacspace_api import CheckpointRoot, PacSpace
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.vocabulary.ledger import Balance, Comparison, ProofSummary
from tests.support.pacspace_calls import ADDRESS, CALLS, CUSTOMER, GATE_CALLS, NOW, Names, client, populated, transport

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 10**40, 2**63, -(2**63), 1e308, 0.1, -42.5]),
    st.text(max_size=20),
    st.sampled_from(
        [
            "",
            "NaN",
            "1e999999",
            "-42.5",
            "true",
            "VERIFIED",
            "0xab",
            "\x00",
            "\ud800",
            "http://[",
            "0001-01-01T00:00:00+23:00",
            CUSTOMER,
        ]
    ),
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)
RAW = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([b"", b"null", b"[]", b"NaN", b"<!doctype html><title>Welcome</title>", b"%PDF-", b"[" * 5000]),
    st.builds(lambda size: b'{"success":true,"data":{"computedBalance":1' + b"0" * size + b"}}", st.integers(1, 6000)),
)
TYPES = st.sampled_from(["application/json", "text/html", "application/pdf", "", "application/json; charset=utf-16"])
STATUSES = st.sampled_from([200, 200, 200, 201, 202, 204, 301, 400, 401, 402, 403, 404, 409, 412, 413, 422, 429, 500])


Answers = list[tuple[int, str, bytes]]
"""Status, content type and body of each answer that a call gets, in order; the last one for ever."""


@cache
def good_answers() -> tuple[Names, dict[str, Answers]]:
    """Return the simulator's answers to each call, to be broken."""
    world, names = populated()
    gate = PacSpace(world.ledger.api_key, base_url=ADDRESS, transport=world.transport).reconciliation
    asked: dict[str, Callable[[], object]] = {name: partial(call, world.pac, names) for name, call in CALLS.items()}
    asked |= {f"gate.{name}": partial(call, gate, names) for name, call in GATE_CALLS.items()}
    found: dict[str, Answers] = {}
    for name, ask in asked.items():
        world.answered.clear()
        ask()
        found[name] = [(each.status_code, each.headers["Content-Type"], each.content) for each in world.answered]
    return names, found


@st.composite
def broken(draw: st.DrawFn, good: tuple[int, str, bytes]) -> tuple[int, str, bytes]:
    """Draw one answer whose body, content type or status is wrong, or that is unchanged."""
    status, kind, content = good
    how = draw(st.sampled_from(["fields", "fields", "fields", "cut", "raw", "failed", "status", "type", "nothing"]))
    match how:
        case "fields" if kind == "application/json":
            content = json.dumps(draw(changed(json.loads(content)))).encode()
        case "cut":
            content = content[: draw(st.integers(0, max(0, len(content) - 1)))]
        case "raw" | "fields":
            content = draw(RAW)
        case "failed" if kind == "application/json":
            content = json.dumps({**json.loads(content), "success": False}).encode()
        case "status":
            status = draw(STATUSES)
        case "type":
            kind = draw(TYPES)
    return status, kind, content


@st.composite
def changed(draw: st.DrawFn, body: Any) -> Any:  # noqa: ANN401  # any JSON
    """Draw a body in which one to three places are missing, extra or of another type."""
    body = copy.deepcopy(body)
    for _ in range(draw(st.integers(1, 3))):
        places = list(places_of(body))
        holder, key = draw(st.sampled_from(places)) if places else (None, None)
        match draw(st.sampled_from(["replace", "replace", "remove", "add"])):
            case "remove" if holder is not None:
                del holder[key]
            case "add" if isinstance(holder, dict):
                holder[draw(st.text(max_size=8))] = draw(JUNK)
            case _ if holder is not None:
                holder[key] = draw(JUNK)
            case _:
                body = draw(JUNK)
    return body


def places_of(body: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401  # any JSON
    """Yield every field and every row, with the object or list that holds it."""
    rows = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, inner in rows:
        yield body, key
        yield from places_of(inner)


def replaying(answers: Answers) -> Callable[[httpx.Request], httpx.Response]:
    left = deque(answers)

    def answer(_: httpx.Request) -> httpx.Response:
        status, kind, content = left.popleft() if len(left) > 1 else left[0]
        return httpx.Response(status, content=content, headers={"Content-Type": kind} if kind else {})

    return answer


def over(answers: Answers) -> Transport:
    return transport(replaying(answers), ManualClock(NOW))


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=60)
@given(data=st.data())
def test_a_broken_answer_gives_a_result_or_an_error_of_ours(name: str, data: st.DataObject) -> None:
    names, good = good_answers()
    answers = [data.draw(broken(each)) for each in good[name]]
    with contextlib.suppress(PacspaceStripeError):
        CALLS[name](client(over(answers)), names)


@pytest.mark.parametrize("name", GATE_CALLS)
@settings(max_examples=100)
@given(data=st.data())
def test_a_broken_answer_never_counts_as_agreement_for_the_gate(name: str, data: st.DataObject) -> None:
    names, good = good_answers()
    answers = [data.draw(broken(each)) for each in good[f"gate.{name}"]]
    try:
        result = GATE_CALLS[name](
            PacSpace("pk_test_a.b", base_url=ADDRESS, transport=over(answers)).reconciliation, names
        )
    except RemoteError:
        return
    said = [opened(content) for _, _, content in answers]
    assert justified(result, said[-1] or {}, names), (result, answers)


def opened(content: bytes) -> dict[str, Any] | None:
    """Return the data of an answer, read by other code than ours; None when it has none."""
    try:
        body = json.loads(content, parse_float=Decimal)
    except (ValueError, RecursionError, ArithmeticError):
        return None
    if not isinstance(body, dict) or body.get("success", True) is not True:
        return None
    data = body.get("data", body)
    return data if isinstance(data, dict) else None


def justified(result: object, said: dict[str, Any], names: Names) -> bool:
    """Return whether every part of a result is in the answer."""
    match result:
        case Balance(known=True):
            counts = {said.get(name) for name in ("deltasCount", "deltaCount")} - {None}
            return counts == {result.count} and result.net == Decimal(said["computedBalance"])
        case Comparison():
            flags = (said.get("matchesYours"), said.get("matchesTheirs"))
            neutral = said.get("neutralBalance")
            same = neutral is None or result.neutral_balance == Decimal(neutral)
            return flags == (result.matches_yours, result.matches_theirs) and same
        case ProofSummary(verified=True):
            named = said.get("proofRoot")
            return said["verified"] is True and (named is None or named.lower() == names.root)
        case CheckpointRoot(proof_root=str() as root):
            rows = [said, *(row for row in said.get("checkpoints") or [] if isinstance(row, dict))]
            roots = [(row.get("checkpointId"), row.get(key)) for row in rows for key in ("proofRoot", "merkleRoot")]
            return (result.checkpoint_id, root) in roots
        case _:
            return True


@pytest.mark.parametrize("name", [name for name in CALLS if name != "proofs.pdf"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>Welcome</html>",
        b"null",
        b"[]",
        b'"ok"',
        b'{"success": false, "data": {"verified": true}}',
        b'{"success": true}',
        b'{"success": true, "data": null}',
        b'{"success": true, "data": "ok"}',
        b'{"success": true, "data": {"computedBalance": NaN}}',
        b'{"statusCode": 500, "data": {}}',
    ],
    ids=repr,
)
def test_an_empty_200_is_an_answer_to_no_call(name: str, content: bytes) -> None:
    names, _ = good_answers()
    with pytest.raises(UnexpectedAnswer) as surprise:
        CALLS[name](client(over([(200, "application/json", content)])), names)
    assert surprise.value.service == "PacSpace"


@pytest.mark.parametrize("name", CALLS)
def test_an_endless_answer_is_cut_off(name: str) -> None:
    names, _ = good_answers()
    endless = b'{"success":true,"data":{"verified":true,"text":"' + b"x" * 11 * 1024 * 1024
    with pytest.raises(UnexpectedAnswer, match="bytes"):
        CALLS[name](client(over([(200, "application/json", endless)])), names)


@pytest.mark.parametrize("content", [b"", b"<html>", b"%PD", b'{"success": true}'])
def test_an_answer_that_is_no_pdf_is_refused(content: bytes) -> None:
    with pytest.raises(UnexpectedAnswer, match="not a PDF"):
        client(over([(200, "application/pdf", content)])).proofs.pdf("chk_1")


@settings(max_examples=60)
@given(data=st.data())
def test_a_broken_answer_never_counts_as_verified(data: st.DataObject) -> None:
    names, good = good_answers()
    answers = [data.draw(broken(good["proofs.verify"][0]))]
    try:
        shown = client(over(answers)).verify(names.root)
    except RemoteError:
        return
    assert not shown.verified or (opened(answers[0][2]) or {}).get("verified") is True
