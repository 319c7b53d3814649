"""``explain`` in this process over real sockets: words, JSON, a picture, and what it asks for."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pacspace_stripe.cli import cli
from pacspace_stripe.errors import NotFound
from pacspace_stripe.explain.rules.explanation import Explanation, fingerprint
from pacspace_stripe.simulator.clock import WallClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from pacspace_stripe.simulator.serve import serve
from pacspace_stripe.simulator.stripe import StripeSimulator
from tests.support.worlds import ENVIRONMENT, METER

AUGUST, SEPTEMBER = datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 9, 1, tzinfo=UTC)
DAY = timedelta(days=1)
DASH = "\N{EN DASH}"
SAID = (
    f"On 17 Aug 2026, 14:00{DASH}15:00 UTC, meter api_calls: Stripe counted 3,139.5 more than the ledger recorded; "
    "these 3 records were most likely sent to Stripe twice."
)


@dataclass(slots=True, kw_only=True)
class Desk:
    """A person who runs commands beside both simulators."""

    stripe: StripeSimulator
    pacspace: PacSpaceSimulator
    environment: dict[str, str]

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, list(arguments), env=self.environment)

    def json(self, *arguments: str) -> dict[str, Any]:
        printed: dict[str, Any] = json.loads(self.run(*arguments, "--json").stdout)
        return printed

    def use(self, quantity: str, at: datetime, *, billed: int = 1) -> None:
        """Record one use in the ledger, and send it to Stripe ``billed`` times."""
        for _ in range(billed):
            self.stripe.record_usage("cus_a", METER, quantity, at)
        self.pacspace.record("cus_a", -Decimal(quantity), at)

    def invoiced(self) -> str:
        """Make usage of August that agrees, and return its paid invoice."""
        for number in range(28):
            self.use(str(1000 + number * 100), AUGUST + number * DAY + timedelta(hours=3 + number % 7))
        price = self.stripe.add_price(self.stripe.add_meter(METER))
        now = datetime.now(UTC)
        subscription = self.stripe.add_subscription(
            "cus_a", [price], period_start=now - 9 * DAY, period_end=now + 9 * DAY
        )
        return self.stripe.add_past_invoice(subscription, AUGUST, SEPTEMBER)

    def doubled(self) -> str:
        """Make usage with three events of one hour that Stripe counted twice, and return its paid invoice."""
        for number in range(3):
            self.use("1046.5", AUGUST + timedelta(days=16, hours=14, minutes=20 + number), billed=2)
        return self.invoiced()

    def asked(self) -> int:
        """Return the number of requests to both vendors."""
        return len(self.stripe.log) + len(self.pacspace.log)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock = WallClock()
    stripe, pacspace = StripeSimulator(clock), PacSpaceSimulator(clock)
    stripe.add_customer("cus_a")
    with serve(stripe) as at_stripe, serve(pacspace) as ledger:
        pacspace.base_url = ledger.url
        urls = {"STRIPE_API_BASE_URL": at_stripe.url, "PACSPACE_API_BASE_URL": ledger.url}
        ours = {
            "PACSPACE_STRIPE_DATABASE_URL": f"sqlite:///{tmp_path / 'ours.db'}",
            "PACSPACE_API_KEY": pacspace.api_key,
        }
        yield Desk(stripe=stripe, pacspace=pacspace, environment=ENVIRONMENT | urls | ours)


def test_explain_prints_place_cause_and_corrections(desk: Desk) -> None:
    done = desk.run("explain", desk.doubled())
    assert done.exit_code == 1
    assert SAID in done.stdout.splitlines()
    said = " ".join(done.stdout.split())
    assert "Stripe counted 72,079, the ledger recorded 68,939.5, so Stripe has 3,139.5 more." in said
    assert "where meter Stripe counted ledger recorded difference cause" in said
    assert f"17 Aug 2026, 14:00{DASH}15:00 UTC api_calls 6,279 3,139.5 3,139.5" in said
    assert said.count("1,046.5") >= 3
    assert "What can be done now 1. credit note" in said
    assert [
        line for line in done.stdout.splitlines() if line.startswith("     curl https://api.stripe.com/v1/credit_notes")
    ]


def test_json_has_the_shape_of_a_check_and_the_explanation(desk: Desk) -> None:
    invoice = desk.doubled()
    printed, checked = desk.json("explain", invoice), desk.json("check", invoice)
    (window,), (plain,) = printed.pop("windows"), checked.pop("windows")
    assert {name: printed[name] for name in checked if name != "steps"} == {
        name: checked[name] for name in checked if name != "steps"
    }
    assert {name: window[name] for name in plain} == plain
    assert (window["cause"], window["sentence"]) == ("twice_in_stripe", SAID)
    assert [(part["start"], part["end"], part["meter"]) for part in window["located"]] == [
        ("2026-08-17T14:00:00Z", "2026-08-17T15:00:00Z", METER)
    ]
    assert window["calls"] <= 60
    assert [correction["kind"] for correction in window["corrections"]] == ["credit_note"]
    explanation = Explanation.from_json(window)
    assert explanation.as_json().items() <= window.items()


def test_a_stored_explanation_is_shown_without_requests(desk: Desk) -> None:
    invoice = desk.doubled()
    desk.run("check", invoice, "--apply")
    before = desk.asked()
    first = desk.json("explain", invoice)
    assert desk.asked() == before + 3  # the invoice, its price and its meter
    assert desk.json("explain", invoice) == first
    (window,) = desk.json("check", invoice)["windows"]
    assert (window["cause"], window["sentence"]) == ("twice_in_stripe", SAID)


def test_fresh_explains_again(desk: Desk) -> None:
    invoice = desk.doubled()
    desk.run("check", invoice, "--apply")
    first = desk.json("explain", invoice)
    again = desk.json("explain", invoice, "--fresh")
    assert again["windows"][0]["sentence"] == SAID
    assert again["made_at"] > first["made_at"]
    desk.pacspace.record("cus_a", -Decimal(39), AUGUST + 2 * DAY)
    other = desk.json("explain", invoice, "--fresh")
    assert fingerprint(other["windows"]) != fingerprint(first["windows"])
    assert other["windows"][0]["recorded"] == "68978.5"


def test_an_invoice_without_a_drift_has_no_explanation(desk: Desk, tmp_path: Path) -> None:
    done = desk.run("explain", desk.invoiced(), "--chart", str(tmp_path / "chart.png"))
    assert done.exit_code == 0
    assert "matched (EXACT)" in done.stdout
    assert "no chart" in done.stderr
    assert not (tmp_path / "chart.png").exists()


def test_an_unproven_invoice_is_not_explained(desk: Desk) -> None:
    invoice = desk.doubled()
    desk.pacspace.record("cus_a", -Decimal(1), AUGUST + DAY, verified=False)
    printed = desk.json("explain", invoice)
    assert (printed["verdict"], [window["cause"] for window in printed["windows"]]) == ("unproven", [None])
    (step,) = printed["next_steps"]
    assert "ask PacSpace about the records that are named" in step
    done = desk.run("explain", invoice)
    assert done.exit_code == 1
    assert f"What to do {step}" in " ".join(done.stdout.split())


@pytest.mark.parametrize(("name", "begins"), [("a.png", b"\x89PNG"), ("a.SVG", b"<svg")])
def test_explain_draws_a_chart(desk: Desk, tmp_path: Path, name: str, begins: bytes) -> None:
    invoice = desk.doubled()
    assert desk.run("explain", invoice, "--chart", str(tmp_path / name)).exit_code == 1
    drawn = (tmp_path / name).read_bytes()
    assert drawn.startswith(begins)
    desk.run("explain", invoice, "--chart", str(tmp_path / name))
    assert (tmp_path / name).read_bytes() == drawn


def test_a_wrong_argument_is_named(desk: Desk) -> None:
    before = desk.asked()
    for arguments, said in ((["in_1", "--chart", "a.pdf"], "a chart is written as .png or .svg"), (["sub_1"], "in_")):
        done = desk.run("explain", *arguments)
        assert done.exit_code == 2
        assert said in done.stderr
    assert desk.asked() == before
    assert isinstance(desk.run("explain", "in_unknown").exception, NotFound)


def test_a_vendors_text_cannot_control_a_terminal(desk: Desk) -> None:
    desk.doubled()
    nasty = "api\x1b[2Jcalls"
    meter = desk.stripe.add_meter(nasty)
    now = datetime.now(UTC)
    subscription = desk.stripe.add_subscription(
        "cus_a",
        [desk.stripe.add_price(meter)],
        period_start=now - 9 * DAY,
        period_end=now + 9 * DAY,
        metadata={"pacspace_customer_id": "acct_nasty"},
    )
    desk.stripe.record_usage("cus_a", nasty, "5", AUGUST + DAY)
    done = desk.run("explain", desk.stripe.add_past_invoice(subscription, AUGUST, SEPTEMBER))
    assert r"api\x1b[2Jcalls" in done.stdout
    assert all(line.isprintable() for line in done.stdout.splitlines())
