"""The stamp: our keys among the merchant's, within Stripe's limits, and nothing written twice."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.comparison.rules.verdicts import Finding, Reason, summarize
from pacspace_stripe.gate.rules.stamp import HOLD_KEY, LONGEST_VALUE, MOST_KEYS, OURS, Sign, carried, metadata_stamp
from pacspace_stripe.gate.rules.state import HoldCause
from pacspace_stripe.vocabulary.ledger import Record
from tests.support.examples import CREATED, OCTOBER, PLANNED, ROOT, SHA, WAIVED, finding, proof, result

LONGEST_KEY = 40
FULL = summarize((result(proof=proof()),))
STAMP = {
    "pacspace_verdict": "matched",
    "pacspace_evidence_sha256": SHA,
    "pacspace_window": "2026-10-01T00:00:00Z/2026-11-01T00:00:00Z",
    "pacspace_usage": "100",
    "pacspace_delta_count": "4",
    "pacspace_proof_root": ROOT,
    "pacspace_checkpoint_id": "chk_1",
    "pacspace_verify_url": f"https://verify.example/{ROOT}",
}

words = st.text(min_size=1, max_size=20)
proofs = st.builds(
    lambda verify_url, root: proof(verify_url=verify_url, proof_root=root),
    st.text(max_size=LONGEST_VALUE + 20),
    words,
)
windows = st.builds(
    lambda reason, billed, count, proven, timeless: result(
        reason, billed=billed, count=count, proof=proven, window=None if timeless else OCTOBER
    ),
    st.sampled_from(Reason),
    st.none() | st.decimals(min_value=0, max_value=10**9, allow_nan=False, places=3),
    st.none() | st.integers(min_value=0, max_value=10**6),
    st.none() | proofs,
    st.booleans(),
)
findings = st.lists(windows, min_size=1, max_size=7).map(lambda drawn: summarize(tuple(drawn)))
merchants_keys = st.one_of(
    words, st.sampled_from(["pacspace_customer_id", "pacspace_region", "pacspace_window_5", "pacspace_", "order_id"])
).filter(lambda key: key not in OURS)
merchants = st.dictionaries(merchants_keys, words, max_size=MOST_KEYS)
leftovers = st.dictionaries(st.sampled_from(sorted(OURS)), words, max_size=4)
waivers = st.none() | st.text(max_size=2 * LONGEST_VALUE)


def after(existing: Mapping[str, str], changes: Mapping[str, str]) -> dict[str, str]:
    """Return Stripe's metadata after an update: it merges, and deletes keys that are set to nothing."""
    return {key: value for key, value in {**existing, **changes}.items() if value}


def several(count: int) -> Finding:
    month = OCTOBER.end - OCTOBER.start
    return summarize(
        tuple(
            result(
                window=replace(OCTOBER, start=OCTOBER.start - number * month, end=OCTOBER.end - number * month),
                billed=Decimal(number),
                proof=proof(checkpoint_id=f"chk_{number}"),
            )
            for number in range(count)
        )
    )


def test_a_stamp_of_a_settlement_record_names_the_record_in_the_place_of_a_root() -> None:
    record = Record(key="usage-cus_1-2026-10", bits=Decimal(-100), writes=3, verified=True)
    stamp = metadata_stamp(STAMP, summarize((result(count=3, record=record),)), SHA)
    assert after(STAMP, stamp.changes) == {
        "pacspace_verdict": "matched",
        "pacspace_evidence_sha256": SHA,
        "pacspace_window": "2026-10-01T00:00:00Z/2026-11-01T00:00:00Z",
        "pacspace_usage": "100",
        "pacspace_record_key": "usage-cus_1-2026-10",
        "pacspace_record_bits": "-100",
        "pacspace_record_writes": "3",
    }


def test_a_stamp_carries_verdict_figures_and_proof() -> None:
    stamp = metadata_stamp({}, FULL, SHA)
    assert (stamp.changes, stamp.shortened) == (STAMP, False)


