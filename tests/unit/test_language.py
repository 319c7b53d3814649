"""The rules of names and language that a machine can hold the code to."""

import re

import pytest

from tests.support.measure import PRODUCT, ROOT, Module, badly_opened, double_classes, modules

EVERY_MODULE = modules(*PRODUCT, "tests")
NOUNS_IN_ING = {"billing", "finding", "parsing", "settling", "timing", "typesetting"}
"""Nouns of the field that look like participles."""
SAYS_NOTHING = {"base", "common", "helpers", "manager", "misc", "util", "utils"}
GLOSSARY = ROOT / "pacspace_stripe" / "README.md"


def test_no_docstring_opens_with_a_word_that_hides_its_subject() -> None:
    assert badly_opened(EVERY_MODULE) == []


def test_a_class_name_exists_once() -> None:
    assert double_classes(modules(*PRODUCT)) == []


@pytest.mark.parametrize("module", modules(*PRODUCT), ids=lambda module: str(module.path))
def test_a_module_is_named_by_a_noun(module: Module) -> None:
    name = module.path.stem
    assert name not in SAYS_NOTHING
    assert name in NOUNS_IN_ING or not re.fullmatch(r"[a-z]+(ing|ed)", name)


def _glossary() -> list[tuple[str, str]]:
    """Return the words that the glossary replaces, each with the word to use."""
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$", GLOSSARY.read_text(), re.MULTILINE)
    return [
        (avoided.strip(), word) for word, instead_of in rows[2:] for avoided in instead_of.split(",") if avoided.strip()
    ]


def test_the_code_obeys_the_glossary() -> None:
    """Search names, docstrings, comments and messages for each word that the glossary replaces."""
    found = [
        f"{module.path}: {avoided!r}, the word is {word!r}"
        for module in modules(*PRODUCT)
        for avoided, word in _glossary()
        if re.search(rf"\b{re.escape(avoided)}\b", module.text, re.IGNORECASE)
    ]
    assert _glossary()
    assert found == []
