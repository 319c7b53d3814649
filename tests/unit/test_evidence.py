"""Evidence: the same facts are the same bytes, and every link of a chain names the one before."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.comparison.rules.verdicts import BilledLine, Finding, Reason, summarize
from pacspace_stripe.evidence.rules.document import FORMAT, Evidence, core, meaning, seal, shown
from pacspace_stripe.gate.rules.state import Waiver
from pacspace_stripe.vocabulary.canonical_json import Json, canonical, digest
from pacspace_stripe.vocabulary.invoices import InvoiceStatus
from pacspace_stripe.vocabulary.ledger import Comparison, UsageSign
from pacspace_stripe.vocabulary.policy import FailPolicy, FinalizePolicy, Mode, Policy
from pacspace_stripe.vocabulary.quantities import text
from tests.support.examples import (
    CREATED,
    FIGURES,
    METER,
    PLANNED,
    ROOT,
    SHA,
    WAIVED,
    Change,
    finding,
    invoice,
    left,
    proof,
    result,
)

COMPARED = Comparison(
    your_balance=Decimal("-100.0"),
    their_balance=Decimal(-100),
    neutral_balance=Decimal("-1E+2"),
    matches_yours=True,
    matches_theirs=True,
)
FULL = summarize((result(proof=proof(), comparison=COMPARED),))
WAIVER = Waiver(reason="agreed by phone", by="ada", at=PLANNED, figures=FIGURES)
CHAIN = "sub_1"

quantities = st.decimals(min_value=0, max_value=10**15, allow_nan=False, places=12)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
documents = st.dictionaries(
    words,
    st.recursive(
        st.none() | st.booleans() | st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1) | words,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=5,
)


def core_of(
    found: Finding, policy: Policy | None = None, waiver: Waiver | None = None, **changes: Change
) -> dict[str, Json]:
    return core(invoice(**changes), found, policy or Policy(), waiver)


def window_of(found: Finding) -> Change:
    """Return the one window of a finding's core."""
    windows = core_of(found)["windows"]
    assert isinstance(windows, list)
    (window,) = windows
    return window


def test_the_core_holds_comparison_result_and_policy() -> None:
    assert core_of(FULL) == {
        "format": FORMAT,
        "invoice": "in_1",
        "invoice_status": "draft",
        "customer": "cus_1",
        "subscription": "sub_1",
        "livemode": False,
        "decision": {"verdict": "matched", "reason": "EXACT"},
        "windows": [
            {
                "account": "cus_1",
                "meter": METER,
                "start": "2026-10-01T00:00:00Z",
                "end": "2026-11-01T00:00:00Z",
                "billed": "100",
                "recorded": "100",
                "count": 4,
                "reason": "EXACT",
                "lines": [{"id": "il_1", "quantity": "100"}],
                "from_meter": False,
                "compare": {
                    "your_balance": "-100",
                    "their_balance": "-100",
                    "neutral_balance": "-100",
                    "matches_yours": True,
                    "matches_theirs": True,
                },
                "proof": {
                    "checkpoint_id": "chk_1",
                    "proof_root": ROOT,
                    "record_count": 4,
                    "net_change": "-100",
                    "verify_url": f"https://verify.example/{ROOT}",
                    "cross_checked": True,
                    "stale": False,
                },
            }
        ],
        "policy": {
            "mode": "enforce",
            "fail": "closed",
            "finalize": "strict",
            "tolerance": "0",
            "usage_sign": "negative",
            "attribution": "auto",
        },
        "waiver": None,
        "confirms": None,
    }


def test_an_answer_that_is_not_there_is_null_and_not_left_out() -> None:
    unknown = result(Reason.UNKNOWN_SHAPE, account=None, window=None, billed=None, recorded=None, count=None)
    window = window_of(summarize((unknown,)))
    assert window == {
        "account": None,
        "meter": METER,
        "start": None,
        "end": None,
        "billed": None,
        "recorded": None,
        "count": None,
        "reason": "UNKNOWN_SHAPE",
        "lines": [{"id": "il_1", "quantity": "100"}],
        "from_meter": False,
        "compare": None,
        "proof": None,
    }