def test_a_stamp_without_a_proof_names_none() -> None:
    stamp = metadata_stamp({}, finding(Reason.OVERBILLED), SHA)
    assert stamp.changes == {
        "pacspace_verdict": "drifted",
        "pacspace_evidence_sha256": SHA,
        "pacspace_window": STAMP["pacspace_window"],
        "pacspace_usage": "100",
        "pacspace_delta_count": "4",
    }


def test_unknown_figures_are_not_stamped() -> None:
    unknown = summarize((result(Reason.UNKNOWN_SHAPE, window=None, billed=None, count=None),))
    assert metadata_stamp({}, unknown, SHA).changes == {"pacspace_verdict": "unproven", "pacspace_evidence_sha256": SHA}


def test_no_usage_is_stamped_as_zero() -> None:
    nothing = summarize((result(Reason.ZERO, billed=Decimal("0.00"), recorded=Decimal(0), count=0),))
    changes = metadata_stamp({}, nothing, SHA).changes
    assert (changes["pacspace_usage"], changes["pacspace_delta_count"]) == ("0", "0")


def test_a_waived_invoice_carries_the_reason() -> None:
    changes = metadata_stamp({}, WAIVED, SHA, waiver="agreed by phone").changes
    assert (changes["pacspace_verdict"], changes["pacspace_waiver"]) == ("waived", "agreed by phone")


def test_a_reason_too_long_for_stripe_is_cut_and_not_lost() -> None:
    stamped = metadata_stamp({}, WAIVED, SHA, waiver="x" * 600).changes["pacspace_waiver"]
    assert stamped == "x" * (LONGEST_VALUE - 1) + "…"


@pytest.mark.parametrize(
    ("count", "suffixes"), [(1, {""}), (2, {"", "_2"}), (4, {"", "_2", "_3", "_4"}), (6, {"", "_2", "_3", "_4"})]
)
def test_up_to_four_windows_have_keys_of_their_own(count: int, suffixes: set[str]) -> None:
    changes = metadata_stamp({}, several(count), SHA).changes
    found = {key.removeprefix("pacspace_usage"): value for key, value in changes.items() if "_usage" in key}
    assert found == {suffix: str(number) for number, suffix in enumerate(sorted(suffixes))}
    assert {key.removeprefix("pacspace_checkpoint_id") for key in changes if "_checkpoint_id" in key} == suffixes
    assert changes.get("pacspace_windows") == (str(count) if count > 1 else None)


def test_a_smaller_stamp_deletes_what_the_larger_one_left() -> None:
    existing = after({}, metadata_stamp({}, several(3), SHA).changes)
    changes = metadata_stamp(existing, several(1), SHA).changes
    assert {key for key, value in changes.items() if not value} == {
        "pacspace_windows",
        *(
            f"pacspace_{name}_{number}"
            for number in (2, 3)
            for name in ("window", "usage", "delta_count", "proof_root", "checkpoint_id", "verify_url")
        ),
    }


def test_only_what_differs_is_written() -> None:
    existing = STAMP | {"order_id": "7", "pacspace_usage": "99"}
    assert metadata_stamp(existing, FULL, SHA).changes == {"pacspace_usage": "100"}


@pytest.mark.parametrize(
    ("others", "keys"),
    [
        pytest.param(42, set(STAMP), id="just enough room"),
        pytest.param(43, {"pacspace_verdict", "pacspace_evidence_sha256", "pacspace_verify_url"}, id="one too many"),
        pytest.param(47, {"pacspace_verdict", "pacspace_evidence_sha256", "pacspace_verify_url"}, id="room for three"),
        pytest.param(48, {"pacspace_verdict", "pacspace_evidence_sha256"}, id="room for two"),
        pytest.param(49, {"pacspace_verdict"}, id="room for one"),
        pytest.param(50, set(), id="no room at all"),
        pytest.param(60, set(), id="more than Stripe allows"),
    ],
)
def test_a_stamp_takes_only_the_room_there_is(others: int, keys: set[str]) -> None:
    stamp = metadata_stamp({f"merchant_{number}": "x" for number in range(others)}, FULL, SHA)
    assert set(stamp.changes) == keys
    assert stamp.shortened == (keys != set(STAMP))


def test_our_own_earlier_keys_take_no_room_from_us() -> None:
    existing = {f"merchant_{number}": "x" for number in range(42)} | STAMP
    assert metadata_stamp(existing, FULL, SHA).changes == {}


