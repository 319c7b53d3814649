"""Every citation of a vendor's fact leads to its entry in the repository, and facts are cited in no other form."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("pacspace_stripe", "webhooks", "templates", "tests", ".github")
SUFFIXES = {".py", ".md", ".toml", ".jinja", ".html", ".txt"}
ENTRIES = {
    "CONTRACT": ROOT / "pacspace_stripe/pacspace_api/CONTRACT.md",
    "FACTS": ROOT / "pacspace_stripe/stripe_api/FACTS.md",
}
CITATION = re.compile(r"\b(CONTRACT|FACTS)\s(\d+(?:\.\d+)*(?:(?:,| and| to)\s(?:and )?\d+(?:\.\d+)*)*)")
NUMBER = re.compile(r"\d+(?:\.\d+)*")
ENTRY = re.compile(r"^(?:#+|[-*]) (?:\*\*)?(\d+(?:\.\d+)*)\b", re.MULTILINE)
OTHER_FORM = re.compile(r"stripe-facts|pacspace-api\b|\bcontract\s\d|\b[Dd]esign\s\d")


def texts() -> Iterator[tuple[Path, str]]:
    yield ROOT / "README.md", (ROOT / "README.md").read_text()
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SUFFIXES and path != Path(__file__):
                yield path, path.read_text()


@pytest.mark.parametrize("document", ENTRIES)
def test_every_citation_has_its_entry(document: str) -> None:
    entries = set(ENTRY.findall(ENTRIES[document].read_text()))
    cited = {
        (number, str(path.relative_to(ROOT)))
        for path, text in texts()
        for kind, numbers in CITATION.findall(text)
        if kind == document
        for number in NUMBER.findall(numbers)
    }
    assert cited
    assert sorted(each for each in cited if each[0] not in entries) == []


def test_facts_are_cited_in_one_form() -> None:
    found = [f"{path.relative_to(ROOT)}: {match[0]}" for path, text in texts() for match in OTHER_FORM.finditer(text)]
    assert found == []


def test_every_entry_names_its_page_what_confirms_it_and_a_test_that_exists() -> None:
    _, *entries = re.split(r"^#{2,3} (?=\d)", ENTRIES["CONTRACT"].read_text(), flags=re.MULTILINE)
    for entry in entries:
        title, _, body = entry.partition("\n")
        if title.split()[0] in {"1", "3", "5", "6"}:
            continue  # a chapter, whose facts are in its sections
        assert "Page: " in body, title
        assert "Confirmed by: " in body, title
        named = re.findall(r"`(tests/[a-z_/]+\.py)`", body)
        assert named, title
        assert [test for test in named if not (ROOT / test).exists()] == [], title
