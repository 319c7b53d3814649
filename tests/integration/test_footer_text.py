"""The footer where names read from right to left, and after people and Stripe had their hands in it."""

import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.documents.views import FooterView, UsageWindow
from pacspace_stripe.gate.rules.footer import OPENING, find_block
from tests.support.worlds import World, world

LEGAL = "ACME GmbH · Amtsgericht München HRB 1\nחברת אקמי בע״מ"
SHA256, ROOT = "12" * 32, "0x" + "ab" * 32
WINDOW = UsageWindow(
    account="cus_1:api_calls",
    meter="api_calls",
    start=datetime(2026, 9, 1, tzinfo=UTC),
    end=datetime(2026, 10, 1, tzinfo=UTC),
    billed=Decimal("1250.5"),
    recorded=Decimal("1250.5"),
    count=42,
    proof_root=ROOT,
    verify_url=f"https://app.pacspace.io/verify/{ROOT}",
)


def printed(*windows: UsageWindow) -> list[str]:
    view = FooterView(windows=windows, evidence_sha256=SHA256)
    return Documents(Templates()).render_footer(view).splitlines()


def reads_right_to_left(line: str) -> bool:
    return any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for char in line)


@pytest.mark.parametrize("name", ["שיחות", "مكالمات", "api שיחות", "שיחות_api-2", "٣ مكالمات", "𞤀𞤣"])
@pytest.mark.parametrize("windows", [1, 2, 5])
def test_no_digit_shares_its_line_with_a_name_that_would_reorder_it(name: str, windows: int) -> None:
    named = [replace(WINDOW, meter=name if number % 2 == 0 else "api_calls") for number in range(windows)]
    lines = printed(*named)
    assert [line for line in lines if reads_right_to_left(line)] == [name] * len(named[::2])
    assert len([line for line in lines if line.startswith("Recorded: 1250.5 in 42 records")]) == len(named[::2])
    assert len([line for line in lines if line.startswith("api_calls: 1250.5 in 42 records")]) == len(named[1::2])


def test_a_name_of_left_to_right_letters_stays_on_its_line() -> None:
    assert "東京 calls: 1250.5 in 42 records" in printed(replace(WINDOW, meter="東京 calls"))


def test_no_direction_is_overridden_by_a_name() -> None:
    controls = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    assert not set(controls) & set("".join(printed(replace(WINDOW, meter=f"a{controls}ש{controls}"))))


def test_root_hash_and_link_stand_on_lines_of_their_own_or_after_latin_letters() -> None:
    for line in printed(*[replace(WINDOW, meter="שיחות")] * 5):
        if ROOT in line or SHA256 in line:
            assert not reads_right_to_left(line)
            assert line[0].isascii()
            assert line[0].isalpha()


EDITS: dict[str, Callable[[str], str]] = {
    "text before and after": lambda text: f"Pay soon.\n{text}\nThank you!",
    "the block's text": lambda text: text.replace("Metered usage", "Usage"),
    "the block at the top": lambda text: text[text.index(OPENING) :] + "\n\n" + text[: text.index(OPENING)],
    "the block twice": lambda text: f"{text}\n{text[text.index(OPENING) :]}",
    "line breaks taken out": lambda text: " ".join(text.split()),
    "no-break spaces and other line ends": lambda text: text.replace(" ", "\u00a0").replace("\n", "\r\n"),
}


def edited(made: World, change: Callable[[str], str]) -> str:
    """Somebody edits the footer in Stripe's dashboard; how it is then."""
    footer = change(made.invoice()["footer"])
    answer = made.stripe(
        httpx.Request(
            "POST",
            f"https://api.stripe.com/v1/invoices/{made.invoice_id}",
            headers={"Authorization": "Bearer sk_test_simulator"},
            data={"footer": footer},
        )
    )
    assert answer.status_code == 200, answer.text
    return footer


@pytest.mark.parametrize("edit", EDITS)
def test_the_next_stamp_replaces_our_block_wherever_it_is_and_nothing_else(tmp_path: Path, edit: str) -> None:
    with world(tmp_path, fail="open") as made:
        # Given a draft that is stamped, and waits for Stripe's clock
        made.subscribe(customer_footer=LEGAL)
        made.use("100")
        made.run(timedelta(hours=1, minutes=30))
        first = made.invoice()
        assert first["footer"].startswith(LEGAL)
        assert (first["status"], first["metadata"]["pacspace_usage"]) == ("draft", "100")
        edited(made, EDITS[edit])
        # When it is looked at under another policy, so that its evidence is another
        made.restart(PACSPACE_STRIPE_TOLERANCE="1")
        made.run(timedelta(minutes=5))
        # Then it has one block, of the new evidence, and all that was said around it
        again = made.invoice()
        assert again["status"] == "draft"
        footer, block = again["footer"], find_block(again["footer"]) or ""
        assert footer.count(OPENING) == 1
        assert again["metadata"]["pacspace_evidence_sha256"] in block
        assert first["metadata"]["pacspace_evidence_sha256"] not in footer
        assert [word for word in LEGAL.split() if word not in footer] == []
        # And it is not written to again
        made.run(timedelta(minutes=5))
        assert made.invoice()["footer"] == footer