@pytest.mark.parametrize("key", ["pacspace_customer_id", "pacspace_region", "Pacspace_verdict", "pacspace_usage_9"])
def test_the_merchants_own_keys_are_not_ours_however_they_look(key: str) -> None:
    assert key not in metadata_stamp({key: "theirs"}, FULL, SHA).changes


def test_no_key_is_longer_than_stripe_takes() -> None:
    assert max(map(len, OURS)) <= LONGEST_KEY
    assert not any(set("[]") & set(key) for key in OURS)


@given(merchants, leftovers, findings, waivers)
def test_a_stamped_invoice_is_within_stripes_limits(
    theirs: dict[str, str], old: dict[str, str], found: Finding, waiver: str | None
) -> None:
    stamped = after({**old, **theirs}, metadata_stamp({**old, **theirs}, found, SHA, waiver).changes)
    assert len(stamped) <= max(MOST_KEYS, len(theirs))
    assert all(0 < len(stamped[key]) <= LONGEST_VALUE for key in stamped.keys() & OURS)


@given(merchants, leftovers, findings, waivers)
def test_stamping_again_changes_nothing(
    theirs: dict[str, str], old: dict[str, str], found: Finding, waiver: str | None
) -> None:
    first = metadata_stamp({**old, **theirs}, found, SHA, waiver)
    again = metadata_stamp(after({**old, **theirs}, first.changes), found, SHA, waiver)
    assert again.changes == {}
    assert again.shortened == first.shortened


@given(merchants, leftovers, findings, waivers)
def test_the_merchants_keys_are_never_touched(
    theirs: dict[str, str], old: dict[str, str], found: Finding, waiver: str | None
) -> None:
    existing = {**old, **theirs}
    stamped = after(existing, metadata_stamp(existing, found, SHA, waiver).changes)
    assert {key: value for key, value in stamped.items() if key not in OURS} == theirs


@given(merchants, leftovers, findings)
def test_an_earlier_stamp_leaves_no_trace(theirs: dict[str, str], old: dict[str, str], found: Finding) -> None:
    fresh = after(theirs, metadata_stamp(theirs, found, SHA).changes)
    existing = {**theirs, **old}
    assert after(existing, metadata_stamp(existing, found, SHA).changes) == fresh


def sign(invoice_id: str = "in_1", planned_at: datetime | None = None, *, precaution: bool = False) -> Sign:
    return Sign(
        invoice_id=invoice_id,
        since=CREATED,
        planned_at=planned_at,
        cause=HoldCause.PRECAUTION if precaution else HoldCause.METERED,
    )


@pytest.mark.parametrize("made", [sign(), sign(planned_at=PLANNED), sign(precaution=True, planned_at=PLANNED)])
def test_a_hold_is_signed_with_the_invoice_and_what_the_hold_takes_off_it(made: Sign) -> None:
    signed = after({"order_id": "7"}, made.written({"order_id": "7"}))
    assert Sign.on(signed, "in_1") == made
    assert Sign.on(signed, "in_12") is None


@pytest.mark.parametrize(
    "written", ["", "in_1", "in_1 since yesterday", "in_1 since 2026-13-41T00:00:00Z", "in_1 since"]
)
def test_text_of_somebody_else_is_no_sign(written: str) -> None:
    assert Sign.on({HOLD_KEY: written}, "in_1") is None


def test_a_hold_goes_unsigned_where_there_is_no_room() -> None:
    full = {f"key_{number}": "x" for number in range(MOST_KEYS)}
    assert sign().written(full) == {}


@pytest.mark.parametrize("stays_held", [True, False])
def test_the_sign_stays_while_it_is_held(*, stays_held: bool) -> None:
    existing = sign().written({})
    stamp = metadata_stamp(existing, FULL, SHA, stays_held=stays_held)
    assert (HOLD_KEY in after(existing, stamp.changes)) is stays_held


