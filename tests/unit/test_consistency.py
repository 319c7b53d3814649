"""The consistency of evidence: each rule is broken once, by a forger who made everything else fit."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from pacspace_stripe.evidence.reader import read_evidence
from pacspace_stripe.verify import StepOutcome
from pacspace_stripe.verify.consistency import adds_up, intact, place
from pacspace_stripe.vocabulary.canonical_json import canonical
from tests.support.evidence import GENUINE

Change = Callable[[Any], None]


def window(**changes: object) -> Change:
    return lambda document: document["windows"][0].update(changes)


def inside(part: str, **changes: object) -> Change:
    return lambda document: document["windows"][0][part].update(changes)


def decision(**changes: object) -> Change:
    return lambda document: document["decision"].update(changes)


def waiver(**figures: object) -> Change:
    return lambda document: document["waiver"].update(figures=figures)


def both(*changes: Change) -> Change:
    def change(document: Any) -> None:  # noqa: ANN401 - JSON
        for one in changes:
            one(document)

    return change


def twice(document: Any) -> None:  # noqa: ANN401 - JSON
    document["windows"] *= 2


def other_lines(*quantities: str | None) -> Change:
    lines = [{"id": f"il_{number}", "quantity": quantity} for number, quantity in enumerate(quantities)]
    return window(lines=lines)


def other_figure(document: Any) -> None:  # noqa: ANN401 - JSON
    figures = document["waiver"]["figures"]
    figures.update({key: "101" for key in figures if key != "api_calls|-"})


def unknown_figure(document: Any) -> None:  # noqa: ANN401 - JSON
    figures = document["waiver"]["figures"]
    figures.update(dict.fromkeys(figures, "unknown"))


def policy(**changes: object) -> Change:
    return lambda document: document["policy"].update(changes)


def plain_policy(document: Any) -> None:  # noqa: ANN401 - JSON
    for name in ("meter_from", "exclude_reasons", "attribution", "units"):
        document["policy"].pop(name)


def without(name: str) -> Change:
    return lambda document: document["windows"][0].pop(name)


def left_out(place: int, **changes: object) -> Change:
    return lambda document: document["windows"][0]["selection"]["left_out"][place].update(changes)


def left_out_twice(document: Any) -> None:  # noqa: ANN401 - JSON
    left = document["windows"][0]["selection"]["left_out"]
    left[:] = [*left, left[0]]
    document["windows"][0]["selection"].update(record_count=11, net_change="-670")


PART = "of a part of the ledger"
LINE = {"id": "il_1", "quantity": "100"}


def two_prices(one: str, other: str) -> list[dict[str, str]]:
    return [{"id": "il_1", "quantity": one, "price": "price_1"}, {"id": "il_2", "quantity": other, "price": "price_2"}]


def says(inner: str, outer: str) -> dict[str, str]:
    return {"inner": inner, "outer": outer}


OTHERWISE: dict[str, Change] = {
    "two prices on one meter": window(billed_as="each", lines=two_prices("100", "100")),
    "packages": window(billed_as="meter", meter_says=says("100", "100"), lines=[{"id": "il_1", "quantity": "1"}]),
    "between whole minutes": window(billed_as="meter", meter_says=says("90", "110")),
    "after a threshold": window(
        already=[{"invoice": "in_0", "quantity": "40"}], lines=[{"id": "il_1", "quantity": "60"}]
    ),
    "all of it billed before": window(already=[{"invoice": "in_0", "quantity": "100"}], lines=[]),
    "a flat fee": window(lines=[LINE, {"id": "il_2", "quantity": "1", "kind": "flat_fee"}]),
    "a fee without a quantity": window(lines=[LINE, {"id": "il_2", "quantity": None, "kind": "flat_fee"}]),
    "a proration": window(lines=[LINE, {"id": "il_2", "quantity": "7", "kind": "proration"}]),
}


BROKEN: dict[str, tuple[str, Change]] = {
    "a part that is not what is left": (PART, window(recorded="101")),
    "a number of records that is not what is left": (PART, window(count=5)),
    "sums left out that do not add up": (PART, left_out(1, net_change="510")),
    "records left out that do not add up": (PART, left_out(1, record_count=3)),
    "a deposit that the policy takes for usage": (PART, policy(exclude_reasons=["bonus"])),
    "a reason left out that the policy does not name": (PART, left_out(1, name="usage")),
    "its own meter left out": (PART, left_out(0, name="api_calls")),
    "another meter left out where accounts tell the meter": (PART, policy(meter_from="account")),
    "another time left out where acceptance counts": (PART, policy(attribution="accepted")),
    "a later time read for records that acceptance placed": (PART, policy(attribution="auto")),
    "more records placed than counted": (
        PART,
        inside("selection", placed_by={"accepted": 9, "usage_time": 1}),
    ),
    "records placed by a clock that the policy does not look at": (
        PART,
        both(policy(attribution="accepted"), inside("selection", placed_by={"accepted": 3, "usage_time": 1})),
    ),
    "another time left out by a name": (PART, left_out(2, name="storage")),
    "one thing left out twice": (PART, left_out_twice),
    "a root of other records than were read": (PART, inside("proof", record_count=8)),
    "a root of another net than was read": (PART, inside("proof", net_change="-1000")),
    "PacSpace asked about usage alone": (PART, inside("compare", your_balance="-1000", their_balance="-600")),
    "PacSpace asked about another balance": (PART, inside("compare", their_balance="-601", neutral_balance="-601")),
    "a scope that begins elsewhere": (PART, inside("selection", start="2026-10-02T00:00:00Z")),
    "a scope that ends within the period": (PART, inside("selection", end="2026-10-31T00:00:00Z")),
    "another part left out than the other meter counts": (
        "of two parts of one account",
        both(
            left_out(0, net_change="-90"),
            window(recorded="110", billed="110", lines=[{"id": "il_1", "quantity": "110"}]),
        ),
    ),
    "another unit": (PART, policy(units={"api_calls": "100"})),
    "no word of what was chosen from": (PART, without("selection")),
    "a part where the policy takes everything": (
        PART,
        plain_policy,
    ),
    "a policy that leaves out deposits, and does not say what": ("matched", policy(exclude_reasons=["deposit"])),
    "lines that sum to something else": ("matched", other_lines("60", "41")),
    "final lines that lag behind their meter": (
        "matched",
        both(window(from_meter=True), lambda it: it.update(invoice_status="paid")),
    ),
    "a line without a quantity under a sum": ("matched", other_lines("100", None)),
    "no sum of known lines": ("unproven", lambda it: it["windows"][0].update(lines=[{"id": "il_9", "quantity": "1"}])),
    "a price that bills less than the other": ("matched", window(billed_as="each", lines=two_prices("100", "60"))),
    "two prices added up": ("matched", window(lines=two_prices("60", "40"), billed_as="each")),
    "billed as its meter says, which is not named": ("matched", window(billed_as="meter")),
    "billed as its meter does not say": ("matched", window(billed_as="meter", meter_says=says("98", "99"))),
    "more with what was billed before": ("matched", window(already=[{"invoice": "in_0", "quantity": "1"}])),
    "a proration that is counted": ("matched", window(lines=[{**LINE, "kind": "proration"}])),
    "one line twice": ("matched", window(lines=[{"id": "il_1", "quantity": "50"}] * 2)),
    "one window twice": ("matched", twice),
    "more recorded than proven": ("matched", window(recorded="101", billed="101")),
    "more records than proven": ("matched", window(count=5)),
    "recorded without a number of records": ("drifted", window(count=None)),
    "a proof of another net": ("matched", inside("proof", net_change="-101")),
    "a proof of the other sign": ("matched", inside("proof", net_change="100")),
    "a proof of other records": ("matched", inside("proof", stale=True)),
    "compared with other figures": ("matched", inside("compare", your_balance="-99")),
    "PacSpace compared something else": ("matched", inside("compare", their_balance="-99", your_balance="-99")),
    "PacSpace contradicts": ("matched", inside("compare", neutral_balance="-99")),
    "an inconsistency that is none": ("matched", window(reason="LEDGER_INCONSISTENT")),
    "exact, but not equal": ("drifted", both(window(reason="EXACT"), decision(reason="EXACT", verdict="matched"))),
    "tolerated, but too far": (
        "drifted",
        both(window(reason="WITHIN_TOLERANCE"), decision(reason="WITHIN_TOLERANCE", verdict="matched")),
    ),
    "zero, but not zero": ("matched", window(reason="ZERO")),
    "overbilled, but less": ("drifted", window(reason="UNDERBILLED")),
    "missing at Stripe, but billed": ("drifted", window(reason="STRIPE_MISSING")),
    "missing in the ledger, but recorded": ("drifted", window(reason="LEDGER_MISSING")),
    "differing, but equal": ("matched", window(reason="OVERBILLED")),
    "a window that changed at finalization": ("drifted", window(reason="CHANGED_AT_FINALIZATION")),
    "matched by unknown figures": ("unproven", lambda it: it["windows"][0].update(reason="EXACT")),
    "matched without a proof": ("matched", window(proof=None)),
    "matched by a record that is not verified": ("of a settlement record", inside("record", verified=False)),
    "a record of something else": ("of a settlement record", inside("record", bits="99")),
    "a record with other writes": ("of a settlement record", inside("record", writes=5)),
    "a record in the other ledger": ("of a settlement record", lambda it: it["policy"].pop("ledger")),
    "a proof in the other ledger": ("matched", lambda it: it["policy"].update(ledger="settlement")),
    "the other sign": ("matched", lambda it: it["policy"].update(usage_sign="positive")),
    "a verdict that does not follow": ("drifted", decision(verdict="matched")),
    "a reason that does not follow": ("drifted", decision(reason="UNDERBILLED")),
    "a drift that nobody sees": ("matched", decision(verdict="drifted", reason="OVERBILLED")),
    "a draft that changed at finalization": ("drifted", decision(reason="CHANGED_AT_FINALIZATION")),
    "matched at finalization": (
        "confirmation",
        decision(verdict="matched", reason="CHANGED_AT_FINALIZATION"),
    ),
    "waived without a waiver": ("drifted", decision(verdict="waived")),
    "a waiver without being waived": ("waived", decision(verdict="drifted")),
    "a waiver of what matches": (
        "matched",
        lambda it: it.update(
            waiver={"reason": "x", "by": "y", "at": "2026-11-01T00:00:00Z", "figures": {}},
            decision={"verdict": "waived", "reason": "EXACT"},
        ),
    ),
    "a waiver of other figures": ("waived", other_figure),
    "a waiver of other figures than a meter says": (
        "waived",
        both(other_figure, window(billed_as="meter", meter_says=says("100", "100"))),
    ),
    "a waiver of fewer windows": ("waived", waiver()),
    "a waiver of a figure that is not known": ("waived", unknown_figure),
}


@pytest.mark.parametrize(("genuine", "change"), BROKEN.values(), ids=BROKEN)
def test_evidence_that_contradicts_itself_is_refuted(genuine: str, change: Change) -> None:
    document = json.loads(GENUINE[genuine].document)
    change(document)
    assert adds_up(read_evidence(canonical(document)).document).outcome is StepOutcome.REFUTED


@pytest.mark.parametrize("name", GENUINE)
def test_genuine_evidence_holds_and_stands_in_its_place(name: str) -> None:
    document = read_evidence(GENUINE[name].document).document
    assert adds_up(document).outcome is StepOutcome.HOLDS
    assert place(document).outcome is StepOutcome.HOLDS


@pytest.mark.parametrize("change", OTHERWISE.values(), ids=OTHERWISE)
def test_lines_may_name_what_they_bill_in_other_ways(change: Change) -> None:
    document = json.loads(GENUINE["matched"].document)
    change(document)
    assert adds_up(read_evidence(canonical(document)).document).outcome is StepOutcome.HOLDS


def test_a_change_at_finalization_is_a_reason_of_the_invoice_not_of_its_windows() -> None:
    document = json.loads(GENUINE["confirmation"].document)
    document["decision"] = {"verdict": "drifted", "reason": "CHANGED_AT_FINALIZATION"}
    assert adds_up(read_evidence(canonical(document)).document).outcome is StepOutcome.HOLDS


def test_a_figure_that_a_drafts_lines_lag_behind_comes_from_its_meter() -> None:
    document = json.loads(GENUINE["matched"].document)
    document["windows"][0]["lines"][0]["quantity"] = "90"
    assert adds_up(read_evidence(canonical(document)).document).outcome is StepOutcome.REFUTED
    document["windows"][0]["from_meter"] = True
    assert adds_up(read_evidence(canonical(document)).document).outcome is StepOutcome.HOLDS


@pytest.mark.parametrize(
    "chain",
    [
        {"id": "sub_1", "sequence": 1, "previous_sha256": "0" * 64},
        {"id": "sub_1", "sequence": 2, "previous_sha256": None},
        {"id": "sub_2", "sequence": 2, "previous_sha256": "0" * 64},
    ],
)
def test_an_impossible_place_in_a_chain_is_refuted(chain: dict[str, object]) -> None:
    document = read_evidence(canonical(json.loads(GENUINE["matched"].document) | {"chain": chain})).document
    assert place(document).outcome is StepOutcome.REFUTED


def test_an_empty_chain_is_refuted() -> None:
    assert intact(()).outcome is StepOutcome.REFUTED