def test_only_the_evidence_of_a_waived_invoice_has_a_waiver() -> None:
    assert core_of(WAIVED, waiver=WAIVER)["waiver"] == {
        "reason": "agreed by phone",
        "by": "ada",
        "at": "2026-11-01T01:00:00Z",
        "figures": FIGURES,
    }
    assert core_of(finding(), waiver=WAIVER)["waiver"] is None


def test_a_waived_invoice_keeps_the_reason_that_was_waived() -> None:
    assert core_of(WAIVED, waiver=WAIVER)["decision"] == {"verdict": "waived", "reason": "OVERBILLED"}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(core_of(finding(Reason.OVERBILLED)), id="another result"),
        pytest.param(core_of(finding(), Policy(tolerance=Decimal("0.5"))), id="another tolerance"),
        pytest.param(core_of(finding(), Policy(mode=Mode.OBSERVE)), id="another mode"),
        pytest.param(core_of(finding(), Policy(fail=FailPolicy.OPEN)), id="another fail policy"),
        pytest.param(core_of(finding(), Policy(finalize=FinalizePolicy.FAST)), id="another way to finalize"),
        pytest.param(core_of(finding(), Policy(usage_sign=UsageSign.POSITIVE)), id="another sign"),
        pytest.param(core_of(finding(), status=InvoiceStatus.OPEN), id="another status"),
        pytest.param(core_of(summarize((result(billed=Decimal(101)),))), id="another figure"),
        pytest.param(core_of(summarize((result(count=5),))), id="another number of records"),
        pytest.param(
            core_of(summarize((result(lines=(BilledLine(line_id="il_2", quantity=Decimal(100)),)),))), id="other lines"
        ),
        pytest.param(core_of(summarize((result(proof=proof()),))), id="a proof"),
        pytest.param(core_of(summarize((result(), result()))), id="another window"),
        pytest.param(core_of(finding(), invoice_id="in_2"), id="another invoice"),
        pytest.param(core_of(finding(), livemode=True), id="another mode of Stripe's"),
    ],
)
def test_any_other_fact_is_another_core(other: dict[str, Json]) -> None:
    assert canonical(other) != canonical(core_of(finding()))


def test_an_unchanged_core_is_the_same_bytes_however_it_was_written() -> None:
    read_again = summarize((result(billed=Decimal("100.000"), recorded=Decimal("1E+2")),))
    assert digest(canonical(core_of(read_again))) == digest(canonical(core_of(finding())))


def test_neither_moment_nor_detail_nor_footer_is_part_of_the_core() -> None:
    later = core(
        invoice(footer="legal", metadata={"a": "b"}, created_at=PLANNED), finding(detail="again"), Policy(), None
    )
    assert later == core_of(finding())


@given(quantities, quantities)
def test_a_quantity_is_text_that_reads_back_exactly(billed: Decimal, recorded: Decimal) -> None:
    window = shown(result(billed=billed, recorded=recorded))
    assert (window["billed"], window["recorded"]) == (text(billed), text(recorded))
    assert Decimal(str(window["billed"])) == billed


def numbers(value: object) -> Iterator[object]:
    match value:
        case dict():
            for inner in value.values():
                yield from numbers(inner)
        case list():
            for inner in value:
                yield from numbers(inner)
        case _:
            yield value


@given(quantities)
def test_no_number_in_a_document_is_a_fraction(quantity: Decimal) -> None:
    found = summarize((result(billed=quantity, recorded=quantity, proof=proof(net=-quantity), comparison=COMPARED),))
    document = json.loads(sealed(core_of(found, Policy(tolerance=quantity))).document)
    assert not [number for number in numbers(document) if isinstance(number, float)]


