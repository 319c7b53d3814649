"""Our block in the footer: the merchant's text stays to the letter, our block is always found again."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.gate.rules.footer import (
    CLOSING,
    FOOTER_LIMIT,
    OPENING,
    TooLong,
    find_block,
    insert_block,
    remove_block,
)

LEGAL = "ACME GmbH · Amtsgericht München HRB 1\nUSt-IdNr. DE123456789"
RECORD = "Proof root: 0x" + "ab" * 32
LATER = "Proof root: 0x" + "cd" * 32
BLOCK = f"{OPENING}\n{RECORD}\n{CLOSING}"

line = st.sampled_from(
    ["", " \t", "ACME GmbH", "שלום עולם", "مرحبا", "東京 \u202ex", "a\u2028b", OPENING, CLOSING, f" {OPENING}  ", BLOCK]
)
line_end = st.sampled_from(["\n", "\r\n", "\r", "\n\n"])
any_text = st.text(max_size=40)
marked_text = st.lists(st.tuples(st.one_of(line, any_text), line_end), max_size=9).map(
    lambda parts: "".join(text + end for text, end in parts)
)
footers = st.one_of(st.none(), any_text, marked_text)
merchants = footers.filter(lambda text: find_block(text) is None)
records = st.lists(
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Z"]), min_size=1), min_size=1, max_size=4
).map("\n".join)


def stamped(existing: str | None, block: str = RECORD) -> str:
    footer = insert_block(existing, block)
    assert isinstance(footer, str)
    return footer


@pytest.mark.parametrize("nothing", [None, ""])
def test_an_empty_footer_becomes_the_block_alone(nothing: str | None) -> None:
    assert insert_block(nothing, RECORD) == BLOCK


@pytest.mark.parametrize("text", [LEGAL, LEGAL + "\n", "\n\n" + LEGAL + " \t\n\n", " ", "\r\n", "—", LEGAL + "\r"])
def test_the_merchants_text_comes_first_and_to_the_letter(text: str) -> None:
    assert insert_block(text, RECORD) == f"{text}\n\n{BLOCK}"


def test_a_block_may_come_with_or_without_its_marker_lines() -> None:
    assert insert_block(LEGAL, BLOCK) == insert_block(LEGAL, RECORD)


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        pytest.param(f"{LEGAL}\n\n{BLOCK}", f"{LEGAL}\n\n[]", id="as written"),
        pytest.param(f"{LEGAL}\r\n\r\n{BLOCK}".replace("\n", "\r\n"), None, id="line ends"),
        pytest.param(f"{LEGAL}\n\n{OPENING}  \n {RECORD}\t\n{CLOSING} \n", f"{LEGAL}\n\n[]\n", id="white space"),
        pytest.param(f"Pay soon. {LEGAL}\n{BLOCK}", f"Pay soon. {LEGAL}\n[]", id="edited before"),
        pytest.param(f"{BLOCK}\nThank you!", "[]\nThank you!", id="edited after"),
        pytest.param(f"A\n\n{BLOCK}\n\nB", "A\n\n[]\n\nB", id="in the middle"),
        pytest.param(f"{OPENING}\n{CLOSING}", "[]", id="empty"),
        pytest.param(f"A\n\n{BLOCK}\n\n{BLOCK}\nB\n\n{BLOCK}", "A\n\n[]\nB", id="several"),
        pytest.param(f"A\n{OPENING}\nB\n{BLOCK}\nC", f"A\n{OPENING}\nB\n[]\nC", id="an opening line too many"),
        pytest.param(f"A\n{CLOSING}\nB\n{BLOCK}", f"A\n{CLOSING}\nB\n[]", id="a closing line too many"),
    ],
)
def test_stamping_again_replaces_only_our_block(existing: str, expected: str | None) -> None:
    new = f"{OPENING}\n{LATER}\n{CLOSING}"
    before = existing.partition(OPENING)[0]
    assert insert_block(existing, LATER) == (before + new if expected is None else expected.replace("[]", new))


@pytest.mark.parametrize(
    "text",
    [
        OPENING,
        CLOSING,
        f"{CLOSING}\nx\n{OPENING}",
        f"We print {OPENING}\nx\n{CLOSING}",
        f"{OPENING} x\nProof root: on request\n{CLOSING}",
        f"Our block is {OPENING} and then {CLOSING} on one line",
        f"Our block is {OPENING} {'ab' * 31} {CLOSING} on one line",
        f"{OPENING} {CLOSING}",
        f"{OPENING.replace(' ', '')}\n{RECORD}\n{CLOSING}",
        f"({OPENING} {RECORD} {CLOSING})",
        f"{OPENING.lower()}\n{RECORD}\n{CLOSING}",
        f"{OPENING.replace('—', '-')}\n{RECORD}\n{CLOSING.replace('—', '-')}",
        f"{OPENING}{CLOSING}",
        f"{OPENING}\u2028x\u2028{CLOSING}",
    ],
)
def test_text_that_only_resembles_a_block_is_the_merchants(text: str) -> None:
    assert find_block(text) is None
    assert remove_block(text) == text
    assert remove_block(stamped(text)) == text


def test_the_block_is_found_though_line_ends_changed_and_white_space_was_trimmed() -> None:
    two_lines = f"{RECORD}\nEvidence"
    assert find_block(stamped(LEGAL, two_lines).replace("\n", "\r\n") + "  ") == two_lines


def test_a_footer_that_says_the_same_with_other_line_ends_is_left_as_it_is() -> None:
    footer = stamped(LEGAL).replace("\n", "\r\n")
    assert insert_block(footer, RECORD) == footer


def test_removing_takes_the_empty_line_that_came_with_the_block() -> None:
    assert remove_block(f"A\n\n{BLOCK}\nB") == "A\nB"
    assert remove_block(f"A\r\n\r\n{BLOCK}\r\nB") == "A\r\nB"
    assert remove_block(f"A\n{BLOCK}\nB") == "A\n\nB"


@pytest.mark.parametrize("letter", ["x", "é", "東", "😀"])
def test_exactly_five_thousand_characters_fit(letter: str) -> None:
    room = FOOTER_LIMIT - len("\n\n" + BLOCK)
    assert len(stamped(letter * room)) == FOOTER_LIMIT == 5000
    assert insert_block(letter * (room + 1), RECORD) == TooLong(length=5001)


def test_a_longer_record_may_no_longer_fit_where_a_short_one_did() -> None:
    footer = stamped("x" * (FOOTER_LIMIT - len("\n\n" + BLOCK)))
    assert insert_block(footer, RECORD + "!") == TooLong(length=FOOTER_LIMIT + 1)


# -- white space that the vendor or a person changed ------------------------------------------------------------------

CHANGES: dict[str, Callable[[str], str]] = {
    "line ends": lambda text: text.replace("\n", "\r\n"),
    "no-break spaces": lambda text: text.replace(" ", "\u00a0"),
    "wide spaces": lambda text: text.replace(" ", " \u3000 "),
    "collapsed spaces": lambda text: re.sub(" +", " ", text),
    "trimmed lines": lambda text: "\n".join(line.strip() for line in text.split("\n")),
    "trimmed": str.strip,
    "no empty lines": lambda text: re.sub(r"\n+", "\n", text),
    "line breaks to spaces": lambda text: text.replace("\n", " "),
    "all to single spaces": lambda text: " ".join(text.split()),
    "line separators": lambda text: text.replace("\n", "\u2028"),
}
changes = st.lists(st.sampled_from(list(CHANGES.values())), max_size=3)
PRINTED = f"""Metered usage as recorded in PacSpace, an independent ledger
2026-10-01 00:00 to 2026-11-01 00:00 UTC
שיחות
Recorded: 100 in 2 records
{RECORD}
Evidence SHA-256: {"12" * 32}"""
sentences = st.text(st.characters(exclude_characters="—"), max_size=60)


def words(text: str | None) -> list[str]:
    """Return the words of a text: white space does not count."""
    return (text or "").split()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("text", ["", LEGAL, f"{LEGAL}\n\n  Danke!\n"])
def test_a_block_is_found_again_after_any_change_of_white_space(text: str, change: str) -> None:
    changed = CHANGES[change](stamped(text, PRINTED))
    assert words(find_block(changed)) == words(PRINTED)
    assert insert_block(changed, PRINTED) == changed
    assert words(remove_block(changed)) == words(text)
    again = stamped(changed, LATER)
    assert find_block(again) == LATER
    assert again.count(OPENING) == again.count(CLOSING) == 1
    assert words(remove_block(again)) == words(text)
    assert insert_block(again, LATER) == again


@given(merchants, merchants, changes)
def test_no_word_of_the_merchants_is_lost_with_white_space(
    before: str | None, after: str | None, made: list[Callable[[str], str]]
) -> None:
    changed = f"{stamped(before, PRINTED)}\n{after or ''}"
    for change in made:
        changed = change(changed)
    kept = words(before) + words(after)
    assert words(remove_block(changed)) == kept
    again = stamped(changed, LATER)
    assert find_block(again) == LATER
    assert words(remove_block(again)) == kept
    assert insert_block(again, LATER) == again


@given(sentences, sentences, st.sampled_from(["\n", "\r\n", "\r"]))
def test_text_on_the_lines_of_the_markers_stays(before: str, after: str, line_end: str) -> None:
    """Somebody took the line breaks beside our block away."""
    lines = line_end.join([f"{before} {OPENING}", *PRINTED.split("\n"), f"{CLOSING} {after}"])
    again = stamped(lines, LATER)
    assert find_block(again) == LATER
    assert words(remove_block(again)) == words(before) + words(after)
    assert insert_block(again, LATER) == again


def test_line_breaks_come_back_with_the_next_stamp() -> None:
    flat = stamped(LEGAL, PRINTED).replace("\n", " ") + " Danke!"
    new = f"{OPENING}\n{LATER}\n{CLOSING}"
    assert insert_block(flat, LATER) == f"{LEGAL}\n\n{new}\nDanke!".replace(LEGAL, LEGAL.replace("\n", " "))


def test_two_flat_blocks_become_one() -> None:
    flat = " ".join([*["A", *stamped(None, PRINTED).split()] * 2, "B"])
    again = stamped(flat, LATER)
    assert again.count(OPENING) == again.count(CLOSING) == 1
    assert words(remove_block(again)) == ["A", "A", "B"]


# -- edits by hand ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edited", "kept"),
    [
        pytest.param(f"{LEGAL}\n\n{BLOCK}".replace("Proof", "Prof"), LEGAL, id="a word in the block"),
        pytest.param(f"{LEGAL}\n\n{BLOCK}".replace(RECORD, f"{RECORD}\nCall us"), LEGAL, id="a line in the block"),
        pytest.param(f"{LEGAL}\n\n{BLOCK}".replace(RECORD, ""), LEGAL, id="its lines deleted"),
        pytest.param(f"{BLOCK}\n\n{LEGAL}", f"\n\n{LEGAL}", id="moved to the top"),
        pytest.param(f"{BLOCK}\n{LEGAL}\n\n{BLOCK}", f"\n{LEGAL}", id="doubled around the text"),
    ],
)
def test_a_block_edited_by_hand_is_one_whole_block_again(edited: str, kept: str) -> None:
    again = stamped(edited, LATER)
    assert find_block(again) == LATER
    assert again.count(OPENING) == again.count(CLOSING) == 1
    assert remove_block(again) == kept
    assert insert_block(again, LATER) == again


@pytest.mark.parametrize("half", [f"{OPENING}\n{RECORD}", f"{RECORD}\n{CLOSING}", RECORD])
def test_half_a_block_stays_as_text_and_a_whole_one_follows(half: str) -> None:
    again = stamped(f"{LEGAL}\n\n{half}", LATER)
    assert remove_block(again) == f"{LEGAL}\n\n{half}"
    assert find_block(again) == LATER
    assert insert_block(again, LATER) == again


def test_markers_in_the_middle_of_a_record_are_left_out() -> None:
    named = f"{'cd' * 32} {CLOSING} of — end of {CLOSING} usage record —"
    footer = stamped(LEGAL, f"{RECORD}\n{named}")
    assert find_block(footer) == f"{RECORD}\n{'cd' * 32} of"
    assert insert_block(footer, f"{RECORD}\n{named}") == footer
    assert remove_block(footer) == LEGAL


@given(merchants, records)
def test_removing_gives_the_merchants_text_back_to_the_letter(text: str | None, block: str) -> None:
    assert remove_block(stamped(text, block)) == (text or "")


@given(footers, records)
def test_stamping_twice_is_stamping_once(text: str | None, block: str) -> None:
    once = stamped(text, block)
    assert insert_block(once, block) == once


@given(footers, records, records)
def test_stamping_again_leaves_no_trace_of_the_first_stamp(text: str | None, first: str, second: str) -> None:
    assert stamped(stamped(text, first), second) == stamped(text, second)


@given(footers, records)
def test_the_inserted_block_is_found(text: str | None, block: str) -> None:
    assert find_block(stamped(text, block)) == block


@given(merchants, records)
def test_a_removed_block_is_not_found(text: str | None, block: str) -> None:
    assert find_block(remove_block(stamped(text, block))) is None


def test_text_between_halves_of_old_blocks_stays_when_ours_goes() -> None:
    around = f"{OPENING}\n{LEGAL}\n\n{BLOCK}\nThank you!\n{CLOSING}"
    assert remove_block(around) == f"{OPENING}\n{LEGAL}\nThank you!\n{CLOSING}"


@given(merchants, st.text(max_size=60))
def test_any_text_at_all_can_be_a_record(text: str | None, block: str) -> None:
    footer = stamped(text, block)
    assert insert_block(footer, block) == footer
    assert remove_block(footer) == (text or "")


@given(merchants, merchants, records)
def test_text_that_a_person_puts_around_the_block_stays(before: str | None, after: str | None, block: str) -> None:
    edited = f"{before or ''}\n\n{stamped(None, LATER)}\n{after or ''}"
    again = stamped(edited, block)
    assert again.startswith(f"{before or ''}\n\n{OPENING}\n{block}\n{CLOSING}")
    assert again.endswith(f"\n{after or ''}")


@given(footers, records)
def test_a_footer_never_grows_past_the_limit(text: str | None, block: str) -> None:
    match insert_block("x" * 4900 + (text or ""), block):
        case TooLong(length=length):
            assert length > FOOTER_LIMIT
        case str(footer):
            assert len(footer) <= FOOTER_LIMIT
