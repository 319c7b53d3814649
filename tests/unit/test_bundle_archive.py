"""A bundle's archive: what may be shared, how it is packed, and how a command writes it."""

import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.cli.output import write_whole
from pacspace_stripe.errors import NotFound, RateLimited, RemoteUnavailable, UnexpectedAnswer
from pacspace_stripe.evidence.archive import BundleFolder, shareable, shareable_text, zipped
from pacspace_stripe.pacspace_api.failures import PACSPACE
from tests.support.bundles import Opened, sha256

NOON = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "shared"),
    [
        ("call ann@example.com now", "call [address removed] now"),
        ("<ann.b+c@mail.example.co.uk>", "<[address removed]>"),
        ("a@b.c,d@e.f", "[address removed],[address removed]"),
        ("müller@exämple.de", "[address removed]"),
        ("5 @ 3.50 each", "5 @ 3.50 each"),
        ("@handle and name@host", "@handle and name@host"),
        ("half \ud800 a character", "half ? a character"),
        ("", ""),
    ],
)
def test_mail_addresses_are_removed(written: str, shared: str) -> None:
    assert shareable_text(written) == shared


def test_a_long_text_without_an_address_is_quick() -> None:
    text = "a." * 500_000
    assert shareable_text(text) == text


@pytest.mark.parametrize(
    "name",
    [
        "accessHint",
        "access_hint",
        "AccessCode",
        "apiKey",
        "token",
        "clientSecret",
        "email",
        "customerEmail",
        "metadata",
    ],
)
def test_private_keys_are_removed_at_any_depth(name: str) -> None:
    assert shareable({"a": [{name: "x", "b": 1}], name: {"c": 2}}) == {"a": [{"b": 1}]}


def test_numbers_keep_their_digits() -> None:
    answer = {"whole": -100, "exact": Decimal("0.10"), "large": 2**53, "huge": Decimal("1e999999999"), "yes": True}
    assert shareable(answer) == {
        "whole": -100,
        "exact": "0.1",
        "large": "9007199254740992",
        "huge": "1E+999999999",
        "yes": True,
    }


def test_an_answer_nested_too_deep_is_refused() -> None:
    answer: object = 1
    for _ in range(60):
        answer = [answer]
    with pytest.raises(UnexpectedAnswer, match="deeper"):
        shareable(answer)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(anything)
def test_any_answer_of_a_vendor_can_be_packed(answer: object) -> None:
    folder = BundleFolder()
    folder.put_json("answer.json", shareable(answer))
    json.loads(folder.files["answer.json"])


# -- packing ----------------------------------------------------------------------------------------------------------


def test_entries_are_sorted_and_carry_nothing_but_their_bytes() -> None:
    packed = zipped({"b/2.json": b"{}", "a.pdf": b"%PDF-", "b/10.json": b"[]"})
    assert list(Opened.of(packed).entries) == ["a.pdf", "b/10.json", "b/2.json"]
    assert packed == zipped({"b/10.json": b"[]", "a.pdf": b"%PDF-", "b/2.json": b"{}"})
    with zipfile.ZipFile(BytesIO(packed)) as archive:
        assert {(entry.create_system, entry.external_attr >> 16) for entry in archive.infolist()} == {(3, 0o100644)}


def unavailable() -> bytes:
    raise RemoteUnavailable(PACSPACE, "no\nanswer")


def limited() -> bytes:
    raise RateLimited(PACSPACE, "too many")


def unknown() -> bytes:
    raise NotFound(PACSPACE, "no such thing")


def answered() -> bytes:
    return b"answer"


@pytest.mark.parametrize(
    ("first", "asked_again"), [(unavailable, False), (limited, True), (unknown, True), (answered, True)]
)
def test_only_a_vendor_that_does_not_answer_is_not_asked_again(
    first: Callable[[], bytes], *, asked_again: bool
) -> None:
    folder = BundleFolder()
    folder.ask("PacSpace", ("one",), first)
    assert (folder.ask("PacSpace", ("two", "three"), answered) == b"answer") is asked_again
    assert folder.ask("Stripe", ("four",), answered) == b"answer"


def test_the_manifest_lists_missing_files_with_their_reasons() -> None:
    folder = BundleFolder()
    folder.files["there.json"] = b"{}"
    folder.ask("PacSpace", ("one", "two"), unavailable)
    there = Opened.of(folder.packed("in_1", "ab" * 32, NOON).content)
    assert there.manifest == {
        "format": "pacspace-stripe/bundle/1",
        "invoice": "in_1",
        "evidence_sha256": "ab" * 32,
        "made_at": "2026-11-01T12:00:00Z",
        "files": {"there.json": {"sha256": sha256(b"{}"), "bytes": 2}},
        "missing": [{"name": "one", "why": "PacSpace: no answer"}, {"name": "two", "why": "PacSpace: no answer"}],
    }


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_file_is_written_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "bundle.zip"
    write_whole(target, b"one")
    target.chmod(0o600)
    write_whole(target, b"two")
    assert target.read_bytes() == b"two"
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "bundle.zip"
    folder.mkdir()
    with pytest.raises(click.FileError, match="Is a directory"):
        write_whole(folder, b"one")
    assert list(tmp_path.iterdir()) == [folder]
    with pytest.raises(click.FileError):
        write_whole(tmp_path / "nowhere" / "bundle.zip", b"one")