@given(merchants, findings)
def test_the_sign_takes_no_room_from_the_proof(existing: Mapping[str, str], found: Finding) -> None:
    signed = after(existing, sign().written(existing))
    stamped = after(signed, metadata_stamp(signed, found, SHA, stays_held=True).changes)
    assert len(stamped) <= MOST_KEYS
    stamped.pop(HOLD_KEY, None)
    assert stamped == after(existing, metadata_stamp(existing, found, SHA).changes)


# -- what a stamp that is there already proves ---------------------------------------------------------------------

READ_ONLY = summarize((result(),))
"""FULL as a preview finds it, without roots."""


@pytest.mark.parametrize("found", [FULL, READ_ONLY])
def test_a_stamp_with_these_figures_and_roots_proves_it(found: Finding) -> None:
    assert carried({**STAMP, "order_id": "7"}, found) == (found, SHA)


def test_a_checkpoint_made_again_or_another_link_is_the_same_proof() -> None:
    existing = {**STAMP, "pacspace_checkpoint_id": "chk_2", "pacspace_verify_url": "https://elsewhere.example/"}
    assert carried(existing, FULL) == (FULL, SHA)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pacspace_verdict", "drifted"),
        ("pacspace_verdict", "waived"),
        ("pacspace_evidence_sha256", "0" * 63),
        ("pacspace_window", "2026-10-01T00:00:00Z/2026-10-31T00:00:00Z"),
        ("pacspace_usage", "101"),
        ("pacspace_delta_count", "5"),
        ("pacspace_proof_root", "0x" + "0" * 64),
        ("pacspace_windows", "2"),
        ("pacspace_record_key", "usage-1"),
    ],
)
def test_a_stamp_that_says_anything_else_does_not(key: str, value: str) -> None:
    assert carried({**STAMP, key: value}, FULL) is None


@pytest.mark.parametrize("missing", sorted({*STAMP} - {"pacspace_checkpoint_id", "pacspace_verify_url"}))
def test_a_stamp_without_a_figure_or_a_root_does_not(missing: str) -> None:
    existing = {key: value for key, value in STAMP.items() if key != missing}
    assert carried(existing, FULL) is None
    assert carried(existing, READ_ONLY) is None


def test_every_window_that_has_room_in_the_stamp_is_compared() -> None:
    two = summarize((result(proof=proof()), result(billed=Decimal(7), proof=proof())))
    stamp = dict(metadata_stamp({}, two, SHA).changes)
    assert carried(stamp, two) == (two, SHA)
    assert carried({**stamp, "pacspace_usage_2": "8"}, two) is None
    five = summarize(tuple(result(proof=proof()) for _ in range(5)))
    named = dict(metadata_stamp({}, five, SHA).changes)
    assert carried(named, five) == (five, SHA)
    assert carried({**named, "pacspace_usage_4": "8"}, five) is None
    assert carried({**named, "pacspace_windows": "6"}, five) is None


def test_a_stamp_that_had_no_room_for_figures_proves_a_match_and_no_waiver() -> None:
    full = {f"key_{number}": "x" for number in range(MOST_KEYS - 2)}
    stamp = after(full, metadata_stamp(full, FULL, SHA).changes)
    assert carried(stamp, FULL) == (FULL, SHA)
    assert carried(stamp, summarize((result(Reason.OVERBILLED),))) is None
    waived = {**stamp, "pacspace_verdict": "waived"}
    assert carried(waived, summarize((result(Reason.OVERBILLED),))) is None
    assert carried({key: stamp[key] for key in stamp if key.startswith("pacspace_")}, FULL) is None


def test_a_waiver_on_the_invoice_holds_while_its_figures_are_the_same() -> None:
    drifted = summarize((result(Reason.OVERBILLED),))
    stamp = {**STAMP, "pacspace_verdict": "waived", "pacspace_waiver": "agreed"}
    assert carried(stamp, drifted) == (replace(drifted, verdict=WAIVED.verdict), SHA)
    assert carried({**stamp, "pacspace_usage": "99"}, drifted) is None


@given(findings, leftovers, merchants)
def test_only_a_match_is_ever_found_proven_by_chance(
    found: Finding, left: Mapping[str, str], others: Mapping[str, str]
) -> None:
    there = carried({**others, **left}, found)
    assert there is None or there[0].verdict.value in {"matched", "waived"}
