"""What must be true of any evidence: each rule, broken once, by somebody who made everything else fit."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from pacspace_stripe.domain.evidence import canonical
from pacspace_stripe.evidence_format import read_evidence
from pacspace_stripe.verification import Outcome
from pacspace_stripe.verification.chain import intact, place
from pacspace_stripe.verification.truths import adds_up
from tests.unit.test_evidence_format import GENUINE

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


BROKEN: dict[str, tuple[str, Change]] = {
    "lines that sum to something else": ("matched", other_lines("60", "41")),
    "final lines that lag behind their meter": (
        "matched",
        both(window(from_meter=True), lambda it: it.update(invoice_status="paid")),
    ),
    "a line without a quantity under a sum": ("matched", other_lines("100", None)),
    "no sum of known lines": ("unproven", lambda it: it["windows"][0].update(lines=[{"id": "il_9", "quantity": "1"}])),
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
    "a waiver of fewer windows": ("waived", waiver()),
    "a waiver of a figure that is not known": ("waived", unknown_figure),
}


@pytest.mark.parametrize(("genuine", "change"), BROKEN.values(), ids=BROKEN)
def test_what_contradicts_itself_is_refuted(genuine: str, change: Change) -> None:
    document = json.loads(GENUINE[genuine].document)
    change(document)
    assert adds_up(read_evidence(canonical(document)).document).outcome is Outcome.REFUTED


@pytest.mark.parametrize("name", GENUINE)
def test_what_is_genuine_holds_and_stands_in_its_place(name: str) -> None:
    document = read_evidence(GENUINE[name].document).document
    assert adds_up(document).outcome is Outcome.HOLDS
    assert place(document).outcome is Outcome.HOLDS


def test_a_changed_finalization_says_nothing_of_its_windows() -> None:
    document = json.loads(GENUINE["confirmation"].document)
    document["decision"] = {"verdict": "drifted", "reason": "CHANGED_AT_FINALIZATION"}
    assert adds_up(read_evidence(canonical(document)).document).outcome is Outcome.HOLDS


def test_a_figure_that_a_draft_lags_behind_comes_from_its_meter() -> None:
    document = json.loads(GENUINE["matched"].document)
    document["windows"][0]["lines"][0]["quantity"] = "90"
    assert adds_up(read_evidence(canonical(document)).document).outcome is Outcome.REFUTED
    document["windows"][0]["from_meter"] = True
    assert adds_up(read_evidence(canonical(document)).document).outcome is Outcome.HOLDS


@pytest.mark.parametrize(
    "chain",
    [
        {"id": "sub_1", "sequence": 1, "previous_sha256": "0" * 64},
        {"id": "sub_1", "sequence": 2, "previous_sha256": None},
        {"id": "sub_2", "sequence": 2, "previous_sha256": "0" * 64},
    ],
)
def test_a_place_that_cannot_be_is_refuted(chain: dict[str, object]) -> None:
    document = read_evidence(canonical(json.loads(GENUINE["matched"].document) | {"chain": chain})).document
    assert place(document).outcome is Outcome.REFUTED


def test_no_chain_at_all_is_refuted() -> None:
    assert intact(()).outcome is Outcome.REFUTED
