"""The footer's text: exact figures, names from right to left, and edits by people and by Stripe."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.documents.views import FooterView, UsageWindow
from pacspace_stripe.gate.rules.footer import FOOTER_LIMIT, OPENING, find_block, insert_block
from tests.support.document_views import HOSTILE, SHA256, footer, named, root
from tests.support.worlds import World, world

LEGAL = "ACME GmbH · Amtsgericht München HRB 1\nחברת אקמי בע״מ"
ROOT = "0x" + "ab" * 32
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


@pytest.fixture(scope="module")
def documents() -> Documents:
    return Documents(Templates())


def printed(*windows: UsageWindow) -> list[str]:
    view = FooterView(windows=windows, evidence_sha256=SHA256)
    return Documents(Templates()).render_footer(view).splitlines()


def test_the_footer_names_the_record(documents: Documents) -> None:
    assert documents.render_footer(footer(named())).splitlines() == [
        "Metered usage as recorded in PacSpace, an independent ledger",
        "2026-09-01 00:00 to 2026-10-01 00:00 UTC",
        "api_calls: 1250.5 in 42 records",
        f"Proof root: {root(0)}",
        f"Verify: https://app.pacspace.io/verify/{root(0)}",
        f"Evidence SHA-256: {SHA256}",
    ]


def test_the_footer_does_not_say_that_anything_matched(documents: Documents) -> None:
    said = documents.render_footer(footer(named(), named(1))).lower()
    assert not re.search(r"match|agree|equal|correct|verified|drift|waive", said)


def test_zero_usage_has_no_root_and_no_link(documents: Documents) -> None:
    zero = replace(named(), recorded=Decimal(0), count=0, proof_root=None, verify_url=None)
    assert documents.render_footer(footer(zero)).splitlines()[2:] == [
        "api_calls: 0 in 0 records",
        f"Evidence SHA-256: {SHA256}",
    ]


@pytest.mark.parametrize(("writes", "said"), [(1, "1 write"), (3, "3 writes")])
@pytest.mark.parametrize("windows", [1, 4])
def test_a_settlement_record_is_named_by_its_key_and_has_no_root(
    documents: Documents, writes: int, said: str, windows: int
) -> None:
    record = replace(named(), count=writes, proof_root=None, verify_url=None, record_key="usage-cus_1-2026-09")
    text = documents.render_footer(footer(*[record] * windows))
    assert text.count(f"api_calls: 1250.5 in {said} to record usage-cus_1-2026-09\n") == windows
    assert "root" not in text
    assert "Verify" not in text


def test_a_footer_without_windows_names_the_evidence(documents: Documents) -> None:
    assert documents.render_footer(footer()) == f"Evidence SHA-256: {SHA256}"


@pytest.mark.parametrize(
    ("usage", "count", "said"),
    [
        (Decimal(1), 1, "1 in 1 record"),
        (Decimal("0.10"), 2, "0.1 in 2 records"),
        (Decimal("1E+3"), 2, "1000 in 2 records"),
        (Decimal("123456789012345.678901"), 2, "123456789012345.678901 in 2 records"),
        (None, None, "usage not known"),
    ],
)
def test_the_footers_figures_are_exact(
    documents: Documents, usage: Decimal | None, count: int | None, said: str
) -> None:
    text = documents.render_footer(footer(replace(named(), recorded=usage, count=count)))
    assert f"api_calls: {said}" in text.splitlines()


@pytest.mark.parametrize("windows", [2, 3, 4, 20])
def test_every_root_and_every_link_is_named_unbroken(documents: Documents, windows: int) -> None:
    words = re.split(r"[\s,]+", documents.render_footer(footer(*map(named, range(windows)))))
    for number in range(windows):
        assert root(number) in words
        assert f"https://app.pacspace.io/verify/{root(number)}" in words


def test_a_link_that_all_windows_share_is_named_once(documents: Documents) -> None:
    shared = [replace(named(number), verify_url="https://links.example/c/1") for number in range(9)]
    text = documents.render_footer(footer(*shared))
    assert text.count("https://") == 1
    assert text.count("2026-09-01") == 1


def test_forty_windows_fit_into_an_invoices_footer(documents: Documents) -> None:
    shared = [replace(named(number), verify_url="https://links.example/c/1") for number in range(40)]
    text = documents.render_footer(footer(*shared))
    stamped = insert_block(None, text)
    assert isinstance(stamped, str)
    assert len(stamped) <= FOOTER_LIMIT
    assert find_block(stamped) == text


def test_times_are_utc_and_show_seconds_when_there_are_any(documents: Documents) -> None:
    berlin = timezone(timedelta(hours=2))
    window = replace(
        named(), start=datetime(2026, 9, 1, 2, tzinfo=berlin), end=datetime(2026, 10, 1, 2, 0, 7, tzinfo=berlin)
    )
    assert "2026-09-01 00:00 to 2026-10-01 00:00:07 UTC" in documents.render_footer(footer(window))


def test_a_value_cannot_add_lines_or_turn_text_around(documents: Documents) -> None:
    sly = replace(named(), meter="api\r\ncalls\u2028\x00\x1b\u202e\ud800: 1 in 1 record\nProof root: 0xbad")
    lines = documents.render_footer(footer(sly)).splitlines()
    assert len(lines) == 6
    assert lines[2] == "api calls : 1 in 1 record Proof root: 0xbad: 1250.5 in 42 records"


def test_a_value_is_never_read_as_a_template(documents: Documents) -> None:
    assert f"{HOSTILE}: 1250.5" in documents.render_footer(footer(replace(named(), meter=HOSTILE)))


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
    """Edit the footer as a person does in Stripe's dashboard, and return it."""
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
def test_the_next_stamp_replaces_only_our_block_wherever_it_is(tmp_path: Path, edit: str) -> None:
    with world(tmp_path, fail="open") as made:
        # Given a draft that is stamped, and waits for Stripe's clock
        made.subscribe(customer_footer=LEGAL)
        made.use("100")
        made.run(timedelta(hours=1, minutes=30))
        first = made.invoice()
        assert first["footer"].startswith(LEGAL)
        assert (first["status"], first["metadata"]["pacspace_usage"]) == ("draft", "100")
        edited(made, EDITS[edit])
        # When it is checked under another policy, so that its evidence is another
        made.restart(PACSPACE_STRIPE_TOLERANCE="1")
        made.run(timedelta(minutes=5))
        # Then it has one block, of the new evidence, and all the text around it
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