def sealed(core_document: dict[str, Json], **changes: Change) -> Evidence:
    ordinary: dict[str, Change] = {"chain": CHAIN, "sequence": 1, "previous": None, "decided_at": CREATED}
    return seal(core_document, **(ordinary | changes))


def test_a_link_is_the_core_with_its_place_and_its_time() -> None:
    document = json.loads(sealed(core_of(FULL), sequence=3, previous=SHA).document)
    assert document.pop("chain") == {"id": CHAIN, "sequence": 3, "previous_sha256": SHA}
    assert document.pop("decided_at") == "2026-11-01T00:00:00Z"
    assert document == core_of(FULL)


def test_the_hash_is_that_of_the_bytes() -> None:
    link = sealed(core_of(FULL))
    assert link.sha256 == hashlib.sha256(link.document).hexdigest()


def test_the_bytes_are_canonical() -> None:
    document = sealed(core_of(FULL)).document
    assert document == rfc8785.dumps(json.loads(document))
    assert b" " not in document.replace(b"agreed by phone", b"")


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": 2},
        {"previous": SHA},
        {"chain": "sub_2"},
        {"decided_at": CREATED + timedelta(microseconds=1)},
    ],
)
def test_another_place_or_time_is_another_hash(changes: dict[str, object]) -> None:
    assert sealed(core_of(FULL), **changes).sha256 != sealed(core_of(FULL)).sha256


def test_the_same_moment_in_another_zone_is_the_same_hash() -> None:
    elsewhere = CREATED.astimezone(timezone(timedelta(hours=9)))
    assert sealed(core_of(FULL), decided_at=elsewhere) == sealed(core_of(FULL))


@given(documents)
def test_the_order_of_keys_does_not_matter(document: dict[str, Json]) -> None:
    backwards = dict(reversed(document.items()))
    assert canonical(backwards) == canonical(document)


@given(documents)
def test_canonical_bytes_read_back_as_the_document(document: dict[str, Json]) -> None:
    assert json.loads(canonical(document)) == document


@given(st.lists(st.sampled_from(Reason), min_size=1, max_size=6))
def test_a_chain_holds_together_from_its_first_link(reasons: list[Reason]) -> None:
    previous, links = None, []
    for sequence, reason in enumerate(reasons, start=1):
        at = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(minutes=sequence)
        link = sealed(core_of(finding(reason)), sequence=sequence, previous=previous, decided_at=at)
        links.append(json.loads(link.document) | {"sha256": link.sha256})
        previous = link.sha256
    named = [link["chain"]["previous_sha256"] for link in links]
    assert named == [None, *(link["sha256"] for link in links[:-1])]
    assert len({link["sha256"] for link in links}) == len(links)


def test_time_and_place_are_no_part_of_what_a_document_says() -> None:
    document = json.loads(sealed(core_of(FULL), sequence=7, previous=SHA).document)
    assert meaning(document) == meaning(core_of(FULL))


@pytest.mark.parametrize(
    ("found", "news"),
    [(finding(), False), (WAIVED, False), (finding(Reason.OVERBILLED), True), (finding(Reason.NOT_SETTLED), True)],
    ids=["matched", "waived", "drifted", "unproven"],
)
def test_finalization_is_news_only_of_an_invoice_that_should_not_have_left(
    found: Finding,
    news: bool,  # noqa: FBT001  # a column of the table
) -> None:
    before, after = (core(one, found, Policy(), WAIVER) for one in (invoice(), left()))
    assert (meaning(before) != meaning(after)) is news


def test_any_other_result_is_news() -> None:
    assert len({meaning(core_of(finding(reason))) for reason in Reason}) == len(Reason)


def test_a_stale_root_is_marked() -> None:
    waived = replace(WAIVED, windows=(result(Reason.OVERBILLED, proof=proof(stale=True, cross_checked=False)),))
    window = window_of(waived)
    assert (window["proof"]["stale"], window["proof"]["cross_checked"]) == (True, False)
